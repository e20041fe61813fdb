"""Paints one outline onto a canvas in one of many styles: printed, sewn, embossed, outlined, tone on tone, ..."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.rendering import geometry, materials
from nike.rendering.canvas import Canvas, Placed, Window
from nike.rendering.logo import Mark, bounds

# How often each kind of mark is seen on products.
STYLES = {"print": 30, "overlay": 24, "tone": 13, "emboss": 8, "outline": 8, "bordered": 10, "embroidery": 8, "foil": 4,
          "ghost": 4}
SMALLEST = 5  # pixels: what is smaller cannot be seen at all


@dataclass
class Style:
    """How a mark is made; lengths in pixels.

    Attributes:
        kind: A key of `STYLES`.
        border: Width of a rim outside of the outline, which belongs to the mark.
        ring: Width of the line that alone is painted, or 0 for a filled mark.
        opacity: How much of the paint covers the ground.
        lift: Height of the mark above the ground (negative: pressed in).
        soft: Blur of the paint's edge.
        flatten: How much of the ground's texture the mark hides, 0..1.
    """

    kind: str
    border: float = 0.0
    ring: float = 0.0
    opacity: float = 1.0
    lift: float = 0.0
    soft: float = 0.0
    flatten: float = 0.0


def choose_style(rng: np.random.Generator, size: float, thickness: float) -> Style:
    """Draws a style that a mark `size` px long and `thickness` px thick can carry (tiny ones are only printed or sewn)."""
    names = [k for k in STYLES if size >= 40 or k in ("print", "overlay", "tone", "embroidery", "ghost")]
    weights = np.array([STYLES[k] for k in names], float)
    kind = str(rng.choice(names, p=weights / weights.sum()))
    style = Style(kind, soft=float(rng.choice([0, 0.4, 0.8]) * rng.random()))
    thick = float(np.clip(size / 150, 0.3, 2.5))
    if kind in ("overlay", "bordered", "embroidery", "tone"):
        style.lift = thick * rng.uniform(0.2, 1.2)
        style.flatten = rng.random()
    if kind == "print":
        style.opacity = rng.uniform(0.75, 1.0)
        style.lift = thick * rng.choice([0, 0.2])
    if kind == "emboss":
        style.opacity, style.lift = rng.choice([0.0, rng.uniform(0, 0.3)]), thick * rng.uniform(0.8, 2) * rng.choice([-1, 1])
        style.soft += size / 400
    if kind == "outline":
        style.ring = max(1.2, thickness * rng.uniform(0.05, 0.2))
        style.lift = thick * rng.choice([0, 0.5])
    if kind == "bordered":
        style.border = max(1.0, thickness * rng.uniform(0.04, 0.16))
    if kind == "ghost":
        style.opacity = rng.uniform(0.3, 0.7)
    return style


def paint(canvas: Canvas, mark: Mark, matrix: np.ndarray, *, curve: float = 0.0, clip: np.ndarray | None = None,
          label: bool = True) -> Placed | None:
    """Puts one mark on the canvas.

    Args:
        canvas: Changed in place; its generator chooses the style and the colours.
        mark: What to paint.
        matrix: `[3, 3]` from the mark's own frame (longer side 1) to the photo.
        curve: Angle in radians over which half the mark bends around a body.
        clip: float32 `[H, W]` where the ground is: outside of it the mark is cut off.
        label: Whether it is remembered as an instance (look-alikes are not).

    Returns:
        The instance, or None if nothing of it lies in the photo.
    """
    rng = canvas.rng
    flat = mark.outlines
    if mark.texture is None and (curve or rng.random() < 0.5):
        flat = geometry.bend(flat, curve, rng.normal(0, 0.02) + curve * rng.normal(0, 0.06), rng.normal(0, 0.12))
    outlines = [geometry.apply(matrix, o) for o in flat]
    low, high = bounds(outlines)
    size = float((high - low).max())
    if not np.isfinite(size) or not SMALLEST <= size < 4 * max(canvas.shape):
        return None
    area = sum(cv2.contourArea(o) for o in outlines)
    style = choose_style(rng, size, 2.2 * area / size)
    if mark.texture is not None and rng.random() < 0.7:
        style = Style("picture", soft=0.3)
    window = canvas.window(outlines, style.border + 3 * style.soft + 2)
    if window is None or area < 6:
        return None
    shape = (window[2] - window[0], window[3] - window[1])
    scale = 16 if size < 40 else 8 if size < 120 else 4 if size < 300 else 3 if size < 600 else 2
    fine = geometry.raster([o - (window[1], window[0]) for o in outlines], shape, scale)
    whole = _grow(fine, style.border * scale) if style.border else fine
    inner = _down(fine, shape)
    cover = _down(whole, shape) if style.border else inner
    rows, cols = slice(window[0], window[2]), slice(window[1], window[3])
    limit = np.float32(1) if clip is None else clip[rows, cols]
    _colour_and_relief(canvas, window, style, mark, matrix, (fine, inner * limit, cover * limit), scale, size)
    for other in canvas.placed:
        other.hide(cover * limit * style.opacity, window)
    if not label:
        return None
    if clip is not None:
        fits = cv2.resize(limit, (shape[1] * scale, shape[0] * scale), interpolation=cv2.INTER_LINEAR) > 0.5
        whole = whole * fits
    placed = Placed(window, scale, np.ascontiguousarray(whole, np.uint8), area)
    canvas.placed.append(placed)
    return placed


def _down(fine: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Cover per pixel, float32 0..1, of a fine raster."""
    return cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)


