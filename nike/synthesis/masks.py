"""Computes the pixel coverage of placed logos, and the polygons and labels of their visible parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from mrcnn.ops.contours import probability_rings, signed_area, simplify
from nike.datasets.labels import IGNORE

Window = tuple[int, int, int, int]  # y0, x0, y1, x1 in whole pixels, half-open

# Logos below one of these thresholds are labelled `ignore`, because a person could not outline them.
MIN_LENGTH = 12  # pixels
MIN_WIDTH = 3  # pixels
MIN_VISIBLE = 0.3  # visible fraction of the area
MIN_CONTRAST = 8  # mean difference from the background in gray levels

MIN_PIECE = 0.01  # visible pieces smaller than this fraction of the largest piece are not outlined
TOLERANCE = 0.2  # maximum distance of a polygon from the exact contour in pixels
OVERSAMPLING = 4  # subdivisions of a cell per side, from which its coverage is computed
_SHIFT = 4  # fraction bits of OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class Instance:
    """A labelled logo.

    Attributes:
        label: label of the logo, or `ignore` if it is tiny, mostly occluded or hardly visible.
        polygons: one `[P, 2]` float64 polygon per visible piece, (x, y) in continuous pixels.
        landmarks: (x, y) positions by name, including occluded landmarks but not those outside the image.
    """

    label: str
    polygons: list[np.ndarray]
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class PlacedLogo:
    """A logo in an image.

    Attributes:
        window: window of the image that contains the logo.
        visible: `[h * scale, w * scale]` float32 coverage by the visible part of the logo. Occluded parts are 0.
        scale: number of cells of `visible` per pixel and side.
        area: area of the whole logo in square pixels, including the part outside the image.
        contrast: mean difference from the background in gray levels.
        landmarks: (x, y) positions in pixels of the image by name.
    """

    window: Window
    visible: np.ndarray
    scale: int
    area: float
    contrast: float = 255.0
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def coverage(self) -> np.ndarray:
        """Visible fraction of each pixel, `[h, w]` float32."""
        y0, x0, y1, x1 = self.window
        return cv2.resize(self.visible, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)

    def cell_centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the coordinates x `[1, w * scale]` and y `[h * scale, 1]` of the cells in pixels of the image."""
        y, x = np.ogrid[: self.visible.shape[0], : self.visible.shape[1]]
        return self.window[1] + (x + 0.5) / self.scale, self.window[0] + (y + 0.5) / self.scale

    def overlaps(self, other: PlacedLogo) -> bool:
        """Returns whether the windows of two logos overlap."""
        a, b = self.window, other.window
        return all(a[axis] < b[axis + 2] and b[axis] < a[axis + 2] for axis in (0, 1))

    def is_clear(self) -> bool:
        """Returns whether enough of the logo is visible to outline it."""
        sides = [np.count_nonzero((self.visible > 0.5).any(axis=axis)) / self.scale for axis in (0, 1)]
        fraction = self.visible.sum() / self.scale**2 / self.area
        large = max(sides) >= MIN_LENGTH and min(sides) >= MIN_WIDTH
        return bool(large and fraction >= MIN_VISIBLE and self.contrast >= MIN_CONTRAST)

    def polygons(self, shape: tuple[int, int]) -> list[np.ndarray]:
        """Returns the outlines of the visible pieces in an image of `shape` (height, width). Holes are filled."""
        rings = [(signed_area(ring), ring) for ring in probability_rings(self.visible, self.window, shape)]
        smallest = max(1.0, MIN_PIECE * max((area for area, _ in rings), default=0))
        polygons = [simplify(ring, TOLERANCE) for area, ring in rings if area >= smallest]
        return [polygon for polygon in polygons if len(polygon) >= 3]

    def instance(self, shape: tuple[int, int], label: str) -> Instance | None:
        """Returns the labelled instance, or None if no part of the logo is visible."""
        polygons = self.polygons(shape)
        inside = {name: p for name, p in self.landmarks.items() if (p >= 0).all() and (p <= shape[::-1]).all()}
        return Instance(label if self.is_clear() else IGNORE[0], polygons, inside) if polygons else None


def rasterize_logo(outlines: Sequence[np.ndarray], shape: tuple[int, int], margin: float = 0.0) -> PlacedLogo | None:
    """Rasterizes the outlines of a logo in an image.

    Args:
        outlines: polygons `[P, 2]` (x, y) in pixels, filled with the even-odd rule.
        shape: (height, width) of the image.
        margin: margin of the window around the logo, as a fraction of its length.

    Returns:
        The logo, or None if it is outside the image or if the placement is degenerate.
    """
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    length = float((high - low).max())
    if not length < 8 * max(shape):  # also true for NaN
        return None
    x0, y0 = np.floor(low - margin * length - 2).clip(0, shape[::-1]).astype(int).tolist()
    x1, y1 = np.ceil(high + margin * length + 2).clip(0, shape[::-1]).astype(int).tolist()
    if x0 >= x1 or y0 >= y1:
        return None
    scale = 8 if length < 60 else 4 if length < 125 else 2 if length < 500 else 1
    visible = rasterize([outline - (x0, y0) for outline in outlines], (y1 - y0, x1 - x0), scale)
    area = abs(sum(signed_area(np.concatenate([outline, outline[:1]])) for outline in outlines))
    return PlacedLogo((y0, x0, y1, x1), visible, scale, area) if visible.any() else None


def rasterize(outlines: Sequence[np.ndarray], shape: tuple[int, int], scale: int = 1) -> np.ndarray:
    """Returns the coverage by polygons `[P, 2]` in pixels, `[height * scale, width * scale]` float32 in 0..1."""
    rows, columns = shape[0] * scale, shape[1] * scale
    mask = np.zeros((rows * OVERSAMPLING, columns * OVERSAMPLING), np.uint8)
    # In OpenCV, coordinate 0 is the centre of the first pixel. In continuous coordinates, it is the edge of this pixel.
    fixed = [np.rint((o * scale * OVERSAMPLING - 0.5) * (1 << _SHIFT)).astype(np.int32) for o in outlines]
    cv2.fillPoly(mask, fixed, 255, cv2.LINE_8, _SHIFT)
    return cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
