"""Print effects, which determine how a logo changes the pixels of its surface."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

MARGIN = 0.06  # reach of the shadow, as a fraction of the length of the logo


@dataclass(frozen=True)
class Style:
    """A print style of a logo. The lengths of effects are proportional to the size of the logo.

    Attributes:
        weight: relative frequency.
        opacity: range of the opacity of the ink, 0..1.
        tone: whether the ink is a tone of the surface instead of a contrasting color.
        fading: maximum fraction of worn ink.
        threads: whether the ink consists of parallel threads.
        lift: strength of the relief and of the shadow, 0 for flat ink.
    """

    weight: float
    opacity: tuple[float, float] = (1.0, 1.0)
    tone: bool = False
    fading: float = 0.0
    threads: bool = False
    lift: float = 0.0


STYLES = {
    "print": Style(4, opacity=(0.75, 1.0)),
    "worn print": Style(2, opacity=(0.7, 1.0), fading=0.4),
    "patch": Style(3, lift=1.0),
    "embroidery": Style(2, threads=True, lift=0.8),
    "tone on tone": Style(2, opacity=(0.8, 1.0), tone=True, lift=0.6),
    "embossing": Style(0.5, opacity=(0.0, 0.3), tone=True, lift=1.6),
}


def choose_style(rng: np.random.Generator) -> Style:
    """Samples a style with a probability proportional to its weight."""
    weights = np.array([style.weight for style in STYLES.values()])
    return list(STYLES.values())[rng.choice(len(STYLES), p=weights / weights.sum())]


def paint(
    rng: np.random.Generator,
    surface: np.ndarray,
    coverage: np.ndarray,
    style: Style,
    length: float,
    light: tuple[float, float],
    colors: np.ndarray | None = None,
) -> np.ndarray:
    """Applies a logo to a surface.

    Args:
        rng: random generator.
        surface: `[h, w, 3]` float32 RGB in 0..1.
        coverage: `[h, w]` float32 coverage of the logo in 0..1, not all zero.
        style: style of the logo.
        length: length of the logo in pixels.
        light: (x, y) unit vector towards the light.
        colors: `[h, w, 3]` or `[1, 1, 3]` float32 RGB colors of the logo. By default, one or two random colors.

    Returns:
        `[h, w, 3]` float32 RGB in 0..1.
    """
    if colors is None:
        base = np.average(surface.reshape(-1, 3), axis=0, weights=coverage.ravel())
        colors = choose_ink(rng, base, style, coverage.shape)
    ink = colors * surface_shading(surface, length)
    if style.threads:
        ink = ink * threads(rng, coverage.shape, length)
    alpha = coverage * np.float32(rng.uniform(*style.opacity))
    if style.fading:
        alpha = alpha * sample_wear(rng, coverage.shape, length, style.fading * rng.uniform(0.3, 1))
    strength = style.lift * rng.uniform(0.4, 1)
    if style.lift:
        surface = surface * (1 - np.float32(0.4 * strength) * shadow(coverage, length, light))[..., None]
    painted = surface + alpha[..., None] * (ink - surface)
    if style.lift:
        painted = painted * (1 + np.float32(0.35 * strength) * relief(coverage, length, light))[..., None]
    return painted.clip(0, 1).astype(np.float32)


def choose_ink(rng: np.random.Generator, base: np.ndarray, style: Style, shape: tuple[int, int]) -> np.ndarray:
    """Samples the ink color for a surface of mean color `base`, float32 `[1, 1, 3]` or, for a gradient, `[h, w, 3]`."""
    if style.tone:
        change = rng.uniform(0.08, 0.2) * (1 if rng.random() > base.mean() else -1)
        return (base + change).clip(0, 1).astype(np.float32)[None, None]
    color = random_color(rng)
    for _ in range(8):
        if np.abs(color - base).mean() >= 0.2:
            break
        color = random_color(rng)
    else:
        color = np.full(3, 0.04 if base.mean() > 0.5 else 0.96)
    if rng.random() < 0.85:
        return color.astype(np.float32)[None, None]
    ends = np.stack([color, (color + rng.normal(0, 0.2, 3)).clip(0, 1)]).astype(np.float32)[None]
    return cv2.resize(ends if rng.random() < 0.5 else ends.swapaxes(0, 1), shape[::-1])


def random_color(rng: np.random.Generator) -> np.ndarray:
    """Samples a color, `[3]` float64 RGB in 0..1. Half of the colors are white, gray or black."""
    if rng.random() < 0.5:
        return (rng.choice([0.95, 0.9, 0.5, 0.12, 0.06]) + rng.normal(0, 0.015, 3)).clip(0, 1)
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.3, 1), rng.uniform(0.25, 1)))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> np.ndarray:
    """Returns smooth noise of about unit variance, `[h, w]` float32, with a grain size of about `grain` pixels."""
    cells = tuple(int(side / grain) + 3 for side in shape)
    field = cv2.resize(rng.standard_normal(cells, dtype=np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return field / max(float(field.std()), 1e-6)


def surface_shading(surface: np.ndarray, length: float) -> np.ndarray:
    """Returns the local brightness of a surface relative to its surroundings, `[h, w, 1]` float32 around 1.

    Ink is multiplied by this factor to keep the folds and the texture of the surface visible.
    """
    gray = surface.mean(axis=2) + np.float32(0.05)
    return (gray / cv2.GaussianBlur(gray, (0, 0), max(2.0, length / 10))).clip(0.7, 1.35)[..., None]


def threads(rng: np.random.Generator, shape: tuple[int, int], length: float) -> np.ndarray:
    """Returns the brightness of parallel threads, `[h, w, 1]` float32 around 1."""
    angle, period = rng.uniform(0, np.pi), np.clip(length / 45, 2, 6)
    y, x = np.ogrid[: shape[0], : shape[1]]
    phase = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period) + smooth_noise(rng, shape, 4 * period) * 0.4
    return (1 + 0.16 * np.sin(phase)).astype(np.float32)[..., None]


def sample_wear(rng: np.random.Generator, shape: tuple[int, int], length: float, fraction: float) -> np.ndarray:
    """Returns the opacity of ink of which a `fraction` has worn off in specks and patches, `[h, w]` float32."""
    noise = smooth_noise(rng, shape, max(2.0, length / 6)) + smooth_noise(rng, shape, max(1.0, length / 60))
    return (0.5 + 2 * (noise - np.quantile(noise, fraction))).clip(0.15, 1)


def relief(coverage: np.ndarray, length: float, light: tuple[float, float]) -> np.ndarray:
    """Returns the light on the edges of a raised shape, `[h, w]` float32 in -1..1, positive towards the light."""
    width = float(np.clip(length / 150, 0.6, 3))
    height = cv2.GaussianBlur(coverage, (0, 0), width)
    slope = [cv2.Sobel(height, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0)]  # towards the inside
    return (np.float32(2.5 * width) * (slope[0] * light[0] + slope[1] * light[1]) * -1).clip(-1, 1)


def shadow(coverage: np.ndarray, length: float, light: tuple[float, float]) -> np.ndarray:
    """Returns the shadow that a raised shape casts on the surface, `[h, w]` float32 in 0..1."""
    reach = MARGIN / 3 * length
    shift = np.float32([[1, 0, -light[0] * reach], [0, 1, -light[1] * reach]])
    moved = cv2.warpAffine(coverage, shift, coverage.shape[::-1])
    return cv2.GaussianBlur(moved, (0, 0), max(0.5, reach / 2))