def _grow(fine: np.ndarray, radius: float) -> np.ndarray:
    """A fine raster (uint8, 255 inside) with its edge moved outwards by `radius` fine pixels."""
    return ((cv2.distanceTransform(255 - fine, cv2.DIST_L2, 3) <= radius) * 255).astype(np.uint8)


def _colour_and_relief(canvas: Canvas, window: Window, style: Style, mark: Mark, matrix, covers, scale: int, size: float):
    """Changes colour, height and gloss of the canvas under a mark; `covers` = fine raster, its cover, cover with border."""
    rng = canvas.rng
    fine, inner, cover = covers
    rows, cols = slice(window[0], window[2]), slice(window[1], window[3])
    below, height = canvas.colour[rows, cols], canvas.height[rows, cols]
    ground = np.average(below.reshape(-1, 3), axis=0, weights=cover.ravel() + 1e-6).astype(np.float32)
    if style.ring:
        depth = cv2.distanceTransform(fine, cv2.DIST_L2, 3)
        inside = cv2.resize((depth > style.ring * scale).astype(np.float32), inner.shape[::-1], interpolation=cv2.INTER_AREA)
        inner = inner * (1 - inside)
    edge = cv2.GaussianBlur(inner, (0, 0), style.soft) if style.soft > 0.2 else inner
    if style.kind != "picture" and size > 60 and rng.random() < 0.06:  # worn print
        edge = edge * np.clip(1.4 + materials.noise(canvas.rng, *edge.shape, 2.5), 0, 1)
    paint, bumps, gloss = _paint(canvas, style, mark, matrix, window, ground, size)
    detail = _detail(below, size)
    if style.border:
        rim = materials.contrasting(rng, ground, 0.2)
        below += cover[..., None] * (rim * detail - below)
        height += cover * np.float32(style.lift * 0.6)
    strength = edge[..., None] * np.float32(style.opacity)
    below += strength * (paint * detail - below)
    if style.flatten:
        height += edge * np.float32(style.flatten) * (cv2.blur(height, (7, 7)) - height)
    height += edge * (np.float32(style.lift) + bumps)
    canvas.gloss[rows, cols] += edge * (np.float32(gloss) - canvas.gloss[rows, cols]) * np.float32(style.opacity)
    if size > 90 and style.kind in ("overlay", "tone", "bordered") and rng.random() < 0.35:
        _seam(canvas, fine * (cv2.resize(cover, fine.shape[::-1]) > 0.5), scale, window, paint.reshape(-1, 3).mean(0), size)


