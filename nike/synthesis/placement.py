"""Drawing of a logo onto a canvas: outline, paint, relief and visible region."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.canvas import Canvas, PlacedLogo, Window
from nike.synthesis.logo import Logo, bounds
from nike.synthesis.styles import Paint, Style, choose_style, sample_paint

MIN_LENGTH = 5  # pixels; smaller logos are not drawn


@dataclass(frozen=True)
class Stencil:
    """A rasterised logo.

    Attributes:
        window: Window of the image that contains the logo.
        scale: Supersampling factor of the masks.
        mask: `[h * scale, w * scale]` uint8 mask, 255 inside the outline.
        outer_mask: `[h * scale, w * scale]` uint8 mask including the border.
        paint_coverage: `[h, w]` float32 coverage of the paint. For outline logos, only the line is painted.
        coverage: `[h, w]` float32 coverage of paint and border.
        size: Length of the logo in pixels.
    """

    window: Window
    scale: int
    mask: np.ndarray
    outer_mask: np.ndarray
    paint_coverage: np.ndarray
    coverage: np.ndarray
    size: float


def draw_logo(
    canvas: Canvas,
    logo: Logo,
    matrix: np.ndarray,
    *,
    curve: float = 0.0,
    clip: np.ndarray | None = None,
    label: bool = True,
) -> PlacedLogo | None:
    """Draws a logo or a distractor in a random style onto the canvas.

    Args:
        canvas: Canvas, modified in place. Its generator provides the randomness.
        logo: Shape to draw.
        matrix: `[3, 3]` homography from the unit frame of the logo to the image.
        curve: Angle in radians that half of the logo covers on a cylinder. 0 is flat.
        clip: `[H, W]` float32 mask of the surface that the logo is on.
        label: Whether the logo is added to `canvas.placed`. False for distractors.

    Returns:
        The placed logo, or None if it is outside the image, too small or not labelled.
    """
    rng = canvas.rng
    flat = logo.outlines
    if logo.texture is None and (curve or rng.random() < 0.5):
        flat = geometry.bend(flat, curve, rng.normal(0, 0.02) + curve * rng.normal(0, 0.06), rng.normal(0, 0.12))
    outlines = [geometry.transform(matrix, outline) for outline in flat]
    low, high = bounds(outlines)
    size, area = float((high - low).max()), sum(cv2.contourArea(outline) for outline in outlines)
    if not MIN_LENGTH <= size < 4 * max(canvas.shape) or area < 6:  # also rejects sizes that are not finite
        return None
    style = choose_style(rng, size, 2.2 * area / size)
    if logo.texture is not None and rng.random() < 0.7:
        style = Style("texture", blur=0.3)
    stencil = _make_stencil(canvas, outlines, style, size, clip)
    if stencil is None:
        return None
    _apply_stencil(canvas, stencil, style, logo, matrix)
    for other in canvas.placed:
        other.hide(stencil.coverage * style.opacity, stencil.window)
    if not label:
        return None
    visible = stencil.outer_mask if clip is None else np.where(_upsample_clip(clip, stencil), stencil.outer_mask, 0)
    canvas.placed.append(PlacedLogo(stencil.window, stencil.scale, visible.copy(), area))
    return canvas.placed[-1]


def _make_stencil(canvas: Canvas, outlines: list[np.ndarray], style: Style, size: float, clip) -> Stencil | None:
    window = canvas.window(outlines, style.border + 3 * style.blur + 2)
    if window is None:
        return None
    shape = (window[2] - window[0], window[3] - window[1])
    # Large enough that rasterisation changes areas by less than 1%, small enough to fit the CPU cache.
    scale = 32 if size < 20 else 16 if size < 40 else 8 if size < 120 else 4 if size < 300 else 3 if size < 600 else 2
    mask = geometry.rasterize([outline - (window[1], window[0]) for outline in outlines], shape, scale)
    outer_mask = geometry.dilate(mask, style.border * scale) if style.border else mask
    paint = _downsample(mask, shape)
    coverage = _downsample(outer_mask, shape) if style.border else paint
    if style.line_width:
        paint = coverage = paint - _downsample(geometry.erode(mask, style.line_width * scale), shape)
    inside = np.float32(1) if clip is None else clip[window[0] : window[2], window[1] : window[3]]
    return Stencil(window, scale, mask, outer_mask, paint * inside, coverage * inside, size)


def _downsample(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns the coverage per pixel of a supersampled mask, `[h, w]` float32 in 0..1."""
    return cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)


