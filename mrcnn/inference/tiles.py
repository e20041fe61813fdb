"""Sliced inference: small objects on large photos, found tile by tile at the network's full resolution.

The whole photo is looked at once as well, for what is larger than a tile. Source of the idea: Akyon et al. 2022 (SAHI).
Differs: whether two detections are one object is judged by their masks inside the part of the photo that both views
show, so that the two halves of an object that a tile's border cuts are recognised by the strip that the tiles share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrcnn.detections import Box, Detection, Detections
from mrcnn.inference.voting import Detect, intersect, part_in, vote

SAME_IOU = 0.5  # masks that agree so well are one object
SAME_IOS = 0.7  # intersection over the smaller mask: one view shows, or found, only a part of the object
CUT_MARGIN = 0.01  # of a tile's side: a box that ends so near to the border probably goes on behind it
MAX_TILES_A_SIDE = 10  # chosen by "auto"; on a larger photo the tiles are larger than the network's image
WORTHWHILE = 1.25  # "auto" looks at tiles only if they enlarge the photo at least so much


def tile_side(height: int, width: int, tiles: int | str, network_side: int, overlap: float) -> int | None:
    """The side of the square tiles for a photo, pixels; None if the whole photo is enough.

    Args:
        height, width: of the photo, pixels.
        tiles: how many along the longer side; or "auto": tiles of `network_side`, which are not scaled down.
        network_side: side of the network's image, pixels.
        overlap: share of a tile that the next one shows again, 0 to below 1.
    """
    longer = max(height, width)
    if tiles == "auto":
        if longer < WORTHWHILE * network_side:
            return None
        return max(network_side, _side_of(longer, MAX_TILES_A_SIDE, overlap))
    return _side_of(longer, tiles, overlap) if tiles > 1 else None


def _side_of(length: int, tiles: int, overlap: float) -> int:
    return int(np.ceil(length / (1 + (tiles - 1) * (1 - overlap))))


def tile_windows(height: int, width: int, side: int, overlap: float) -> list[Box]:
    """Tiles that cover a photo, evenly spread, row by row.

    Args:
        height, width: of the photo, pixels.
        side: of a tile, pixels; a photo that is narrower has narrower tiles.
        overlap: share of a tile that neighbours have in common at least, 0 to below 1.

    Returns:
        (y1, x1, y2, x2) of each tile, pixels, half-open.
    """
    rows, columns = _starts(height, side, overlap), _starts(width, side, overlap)
    return [(y, x, min(y + side, height), min(x + side, width)) for y in rows for x in columns]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    steps = int(np.ceil((length - side) / max(side * (1 - overlap), 1) - 1e-9))
    return np.linspace(0, length - side, steps + 1).round().astype(int).tolist()


def detect_tiled(
    detect: Detect, photo: np.ndarray, tiles: int | str = "auto", network_side: int = 1024, overlap: float = 0.2
) -> Detections:
    """Finds objects on one photo, in the whole and tile by tile.

    Args:
        detect: see `mrcnn.inference.voting.Detect`.
        photo: `[H, W, channels]`.
        tiles, network_side, overlap: see `tile_side`.

    Returns:
        Each object once, highest score first.

    Raises:
        ValueError: `tiles` or `overlap` is out of range.
    """
    check_tiling(tiles, overlap)
    height, width = photo.shape[:2]
    views = [(0, 0, height, width)]
    side = tile_side(height, width, tiles, network_side, overlap)
    if side is not None:
        views += tile_windows(height, width, side, overlap)
    results = detect(iter([photo[y1:y2, x1:x2] for y1, x1, y2, x2 in views]))
    seen = [
        Seen(detection, number, window, _is_cut(detection.box, window, (height, width)))
        for number, (window, result) in enumerate(zip(views, results, strict=True))
        for detection in (shift(detection, *window[:2]) for detection in result)
    ]
    return Detections.from_instances(merge(seen), (height, width))


def shift(detection: Detection, y: int, x: int) -> Detection:
    """A detection in a view whose top left corner is at (y, x), in pixels of the image."""
    y1, x1, y2, x2 = detection.box
    return replace(detection, box=(y1 + y, x1 + x, y2 + y, x2 + x))


def check_tiling(tiles: int | str, overlap: float) -> None:
    """Raises ValueError unless `tiles` is "auto" or a number from 1, and `overlap` a share from 0 to 0.9."""
    if tiles != "auto" and not (isinstance(tiles, int) and 1 <= tiles <= 100):
        raise ValueError(f"tiles: expected 'auto' or a number from 1 to 100 along the longer side, got {tiles!r}.")
    if not 0 <= overlap <= 0.9:
        raise ValueError(f"tile overlap: expected a share from 0 to 0.9, got {overlap!r}.")


@dataclass(frozen=True, eq=False)
class Seen:
    """A detection and the view that it was seen in.

    Attributes:
        detection: in pixels of the photo.
        view: number of the view; a view finds each object once.
        window: (y1, x1, y2, x2) the part of the photo that the view shows.
        is_cut: whether the object seems to go on behind the view's border.
    """

    detection: Detection
    view: int
    window: Box
    is_cut: bool


def _is_cut(box: Box, window: Box, photo_size: tuple[int, int]) -> bool:
    margin = max(1.0, CUT_MARGIN * max(window[2] - window[0], window[3] - window[1]))
    gaps = np.concatenate([np.subtract(box[:2], window[:2]), np.subtract(window[2:], box[2:])])
    # The photo's own border cuts nothing that another view could show.
    is_inner = np.concatenate([np.greater(window[:2], 0), np.less(window[2:], photo_size)])
    return bool((is_inner & (gaps < margin)).any())


def merge(seen: Sequence[Seen]) -> list[Detection]:
    """Each object once, class by class.

    Objects seen whole come first, best score first, and drop every other view of themselves. What is left was cut in
    every view that shows it: such pieces are joined.
    """
    merged: list[Detection] = []
    for class_id in dict.fromkeys(item.detection.class_id for item in seen):
        rest = [item for item in seen if item.detection.class_id == class_id]
        rest.sort(key=lambda item: (item.is_cut, -item.detection.score))
        twins = _twins(rest)
        dropped: set[int] = set()
        for i, item in enumerate(rest):
            if i in dropped:
                continue
            if not item.is_cut:
                dropped |= twins[i]
                merged.append(item.detection)
                continue
            pieces = _reachable(i, twins, dropped)
            dropped |= pieces
            merged.append(_join([rest[k].detection for k in sorted(pieces)]))
    return merged


def _twins(items: Sequence[Seen]) -> list[set[int]]:
    """For each item the others that show the same object from another view."""
    boxes = np.array([item.detection.box for item in items]).reshape(-1, 4)
    twins: list[set[int]] = [set() for _ in items]
    for i, item in enumerate(items):
        meets = (boxes[i + 1 :, :2] < boxes[i, 2:]).all(axis=1) & (boxes[i + 1 :, 2:] > boxes[i, :2]).all(axis=1)
        for k in (np.flatnonzero(meets) + i + 1).tolist():
            if item.view != items[k].view and is_same_object(item, items[k]):
                twins[i].add(k)
                twins[k].add(i)
    return twins


def is_same_object(a: Seen, b: Seen) -> bool:
    """Whether two masks agree inside the part of the photo that both views show."""
    region = intersect(a.window, b.window)
    common = intersect(a.detection.box, b.detection.box)
    if region is None or common is None:
        return False
    shared = np.count_nonzero(part_in(a.detection, common) & part_in(b.detection, common))
    area_a, area_b = (np.count_nonzero(part_in(item.detection, region)) for item in (a, b))
    union, smaller = area_a + area_b - shared, min(area_a, area_b)
    return bool(shared) and (shared >= SAME_IOU * union or shared >= SAME_IOS * smaller)


def _reachable(start: int, twins: Sequence[set[int]], without: set[int]) -> set[int]:
    """The items that a chain of twins connects with `start`, itself included."""
    found, waiting = {start}, [start]
    while waiting:
        new = twins[waiting.pop()] - found - without
        found |= new
        waiting += new
    return found


def _join(pieces: Sequence[Detection]) -> Detection:
    """The union of the pieces of one object, with the best one's score (the first)."""
    return vote(pieces, [1.0] * len(pieces), majority=0.0) if len(pieces) > 1 else pieces[0]
