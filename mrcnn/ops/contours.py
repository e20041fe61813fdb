"""Contours of masks as polygons."""

from __future__ import annotations

import numpy as np


def mask_to_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Returns the contours of a mask: outer ones counterclockwise on the image, holes clockwise.

    They run through the midpoints between the centers of pixels inside and outside. Coordinates are continuous: pixel
    (0, 0) covers the square from (0, 0) to (1, 1), as in COCO. Parts that touch at a corner are separate.

    Args:
        mask: bool `[H, W]`.

    Returns:
        Closed rings, float64 `[P, 2]` (x, y) in pixels, whose last point repeats the first.
    """
    from skimage.measure import find_contours

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    crop = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    offset = np.array([columns[0], rows[0]]) - 0.5  # the padding moves by 1, the pixel's center by 0.5
    return [ring[:, ::-1] + offset for ring in find_contours(np.pad(crop, 1).astype(np.float32), 0.5)]


def simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns a closed ring with fewer points (Douglas and Peucker 1973), without the repeated last one.

    Args:
        ring: float `[P, 2]`, closed.
        tolerance: maximum distance in pixels of the result from the ring.
    """
    from skimage.measure import approximate_polygon

    return approximate_polygon(ring, tolerance)[:-1]
