"""From a mask to polygons that a person can edit, and that labelme would fill to (nearly) the same mask."""

from __future__ import annotations

import numpy as np
from skimage.measure import approximate_polygon, find_contours

from nike.datasets.shapes import Shape, has_area

# The level line at almost 1 runs through the outermost pixels' centres, and rounds to them.
JUST_INSIDE = 1 - 1e-3
TOLERANCES = (1, 0.8, 0.65, 0.5, 0.35, 0.25, 0)  # shares of the tolerance, tried one after another


def mask_to_polygons(mask: np.ndarray, tolerance: float = 1.0, min_iou: float = 0.99) -> list[np.ndarray] | None:
    """Outlines of a mask, one polygon per 8-connected part, with as few points as the tolerance allows.

    Args:
        mask: bool `[H, W]`.
        tolerance: pixels that an outline may run beside the mask's edge. Lowered until the result is good enough.
        min_iou: intersection over union that the polygons, filled by labelme's rule, must have with the mask.

    Returns:
        Polygons, float64 `[P, 2]` (x, y), largest first; an empty list for an empty mask. None when polygons cannot
        express the mask at `min_iou`, because it has holes.
    """
    ys, xs = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(ys):
        return []
    mask = mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    rings = _outer_rings(mask)
    for share in TOLERANCES:
        polygons = [_simplify(ring, share * tolerance) for ring in rings]
        if iou(fill(polygons, *mask.shape), mask) >= min_iou:
            return [polygon + (xs[0], ys[0]) for polygon in polygons]
    return None


def fill(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """The union of polygons `[P, 2]` (x, y) as labelme fills them, bool `[H, W]`."""
    mask = np.zeros((height, width), dtype=bool)
    for polygon in polygons:
        mask |= Shape("polygon", polygon).draw(height, width)
    return mask


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks `bool [H, W]`; 1 if both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _outer_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Closed chains of pixel centres (x, y) around each 8-connected part, largest first, without its holes."""
    contours = find_contours(np.pad(mask, 1).astype(np.float64), JUST_INSIDE, fully_connected="high")
    outer = [(area, ring) for ring in contours if (area := _signed_area(ring)) > 0]
    return [np.rint(ring[:, ::-1]) - 1 for _, ring in sorted(outer, key=lambda pair: -pair[0])]


def _signed_area(ring: np.ndarray) -> float:
    """Twice the enclosed area of a closed ring (y, x); skimage runs around parts and around holes in opposite ways."""
    y, x = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))


def _simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Fewer points, moved from the pixels' corners to their centres (labelme truncates: both fill the same)."""
    points = approximate_polygon(ring, tolerance)[:-1]  # without the first repeated
    if len(points) >= 3 and has_area(points):
        return points + 0.5
    # A part of one pixel's width: a sliver with an area, inside the same pixels.
    first, last = ring[np.lexsort(ring.T)[[0, -1]]]
    return np.array([first + (0.2, 0.2), last + (0.2, 0.8), last + (0.8, 0.2)])
