"""Puts one mark onto a canvas: outline, paint and relief, and what of it stays visible."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.canvas import Canvas, Placed, Window
from nike.synthesis.logo import Mark, bounds
from nike.synthesis.styles import Paint, Style, choose_style, mix_paint

SMALLEST = 5  # pixels: what is smaller cannot be seen at all


@dataclass(frozen=True)
class Stencil:
    """A mark on the pixel grid.

    Attributes:
        window: Where it lies in the photo.
        scale: Fine pixels per pixel.
        fine: uint8 `[h * scale, w * scale]`, 255 inside of the outline.
        whole: Likewise, with the border.
        paint: float32 `[h, w]`: cover of the paint (of an outline mark: the line only).
        cover: float32 `[h, w]`: cover of all that is added, border included.
        size: Length of the mark, pixels.
    """

    window: Window
    scale: int
    fine: np.ndarray
    whole: np.ndarray
    paint: np.ndarray
    cover: np.ndarray
    size: float


def paint(
    canvas: Canvas,
    mark: Mark,
    matrix: np.ndarray,
    *,
    curve: float = 0.0,
    clip: np.ndarray | None = None,
    label: bool = True,
) -> Placed | None:
    """Puts one mark on the canvas.

    Args:
        canvas: Changed in place; its generator chooses the style and the colours.
        mark: What to paint.
        matrix: `[3, 3]` from the mark's own frame (longer side 1) to the photo.
        curve: Angle in radians over which half the mark bends around a body.
        clip: float32 `[H, W]` where the ground is: outside of it the mark is cut off.
        label: Whether it is remembered as an instance (look-alikes are not).

    Returns:
        The instance, or None if nothing of it lies in the photo or it is too small to be seen.
    """
    rng = canvas.rng
    flat = mark.outlines
    if mark.texture is None and (curve or rng.random() < 0.5):
        flat = geometry.bend(flat, curve, rng.normal(0, 0.02) + curve * rng.normal(0, 0.06), rng.normal(0, 0.12))
    outlines = [geometry.apply(matrix, outline) for outline in flat]
    low, high = bounds(outlines)
    size, area = float((high - low).max()), sum(cv2.contourArea(outline) for outline in outlines)
    if not SMALLEST <= size < 4 * max(canvas.shape) or area < 6:  # a size that is not finite fails, too
        return None
    style = choose_style(rng, size, 2.2 * area / size)
    if mark.texture is not None and rng.random() < 0.7:
        style = Style("picture", soft=0.3)
    stencil = _stencil(canvas, outlines, style, size, clip)
    if stencil is None:
        return None
    _apply(canvas, stencil, style, mark, matrix)
    for other in canvas.placed:
        other.hide(stencil.cover * style.opacity, stencil.window)
    if not label:
        return None
    visible = stencil.whole if clip is None else np.where(_fine_clip(clip, stencil), stencil.whole, 0)
    canvas.placed.append(Placed(stencil.window, stencil.scale, visible.copy(), area))
    return canvas.placed[-1]


def _stencil(canvas: Canvas, outlines: list[np.ndarray], style: Style, size: float, clip) -> Stencil | None:
    window = canvas.window(outlines, style.border + 3 * style.soft + 2)
    if window is None:
        return None
    shape = (window[2] - window[0], window[3] - window[1])
    # Fine enough that rounding to fine pixels changes no area by a hundredth, coarse enough to stay in the cache.
    scale = 32 if size < 20 else 16 if size < 40 else 8 if size < 120 else 4 if size < 300 else 3 if size < 600 else 2
    fine = geometry.raster([outline - (window[1], window[0]) for outline in outlines], shape, scale)
    whole = geometry.grow(fine, style.border * scale) if style.border else fine
    inner = _down(fine, shape)
    cover = _down(whole, shape) if style.border else inner
    if style.ring:
        inner = cover = inner - _down(geometry.shrink(fine, style.ring * scale), shape)
    limit = np.float32(1) if clip is None else clip[window[0] : window[2], window[1] : window[3]]
    return Stencil(window, scale, fine, whole, inner * limit, cover * limit, size)


def _down(fine: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Cover per pixel, float32 0..1, of a fine raster."""
    return cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)