def _upsample_clip(clip: np.ndarray, stencil: Stencil) -> np.ndarray:
    y0, x0, y1, x1 = stencil.window
    return cv2.resize(clip[y0:y1, x0:x1], stencil.mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5


def _apply_stencil(canvas: Canvas, stencil: Stencil, style: Style, logo: Logo, matrix: np.ndarray) -> None:
    """Paints the colour, height and gloss of the canvas through a stencil."""
    rng, size = canvas.rng, stencil.size
    y0, x0, y1, x1 = stencil.window
    part = np.s_[y0:y1, x0:x1]
    colour, height, gloss = canvas.colour[part], canvas.height[part], canvas.gloss[part]  # views
    background = np.average(colour.reshape(-1, 3), axis=0, weights=stencil.coverage.ravel() + 1e-6).astype(np.float32)
    shading = _local_shading(colour, size)
    cover = cv2.GaussianBlur(stencil.paint_coverage, (0, 0), style.blur) if style.blur > 0.2 else stencil.paint_coverage
    if style.kind == "texture":
        paint = _warp_texture(logo, matrix, stencil.window)
    else:
        paint = sample_paint(rng, style.kind, background, cover.shape, size)
        if style.worn:
            cover = cover * np.clip(1.4 + materials.noise(rng, *cover.shape, 2.5), 0, 1)
    if style.border:
        rim = materials.contrasting(rng, background, 0.2)
        colour += stencil.coverage[..., None] * (rim * shading - colour)
        height += stencil.coverage * np.float32(style.lift * 0.6)
    alpha = cover * np.float32(style.opacity)
    colour += alpha[..., None] * (paint.colour * shading - colour)
    height += cover * np.float32(style.flatten) * (cv2.blur(height, (7, 7)) - height)
    height += cover * (np.float32(style.lift) + paint.relief)
    gloss += alpha * (np.float32(paint.gloss) - gloss)
    if size > 90 and style.kind in ("overlay", "tone", "bordered") and rng.random() < 0.35:
        _stitch_border(canvas, stencil, paint)


def _local_shading(colour: np.ndarray, size: float) -> np.ndarray:
    """Returns the relative local brightness of the background, `[h, w, 1]` float32 around 1.

    Multiplying paint by it transfers the shading and texture of a background photo.
    """
    grey = colour.mean(axis=2) + np.float32(0.05)
    side = max(3, int(size / 8)) | 1
    return np.clip(grey / cv2.blur(grey, (side, side)), 0.75, 1.3)[..., None]


def _warp_texture(logo: Logo, matrix: np.ndarray, window: Window) -> Paint:
    """Warps the texture of a logo into the window."""
    to_window = geometry.pose((-window[1], -window[0]), 1.0) @ matrix @ np.linalg.inv(logo.to_texture)
    half = geometry.pose((0.5, 0.5), 1.0)  # OpenCV's coordinates are 0 at pixel centres
    view = np.linalg.inv(half) @ to_window @ half
    size = (window[3] - window[1], window[2] - window[0])
    warped = cv2.warpPerspective(logo.texture, view, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Paint(warped.astype(np.float32) / np.float32(255))


def _stitch_border(canvas: Canvas, stencil: Stencil, paint: Paint) -> None:
    """Draws a seam just inside the outline of the logo."""
    rng, size, scale = canvas.rng, stencil.size, stencil.scale
    colour = paint.colour.reshape(-1, 3).mean(axis=0)
    thread = materials.similar(rng, colour, 0.15) if rng.random() < 0.7 else materials.colour(rng)
    covered = cv2.resize(stencil.coverage, stencil.mask.shape[::-1]) > 0.5
    inside = geometry.erode(np.where(covered, stencil.mask, 0), max(2.0, size / 70) * scale)
    for piece in geometry.find_polygons(inside, scale, (stencil.window[1], stencil.window[0]), min_area=size):
        canvas.stitch(np.concatenate([piece, piece[:1]]), thread, max(0.8, size / 250), max(2.0, size / 60))
