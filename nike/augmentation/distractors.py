"""Draws shapes and words that resemble logos (ticks, crescents, stripes, arrows, ...), to be pasted without a label."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nike.augmentation import curves

WORDS = (
    "SPORT AIR RUN FLY MAX TEAM PRO ZOOM CLUB FIT GOLF CITY TRAIL ACTIVE No.7 23 STUDIO JUST PLAY FORCE COURT ORIGINAL "
    "Coffee Summer Vintage open SALE 1987"
)
MAX_WORD_LENGTH = 12


def sample_shape(rng: np.random.Generator) -> list[np.ndarray]:
    """Samples a random shape.

    Returns:
        Closed polygons `[P, 2]` float32 (x, y), to be filled with the even-odd rule. The shape is centred on the
        origin, and its longer side is 1.
    """
    shape = _SHAPES[rng.choice(len(_SHAPES), p=_WEIGHTS)]
    for _ in range(4):
        outlines = [np.asarray(o, np.float32) for o in shape(rng)]
        if np.ptp(np.concatenate(outlines), axis=0).min() > 0:  # otherwise the shape has no area
            return curves.normalize(outlines)
    return render_word(rng)


def render_word(rng: np.random.Generator, text: str | None = None) -> list[np.ndarray]:
    """Renders a word (by default, a random word) with a random font weight, slant and height."""
    lean, weight, other = rng.choice([0.0, -0.25]), int(rng.integers(0, 7)), str(rng.choice(WORDS.split()))
    outlines = _glyphs((text or other)[:MAX_WORD_LENGTH], weight) or _glyphs(other, weight)  # the font may lack glyphs
    slant = np.array([[1, lean], [0, rng.uniform(0.8, 1.6)]])
    return curves.normalize([(o @ slant.T).astype(np.float32) for o in outlines])


@functools.lru_cache(maxsize=512)
def _glyphs(text: str, weight: int) -> tuple[np.ndarray, ...]:
    font = ImageFont.load_default(64)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (right - left + 24, bottom - top + 24))
    ImageDraw.Draw(image).text((12 - left, 12 - top), text, fill=255, font=font, stroke_width=weight)
    solid = (np.asarray(image) > 127).astype(np.uint8)
    chains, _ = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    return tuple(c[:, 0].astype(np.float32) for c in chains if len(c) >= 3)


def _tick(rng):
    """A tick of two strokes with a sharp corner."""
    corner, short = (0.0, 0.0), rng.uniform(0.25, 0.5)
    left = (-short * rng.uniform(0.6, 1), -short * rng.uniform(0.6, 1.1))
    right = (rng.uniform(0.6, 1.0), -rng.uniform(0.7, 1.2))
    width = rng.uniform(0.08, 0.22)
    return [curves.ribbon([left, corner, right], [width * rng.uniform(0.5, 1), width, width * rng.uniform(0.5, 1.2)])]


def _crescent(rng):
    """A symmetric crescent."""
    span, bulge = rng.uniform(0.6, 1.6), rng.uniform(0.15, 0.5)
    x = np.linspace(-1, 1, 24)
    outer, inner = span * bulge * (1 - x**2) * 2, span * bulge * (1 - x**2) * rng.uniform(0.3, 1.4)
    return [np.concatenate([np.stack([x, outer], 1), np.stack([x, inner], 1)[::-1]])]


def _boomerang(rng):
    """A boomerang with two equal arms."""
    arm = rng.uniform(0.3, 0.9)
    line = curves.spline([(-1, -arm), (0, rng.uniform(0, 0.2)), (1, -arm)], closed=False)
    width = np.interp(np.linspace(0, 1, len(line)), [0, 0.5, 1], [0.02, rng.uniform(0.2, 0.4), 0.02])
    return [curves.ribbon(line, width)]


def _stripes(rng):
    """Two to five parallel bars."""
    count, lean, width = int(rng.integers(2, 6)), rng.uniform(-0.5, 0.5), rng.uniform(0.35, 0.7)
    ends = rng.uniform(-0.15, 0.15) * np.arange(count)
    return [
        np.array([(i, 0), (i + width, 0), (i + width + lean * 3, 3 + ends[i]), (i + lean * 3, 3 + ends[i])], float)
        for i in range(count)
    ]


def _side_stripe(rng):
    """A wavy band, similar to the side stripes of other shoe brands."""
    y = np.cumsum(rng.normal(0, 0.25, 4))
    line = curves.spline(np.stack([np.linspace(-1, 1, 4), y], 1), closed=False)
    width = np.interp(np.linspace(0, 1, len(line)), [0, 0.5, 1], rng.uniform(0.08, 0.4, 3))
    return [curves.ribbon(line, width)]


def _curl(rng):
    """A curved hook that is thick at one end."""
    sweep = rng.uniform(1.5, 4.5)
    t = np.linspace(0, sweep, 32)
    line = np.stack([np.cos(t), np.sin(t)], 1) * np.linspace(1, rng.uniform(0.3, 1), 32)[:, None]
    return [curves.ribbon(line, np.linspace(rng.uniform(0.15, 0.6), rng.uniform(0.0, 0.2), 32))]


def _arrow(rng):
    head, shaft, back = rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.2), rng.uniform(0, 0.2)
    return [
        np.array(
            [
                (1, 0),
                (1 - head, head),
                (1 - head + back, shaft),
                (-1, shaft),
                (-1, -shaft),
                (1 - head + back, -shaft),
                (1 - head, -head),
            ]
        )
    ]


def _chevron(rng):
    line, gap = [(-1, 0), (0, -rng.uniform(0.3, 1)), (1, 0)], rng.uniform(0.4, 0.8)
    return [
        curves.ribbon(np.array(line) + (0, i * gap), rng.uniform(0.15, 0.3)) for i in range(int(rng.integers(1, 4)))
    ]


def _star(rng):
    points, inner = int(rng.integers(4, 9)), rng.uniform(0.3, 0.6)
    radius = np.where(np.arange(2 * points) % 2, inner, 1.0)
    angle = np.arange(2 * points) * np.pi / points + rng.uniform(0, 1)
    return [np.stack([np.cos(angle) * radius, np.sin(angle) * radius], 1)]


def _leaf(rng):
    """A straight leaf with one round and one pointed end."""
    x = np.linspace(0, 1, 24)
    half = rng.uniform(0.15, 0.4) * np.sqrt(x) * (1 - x) * 2.6
    lean = rng.normal(0, 0.3) * x**2
    return [np.concatenate([np.stack([x, half + lean], 1), np.stack([x, -half + lean], 1)[::-1]])]


def _blade(rng):
    """A long thin triangle, straight or slightly curved."""
    x = np.linspace(0, 1, 16)
    sag = rng.uniform(-0.1, 0.1) * np.sin(np.pi * x)
    half = rng.uniform(0.04, 0.16) * (1 - x)
    return [np.concatenate([np.stack([x, sag - half], 1), np.stack([x, sag + half], 1)[::-1]])]


def _ring(rng):
    outer = curves.ellipse((1, rng.uniform(0.4, 1)))
    return [outer, outer * rng.uniform(0.5, 0.9)] if rng.random() < 0.6 else [outer]


def _bolt(rng):
    return [
        np.array([(0.2, -1), (-0.6, 0.15), (-0.05, 0.1), (-0.3, 1), (0.6, -0.25), (0.05, -0.2), (0.5, -1)])
        * (rng.uniform(0.6, 1.4), 1)
    ]


def _letter(rng):
    return render_word(rng, str(rng.choice(list("ABCDEFGJKLNPRSTUVXYZvVLJ7&?~"))))


def _blob(rng):
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radius = rng.uniform(0.4, 1.0, 9)
    return [curves.spline(np.stack([np.cos(angle) * radius, np.sin(angle) * radius * rng.uniform(0.3, 1)], 1))]


_SHAPE_WEIGHTS = {
    _tick: 5,
    _crescent: 4,
    _boomerang: 4,
    _stripes: 3,
    _side_stripe: 4,
    _curl: 4,
    _arrow: 2,
    _chevron: 2,
    _star: 1,
    _leaf: 2,
    _blade: 3,
    _ring: 1,
    _bolt: 1,
    _letter: 3,
    _blob: 2,
    render_word: 4,
}
_SHAPES, _WEIGHTS = list(_SHAPE_WEIGHTS), np.array(list(_SHAPE_WEIGHTS.values())) / sum(_SHAPE_WEIGHTS.values())
