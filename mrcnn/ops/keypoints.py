"""Keypoint operations in NumPy: decoding of the maps of the keypoint head, and mirroring.

A keypoint is (x, y, score) or (x, y, visibility). x and y are continuous pixels with 0 at the outer edge of the first
pixel. The visibility follows COCO: 0 not labelled, 1 labelled but occluded, 2 visible.

Shape notation: N objects, J keypoints, Q side of a map.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mrcnn.errors import UserError

# The maps extend beyond the box by this fraction of its height and width on each side, because a predicted box often
# cuts off the ends of an object, where its keypoints are.
BOX_PADDING = 0.1


def as_keypoints(values: Any, count: int, number: int | None, requirement: str) -> np.ndarray:
    """Returns keypoints as a float32 array `[N, J, 3]`.

    Args:
        values: array or nested lists.
        count: N.
        number: J, or None for any number.
        requirement: the location and the expected shape, for the error message.

    Raises:
        ValueError: if `values` do not have this shape. The message contains `requirement` and the actual shape.
    """
    try:
        points = np.asarray(values, np.float32)
        got = "None" if values is None else str(list(points.shape))
    except (TypeError, ValueError):
        points, got = None, "values that are not numbers"
    if points is None or points.ndim != 3 or points.shape != (count, number or points.shape[1], 3):
        raise UserError(f"{requirement}, got {got}.")
    return points


def decode_keypoints(logits: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Returns the position of the maximum of each map, refined between cells by a parabola per axis.

    Args:
        logits: `[N, Q, Q, J]` maps of the objects.
        frames: `[N, 4]` boxes (y1, x1, y2, x2) that the maps cover, in continuous pixels.

    Returns:
        `[N, J, 3]` float32 (x, y, score). The score is the softmax probability of the maximum.

    Source: He et al. 2017, Mask R-CNN, section 5.
    Differs from the paper's code: the maps are not resized to the box. The parabola gives the sub-cell position.
    """
    count, side, _, keypoints = logits.shape
    maps = logits.transpose(0, 3, 1, 2).reshape(-1, side, side).astype(np.float64)  # [N*J, Q, Q]
    best = maps.reshape(-1, side * side).argmax(axis=1)
    cells = np.stack(np.divmod(best, side), axis=1)  # [N*J, 2], row and column
    # With reflection padding, the parabola through a maximum at the border has its vertex there.
    row, column = (cells + 1).T
    maps, at = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="reflect"), np.arange(len(maps))
    highest = maps[at, row, column]
    before = np.stack([maps[at, row - 1, column], maps[at, row, column - 1]], axis=1)
    after = np.stack([maps[at, row + 1, column], maps[at, row, column + 1]], axis=1)
    curvature = 2 * highest[:, None] - before - after
    offset = np.divide(after - before, 2 * curvature, out=np.zeros_like(before), where=curvature > 0)
    inside = maps[:, 1:-1, 1:-1] - highest[:, None, None]
    scores = 1 / np.exp(inside).sum(axis=(1, 2))
    relative = ((cells + 0.5 + offset) / side).reshape(count, keypoints, 2)
    y, x = np.moveaxis(frames[:, None, :2] + relative * (frames[:, None, 2:] - frames[:, None, :2]), -1, 0)
    return np.stack([x, y, scores.reshape(count, keypoints)], axis=-1).astype(np.float32)


def mirror_keypoints(keypoints: np.ndarray, width: float, pairs: Iterable[Sequence[int]]) -> np.ndarray:
    """Mirrors keypoints `[..., J, 3]` horizontally in an image of the given width.

    Args:
        keypoints: (x, y, score or visibility).
        width: width of the image in pixels.
        pairs: index pairs of left and right keypoints, which are swapped; see `Config.KEYPOINT_FLIP`.
    """
    mirrored = swap_keypoints(keypoints, pairs)
    mirrored[..., 0] = width - mirrored[..., 0]
    return mirrored


def swap_keypoints(keypoints: np.ndarray, pairs: Iterable[Sequence[int]]) -> np.ndarray:
    """Returns a copy of keypoints `[..., J, 3]` in which the two keypoints of each pair are swapped."""
    order = np.arange(keypoints.shape[-2])
    for a, b in pairs:
        order[[a, b]] = b, a
    return keypoints[..., order, :]
