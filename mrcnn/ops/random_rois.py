"""Random regions of interest, which stand in for proposals where the region proposal network is not used."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def generate_random_rois(
    image_shape: Sequence[int], count: int, gt_class_ids: np.ndarray, gt_boxes: np.ndarray, rng: Any = np.random
) -> np.ndarray:
    """Random RoIs as a network's proposals might be: nine tenths around the objects, the rest anywhere.

    Those around an object lie within its box grown by its own height and width on each side.

    Args:
        image_shape: (height, width, ...) pixels, at least 2 each.
        count: number of RoIs.
        gt_class_ids: not used; kept for the original's signature.
        gt_boxes: `[G, 4]` int pixels inside the image; without any, all RoIs lie anywhere.
        rng: NumPy's global generator or a `RandomState`.

    Returns:
        `[count, 4]` int32 pixels with sides of at least 1.

    Raises:
        ValueError: a box without area or outside the image, or an image of one row or column.

    Source: Matterport.
    """
    del gt_class_ids
    height, width = image_shape[:2]
    per_box = int(0.9 * count / len(gt_boxes)) if len(gt_boxes) else 0
    rois = []
    for y1, x1, y2, x2 in gt_boxes:
        box_height, box_width = y2 - y1, x2 - x1
        rows = max(y1 - box_height, 0), min(y2 + box_height, height)
        columns = max(x1 - box_width, 0), min(x2 + box_width, width)
        rois.append(_random_boxes(rows, columns, per_box, rng))
    rois.append(_random_boxes((0, height), (0, width), count - per_box * len(gt_boxes), rng))
    return np.concatenate(rois).astype(np.int32)


def _random_boxes(rows: tuple[int, int], columns: tuple[int, int], count: int, rng: Any) -> np.ndarray:
    """`[count, 4]` boxes whose corners lie in these half-open ranges."""
    if rows[1] - rows[0] < 2 or columns[1] - columns[0] < 2:
        raise ValueError(
            f"generate_random_rois: no room for boxes in rows {rows} and columns {columns}. "
            "Pass boxes with an area, inside the image."
        )
    while True:  # twice what is needed, because corners that coincide give no box; rarely that is not enough
        ys = rng.randint(*rows, (2 * count, 2))
        xs = rng.randint(*columns, (2 * count, 2))
        ys, xs = (np.sort(ends[ends[:, 0] != ends[:, 1]][:count], axis=1) for ends in (ys, xs))
        if len(ys) == len(xs) == count:
            return np.stack([ys[:, 0], xs[:, 0], ys[:, 1], xs[:, 1]], axis=1)
