"""Objects in front of the logos: rods with round ends, such as fingers, straps and cables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nike.synthesis.masks import PlacedLogo, Window
from nike.synthesis.paint import random_color, smooth_noise


@dataclass(frozen=True)
class Rod:
    """A line segment of a given width.

    Attributes:
        start: (x, y) of one end of the axis in pixels.
        stop: (x, y) of the other end.
        radius: half of the width in pixels.
    """

    start: np.ndarray
    stop: np.ndarray
    radius: float

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Returns the distance of points from the axis in pixels. `x` and `y` are broadcast."""
        along = self.stop - self.start
        x, y = x - self.start[0], y - self.start[1]
        t = ((x * along[0] + y * along[1]) / max(float(along @ along), 1e-9)).clip(0, 1)
        return np.hypot(x - t * along[0], y - t * along[1])

    def coverage(self, x: np.ndarray, y: np.ndarray, softness: float = 1.0) -> np.ndarray:
        """Returns the coverage of points in 0..1. The edge is `softness` pixels wide."""
        return ((self.radius - self.distance(x, y)) / softness + 0.5).clip(0, 1).astype(np.float32)


def occlude(rng: np.random.Generator, image: np.ndarray, logos: list[PlacedLogo], targets: list[PlacedLogo]) -> None:
    """Draws a rod across a random target and removes the occluded pixels from the masks of the logos.

    Args:
        rng: random generator.
        image: `[H, W, 3]` float32 RGB image in 0..1, modified in place.
        logos: logos in the image, modified in place.
        targets: logos or distractors. If the list is empty, no rod is drawn.
    """
    if not targets:
        return
    rod = sample_rod(rng, targets[rng.integers(len(targets))].window)
    draw_rod(rng, image, rod)
    for logo in logos:
        logo.visible *= 1 - rod.coverage(*logo.cell_centres())


def sample_rod(rng: np.random.Generator, window: Window) -> Rod:
    """Samples a rod that crosses a window or ends inside the window."""
    y0, x0, y1, x1 = window
    size = max(y1 - y0, x1 - x0)
    middle = np.array([x0, y0]) + rng.uniform(0.1, 0.9, 2) * (x1 - x0, y1 - y0)
    angle = rng.uniform(0, 2 * np.pi)
    along = size * np.array([np.cos(angle), np.sin(angle)])
    start = middle - along * rng.choice([0.0, 1.5])
    return Rod(start, middle + along * 1.5, max(1.5, size * rng.uniform(0.02, 0.12)))


def draw_rod(rng: np.random.Generator, image: np.ndarray, rod: Rod) -> None:
    """Paints a rod with its shadow onto an image (`[H, W, 3]` float32 RGB in 0..1) in place."""
    y, x = np.ogrid[0.5 : image.shape[0], 0.5 : image.shape[1]]
    x_shadow, y_shadow = x - rod.radius * 0.4, y - rod.radius * 0.4
    image *= 1 - np.float32(0.4) * rod.coverage(x_shadow, y_shadow, rod.radius)[..., None]
    shade = np.sqrt((1 - (rod.distance(x, y) / rod.radius) ** 2).clip(0.1, 1)).astype(np.float32)
    shade = shade * (1 + np.float32(0.04) * smooth_noise(rng, image.shape[:2], max(1.5, rod.radius / 6)))
    color = random_color(rng).astype(np.float32)
    image += rod.coverage(x, y)[..., None] * (color * shade[..., None] - image)
    np.clip(image, 0, 1, out=image)
