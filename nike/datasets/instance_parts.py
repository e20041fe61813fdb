"""Parts of instances, rasterized as in COCO: polygons, boxes and run-length encoded masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrcnn.detections.formats import encode_rle
from nike.datasets import rle
from nike.datasets.shapes import MAX_COORDINATE, ShapeError, check_outline, outline_length
from nike.datasets.single_polygon import fill_polygons


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A run-length encoded piece of an instance.

    Attributes:
        runs: int64 `[R]`, validated by `rle.parse`.
        extent: (y1, x1, y2, x2), bounding box in pixels.
    """

    runs: np.ndarray
    extent: tuple[float, float, float, float]

    def draw(self, height: int, width: int) -> np.ndarray:
        """Returns the mask, bool `[H, W]`."""
        return rle.fill(self.runs, height, width)


@dataclass(frozen=True, eq=False)
class CocoPolygons:
    """A piece of an instance that consists of polygons, each float64 `[P, 2]` (x, y)."""

    polygons: tuple[np.ndarray, ...]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(y1, x1, y2, x2), bounding box of the polygons in pixels."""
        points = np.concatenate(self.polygons)
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return y1, x1, y2, x2

    def draw(self, height: int, width: int) -> np.ndarray:
        """Returns the mask, bool `[H, W]`, rasterized as in COCO (half a pixel narrower than in labelme)."""
        return fill_polygons(self.polygons, height, width)


def run_lengths(runs: np.ndarray, height: int) -> RunLengths:
    """Creates a piece from the output of `rle.parse`. Raises ShapeError if the mask is empty."""
    extent = rle.extent(runs, height)
    if extent is None:
        raise ShapeError("the mask is empty. Delete the annotation.")
    return RunLengths(runs, extent)


def mask_piece(mask: np.ndarray) -> RunLengths:
    """Creates a piece from a mask, bool `[H, W]`. Raises ShapeError if it is empty."""
    return run_lengths(rle.parse(encode_rle(mask), *mask.shape), mask.shape[0])


def polygon_piece(points: np.ndarray, height: int, width: int) -> CocoPolygons:
    """Returns a polygon, float64 `[P, 2]` (x, y), clipped to the photo. Raises ShapeError if no area is left."""
    points = np.clip(points, 0, (width, height))
    if np.ptp(points, axis=0).min() <= 0:
        raise ShapeError("has no area inside the photo. Redraw or delete it.")
    check_outline(outline_length(points), height, width)
    return CocoPolygons((points,))


def box_piece(box: Sequence[float], height: int, width: int) -> CocoPolygons:
    """Creates a piece from a box (y1, x1, y2, x2) in pixels; see `polygon_piece`.

    Its mask is the box, rounded to whole pixels.
    """
    y1, x1, y2, x2 = box
    if not all(abs(side) <= MAX_COORDINATE for side in box) or y1 >= y2 or x1 >= x2:  # also rejects NaN
        raise ShapeError(f"the box must have a width and a height above 0, got x {x1:g}..{x2:g}, y {y1:g}..{y2:g}.")
    return polygon_piece(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64), height, width)
