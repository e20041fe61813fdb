"""Drawing of products in their own coordinate frames."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.canvas import Canvas
from nike.synthesis.materials import Material

# place_logo(matrix, curve, clip, probability) draws the logo, a distractor or nothing at a position on a product.
PlaceLogo = Callable[[np.ndarray, float, "np.ndarray | None", float], None]


class Pen:
    """Draws onto a canvas through a homography.

    Attributes:
        canvas: Canvas to draw on.
        rng: Random generator of the canvas.
        matrix: `[3, 3]` homography from the frame of the product to the image.
        size: Pixels per unit at the origin of the frame.
        place_logo: Callback for each possible logo position, see `PlaceLogo`.
    """

    def __init__(self, canvas: Canvas, matrix: np.ndarray, place_logo: PlaceLogo):
        self.canvas, self.rng, self.matrix, self.place_logo = canvas, canvas.rng, matrix, place_logo
        origin, right, below = geometry.transform(matrix, [(0, 0), (0.1, 0), (0, 0.1)])
        self.size = float(10 * np.sqrt(abs(np.linalg.det([right - origin, below - origin]))))

    @property
    def mirrored(self) -> bool:
        """Whether the frame is mirrored."""
        return bool(np.linalg.det(self.matrix[:2, :2]) < 0)

    def jitter(self, points, amount: float = 0.012) -> np.ndarray:
        """Adds Gaussian noise with a standard deviation of `amount` units to points."""
        points = np.asarray(points, np.float64)
        return points + self.rng.normal(0, amount, points.shape)

    def material(self, kinds=None, tint: np.ndarray | None = None) -> Material:
        """Draws a random material with a texture scale that fits the size of the product."""
        return materials.material(self.rng, kinds, tint, self.size)

    def fill(
        self, points, material: Material, *, lift: float = 0.0, inflate: float = 0.0, clip=None, opacity: float = 1.0
    ):
        """Draws a layer, see `Canvas.fill`. `points` and `inflate` are in units, `lift` in thousandths of a unit."""
        outlines = [points] if isinstance(points, np.ndarray) else points
        return self.canvas.fill(
            [geometry.transform(self.matrix, o) for o in outlines],
            material,
            lift=lift * self.size / 1000,
            inflate=inflate * self.size,
            clip=clip,
            opacity=opacity,
        )

    def curve(self, points, material: Material, **options):
        """Draws the region inside a closed spline through slightly jittered `points`."""
        return self.fill(geometry.spline(self.jitter(points, 0.004)), material, **options)

    def line(self, points, width: float, material: Material, *, smooth: bool = True, **options):
        """Draws a stroke of `width` units through `points`."""
        path = geometry.spline(points, closed=False) if smooth and len(points) > 2 else np.asarray(points, np.float32)
        return self.fill(geometry.ribbon(path, width), material, **options)

    def stitch(self, points, colour: np.ndarray, smooth: bool = True) -> None:
        """Draws a seam through `points`."""
        path = geometry.spline(points, closed=False) if smooth and len(points) > 2 else np.asarray(points, np.float32)
        self.canvas.stitch(geometry.transform(self.matrix, path), colour, self.size / 350, max(1.5, self.size / 110))

    def shadow(self, points, offset=(0.0, 0.0), blur: float = 0.02, strength: float = 0.4) -> None:
        """Draws a shadow, see `Canvas.shadow`. Lengths are in units."""
        outline = geometry.transform(self.matrix, points)
        self.canvas.shadow([outline], np.asarray(offset) * self.size, blur * self.size, strength)

    def folds(self, alpha: np.ndarray | None, depth: float = 6.0, grain: float = 0.08, stretch: float = 3.0) -> None:
        """Wrinkles cloth with coverage `alpha` `[H, W]`. `depth` is in thousandths of a unit, `grain` in units."""
        if alpha is None or self.size < 40:
            return
        rows, cols = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
        if not len(rows):
            return
        part = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        h, w = alpha[part].shape
        field = materials.noise(self.rng, w, h, max(3.0, grain * self.size), stretch).T
        field = cv2.GaussianBlur(field - np.abs(field[::-1]) * 0.5, (0, 0), max(1.0, grain * self.size / 5))
        self.canvas.height[part] += alpha[part] * field * np.float32(depth * self.size / 1000)

    def logo(
        self,
        x: float,
        y: float,
        size: float,
        angle: float = 0.0,
        *,
        curve: float = 0.0,
        clip=None,
        probability: float = 1.0,
        stretch: float = 1.0,
        sided: bool = False,
    ) -> None:
        """Passes a possible logo position to `place_logo`.

        Args:
            x: Horizontal centre in units.
            y: Vertical centre in units.
            size: Length in units.
            angle: Rotation in radians.
            curve: Angle in radians that half of the logo covers on a cylinder.
            clip: `[H, W]` float32 mask of the surface.
            probability: Probability that the position is used.
            stretch: Factor on the length.
            sided: Whether the logo is mirrored together with the product, as on the two sides of a shoe.
        """
        mirror = (self.rng.random() < 0.07) != (self.mirrored and not sided)
        unit = geometry.pose((x, y), (size * stretch, size), angle, mirror, shear=self.rng.normal(0, 0.08))
        self.place_logo(self.matrix @ unit, curve, clip, probability)
