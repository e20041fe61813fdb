"""Surface materials: product colours, textures as relief, and two-colour patterns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

# Relief in pixels at grain 1, and gloss, per texture.
TEXTURES = {
    "smooth": (0.0, 0.15),
    "leather": (0.1, 0.12),
    "suede": (0.15, 0.0),
    "knit": (0.3, 0.0),
    "mesh": (0.35, 0.02),
    "weave": (0.2, 0.0),
    "ribs": (0.35, 0.0),
    "terry": (0.4, 0.0),
    "plastic": (0.05, 0.4),
    "paper": (0.06, 0.02),
    "plaster": (0.3, 0.0),
    "skin": (0.03, 0.05),
}
SKIN = np.array(
    [[0.96, 0.80, 0.69], [0.89, 0.68, 0.52], [0.76, 0.55, 0.38], [0.55, 0.36, 0.24], [0.36, 0.23, 0.16]], np.float32
)


@dataclass(frozen=True)
class Material:
    """A surface material.

    Attributes:
        colour: `[3]` float32 RGB in 0..1.
        texture: Key of `TEXTURES`.
        grain: Scale of the texture in pixels per thread, pore or bump.
        relief: Height of the texture in pixels.
        gloss: Strength of highlights, 0..1.
        pattern: Key of `_PATTERNS`, or None for a single colour.
        second: `[3]` float32 RGB second colour of the pattern.
    """

    colour: np.ndarray
    texture: str = "smooth"
    grain: float = 2.0
    relief: float = 0.0
    gloss: float = 0.1
    pattern: str | None = None
    second: np.ndarray | None = None

    def tinted(self, colour: np.ndarray) -> Material:
        """Returns the same material in another single colour."""
        return replace(self, colour=np.asarray(colour, np.float32), pattern=None, second=None)

    def render(self, rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray | float]:
        """Returns the colour (`[height, width, 3]` or `[3]`) and the relief (`[height, width]` or 0) as float32."""
        colour = self.colour
        if self.pattern:
            weight = pattern(rng, self.pattern, height, width, self.grain)[..., None]
            colour = self.colour * (1 - weight) + self.second * weight
        if self.texture == "smooth" or not self.relief:
            return colour, 0.0
        bumps = texture(rng, self.texture, height, width, self.grain)
        shade = 1 + np.float32(0.05) * np.clip(bumps, -2, 1)  # ambient occlusion of hollows
        return colour * shade[..., None], bumps * np.float32(self.relief)


def colour(rng: np.random.Generator, plain: float = 0.55) -> np.ndarray:
    """Draws a product colour, `[3]` float32 RGB in 0..1, which is white, grey or black with probability `plain`."""
    if rng.random() < plain:
        base = rng.choice([0.95, 0.9, 0.75, 0.5, 0.3, 0.12, 0.06], p=[0.28, 0.14, 0.1, 0.08, 0.08, 0.12, 0.2])
        tint = rng.normal(0, 0.015, 3) + rng.choice([0.0, 0.05]) * np.array([1, 0.4, -1.0])
        return np.clip(base + tint, 0.02, 0.98).astype(np.float32)
    saturation = rng.choice([rng.uniform(0.15, 0.5), rng.uniform(0.6, 1.0)])
    value = rng.uniform(0.25, 1.0)
    return hsv(rng.random(), saturation, value)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Converts hue, saturation and value in 0..1 to `[3]` float32 RGB."""
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return (value * (1 - saturation + saturation * wheel)).astype(np.float32)


def skin(rng: np.random.Generator) -> Material:
    """Draws a skin material."""
    tone = SKIN[rng.integers(len(SKIN))] * np.float32(rng.uniform(0.9, 1.05))
    return Material(np.clip(tone, 0, 1), "skin", 1.5, 0.03, 0.08)


def contrasting(rng: np.random.Generator, reference: np.ndarray, min_difference: float = 0.25) -> np.ndarray:
    """Draws a colour whose mean absolute difference from `reference` is at least `min_difference`.

    Falls back to black or white after several attempts.
    """
    for _ in range(8):
        other = colour(rng, plain=0.6)
        if np.abs(other - reference).mean() >= min_difference:
            return other
    return np.full(3, 0.04 if np.mean(reference) > 0.5 else 0.96, np.float32)


def similar(rng: np.random.Generator, reference: np.ndarray, distance: float) -> np.ndarray:
    """Draws a colour of similar hue that is lighter or darker than `reference` by about `distance`."""
    mean = np.mean(reference)
    sign = 1 if mean < distance + 0.05 else -1 if mean > 0.95 - distance else rng.choice([-1, 1])
    return np.clip(reference + sign * distance + rng.normal(0, distance / 6, 3), 0, 1).astype(np.float32)


