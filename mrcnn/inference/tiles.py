"""Sliced inference for small objects in large images.

Detection runs on overlapping tiles and on the whole image, which covers objects larger than a tile.

Source: Akyon et al. 2022 (SAHI).
Differs from SAHI: two detections are matched by their masks inside the region that both views show. The parts of an
object that is cut by a tile border are therefore matched in the overlap of the tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrcnn.detections import Box, Detection, Detections
from mrcnn.errors import UserError
from mrcnn.inference.voting import Detect, crop_mask, intersect, vote

MIN_MATCH_IOU = 0.5  # minimum IoU of two detections of one object
MIN_MATCH_IOS = 0.7  # minimum intersection over the smaller mask; matches partly visible or partly detected objects
CUT_MARGIN = 0.01  # fraction of the tile side; a box this close to the border is considered cut
MAX_TILES_PER_SIDE = 10  # limit for "auto"; in larger images the tiles are larger than the network input
MIN_SIZE_RATIO = 1.25  # "auto" uses tiles if the image is at least this many times larger than the network input


def tile_side(height: int, width: int, tiles: int | str, network_side: int, overlap: float) -> int | None:
    """Returns the side of the square tiles in pixels, or None if the image is not divided into tiles.

    Args:
        height: image height in pixels.
        width: image width in pixels.
        tiles: number of tiles along the longer side, or "auto" for tiles with the size of the network input, which are
            not downscaled.
        network_side: side of the network input in pixels.
        overlap: fraction of a tile that overlaps the next tile, 0 <= overlap < 1.
    """
    longer = max(height, width)
    if tiles == "auto":
        if longer < MIN_SIZE_RATIO * network_side:
            return None
        return max(network_side, _side_for_count(longer, MAX_TILES_PER_SIDE, overlap))
    return _side_for_count(longer, tiles, overlap) if tiles > 1 else None


def _side_for_count(length: int, tiles: int, overlap: float) -> int:
    return int(np.ceil(length / (1 + (tiles - 1) * (1 - overlap))))


def tile_windows(height: int, width: int, side: int, overlap: float) -> list[Box]:
    """Returns evenly spaced tiles that cover an image, row by row.

    Args:
        height: image height in pixels.
        width: image width in pixels.
        side: side of a tile in pixels. Tiles are cropped to the image.
        overlap: minimum overlap of neighbouring tiles as a fraction of the side, 0 <= overlap < 1.

    Returns:
        Half-open boxes (y1, x1, y2, x2) in pixels.
    """
    rows, columns = _tile_starts(height, side, overlap), _tile_starts(width, side, overlap)
    return [(y, x, min(y + side, height), min(x + side, width)) for y in rows for x in columns]


def _tile_starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    steps = int(np.ceil((length - side) / max(side * (1 - overlap), 1) - 1e-9))
    return np.linspace(0, length - side, steps + 1).round().astype(int).tolist()


def detect_tiled(
    detect: Detect, image: np.ndarray, tiles: int | str = "auto", network_side: int = 1024, overlap: float = 0.2
) -> Detections:
    """Runs detection on an image and on its tiles, and merges the detections.

    Args:
        detect: detection function; see `mrcnn.inference.voting.Detect`.
        image: `[H, W, channels]`.
        tiles: see `tile_side`.
        network_side: see `tile_side`.
        overlap: see `tile_side`.

    Returns:
        The merged detections, in order of decreasing score.

    Raises:
        ValueError: if `tiles` or `overlap` is out of range.
    """
    check_tiling(tiles, overlap)
    height, width = image.shape[:2]
    views = [(0, 0, height, width)]
    side = tile_side(height, width, tiles, network_side, overlap)
    if side is not None:
        views += tile_windows(height, width, side, overlap)
    results = list(detect(iter([image[y1:y2, x1:x2] for y1, x1, y2, x2 in views])))
    seen = [
        ViewDetection(detection, number, window, _is_cut(detection.box, window, (height, width)))
        for number, (window, result) in enumerate(zip(views, results, strict=True))
        for detection in (shift(detection, *window[:2]) for detection in result)
    ]
    return Detections.from_instances(merge(seen), (height, width), results[0].has_masks, results[0].num_keypoints)


def shift(detection: Detection, y: int, x: int) -> Detection:
    """Moves a detection by (y, x) pixels."""
    y1, x1, y2, x2 = detection.box
    points = None if detection.keypoints is None else detection.keypoints + np.float32([x, y, 0])
    moved = replace(detection, box=(y1 + y, x1 + x, y2 + y, x2 + x), keypoints=points)
    if detection.frame is None:
        return moved
    y1, x1, y2, x2 = detection.frame
    return replace(moved, frame=(y1 + y, x1 + x, y2 + y, x2 + x))


def check_tiling(tiles: int | str, overlap: float) -> None:
    """Raises ValueError unless `tiles` is "auto" or an integer from 1 to 100 and 0 <= `overlap` <= 0.9."""
    if tiles != "auto" and not (isinstance(tiles, int) and 1 <= tiles <= 100):
        raise UserError(f"tiles: expected 'auto' or a number from 1 to 100 along the longer side, got {tiles!r}.")
    if not 0 <= overlap <= 0.9:
        raise UserError(f"tile overlap: expected a fraction from 0 to 0.9, got {overlap!r}.")


@dataclass(frozen=True, eq=False)
class ViewDetection:
    """A detection and the view in which it was found.

    Attributes:
        detection: the detection, in pixels of the image.
        view: number of the view. Detections of the same view are different objects.
        window: (y1, x1, y2, x2), region of the image that the view covers.
        is_cut: whether the object probably extends beyond the border of the view.
    """

    detection: Detection
    view: int
    window: Box
    is_cut: bool


def _is_cut(box: Box, window: Box, image_size: tuple[int, int]) -> bool:
    margin = max(1.0, CUT_MARGIN * max(window[2] - window[0], window[3] - window[1]))
    gaps = np.concatenate([np.subtract(box[:2], window[:2]), np.subtract(window[2:], box[2:])])
    # Borders of the image itself do not count, because no view shows more of the object.
    is_inner = np.concatenate([np.greater(window[:2], 0), np.less(window[2:], image_size)])
    return bool((is_inner & (gaps < margin)).any())


def merge(seen: Sequence[ViewDetection]) -> list[Detection]:
    """Merges the detections of all views, class by class.

    Detections that are not cut are processed first, in order of decreasing score, and suppress the other detections of
    the same object. The remaining objects are cut in every view, and their parts are joined.
    """
    merged: list[Detection] = []
    for class_id in dict.fromkeys(item.detection.class_id for item in seen):
        rest = [item for item in seen if item.detection.class_id == class_id]
        rest.sort(key=lambda item: (item.is_cut, -item.detection.score))
        duplicates = _find_duplicates(rest)
        dropped: set[int] = set()
        for i, item in enumerate(rest):
            if i in dropped:
                continue
            if not item.is_cut:
                dropped |= duplicates[i]
                merged.append(item.detection)
                continue
            pieces = _connected_component(i, duplicates, dropped)
            dropped |= pieces
            merged.append(_join_parts([rest[k].detection for k in sorted(pieces)]))
    return merged


def _find_duplicates(items: Sequence[ViewDetection]) -> list[set[int]]:
    """Returns, for each item, the indices of the detections of the same object in other views."""
    boxes = np.array([item.detection.box for item in items]).reshape(-1, 4)
    duplicates: list[set[int]] = [set() for _ in items]
    for i, item in enumerate(items):
        meets = (boxes[i + 1 :, :2] < boxes[i, 2:]).all(axis=1) & (boxes[i + 1 :, 2:] > boxes[i, :2]).all(axis=1)
        for k in (np.flatnonzero(meets) + i + 1).tolist():
            if item.view != items[k].view and is_same_object(item, items[k]):
                duplicates[i].add(k)
                duplicates[k].add(i)
    return duplicates


def is_same_object(a: ViewDetection, b: ViewDetection) -> bool:
    """Returns whether two masks match (MIN_MATCH_IOU or MIN_MATCH_IOS) inside the region that both views show."""
    region = intersect(a.window, b.window)
    common = intersect(a.detection.box, b.detection.box)
    if region is None or common is None:
        return False
    shared = np.count_nonzero(crop_mask(a.detection, common) & crop_mask(b.detection, common))
    area_a, area_b = (np.count_nonzero(crop_mask(item.detection, region)) for item in (a, b))
    union, smaller = area_a + area_b - shared, min(area_a, area_b)
    return bool(shared) and (shared >= MIN_MATCH_IOU * union or shared >= MIN_MATCH_IOS * smaller)


def _connected_component(start: int, duplicates: Sequence[set[int]], excluded: set[int]) -> set[int]:
    """Returns the connected component of `start` in the graph of duplicates, except for the `excluded` items."""
    found, waiting = {start}, [start]
    while waiting:
        new = duplicates[waiting.pop()] - found - excluded
        found |= new
        waiting += new
    return found


def _join_parts(pieces: Sequence[Detection]) -> Detection:
    """Returns the union of the parts of an object, with the score of the first part.

    Each keypoint is taken from the part in which it has the highest score.
    """
    if len(pieces) == 1:
        return pieces[0]
    joined = vote(pieces, [1.0] * len(pieces), majority=0.0)
    if joined.keypoints is None:
        return joined
    points = np.array([piece.keypoints for piece in pieces])  # [parts, J, 3]
    best = points[..., 2].argmax(axis=0)
    return replace(joined, keypoints=points[best, np.arange(len(best))])
