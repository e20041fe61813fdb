"""Draws a shoe from the side, the product that carries most marks: low to high, smooth to knitted, any colours.

The frame: x from the toe (0) to the heel (1), y down, the ground at 0, a low shoe about 0.45 high.
"""

from __future__ import annotations

import numpy as np

from nike.rendering import geometry, materials
from nike.rendering.pen import Pen

UPPERS = ("leather", "leather", "smooth", "suede", "knit", "mesh", "weave")


def draw_shoe(pen: Pen) -> None:
    """Draws one shoe; offers room for marks on its side, toe, heel and tongue."""
    rng = pen.rng
    collar = rng.choice([rng.uniform(0.34, 0.42), rng.uniform(0.46, 0.54), rng.uniform(0.58, 0.68)], p=[0.72, 0.2, 0.08])
    front, back = rng.uniform(0.05, 0.09), rng.uniform(0.07, 0.15)  # thickness of the sole
    toe = rng.uniform(0.13, 0.18)
    colours = _colourway(pen)
    cloth = pen.material(UPPERS, colours[0])
    pen.shadow(geometry.ellipse((0.5, 0.005), (0.52, 0.03)), blur=rng.uniform(0.01, 0.05), strength=rng.uniform(0.2, 0.7))
    _behind(pen, collar, cloth, colours)
    outline = geometry.spline(pen.jitter([
        (0.03, -front), (0.015, -front - 0.05), (0.055, -toe * 0.9), (0.15, -toe - 0.02), (0.29, -toe - 0.06), (0.40, -0.29),
        (0.49, -0.345), (0.585, -collar), (0.66, -collar + 0.035), (0.75, -collar + 0.06), (0.86, -collar + 0.035), (0.945, -collar - 0.02),
        (0.972, -collar + 0.05), (0.955, -0.26), (0.985, -back - 0.05), (0.97, -back + 0.03), (0.5, -front), (0.1, -front + 0.02),
    ], 0.008))
    upper = pen.fill(outline, cloth, inflate=rng.uniform(0.05, 0.11))
    if upper is None:
        return
    pen.folds(upper, rng.uniform(0, 3), 0.06, 1.0)
    late_straps = rng.random() < 0.25
    for panel in _panels(rng, collar, front, back):
        _panel(pen, panel, colours, upper)
    if rng.random() < 0.3:
        _perforate(pen, upper)
    sizes = {"large": rng.uniform(0.34, 0.58), "medium": rng.uniform(0.18, 0.34), "small": rng.uniform(0.06, 0.16)}
    size = sizes[str(rng.choice(list(sizes), p=[0.62, 0.23, 0.15]))]
    pen.mark(0.61 + rng.normal(0, 0.05), -(front + back) / 2 - 0.02 - size * 0.18 - rng.uniform(0, 0.05), size, rng.normal(-0.03, 0.12),
             clip=upper, chance=0.9, mirror=rng.random() < 0.07, stretch=rng.uniform(0.9, 1.3), curve=rng.choice([0, 0.3]))
    if late_straps:
        for panel in _panels(rng, collar, front, back)[:int(rng.integers(1, 3))]:
            _panel(pen, panel, colours, upper)
    _fastening(pen, collar, colours, upper)
    _sole(pen, front, back, colours)
    pen.mark(0.12, -0.15, rng.uniform(0.05, 0.1), rng.normal(0.2, 0.3), clip=upper, chance=0.12)
    pen.mark(0.91, -collar + 0.08, rng.uniform(0.05, 0.1), rng.normal(0, 0.5), clip=upper, chance=0.12)


def _colourway(pen: Pen) -> list[np.ndarray]:
    """Colours of upper, panels, sole and accents: one tone, two, or many."""
    rng = pen.rng
    base = materials.colour(rng, 0.6)
    scheme = rng.random()
    if scheme < 0.35:
        others = [materials.near(rng, base, rng.uniform(0, 0.1)) for _ in range(2)]
    elif scheme < 0.7:
        others = [materials.contrasting(rng, base), base]
    else:
        others = [materials.colour(rng, 0.3), materials.colour(rng, 0.5)]
    sole = np.array([0.95, 0.94, 0.92]) if rng.random() < 0.55 else materials.colour(rng)
    return [base, *others, sole.astype(np.float32), materials.colour(rng, 0.4)]


