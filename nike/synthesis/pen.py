"""Draws products in their own frames, whatever their size, turn and perspective in the photo."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.canvas import Canvas
from nike.synthesis.materials import Material

# place(matrix, curve, clip, chance): puts the mark, a look-alike or nothing where a product offers room for one.
Place = Callable[[np.ndarray, float, "np.ndarray | None", float], None]


class Pen:
    """A canvas seen through a homography.

    Attributes:
        canvas: What is drawn on.
        rng: The source of every choice.
        matrix: `[3, 3]` from the product's frame to the photo.
        size: Pixels per unit at the product's origin.
        place: Called with a frame for a mark, see `Place`.
    """

    def __init__(self, canvas: Canvas, matrix: np.ndarray, place: Place):
        self.canvas, self.rng, self.matrix, self.place = canvas, canvas.rng, matrix, place
        origin, right, below = geometry.apply(matrix, [(0, 0), (0.1, 0), (0, 0.1)])
        self.size = float(10 * np.sqrt(abs(np.linalg.det([right - origin, below - origin]))))

    @property
    def mirrored(self) -> bool:
        """Whether left and right have changed places in this frame."""
        return bool(np.linalg.det(self.matrix[:2, :2]) < 0)

    def jitter(self, points, amount: float = 0.012) -> np.ndarray:
        """The points moved at random by about `amount` units."""
        points = np.asarray(points, np.float64)
        return points + self.rng.normal(0, amount, points.shape)

    def material(self, kinds=None, tint: np.ndarray | None = None) -> Material:
        """A random surface whose threads suit this product's size."""
        return materials.material(self.rng, kinds, tint, self.size)

    def fill(
        self, points, material: Material, *, lift: float = 0.0, inflate: float = 0.0, clip=None, opacity: float = 1.0
    ):
        """Draws a layer: `points` and `inflate` in units, `lift` in thousandths of a unit. See `Canvas.fill`."""
        outlines = [points] if isinstance(points, np.ndarray) else points
        return self.canvas.fill(
            [geometry.apply(self.matrix, o) for o in outlines],
            material,
            lift=lift * self.size / 1000,
            inflate=inflate * self.size,
            clip=clip,
            opacity=opacity,
        )

    def curve(self, points, material: Material, **options):
        """Draws the smooth closed curve through `points`, slightly different each time."""
        return self.fill(geometry.spline(self.jitter(points, 0.004)), material, **options)

    def line(self, points, width: float, material: Material, *, smooth: bool = True, **options):
        """Draws a stroke of `width` units through `points`."""
        path = geometry.spline(points, closed=False) if smooth and len(points) > 2 else np.asarray(points, np.float32)
        return self.fill(geometry.ribbon(path, width), material, **options)

    def stitch(self, points, colour: np.ndarray, smooth: bool = True) -> None:
        """Sews along a line through `points`."""
        path = geometry.spline(points, closed=False) if smooth and len(points) > 2 else np.asarray(points, np.float32)
        self.canvas.stitch(geometry.apply(self.matrix, path), colour, self.size / 350, max(1.5, self.size / 110))

    def shadow(self, points, offset=(0.0, 0.0), blur: float = 0.02, strength: float = 0.4) -> None:
        """Darkens the ground; lengths in units."""
        outline = geometry.apply(self.matrix, points)
        self.canvas.shadow([outline], np.asarray(offset) * self.size, blur * self.size, strength)

    def folds(self, alpha: np.ndarray | None, depth: float = 6.0, grain: float = 0.08, stretch: float = 3.0) -> None:
        """Wrinkles cloth that covers `alpha` `[H, W]`; `depth` in thousandths and `grain` in units."""
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

    def mark(
        self,
        x: float,
        y: float,
        size: float,
        angle: float = 0.0,
        *,
        curve: float = 0.0,
        clip=None,
        chance: float = 1.0,
        stretch: float = 1.0,
        sided: bool = False,
    ) -> None:
        """Offers room for a mark.

        Args:
            x, y: Its middle, units.
            size: Its length, units.
            angle: Its turn in radians.
            curve, clip, chance: See `Place`.
            stretch: How much longer it is than usual.
            sided: Whether it is mirrored with the product, as on the two sides of a shoe; others are so only rarely.
        """
        mirror = (self.rng.random() < 0.07) != (self.mirrored and not sided)
        unit = geometry.pose((x, y), (size * stretch, size), angle, mirror, shear=self.rng.normal(0, 0.08))
        self.place(self.matrix @ unit, curve, clip, chance)
