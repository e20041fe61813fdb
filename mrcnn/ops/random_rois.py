"""Random regions of interest, which replace the proposals if the region proposal network is not used."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def generate_random_rois(
    image_shape: Sequence[int], count: int, gt_class_ids: np.ndarray, gt_boxes: np.ndarray, rng: Any = np.random
) -> np.ndarray:
    """Generates random RoIs: 90% near the objects, the rest anywhere in the image.

    RoIs near an object lie within its box extended by its height and width on each side.

    Args:
        image_shape: (height, width, ...) of the image in pixels, at least 2 each.
        count: number of RoIs.
        gt_class_ids: ignored; part of Matterport's signature.
        gt_boxes: `[G, 4]` int pixels inside the image; may be empty.
        rng: NumPy's global generator or a `RandomState`.

    Returns:
        `[count, 4]` int32 pixels with height and width of at least 1.

    Raises:
        ValueError: if a box has no area or is outside the image, or if the image has a single row or column.

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
    """Returns `[count, 4]` boxes whose corners lie in half-open ranges."""
    if rows[1] - rows[0] < 2 or columns[1] - columns[0] < 2:
        raise ValueError(
            f"generate_random_rois: rows {rows} and columns {columns} are too small for random boxes. "
            "Expected ground-truth boxes with an area, inside the image."
        )
    while True:  # draw twice as many as needed, because zero-area boxes are dropped
        ys = rng.randint(*rows, (2 * count, 2))
        xs = rng.randint(*columns, (2 * count, 2))
        ys, xs = (np.sort(ends[ends[:, 0] != ends[:, 1]][:count], axis=1) for ends in (ys, xs))
        if len(ys) == len(xs) == count:
            return np.stack([ys[:, 0], xs[:, 0], ys[:, 1], xs[:, 1]], axis=1)
