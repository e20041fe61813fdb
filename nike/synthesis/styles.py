"""Styles of logos: kind of application, colours, threads and gloss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nike.synthesis import materials

# Relative frequency of each kind.
KINDS = {
    "print": 30,
    "overlay": 24,
    "tone": 13,
    "bordered": 10,
    "emboss": 8,
    "outline": 8,
    "embroidery": 8,
    "foil": 4,
    "ghost": 4,
}
TINY_KINDS = ("print", "overlay", "tone", "embroidery", "ghost")  # kinds for logos shorter than TINY
TINY = 40  # pixels
PATTERNS = ("stripes", "dots", "leopard", "camouflage", "zebra", "checks")


@dataclass
class Style:
    """Style of one logo. Lengths are in pixels.

    Attributes:
        kind: Key of `KINDS`, or "texture" for the colours of a textured logo.
        border: Width of a border outside the outline, which is part of the labelled logo.
        line_width: Width of the painted line along the outline, or 0 for a filled logo.
        opacity: Opacity of the paint, 0..1.
        lift: Height of the logo above the surface, negative for a debossed logo.
        blur: Standard deviation of the blur of the edge.
        flatten: Fraction of the surface texture that the logo hides, 0..1.
        worn: Whether specks of paint are missing.
    """

    kind: str
    border: float = 0.0
    line_width: float = 0.0
    opacity: float = 1.0
    lift: float = 0.0
    blur: float = 0.0
    flatten: float = 0.0
    worn: bool = False


@dataclass
class Paint:
    """Paint of one logo.

    Attributes:
        colour: `[h, w, 3]` or `[1, 1, 3]` float32 RGB in 0..1.
        relief: `[h, w]` float32 relief in pixels, or 0.
        gloss: Strength of highlights, 0..1.
    """

    colour: np.ndarray
    relief: np.ndarray | float = 0.0
    gloss: float = 0.1


def choose_style(rng: np.random.Generator, size: float, thickness: float) -> Style:
    """Draws a style that is plausible for a logo of the given length and mean thickness in pixels."""
    kinds = list(KINDS if size >= TINY else TINY_KINDS)
    weights = np.array([KINDS[kind] for kind in kinds], float)
    kind, blur = str(rng.choice(kinds, p=weights / weights.sum())), float(rng.choice([0, 0.4, 0.8]) * rng.random())
    style = Style(kind, blur=blur, worn=size > 60 and rng.random() < 0.06)
    height = float(np.clip(size / 150, 0.3, 2.5))
    if style.kind in ("overlay", "bordered", "embroidery", "tone"):
        style.lift, style.flatten = height * rng.uniform(0.2, 1.2), rng.random()
    elif style.kind == "print":
        style.lift, style.opacity = height * rng.choice([0, 0.2]), rng.uniform(0.75, 1.0)
    elif style.kind == "emboss":
        style.lift, style.blur = height * rng.uniform(0.8, 2) * rng.choice([-1, 1]), blur + size / 400
        style.opacity = rng.choice([0, rng.uniform(0, 0.3)])
    elif style.kind == "outline":
        style.lift, style.line_width = height * rng.choice([0, 0.5]), max(1.2, thickness * rng.uniform(0.05, 0.2))
    elif style.kind == "ghost":
        style.opacity = rng.uniform(0.3, 0.7)
    if style.kind == "bordered":
        style.border = max(1.0, thickness * rng.uniform(0.04, 0.16))
    return style


def sample_paint(
    rng: np.random.Generator, kind: str, background: np.ndarray, shape: tuple[int, int], size: float
) -> Paint:
    """Draws the paint of a logo.

    Args:
        rng: Random generator.
        kind: Key of `KINDS`.
        background: `[3]` mean RGB colour of the surface, 0..1.
        shape: (h, w) of the window that contains the logo.
        size: Length of the logo in pixels. Small logos have no pattern or texture.
    """
    if kind in ("tone", "emboss"):
        tone = materials.similar(rng, background, rng.uniform(0.03, 0.12))
    else:
        tone = materials.contrasting(rng, background, rng.choice([0.12, 0.3, 0.45]))
    if kind == "foil":
        band = materials.noise(rng, *shape, max(4.0, size / 12), stretch=2.0)
        return Paint(np.clip(tone + np.float32(0.22) * band[..., None], 0, 1), np.float32(0.15) * band, 0.8)
    if kind == "embroidery" and size >= 30:
        return _threads(rng, tone, shape, size)
    choice, gloss = rng.random(), rng.choice([0.0, 0.1, 0.35])
    if choice < 0.12:
        other = materials.contrasting(rng, tone, 0.15)
        weight = materials.ramp(*shape, rng.uniform(0, 2 * np.pi), 1.4)[..., None]
        return Paint(tone * (1 - weight) + other * weight, gloss=gloss)
    if size > 50 and choice < 0.2:
        other = materials.contrasting(rng, tone, 0.2) if rng.random() < 0.5 else background
        grain = np.clip(size / rng.uniform(80, 270), 1.2, 5)
        weight = materials.pattern(rng, str(rng.choice(PATTERNS)), *shape, grain)[..., None]
        return Paint(tone * (1 - weight) + other * weight, gloss=gloss)
    if size > 50 and choice < 0.45 and kind != "emboss":
        colour, relief = materials.material(rng, tint=tone, pixels=size * 2).render(rng, *shape)
        return Paint(colour if colour.ndim == 3 else colour[None, None], relief, gloss)
    return Paint(tone[None, None], gloss=gloss)


def _threads(rng: np.random.Generator, tone: np.ndarray, shape: tuple[int, int], size: float) -> Paint:
    """Returns the paint of a satin stitch with parallel shiny threads."""
    lean, width = np.float32(rng.uniform(-0.6, 0.6)), np.float32(np.pi / np.clip(size / 90, 1.2, 3))
    x, y = np.arange(shape[1], dtype=np.float32)[None], np.arange(shape[0], dtype=np.float32)[:, None]
    thread = np.sin((x + y * lean) * width)
    relief = np.float32(0.25) * thread + np.float32(0.15) * materials.noise(rng, *shape)
    return Paint(tone * (1 + np.float32(0.06) * thread[..., None]), relief, 0.25)