def _fine_clip(clip: np.ndarray, stencil: Stencil) -> np.ndarray:
    y0, x0, y1, x1 = stencil.window
    return cv2.resize(clip[y0:y1, x0:x1], stencil.fine.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5


def _apply(canvas: Canvas, stencil: Stencil, style: Style, mark: Mark, matrix: np.ndarray) -> None:
    """Changes colour, height and gloss of the canvas under a stencil."""
    rng, size = canvas.rng, stencil.size
    y0, x0, y1, x1 = stencil.window
    part = np.s_[y0:y1, x0:x1]
    colour, height, gloss = canvas.colour[part], canvas.height[part], canvas.gloss[part]  # views
    ground = np.average(colour.reshape(-1, 3), axis=0, weights=stencil.cover.ravel() + 1e-6).astype(np.float32)
    detail = _detail(colour, size)
    cover = cv2.GaussianBlur(stencil.paint, (0, 0), style.soft) if style.soft > 0.2 else stencil.paint
    if style.kind == "picture":
        paint = _picture(mark, matrix, stencil.window)
    else:
        paint = mix_paint(rng, style.kind, ground, cover.shape, size)
        if style.worn:
            cover = cover * np.clip(1.4 + materials.noise(rng, *cover.shape, 2.5), 0, 1)
    if style.border:
        rim = materials.contrasting(rng, ground, 0.2)
        colour += stencil.cover[..., None] * (rim * detail - colour)
        height += stencil.cover * np.float32(style.lift * 0.6)
    seen = cover * np.float32(style.opacity)
    colour += seen[..., None] * (paint.colour * detail - colour)
    height += cover * np.float32(style.flatten) * (cv2.blur(height, (7, 7)) - height)
    height += cover * (np.float32(style.lift) + paint.relief)
    gloss += seen * (np.float32(paint.gloss) - gloss)
    if size > 90 and style.kind in ("overlay", "tone", "bordered") and rng.random() < 0.35:
        _seam(canvas, stencil, paint)


def _detail(colour: np.ndarray, size: float) -> np.ndarray:
    """The ground's own light and weave, `[h, w, 1]` around 1, so that paint on a photo looks as lit as the photo."""
    grey = colour.mean(axis=2) + np.float32(0.05)
    side = max(3, int(size / 8)) | 1
    return np.clip(grey / cv2.blur(grey, (side, side)), 0.75, 1.3)[..., None]


def _picture(mark: Mark, matrix: np.ndarray, window: Window) -> Paint:
    """The mark's own colours as seen in the window."""
    to_window = geometry.pose((-window[1], -window[0]), 1.0) @ matrix @ np.linalg.inv(mark.to_texture)
    half = geometry.pose((0.5, 0.5), 1.0)  # cv2 counts from pixel centres
    view = np.linalg.inv(half) @ to_window @ half
    size = (window[3] - window[1], window[2] - window[0])
    seen = cv2.warpPerspective(mark.texture, view, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Paint(seen.astype(np.float32) / np.float32(255))


def _seam(canvas: Canvas, stencil: Stencil, paint: Paint) -> None:
    """Sews the mark on, a little inside of its edge."""
    rng, size, scale = canvas.rng, stencil.size, stencil.scale
    colour = paint.colour.reshape(-1, 3).mean(axis=0)
    thread = materials.near(rng, colour, 0.15) if rng.random() < 0.7 else materials.colour(rng)
    covered = cv2.resize(stencil.cover, stencil.fine.shape[::-1]) > 0.5
    inside = geometry.shrink(np.where(covered, stencil.fine, 0), max(2.0, size / 70) * scale)
    for piece in geometry.polygons_of(inside, scale, (stencil.window[1], stencil.window[0]), min_area=size):
        canvas.stitch(np.concatenate([piece, piece[:1]]), thread, max(0.8, size / 250), max(2.0, size / 60))
