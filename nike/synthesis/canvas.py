"""The canvas: colour, height and gloss per pixel, the logos placed on it, and the lighting model."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.synthesis import geometry
from nike.synthesis.materials import Material

MAX_SLOPE = 0.8  # asymptotic limit of the compressed slopes
Window = tuple[int, int, int, int]  # y0, x0, y1, x1 in whole pixels, half-open


@dataclass
class PlacedLogo:
    """A logo on the canvas.

    Attributes:
        window: Window of the image that `visible` covers.
        scale: Supersampling factor of `visible`.
        visible: `[h * scale, w * scale]` uint8 mask of the visible part, nonzero inside. Later layers clear what they
            cover.
        area: Area of the whole logo in square pixels, including the part outside the image.
    """

    window: Window
    scale: int
    visible: np.ndarray
    area: float

    def hide(self, alpha: np.ndarray, window: Window) -> None:
        """Clears the part that a layer with coverage `alpha` (`[h, w]` float32) covers in `window`."""
        y0, x0 = max(self.window[0], window[0]), max(self.window[1], window[1])
        y1, x1 = min(self.window[2], window[2]), min(self.window[3], window[3])
        if y0 >= y1 or x0 >= x1:
            return
        part = alpha[y0 - window[0] : y1 - window[0], x0 - window[1] : x1 - window[1]]
        if part.max() <= 0.5:
            return
        s = self.scale
        covered = cv2.resize(part, ((x1 - x0) * s, (y1 - y0) * s), interpolation=cv2.INTER_LINEAR)
        own = self.visible[
            (y0 - self.window[0]) * s : (y1 - self.window[0]) * s, (x0 - self.window[1]) * s : (x1 - self.window[1]) * s
        ]
        own[covered > 0.5] = 0


class Canvas:
    """An unlit image to which layers are added from back to front.

    Attributes:
        colour: `[H, W, 3]` float32 RGB in 0..1.
        height: `[H, W]` float32 surface height in pixels.
        gloss: `[H, W]` float32 gloss in 0..1.
        placed: Logos in drawing order.
        rng: Random generator of everything that is drawn.
    """

    def __init__(self, colour: np.ndarray, rng: np.random.Generator):
        self.colour = np.ascontiguousarray(colour, np.float32)
        self.height = np.zeros(colour.shape[:2], np.float32)
        self.gloss = np.zeros(colour.shape[:2], np.float32)
        self.placed: list[PlacedLogo] = []
        self.rng = rng

    @property
    def shape(self) -> tuple[int, int]:
        return self.height.shape

    def window(self, outlines, margin: float) -> Window | None:
        """Returns the bounding window of polygons, or None if they are outside the image or not finite."""
        points = np.concatenate(outlines)
        if not np.isfinite(points).all():
            return None
        low = np.floor(points.min(axis=0) - margin)
        high = np.ceil(points.max(axis=0) + margin)
        x0, y0 = (int(v) for v in np.maximum(low, 0))
        x1, y1 = (int(v) for v in np.minimum(high, self.shape[::-1]))
        return (y0, x0, y1, x1) if x1 > x0 and y1 > y0 else None

    def coverage(self, outlines, window: Window) -> np.ndarray:
        """Returns the antialiased coverage of polygons in a window, `[h, w]` float32 in 0..1."""
        shifted = [np.asarray(o, np.float32) - (window[1], window[0]) for o in outlines]
        cover = geometry.rasterize_smooth(shifted, (window[2] - window[0], window[3] - window[1]))
        return cover.astype(np.float32) / np.float32(255)

    def fill(
        self,
        outlines,
        material: Material,
        *,
        lift: float = 0.0,
        inflate: float = 0.0,
        blur: float = 0.0,
        clip: np.ndarray | None = None,
        opacity: float = 1.0,
    ) -> np.ndarray | None:
        """Draws one layer and updates the visible parts of the logos below it.

        Args:
            outlines: Polygon `[P, 2]` or a list of polygons, in pixels.
            material: Material of the layer.
            lift: Height above the layer below, in pixels.
            inflate: Radius of the rounded edge in pixels. An inflated layer starts from height 0.
            blur: Standard deviation of the edge blur in pixels.
            clip: `[H, W]` float32 mask that the layer is multiplied by.
            opacity: Opacity in 0..1. Logos below a layer of opacity 0.5 or less remain labelled.

        Returns:
            `[H, W]` float32 coverage of the layer, or None if it is outside the image.
        """
        outlines = [outlines] if isinstance(outlines, np.ndarray) else outlines
        if (window := self.window(outlines, 2 + 3 * blur)) is None:
            return None
        rows, cols = slice(window[0], window[2]), slice(window[1], window[3])
        alpha = self.coverage(outlines, window)
        if blur:
            alpha = cv2.GaussianBlur(alpha, (0, 0), blur)
        if clip is not None:
            alpha *= clip[rows, cols]
        colour, bumps = material.render(self.rng, *alpha.shape)
        cover = alpha * np.float32(opacity)
        base = self.height[rows, cols]
        if inflate:
            base *= 1 - cover
            base += cover * (rounded(alpha, inflate) + bumps)
        else:
            base += cover * (np.float32(lift) + bumps)
        below = self.colour[rows, cols]
        below += cover[..., None] * (colour - below)
        self.gloss[rows, cols] += cover * (np.float32(material.gloss) - self.gloss[rows, cols])
        for logo in self.placed:
            logo.hide(cover, window)
        full = np.zeros(self.shape, np.float32)
        full[rows, cols] = alpha
        return full

    def stitch(self, line: np.ndarray, colour: np.ndarray, width: float, dash: float) -> None:
        """Draws a seam of dashes of `dash` pixels along a line `[P, 2]`. Seams under 0.4 pixels wide are omitted."""
        window = self.window([line], width + 1)
        if width < 0.4 or window is None:
            return
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
        along = np.concatenate([[0], np.cumsum(steps)])
        if along[-1] < dash:
            return
        starts = np.arange(0, along[-1], dash * 1.8)
        ends = np.stack([np.interp([s, s + dash], along, line[:, k]) for s in starts for k in (0, 1)])
        ends = ends.reshape(-1, 2, 2).transpose(0, 2, 1) - (window[1], window[0]) - 0.5
        cover = np.zeros((window[2] - window[0], window[3] - window[1]), np.uint8)
        cv2.polylines(
            cover, list(np.round(ends * 16).astype(np.int32)), False, 255, max(1, round(width)), cv2.LINE_AA, 4
        )
        rows, cols = slice(window[0], window[2]), slice(window[1], window[3])
        alpha = cover.astype(np.float32) * np.float32(min(width, 1.0) * 0.9 / 255)
        below = self.colour[rows, cols]
        below += alpha[..., None] * (colour - below)
        self.height[rows, cols] += alpha * np.float32(0.5)

    def shadow(self, outlines, offset, blur: float, strength: float) -> None:
        """Draws the shadow of polygons, shifted by `offset` (x, y) and blurred by `blur`, both in pixels."""
        moved = [np.asarray(o, np.float32) + np.asarray(offset, np.float32) for o in outlines]
        window = self.window(moved, 3 * blur + 1)
        if window is None:
            return
        dark = cv2.GaussianBlur(self.coverage(moved, window), (0, 0), max(blur, 0.3))
        self.colour[window[0] : window[2], window[1] : window[3]] *= (1 - np.float32(strength) * dark)[..., None]

    def shade(self, light: tuple[float, float], ambient: float) -> np.ndarray:
        """Renders the canvas with diffuse and specular lighting.

        Args:
            light: (x, y) direction of the light relative to its height. (-0.6, -0.8) is from the upper left.
            ambient: Fraction of ambient light, 0..1.

        Returns:
            `[H, W, 3]` float32 RGB image. A flat surface keeps its colour.
        """
        slope_x = cv2.Sobel(self.height, cv2.CV_32F, 1, 0, scale=0.125)
        slope_y = cv2.Sobel(self.height, cv2.CV_32F, 0, 1, scale=0.125)
        # Edges have extreme slopes that would appear as black outlines, so slopes are compressed.
        compression = 1 / np.sqrt(1 + (slope_x**2 + slope_y**2) * np.float32(1 / MAX_SLOPE**2))
        slope_x, slope_y = slope_x * compression, slope_y * compression
        steep = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
        lx, ly = (np.float32(v) for v in light)
        direct = (1 - lx * slope_x - ly * slope_y) * steep
        hollow = cv2.blur(self.height, (9, 9)) - self.height
        glow = np.clip(np.float32(ambient) + np.float32(1 - ambient) * direct, 0.25, 1.6)
        glow *= 1 - np.clip(hollow * np.float32(0.08), -0.05, 0.2)
        # Blinn-Phong highlights with the viewer straight above.
        norm = np.sqrt(lx**2 + ly**2 + 1)
        hx, hy, hz = lx / norm, ly / norm, 1 / norm + 1
        facing = (hz - hx * slope_x - hy * slope_y) * steep / np.sqrt(hx**2 + hy**2 + hz**2)
        shine = self.gloss * np.clip(facing, 0, 1) ** 24 * np.float32(0.5)
        flat = (hz / np.sqrt(hx**2 + hy**2 + hz**2)) ** 24 * np.float32(0.5)
        return self.colour * glow[..., None] + (shine - self.gloss * np.float32(flat))[..., None]


def rounded(alpha: np.ndarray, radius: float) -> np.ndarray:
    """Returns the height `[h, w]` float32 of a body with an edge rounded to `radius` pixels, at most `0.8 * radius`."""
    solid = cv2.copyMakeBorder((alpha > 0.5).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, 3)[1:-1, 1:-1]
    inwards = np.clip(1 - inside / np.float32(radius), 0, 1)
    dome = np.sqrt(1 - 0.97 * inwards**2) * np.float32(0.8 * radius)
    return cv2.blur(dome, (5, 5)) if radius < 12 else cv2.GaussianBlur(dome, (0, 0), radius / 8)
