"""Converts masks and contours to polygons with few points for annotation tools.

Polygons are float64 `[P, 2]`, (x, y) in pixels of the image, without a repeated point.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageDraw

from mrcnn.ops.contours import signed_area, simplify
from mrcnn.ops.masks import MIN_PART_FRACTION, mask_box

# The contour at a level just below 1 passes through the centres of the outermost pixels, up to rounding.
CONTOUR_LEVEL = 1 - 1e-3
MAX_POINTS = 60  # maximum per polygon, so that annotators can edit it
MAX_POINTS_FOR_CROSSINGS = 1_000  # limited, because the search for self-crossings compares every pair of edges
TOLERANCE_FACTORS = (1, 0.8, 0.65, 0.5, 0.35, 0.25, 0)  # tried in this order


def mask_to_polygons(mask: np.ndarray, tolerance: float = 1.0, min_iou: float = 0.99) -> list[np.ndarray] | None:
    """Converts a mask to simplified polygons, one per 8-connected component.

    Args:
        mask: bool `[H, W]`.
        tolerance: float, maximum distance between the polygon and the edge of the mask, in pixels. It is lowered until
            `min_iou` is reached and no outline crosses itself, if possible.
        min_iou: float, minimum IoU between the mask and the polygons as rasterized by labelme.

    Returns:
        A list of polygons, float64 `[P, 2]` (x, y), largest first. Empty for an empty mask. None if no polygons reach
        `min_iou` because the mask has holes.
    """
    y1, x1, y2, x2 = mask_box(mask)
    mask = mask[y1:y2, x1:x2]
    if not mask.size:
        return []
    rings, found = _outer_rings(mask), None
    for factor in TOLERANCE_FACTORS:
        polygons = [_simplify_for_labelme(ring, factor * tolerance) for ring in rings]
        if iou(fill(polygons, *mask.shape), mask) >= min_iou:
            found = found or [polygon + (x1, y1) for polygon in polygons]
            if not any(map(crosses_itself, polygons)):
                return [polygon + (x1, y1) for polygon in polygons]
    return found


def rings_to_polygons(rings: list[np.ndarray]) -> list[np.ndarray] | None:
    """Converts sub-pixel contours to polygons with at most MAX_POINTS points each.

    Args:
        rings: closed contours (x, y); see `mrcnn.detections.Detections.rings`.

    Returns:
        A list of polygons, float64 `[P, 2]` (x, y), largest first; tiny parts and holes are dropped. None if polygons
        cannot represent the mask because it has a hole.
    """
    by_area = sorted(((signed_area(ring), ring) for ring in rings), key=lambda pair: -abs(pair[0]))
    kept = [(area, ring) for area, ring in by_area if abs(area) >= MIN_PART_FRACTION * abs(by_area[0][0])]
    if any(area < 0 for area, _ in kept):
        return None
    polygons = [_limit_points(ring) for _, ring in kept]
    return [polygon for polygon in polygons if len(polygon) >= 3 and has_area(polygon)]


def _limit_points(ring: np.ndarray) -> np.ndarray:
    """Simplifies a ring with the smallest tolerance of 0.5 pixels or more that leaves at most MAX_POINTS points."""
    tolerance = 0.5
    polygon = simplify(ring, tolerance)
    while len(polygon) > MAX_POINTS:
        tolerance *= 1.25
        polygon = simplify(ring, tolerance)
    return polygon


def fill(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Returns the union of polygons `[P, 2]` (x, y) as rasterized by labelme, bool `[H, W]`."""
    canvas = PIL.Image.new("L", (width, height))
    pen = PIL.ImageDraw.Draw(canvas)
    for polygon in polygons:
        pen.polygon([tuple(point) for point in polygon.tolist()], outline=1, fill=1)
    return np.asarray(canvas).astype(bool)


def has_area(points: np.ndarray) -> bool:
    """Returns whether points `[P, 2]` are not collinear."""
    arms = points - points[0]
    far = arms[np.argmax(np.abs(arms).sum(axis=1))]
    return bool(np.any(np.abs(arms[:, 0] * far[1] - arms[:, 1] * far[0]) > 1e-6))


def crosses_itself(points: np.ndarray) -> bool:
    """Returns whether two edges of the closed polygon `[P, 2]` cross in their interiors.

    Returns False for polygons with more than MAX_POINTS_FOR_CROSSINGS points, which are not checked.
    """
    count = len(points)
    if count < 4 or count > MAX_POINTS_FOR_CROSSINGS:
        return False
    start, end = points, np.roll(points, -1, axis=0)
    edge = end - start
    for first in range(0, count, 256):  # processing in blocks limits the memory
        block = slice(first, first + 256)
        # [b, P]: on which side of each edge in the block the ends of all edges lie, and vice versa
        side_start = _cross(edge[block, None], start[None] - start[block, None])
        side_end = _cross(edge[block, None], end[None] - start[block, None])
        other_start = _cross(edge[None], start[block, None] - start[None])
        other_end = _cross(edge[None], end[block, None] - start[None])
        if np.any((side_start * side_end < 0) & (other_start * other_end < 0)):
            return True
    return False


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the IoU of two masks, bool `[H, W]`; 1 if both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _outer_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Returns the outer contour (x, y) of each 8-connected component through pixel centres, largest first."""
    from skimage.measure import find_contours  # slow to import, and few commands write polygons

    contours = find_contours(np.pad(mask, 1).astype(np.float64), CONTOUR_LEVEL, fully_connected="high")
    rings = [contour[:, ::-1] for contour in contours]
    outer = [(area, ring) for ring in rings if (area := signed_area(ring)) > 0]
    return [np.rint(ring) - 1 for _, ring in sorted(outer, key=lambda pair: -pair[0])]


def _simplify_for_labelme(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Simplifies a ring and moves its points by half a pixel, which makes labelme rasterize the same mask."""
    points = simplify(ring, tolerance)
    if len(points) >= 3 and has_area(points):
        return points + 0.5
    # A component that is one pixel wide becomes a triangle with positive area inside the same pixels.
    first, last = ring[np.lexsort(ring.T)[[0, -1]]]
    return np.array([first + (0.2, 0.2), last + (0.2, 0.8), last + (0.8, 0.2)])
