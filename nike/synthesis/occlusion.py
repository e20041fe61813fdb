"""Objects in front of the logos: straps, laces and fingers."""

from __future__ import annotations

import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.canvas import Canvas

# Range of the width, as a fraction of the length of the occluded logo.
_WIDTHS = {"strap": (0.08, 0.25), "lace": (0.03, 0.07), "fingers": (0.1, 0.2)}


def occlude(canvas: Canvas) -> None:
    """Draws an object across a random logo, or anywhere if the canvas has no logo."""
    rng = canvas.rng
    y0, x0, y1, x1 = 0, 0, *canvas.shape
    if canvas.placed:
        y0, x0, y1, x1 = canvas.placed[int(rng.integers(len(canvas.placed)))].window
    size = min(max(y1 - y0, x1 - x0), 0.5 * max(canvas.shape))
    middle = np.array([x0, y0]) + rng.uniform(0.1, 0.9, 2) * (x1 - x0, y1 - y0)
    angle = rng.uniform(0, np.pi)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    kind = str(rng.choice(list(_WIDTHS)))
    width = size * rng.uniform(*_WIDTHS[kind])
    if kind == "fingers":
        _fingers(canvas, middle, along * size, across, width)
        return
    surface = materials.material(rng, ("weave", "leather", "smooth"), None, size * 2)
    bent = middle + across * rng.normal(0, 0.1) * size
    line = geometry.spline([middle - along * size * 1.5, bent, middle + along * size * 1.5], closed=False)
    band = geometry.ribbon(line, width)
    canvas.shadow([band], (width * 0.15, width * 0.2), width * 0.2, 0.4)
    canvas.fill(band, surface, inflate=width / (2 if kind == "lace" else 5))


def _fingers(canvas: Canvas, middle: np.ndarray, along: np.ndarray, across: np.ndarray, width: float) -> None:
    """Draws one to four fingers. `along` has the length of the logo, `across` has length 1."""
    rng = canvas.rng
    surface = materials.skin(rng)
    for i in range(int(rng.integers(1, 5))):
        tip = middle + across * width * i * 1.05 + along * rng.uniform(-0.1, 0.1)
        knuckle = tip + along * 0.6 + across * rng.normal(0, 0.3) * width
        line = geometry.spline([tip + along * 1.5, knuckle, tip], closed=False)
        canvas.fill(geometry.ribbon(line, width), surface, inflate=width / 2)
        canvas.fill(geometry.ellipse(tip, (width / 2, width / 2)), surface, inflate=width / 2)
