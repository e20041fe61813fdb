"""Converts a mask with any number of parts and holes to one closed polygon, for formats without compound shapes.

Parts and holes are joined by bridges of width zero, which enclose no area. Coordinates are continuous: pixel (0, 0)
covers the square from (0, 0) to (1, 1), as in COCO.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from scipy.spatial import cKDTree
from skimage.measure import euler_number, label

from mrcnn.ops.contours import mask_to_rings, simplify
from mrcnn.ops.masks import mask_box

MIN_IOU = 0.995  # minimum IoU of the mask and the polygon drawn by `fill_polygons`
# Tolerances of the simplification in pixels, tried in this order. If all fail, the outline is not simplified.
TOLERANCES = (0.7, 0.5, 0.35)


def mask_to_polygon(mask: np.ndarray) -> np.ndarray | None:
    """Returns a mask as one polygon.

    Args:
        mask: bool `[H, W]`.

    Returns:
        float64 `[P, 2]`, (x, y) in pixels, whose IoU with the mask is at least MIN_IOU; None for an empty mask.
    """
    y1, x1, y2, x2 = mask_box(mask)
    crop = mask[y1:y2, x1:x2]
    if not crop.size:
        return None
    rings = mask_to_rings(crop)
    for tolerance in TOLERANCES:
        simple = [simplify(ring, tolerance) for ring in rings]
        polygon = _join_rings([ring for ring in simple if len(ring) >= 3] or [_pixel_outline(rings[0])])
        drawn = fill_polygons([polygon], *crop.shape)
        if np.count_nonzero(drawn & crop) >= MIN_IOU * np.count_nonzero(drawn | crop):
            break
    else:
        polygon = _join_rings([_pixel_outline(ring) for ring in rings])
    return polygon + (x1, y1)


def simple_polygon(mask: np.ndarray) -> np.ndarray | None:
    """Returns a mask as one polygon like `mask_to_polygon`, or None if it has holes or several parts."""
    if label(mask, connectivity=2, return_num=True)[1] != 1 or euler_number(mask, connectivity=2) != 1:
        return None
    return mask_to_polygon(mask)


def fill_polygons(polygons: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Returns the union of polygons `[P, 2]` (x, y) as a mask, bool `[H, W]`, rasterized as in COCO."""
    parts = coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in polygons], height, width)
    return coco_mask.decode(coco_mask.merge(parts)).astype(bool)


def _pixel_outline(ring: np.ndarray) -> np.ndarray:
    """Returns the pixel corners along a closed ring (x, y) that connects midpoints of pixel edges."""
    start, end = ring[:-1], ring[1:]
    on_vertical_edge = start[:, 0] == np.floor(start[:, 0])
    corners = np.where(
        on_vertical_edge[:, None], np.stack([start[:, 0], end[:, 1]], 1), np.stack([end[:, 0], start[:, 1]], 1)
    )
    return corners[(start != end).all(axis=1)]


def _join_rings(rings: list[np.ndarray]) -> np.ndarray:
    """Joins rings `[P, 2]` to one ring. The shortest bridges connect the smaller rings to the largest ring."""
    joined, *others = sorted(rings, key=len, reverse=True)
    for ring in others:
        distances, nearest = cKDTree(joined).query(ring)
        start = int(distances.argmin())
        end = int(nearest[start])
        detour = np.concatenate([ring[start:], ring[: start + 1]])
        joined = np.concatenate([joined[: end + 1], detour, joined[end:]])
    return joined
