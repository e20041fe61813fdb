"""Contours of masks as polygons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrcnn.ops.masks import mask_box


def mask_to_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Returns the contours of a mask: outer contours clockwise on the image, holes counterclockwise.

    The contours run through the midpoints between the centres of pixels inside and outside the mask. Coordinates are
    continuous: pixel (0, 0) covers the square from (0, 0) to (1, 1), as in COCO. Parts that touch at a corner are
    separate.

    Args:
        mask: bool `[H, W]`.

    Returns:
        Closed rings, float64 `[P, 2]` (x, y) in pixels, whose last point repeats the first.
    """
    from skimage.measure import find_contours

    y1, x1, y2, x2 = mask_box(mask)
    crop = mask[y1:y2, x1:x2]
    if not crop.size:
        return []
    offset = np.array([x1, y1]) - 0.5  # padding shifts indices by 1, and pixel centres are at 0.5
    return [ring[:, ::-1] + offset for ring in find_contours(np.pad(crop, 1).astype(np.float32), 0.5)]


def probability_rings(
    probabilities: np.ndarray, frame: Sequence[float], image_shape: Sequence[int]
) -> list[np.ndarray]:
    """Returns the contours of a predicted mask at a probability of 0.5, with sub-pixel precision.

    The contours are computed on the cells of the prediction (marching squares), so they do not follow pixel edges.

    Args:
        probabilities: float `[h, w]` inside the frame.
        frame: (y1, x1, y2, x2) float pixels of the image; may extend beyond the image.
        image_shape: (H, W, ...) of the image, to which the contours are clipped.

    Returns:
        Closed rings; see `mask_to_rings`.

    Source: Lorensen and Cline 1987, Marching Cubes, for the contours.
    """
    from skimage.measure import find_contours

    y1, x1, y2, x2 = frame
    scale = np.array([(x2 - x1) / probabilities.shape[1], (y2 - y1) / probabilities.shape[0]])
    high = np.array([image_shape[1], image_shape[0]])
    contours = find_contours(np.pad(np.float32(probabilities), 1), 0.5)
    # Index i of the padded array is the centre of cell i - 1, which is i - 0.5 cells from the edge of the frame.
    return [np.clip((ring[:, ::-1] - 0.5) * scale + (x1, y1), 0, high) for ring in contours]


def signed_area(ring: np.ndarray) -> float:
    """Returns the area of a closed ring `[P, 2]` (x, y). Holes returned by `mask_to_rings` have a negative area."""
    x, y = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Simplifies a closed ring (Douglas and Peucker 1973). The last point of the result does not repeat the first.

    Args:
        ring: float `[P, 2]`, closed.
        tolerance: maximum distance between the result and the ring, in pixels.
    """
    from skimage.measure import approximate_polygon

    return approximate_polygon(ring, tolerance)[:-1]