def _behind(pen: Pen, collar: float, cloth, colours) -> None:
    """What the upper covers: pull tab, tongue, lining and the far rim."""
    rng = pen.rng
    if rng.random() < 0.4:
        loop = geometry.spline([(0.94, -collar), (0.965, -collar - 0.07), (1.0, -collar - 0.05), (0.97, -collar + 0.04)], closed=False)
        pen.line(loop, 0.018, pen.material(("weave",), colours[int(rng.integers(5))]), inflate=0.008)
    lining = pen.material(("weave", "terry", "smooth"), colours[int(rng.integers(5))] * np.float32(0.6))
    pen.fill(geometry.ellipse((0.765, -collar + 0.035), (0.19, 0.05), rng.normal(-0.05, 0.05)), lining, inflate=0.02)
    top = collar + rng.uniform(0.02, 0.06)
    tongue = geometry.spline([(0.38, -0.27), (0.46, -0.36), (0.53, -top), (0.57, -top - 0.01), (0.60, -collar), (0.60, -0.3)])
    shape = pen.fill(tongue, pen.material(UPPERS, colours[int(rng.integers(3))]), inflate=0.03)
    pen.mark(0.55, -top + 0.03, rng.uniform(0.05, 0.09), rng.normal(-0.9, 0.2), clip=shape, chance=0.25)


def _panels(rng: np.random.Generator, collar: float, front: float, back: float) -> list[list[tuple[float, float]]]:
    """Outlines of a random choice of overlays."""
    choices = [
        [(-0.02, -0.3), (0.1, -0.27), (0.17 + rng.uniform(0, 0.06), -0.2), (0.2, -0.12), (0.17, 0), (-0.02, 0)],  # toe cap
        [(-0.02, -0.16), (0.12, -0.17), (0.26, -0.15), (0.42, -0.12), (0.56, -0.1), (0.56, 0), (-0.02, 0)],  # mudguard
        [(0.24, -0.30), (0.30, -0.19), (0.40, -0.24), (0.50, -0.31), (0.60, -collar + 0.1), (0.63, -collar - 0.02), (0.5, -0.46)],
        [(0.76, 0), (0.77, -0.2), (0.83, -0.28), (0.9, -0.34), (1.05, -0.36), (1.05, 0)],  # heel counter
        [(0.885, -collar - 0.1), (0.89, -collar + 0.12), (0.93, -0.27), (1.05, -0.25), (1.05, -collar - 0.1)],  # back tab
        [(0.34, 0), (0.38, -0.2), (0.47, -0.29), (0.62, -0.34), (0.75, -0.3), (0.82, -0.2), (0.8, 0)],  # quarter
        [(0.57, -collar - 0.05), (0.6, -collar + 0.09), (0.75, -collar + 0.12), (0.9, -collar + 0.1), (0.98, -collar - 0.1)],  # collar
        [(0.4, -0.36), (0.44, -0.4), (0.58, -back), (0.64, 0), (0.56, 0), (0.5, -0.2)],  # saddle strap
        [(0.0, -front - 0.05), (0.5, -front - 0.045), (1.0, -back - 0.05), (1.05, 0), (-0.02, 0)],  # foxing
    ]
    picked = rng.permutation(len(choices))[:int(rng.integers(0, 7))]
    return [choices[i] for i in sorted(picked)]


def _panel(pen: Pen, points, colours, upper) -> None:
    rng = pen.rng
    outline = geometry.spline(pen.jitter(points, 0.01))
    pen.fill(outline, pen.material(UPPERS, colours[int(rng.choice(5, p=[0.3, 0.3, 0.25, 0.05, 0.1]))]),
             lift=rng.uniform(1, 3.5), clip=upper)
    if rng.random() < 0.6 and pen.size > 150:  # seams run a little inside of the edge
        middle = outline.mean(axis=0)
        seam = middle + (outline - middle) * (1 - 0.01 / np.linalg.norm(outline - middle, axis=1, keepdims=True).clip(0.02))
        inside = geometry.apply(pen.matrix, seam)
        rows, cols = np.clip(inside[:, ::-1].astype(int), 0, np.array(upper.shape) - 1).T
        keep = upper[rows, cols] > 0.5
        for run in np.split(seam, np.flatnonzero(np.diff(keep)) + 1):
            if len(run) > 3 and keep[int(np.flatnonzero((seam == run[1]).all(1))[0])]:
                pen.stitch(run, materials.near(rng, colours[0], 0.15), smooth=False)


def _perforate(pen: Pen, upper) -> None:
    """Rows of breathing holes on the toe."""
    hole = materials.Material(np.full(3, 0.05, np.float32))
    x0, y0, step = pen.rng.uniform(0.1, 0.2), -0.2, pen.rng.uniform(0.018, 0.03)
    if pen.size * step < 5:
        return
    dots = [geometry.ellipse((x0 + i * step + (j % 2) * step / 2, y0 + j * step - i * 0.004), (step / 6, step / 6), count=10)
            for i in range(5) for j in range(3)]
    pen.fill(dots, hole, lift=-2, clip=upper)


