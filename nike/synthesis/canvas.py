"""A photo in the making: colour, height and gloss per pixel, the marks on it, and the light on all of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.synthesis import geometry
from nike.synthesis.materials import Material

STEEPEST = 0.8  # slopes are compressed towards this
Window = tuple[int, int, int, int]  # y0, x0, y1, x1 in whole pixels, half-open


@dataclass
class Placed:
    """A mark that lies on the canvas.

    Attributes:
        window: Where `visible` lies in the photo.
        scale: Fine pixels of `visible` per pixel.
        visible: uint8 `[h * scale, w * scale]`: what can be seen of the mark; later layers clear what they cover.
        area: Square pixels of the whole mark, also of what lies outside of the photo.
    """

    window: Window
    scale: int
    visible: np.ndarray
    area: float

    def hide(self, alpha: np.ndarray, window: Window) -> None:
        """Takes away what a layer covers: `alpha` float32 `[h, w]` in `window`."""
        y0, x0 = max(self.window[0], window[0]), max(self.window[1], window[1])
        y1, x1 = min(self.window[2], window[2]), min(self.window[3], window[3])
        if y0 >= y1 or x0 >= x1:
            return
        part = alpha[y0 - window[0] : y1 - window[0], x0 - window[1] : x1 - window[1]]
        if part.max() <= 0.5:
            return
        s = self.scale
        fine = cv2.resize(part, ((x1 - x0) * s, (y1 - y0) * s), interpolation=cv2.INTER_LINEAR)
        own = self.visible[
            (y0 - self.window[0]) * s : (y1 - self.window[0]) * s, (x0 - self.window[1]) * s : (x1 - self.window[1]) * s
        ]
        own[fine > 0.5] = 0


class Canvas:
    """Layers are drawn from back to front; nothing is lit until `shade`.

    Attributes:
        colour: float32 `[H, W, 3]` in 0..1.
        height: float32 `[H, W]`, pixels towards the viewer.
        gloss: float32 `[H, W]`, 0..1.
        placed: The marks, in the order in which they were drawn.
    """

    def __init__(self, colour: np.ndarray, rng: np.random.Generator):
        self.colour = np.ascontiguousarray(colour, np.float32)
        self.height = np.zeros(colour.shape[:2], np.float32)
        self.gloss = np.zeros(colour.shape[:2], np.float32)
        self.placed: list[Placed] = []
        self.rng = rng

    @property
    def shape(self) -> tuple[int, int]:
        return self.height.shape

    def window(self, outlines, margin: float) -> Window | None:
        """The part of the photo that polygons touch, or None where they miss it or are not finite."""
        points = np.concatenate(outlines)
        if not np.isfinite(points).all():
            return None
        low = np.floor(points.min(axis=0) - margin)
        high = np.ceil(points.max(axis=0) + margin)
        x0, y0 = (int(v) for v in np.maximum(low, 0))
        x1, y1 = (int(v) for v in np.minimum(high, self.shape[::-1]))
        return (y0, x0, y1, x1) if x1 > x0 and y1 > y0 else None

    def mask(self, outlines, window: Window) -> np.ndarray:
        """Antialiased cover of polygons in a window, float32 0..1."""
        shifted = [np.asarray(o, np.float32) - (window[1], window[0]) for o in outlines]
        cover = geometry.smooth_raster(shifted, (window[2] - window[0], window[3] - window[1]))
        return cover.astype(np.float32) / np.float32(255)

    def fill(
        self,
        outlines,
        material: Material,
        *,
        lift: float = 0.0,
        inflate: float = 0.0,
        soften: float = 0.0,
        clip: np.ndarray | None = None,
        opacity: float = 1.0,
    ) -> np.ndarray | None:
        """Draws one layer and hides the marks under it.

        Args:
            outlines: Polygon `[P, 2]` or a list of them.
            material: Its surface.
            lift: How far it stands above what it lies on, pixels.
            inflate: The radius in pixels to which its rim is rounded; such a layer starts from height 0.
            soften: Deviation in pixels by which its rim is blurred (out of focus).
            clip: float32 `[H, W]` to stay within.
            opacity: 1 covers; marks shine through (and stay labelled) below 0.5.

        Returns:
            float32 `[H, W]` what was covered, or None if nothing.
        """
        outlines = [outlines] if isinstance(outlines, np.ndarray) else outlines
        if (window := self.window(outlines, 2 + 3 * soften)) is None:
            return None
        rows, cols = slice(window[0], window[2]), slice(window[1], window[3])
        alpha = self.mask(outlines, window)
        if soften:
            alpha = cv2.GaussianBlur(alpha, (0, 0), soften)
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
        for mark in self.placed:
            mark.hide(cover, window)
        full = np.zeros(self.shape, np.float32)
        full[rows, cols] = alpha
        return full

    def stitch(self, line: np.ndarray, colour: np.ndarray, width: float, dash: float) -> None:
        """Sews dashes of `dash` pixels along a line; too thin ones (under 0.4 px) are left out."""
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
        """Darkens what lies under a thing that stands `offset` (x, y) pixels away from its shadow."""
        moved = [np.asarray(o, np.float32) + np.asarray(offset, np.float32) for o in outlines]
        window = self.window(moved, 3 * blur + 1)
        if window is None:
            return
        dark = cv2.GaussianBlur(self.mask(moved, window), (0, 0), max(blur, 0.3))
        self.colour[window[0] : window[2], window[1] : window[3]] *= (1 - np.float32(strength) * dark)[..., None]

    def shade(self, light: tuple[float, float], ambient: float) -> np.ndarray:
        """Lights the canvas.

        Args:
            light: How far the light stands to the right and below, relative to its height: (-0.6, -0.8) is upper left.
            ambient: Share of light from everywhere, 0..1.

        Returns:
            float32 `[H, W, 3]`; a flat surface keeps its colour exactly.
        """
        slope_x = cv2.Sobel(self.height, cv2.CV_32F, 1, 0, scale=0.125)
        slope_y = cv2.Sobel(self.height, cv2.CV_32F, 0, 1, scale=0.125)
        # Rims drop off within a pixel; unlimited, they would be drawn as black outlines, which photos do not have.
        limit = 1 / np.sqrt(1 + (slope_x**2 + slope_y**2) * np.float32(1 / STEEPEST**2))
        slope_x, slope_y = slope_x * limit, slope_y * limit
        steep = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
        lx, ly = (np.float32(v) for v in light)
        direct = (1 - lx * slope_x - ly * slope_y) * steep
        hollow = cv2.blur(self.height, (9, 9)) - self.height
        glow = np.clip(np.float32(ambient) + np.float32(1 - ambient) * direct, 0.25, 1.6)
        glow *= 1 - np.clip(hollow * np.float32(0.08), -0.05, 0.2)
        # Blinn's half vector between the light and the viewer straight above.
        norm = np.sqrt(lx**2 + ly**2 + 1)
        hx, hy, hz = lx / norm, ly / norm, 1 / norm + 1
        facing = (hz - hx * slope_x - hy * slope_y) * steep / np.sqrt(hx**2 + hy**2 + hz**2)
        shine = self.gloss * np.clip(facing, 0, 1) ** 24 * np.float32(0.5)
        flat = (hz / np.sqrt(hx**2 + hy**2 + hz**2)) ** 24 * np.float32(0.5)
        return self.colour * glow[..., None] + (shine - self.gloss * np.float32(flat))[..., None]


def rounded(alpha: np.ndarray, radius: float) -> np.ndarray:
    """Height of a body with a rim rounded to `radius` pixels, float32, at most `0.8 * radius`."""
    solid = cv2.copyMakeBorder((alpha > 0.5).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, 3)[1:-1, 1:-1]
    inwards = np.clip(1 - inside / np.float32(radius), 0, 1)
    dome = np.sqrt(1 - 0.97 * inwards**2) * np.float32(0.8 * radius)
    return cv2.blur(dome, (5, 5)) if radius < 12 else cv2.GaussianBlur(dome, (0, 0), radius / 8)