def material(rng: np.random.Generator, kinds=None, tint: np.ndarray | None = None, pixels: float = 300) -> Material:
    """Draws a random material.

    Args:
        rng: Random generator.
        kinds: Textures to choose from, by default all.
        tint: `[3]` RGB colour in 0..1, by default random.
        pixels: Length of the product in pixels, which determines the scale of the texture.
    """
    kind = str(rng.choice(kinds if kinds is not None else list(TEXTURES)))
    relief, gloss = TEXTURES[kind]
    grain = float(np.clip(pixels / rng.uniform(120, 400), 1.2, 5))
    relief *= rng.uniform(0.4, 1.4) * min(1.0, pixels / 250) * grain**0.5
    base = colour(rng) if tint is None else np.asarray(tint, np.float32)
    chosen = Material(base, kind, grain, relief, gloss * rng.uniform(0.3, 1.5))
    if rng.random() < 0.1:
        second = contrasting(rng, base, 0.12) if rng.random() < 0.4 else similar(rng, base, 0.12)
        chosen = replace(chosen, pattern=str(rng.choice(list(_PATTERNS))), second=second)
    return chosen


def noise(rng: np.random.Generator, height: int, width: int, grain: float = 1.0, stretch: float = 1.0) -> np.ndarray:
    """Returns smooth noise of about unit variance, `[height, width]` float32, stretched along x by `stretch`."""
    # Fields larger than 256 are tiled, because drawing normal variates would dominate the run time.
    rows, cols = int(height / grain) + 2, int(width / (grain * stretch)) + 2
    field = rng.standard_normal((min(rows, 256), min(cols, 256)), dtype=np.float32)
    if field.shape != (rows, cols):
        field = (
            cv2.copyMakeBorder(field, 0, rows - field.shape[0], 0, cols - field.shape[1], cv2.BORDER_REFLECT_101)
            if rows < 2 * field.shape[0] and cols < 2 * field.shape[1]
            else np.tile(field, (-(-rows // field.shape[0]), -(-cols // field.shape[1])))[:rows, :cols]
        )
    if grain <= 1 and stretch <= 1:
        return field[:height, :width]
    grown = cv2.resize(field, (int(cols * grain * stretch) + 1, int(rows * grain) + 1), interpolation=cv2.INTER_LINEAR)
    return grown[:height, :width] * np.float32(1.4)  # interpolation reduces the standard deviation


def ramp(height: int, width: int, angle: float, steep: float = 1.0) -> np.ndarray:
    """Returns a linear gradient from 0 to 1 along the direction `angle` in radians, `[height, width]` float32."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return np.clip(0.5 + np.float32(steep / 2) * (x + y), 0, 1)


def texture(rng: np.random.Generator, kind: str, height: int, width: int, grain: float = 2.0) -> np.ndarray:
    """Returns the relief of a texture (a key of `TEXTURES`), `[height, width]` float32, roughly in -1..1."""
    if kind in ("leather", "skin"):
        pores = np.abs(noise(rng, height, width, grain))
        return 0.7 - pores + 0.3 * noise(rng, height, width, 1.0)
    if kind in ("suede", "paper"):
        return 0.6 * noise(rng, height, width, 1.0) + 0.5 * noise(rng, height, width, grain * 3)
    if kind == "terry":
        return np.abs(noise(rng, height, width, grain)) - 0.8
    if kind == "plaster":
        return sum(noise(rng, height, width, grain * 3**i) * 0.5 ** (2 - i) for i in range(3)) * np.float32(0.6)
    if kind == "plastic":
        return noise(rng, height, width, grain * 8)
    u, v = _threads(rng, height, width, grain)
    if kind == "knit":
        return np.sin(v + 1.3 * np.abs(np.mod(u, 2) - 1) * np.pi / 2) * np.float32(0.7)
    if kind == "mesh":
        return np.clip(np.cos(u * 2) + np.cos(v * 2), -1.5, 0.3) + np.float32(0.3)
    if kind == "ribs":
        return np.sin(u * np.float32(0.8))
    return np.sin(u * 2) * np.sin(v * 2)  # weave


def _threads(rng, height: int, width: int, grain: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns slightly wavy coordinates across and along the threads in radians, each `[height, width]` float32."""
    angle = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(0, np.pi)
    step = np.float32(np.pi / 2 / max(grain, 1.0))
    x = np.arange(width, dtype=np.float32)[None] * step
    y = np.arange(height, dtype=np.float32)[:, None] * step
    wave = noise(rng, height, width, 40) * np.float32(0.5)
    return (x * np.cos(angle) - y * np.sin(angle) + wave).astype(np.float32), (
        x * np.sin(angle) + y * np.cos(angle) + wave
    ).astype(np.float32)


_PATTERNS = {
    "stripes": lambda u, v, n: np.sin(u * 0.35) > 0.3,
    "dots": lambda u, v, n: np.cos(u * 0.5) + np.cos(v * 0.5) > 1.2,
    "checks": lambda u, v, n: np.sin(u * 0.3) * np.sin(v * 0.3) > 0,
    "camouflage": lambda u, v, n: n > 0.4,
    "leopard": lambda u, v, n: np.abs(n - 0.7) < 0.25,
    "zebra": lambda u, v, n: np.sin(u * 0.4 + 2.5 * n) > 0.2,
    "marble": lambda u, v, n: np.abs(n) < 0.15,
}


def pattern(rng: np.random.Generator, kind: str, height: int, width: int, grain: float = 2.0) -> np.ndarray:
    """Returns the weight of the second colour of a pattern, `[height, width]` float32 in 0..1."""
    u, v = _threads(rng, height, width, grain)
    field = _PATTERNS[kind](u, v, noise(rng, height, width, grain * 6)).astype(np.float32)
    return cv2.GaussianBlur(field, (0, 0), 0.7)