def _detail(below: np.ndarray, size: float) -> np.ndarray:
    """The ground's own light and weave, `[h, w, 1]` around 1, so that paint on a photo looks as lit as the photo."""
    grey = below.mean(axis=2) + np.float32(0.05)
    k = max(3, int(size / 8)) | 1
    smooth = cv2.blur(grey, (k, k))
    return np.clip(grey / smooth, 0.75, 1.3)[..., None]


def _paint(canvas: Canvas, style: Style, mark: Mark, matrix, window: Window, ground: np.ndarray, size: float):
    """The mark's colour `[h, w, 3]` (or `[1, 1, 3]`), its own relief and its gloss."""
    rng = canvas.rng
    shape = (window[2] - window[0], window[3] - window[1])
    if style.kind == "picture":
        to_window = np.array([[1, 0, -window[1]], [0, 1, -window[0]], [0, 0, 1.0]]) @ matrix @ np.linalg.inv(mark.to_texture)
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])  # cv2 counts from pixel centres
        picture = cv2.warpPerspective(mark.texture, np.linalg.inv(half) @ to_window @ half, shape[::-1],
                                      flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return picture.astype(np.float32) / np.float32(255), 0.0, 0.1
    if style.kind in ("tone", "emboss"):
        tone = materials.near(rng, ground, rng.uniform(0.03, 0.12))
    else:
        tone = materials.contrasting(rng, ground, rng.choice([0.12, 0.3, 0.45]))
    colour = np.broadcast_to(tone, (1, 1, 3)).astype(np.float32)
    if style.kind == "foil":
        band = materials.noise(rng, *shape, max(4.0, size / 12), stretch=2.0)[..., None]
        return np.clip(tone + np.float32(0.22) * band, 0, 1), 0.15 * band[..., 0], 0.8
    bumps: np.ndarray | float = 0.0
    choice = rng.random()
    if style.kind == "embroidery" and size >= 30:
        lean, grain = rng.uniform(-0.6, 0.6), np.clip(size / 90, 1.2, 3)
        x, y = np.arange(shape[1], dtype=np.float32)[None], np.arange(shape[0], dtype=np.float32)[:, None]
        thread = np.sin((x + y * np.float32(lean)) * np.float32(np.pi / grain))
        bumps = (thread * 0.25 + 0.15 * materials.noise(rng, *shape)).astype(np.float32)
        return colour * (1 + np.float32(0.06) * thread[..., None]), bumps, 0.25
    if choice < 0.12:  # one colour runs into another
        other = materials.contrasting(rng, tone, 0.15)
        turn = rng.uniform(0, 2 * np.pi)
        x, y = np.linspace(-1, 1, shape[1], dtype=np.float32)[None], np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
        share = np.clip(0.5 + 0.7 * (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))), 0, 1)[..., None]
        colour = colour * (1 - share) + other * share
    elif choice < 0.2 and size > 50:
        cloth = materials.material(rng, tint=tone, pixels=size * 1.5)
        second = materials.contrasting(rng, tone, 0.2) if rng.random() < 0.5 else ground
        share = materials.pattern(rng, str(rng.choice(["stripes", "dots", "leopard", "camouflage", "zebra", "checks"])), *shape,
                                  cloth.grain)[..., None]
        colour = colour * (1 - share) + second * share
    elif choice < 0.45 and size > 50 and style.kind != "emboss":
        cloth = materials.material(rng, tint=tone, pixels=size * 2)
        colour, bumps = cloth.render(rng, *shape)
        colour = colour if colour.ndim == 3 else colour[None, None]
    return colour, bumps, rng.choice([0.0, 0.1, 0.35])


def _seam(canvas: Canvas, fine: np.ndarray, scale: int, window: Window, colour: np.ndarray, size: float) -> None:
    """Sews the mark on, a little inside of its edge."""
    inset = max(2.0, size / 70)
    depth = cv2.distanceTransform(fine, cv2.DIST_L2, 3) > inset * scale
    thread = materials.near(canvas.rng, colour, 0.15) if canvas.rng.random() < 0.7 else materials.colour(canvas.rng)
    for piece in geometry.polygons_of(depth, scale, (window[1], window[0]), min_area=size):
        closed = np.concatenate([piece, piece[:1]])
        canvas.stitch(closed, thread, max(0.8, size / 250), max(2.0, size / 60))