def _fastening(pen: Pen, collar: float, colours, upper) -> None:
    """Laces with eyelets, straps, or nothing."""
    rng = pen.rng
    kind = rng.choice(["laces", "straps", "none"], p=[0.72, 0.13, 0.15])
    colour = colours[int(rng.integers(5))] if rng.random() < 0.6 else materials.colour(rng, 0.8)
    if kind == "straps":
        for y in rng.uniform(0.24, collar - 0.05, int(rng.integers(1, 3))):
            x = np.interp(y, [0.2, 0.4], [0.3, 0.5])
            pen.line([(x - 0.03, -y - 0.06), (x + 0.1, -y + 0.02), (x + 0.24, -y + 0.07)], rng.uniform(0.04, 0.08),
                     pen.material(("weave", "leather"), colour), lift=3, clip=None if rng.random() < 0.3 else upper)
    if kind != "laces":
        return
    lace = pen.material(("weave",), colour)
    rows = int(rng.integers(4, 8))
    for t in np.linspace(0, 1, rows):
        eye = np.array([0.31 + 0.25 * t, -0.225 - (collar - 0.27) * t])
        pen.fill(geometry.ellipse(eye, (0.008, 0.008), count=10), materials.Material(colours[4] * np.float32(0.5)), lift=-1)
        pen.line([eye, eye + (-0.015, -0.03), eye + (-0.055, -0.055)], rng.uniform(0.010, 0.018), lace, inflate=0.007)
    knot = np.array([0.52, -collar - 0.02])
    if rng.random() < 0.6:  # a bow that hangs over the side, at times over the mark
        for _ in range(2):
            reach = rng.uniform(0.05, 0.14, 2) * (rng.choice([-1, 1]), 1)
            pen.line([knot, knot + reach * (0.6, -0.2), knot + reach, knot + reach * (0.2, 0.7)], 0.010, lace, inflate=0.005)
        pen.line([knot, knot + (0.02, 0.07), knot + (rng.uniform(-0.02, 0.1), rng.uniform(0.1, 0.22))], 0.010, lace, inflate=0.005)


def _sole(pen: Pen, front: float, back: float, colours) -> None:
    """Midsole, outsole, and at times grooves, an air window or tread."""
    rng = pen.rng
    wave = rng.uniform(-0.02, 0.02)
    top = [(-0.005, -front - 0.025), (0.2, -front + wave), (0.5, -(front + back) / 2 - wave), (0.8, -back), (1.0, -back - 0.04)]
    bottom = [(0.985, -0.03), (0.9, 0.0), (0.6, 0.0), (0.3, 0.0), (0.1, -0.01), (0.01, -rng.uniform(0.02, 0.05))]
    shape = pen.curve([*top, *bottom], pen.material(("smooth", "plastic", "paper"), colours[3]), inflate=rng.uniform(0.02, 0.05))
    if rng.random() < 0.65:
        tread = pen.material(("smooth", "plastic"), colours[int(rng.choice([1, 3, 4]))] * np.float32(rng.uniform(0.3, 1)))
        pen.curve([(0, -0.035), (0.1, -0.02), (0.5, -0.018), (0.95, -0.02), (1.0, -0.05), (0.97, 0.01), (0.5, 0.01), (0.05, 0.01)], tread,
                  lift=1.5, clip=shape)
    for _ in range(int(rng.integers(0, 3))):
        y = rng.uniform(0.02, front)
        pen.line([(0.02, -y), (0.5, -y - rng.normal(0, 0.01)), (0.98, -y * back / front)], 0.006, pen.material(("smooth",), colours[4]),
                 lift=-1.5, clip=shape)
    if rng.random() < 0.25:  # a window onto the cushion
        window = geometry.ellipse((rng.uniform(0.72, 0.82), -back * 0.5), (rng.uniform(0.06, 0.14), back * 0.25))
        pen.fill(window, pen.material(("plastic",), colours[4]), lift=-3, clip=shape)
    if rng.random() < 0.4 and pen.size > 120:
        count = int(rng.integers(8, 30))
        notch = [geometry.ellipse((x, 0.004), (0.2 / count, 0.012), count=10) for x in np.linspace(0.08, 0.95, count)]
        pen.fill(notch, materials.Material(np.full(3, 0.12, np.float32)), clip=shape)
    pen.mark(rng.uniform(0.3, 0.8), -front * 0.55, rng.uniform(0.04, 0.1), clip=shape, chance=0.06)
