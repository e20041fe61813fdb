"""Shoes in side view.

In the frame of a shoe, x runs from the toe (0) to the heel (1), and y points down with the ground at 0. A low shoe is
about 0.4 high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.materials import Material
from nike.synthesis.pen import Pen

UPPERS = ("leather", "leather", "smooth", "suede", "knit", "mesh", "weave")
LOGO_SIZES = {"large": (0.34, 0.58), "medium": (0.18, 0.34), "small": (0.06, 0.16)}


@dataclass(frozen=True)
class Last:
    """Shape parameters of a shoe in units of its frame.

    Attributes:
        collar: Height of the collar.
        toe: Height of the toe.
        front: Thickness of the sole at the toe.
        back: Thickness of the sole at the heel.
    """

    collar: float
    toe: float
    front: float
    back: float


def draw_shoe(pen: Pen) -> None:
    """Draws one shoe with possible logos on its side, toe, heel, tongue and sole."""
    rng = pen.rng
    low, mid, high = rng.uniform(0.34, 0.42), rng.uniform(0.46, 0.54), rng.uniform(0.58, 0.68)
    collar = rng.choice([low, mid, high], p=[0.72, 0.2, 0.08])
    last = Last(collar, rng.uniform(0.13, 0.18), rng.uniform(0.05, 0.09), rng.uniform(0.07, 0.15))
    colours = _colourway(rng)
    cloth = pen.material(UPPERS, colours[0])
    ground = geometry.ellipse((0.5, 0.005), (0.52, 0.03))
    pen.shadow(ground, blur=rng.uniform(0.01, 0.05), strength=rng.uniform(0.2, 0.7))
    _draw_inside(pen, last, colours)
    upper = pen.fill(geometry.spline(pen.jitter(_upper(last), 0.008)), cloth, inflate=rng.uniform(0.05, 0.11))
    if upper is None:
        return
    pen.folds(upper, rng.uniform(0, 3), 0.06, 1.0)
    panels = _panels(last)
    panels = [panels[i] for i in sorted(rng.permutation(len(panels))[: int(rng.integers(0, 7))])]
    for panel in panels:
        _panel(pen, panel, colours, upper)
    if rng.random() < 0.3:
        _perforate(pen, upper)
    _side_logo(pen, last, upper)
    if panels and rng.random() < 0.25:  # a panel that may cover the logo
        _panel(pen, panels[int(rng.integers(len(panels)))], colours, upper)
    _closure(pen, last, colours, upper)
    _sole(pen, last, colours)
    pen.logo(0.12, -0.15, rng.uniform(0.05, 0.1), rng.normal(0.2, 0.3), clip=upper, probability=0.12)
    pen.logo(0.91, -last.collar + 0.08, rng.uniform(0.05, 0.1), rng.normal(0, 0.5), clip=upper, probability=0.12)


def _colourway(rng: np.random.Generator) -> list[np.ndarray]:
    """Draws the colours of the upper, two kinds of panels, the sole and the accents."""
    base = materials.colour(rng, 0.6)
    scheme = rng.random()
    if scheme < 0.35:
        others = [materials.similar(rng, base, rng.uniform(0, 0.1)) for _ in range(2)]
    elif scheme < 0.7:
        others = [materials.contrasting(rng, base), base]
    else:
        others = [materials.colour(rng, 0.3), materials.colour(rng, 0.5)]
    sole = np.float32([0.95, 0.94, 0.92]) if rng.random() < 0.55 else materials.colour(rng)
    return [base, *others, sole, materials.colour(rng, 0.4)]


def _pick(rng: np.random.Generator, colours: list[np.ndarray]) -> np.ndarray:
    return colours[int(rng.integers(len(colours)))]


def _upper(last: Last) -> np.ndarray:
    """Returns the outline of the upper."""
    toe, collar = -last.toe, -last.collar
    vamp = [(0.03, -last.front), (0.015, -last.front - 0.05), (0.055, toe * 0.9), (0.15, toe - 0.02)]
    throat = [(0.29, toe - 0.06), (0.40, -0.29), (0.49, -0.345), (0.585, collar)]
    rim = [(0.66, collar + 0.035), (0.75, collar + 0.06), (0.86, collar + 0.035), (0.945, collar - 0.02)]
    heel = [(0.972, collar + 0.05), (0.955, -0.26), (0.985, -last.back - 0.05), (0.95, -0.03)]
    return np.array([*vamp, *throat, *rim, *heel, (0.5, -0.02), (0.1, -0.03)])  # the sole covers the lower edge


def _draw_inside(pen: Pen, last: Last, colours: list[np.ndarray]) -> None:
    """Draws the parts behind the upper: pull tab, lining and tongue."""
    rng = pen.rng
    collar = -last.collar
    if rng.random() < 0.4:
        loop = [(0.94, collar), (0.965, collar - 0.07), (1.0, collar - 0.05), (0.97, collar + 0.04)]
        pen.line(loop, 0.018, pen.material(("weave",), _pick(rng, colours)), inflate=0.008)
    lining = pen.material(("weave", "terry", "smooth"), _pick(rng, colours) * np.float32(0.6))
    pen.fill(geometry.ellipse((0.765, collar + 0.035), (0.19, 0.05), rng.normal(-0.05, 0.05)), lining, inflate=0.02)
    top = collar - rng.uniform(0.02, 0.06)
    tongue = [(0.38, -0.27), (0.46, -0.36), (0.53, top), (0.57, top - 0.01), (0.60, collar), (0.60, -0.3)]
    shape = pen.fill(geometry.spline(tongue), pen.material(UPPERS, _pick(rng, colours[:3])), inflate=0.03)
    pen.logo(0.55, top + 0.03, rng.uniform(0.05, 0.09), rng.normal(-0.9, 0.2), clip=shape, probability=0.25)


def _side_logo(pen: Pen, last: Last, upper: np.ndarray) -> None:
    """Draws the main logo on the side of the shoe, above the sole."""
    rng = pen.rng
    size = rng.uniform(*LOGO_SIZES[str(rng.choice(list(LOGO_SIZES), p=[0.62, 0.23, 0.15]))])
    x, y = 0.61 + rng.normal(0, 0.05), -(last.front + last.back) / 2 - 0.02 - size * 0.18 - rng.uniform(0, 0.05)
    angle, curve, stretch = rng.normal(-0.03, 0.12), rng.choice([0, 0.3]), rng.uniform(0.9, 1.3)
    pen.logo(x, y, size, angle, clip=upper, probability=0.9, sided=True, stretch=stretch, curve=curve)


def _panels(last: Last) -> list[np.ndarray]:
    """Returns the outlines of all possible overlays. They extend beyond the upper and are clipped to it."""
    collar, points = -last.collar, geometry.parse_points
    toe_cap = points("-.02 -.3  .1 -.27  .19 -.2  .2 -.12  .17 0  -.02 0")
    mudguard = points("-.02 -.16  .12 -.17  .26 -.15  .42 -.12  .56 -.1  .56 0  -.02 0")
    throat = [(0.6, collar + 0.1), (0.63, collar - 0.02), (0.5, -0.46)]
    eyestay = [*points(".24 -.3  .30 -.19  .40 -.24  .50 -.31"), *throat]
    counter = points(".76 0  .77 -.2  .83 -.28  .9 -.34  1.05 -.36  1.05 0")
    tab = [(0.885, collar - 0.1), (0.89, collar + 0.12), (0.93, -0.27), (1.05, -0.25), (1.05, collar - 0.1)]
    quarter = points(".34 0  .38 -.2  .47 -.29  .62 -.34  .75 -.3  .82 -.2  .8 0")
    rim = [(0.57, -0.05), (0.6, 0.09), (0.75, 0.12), (0.9, 0.1), (0.98, -0.1)] + np.array([0, collar])
    saddle = [*points(".4 -.36  .44 -.4"), (0.58, -last.back), *points(".64 0  .56 0  .5 -.2")]
    foxing = [(0, -last.front - 0.05), (0.5, -last.front - 0.045), (1.0, -last.back - 0.05), (1.05, 0), (-0.02, 0)]
    return [np.array(p) for p in (toe_cap, mudguard, eyestay, counter, tab, quarter, rim, saddle, foxing)]


def _panel(pen: Pen, points: np.ndarray, colours: list[np.ndarray], upper: np.ndarray) -> None:
    """Draws one overlay, often with a seam along its edge."""
    rng = pen.rng
    outline = geometry.spline(pen.jitter(points, 0.01))
    colour = colours[int(rng.choice(5, p=[0.3, 0.3, 0.25, 0.05, 0.1]))]
    pen.fill(outline, pen.material(UPPERS, colour), lift=rng.uniform(1, 3.5), clip=upper)
    if rng.random() > 0.6 or pen.size < 150:
        return
    inwards = outline.mean(axis=0) - outline
    seam = outline + inwards * (0.01 / np.linalg.norm(inwards, axis=1, keepdims=True).clip(0.02))
    x, y = geometry.transform(pen.matrix, seam).T.astype(int)
    keep = upper[np.clip(y, 0, upper.shape[0] - 1), np.clip(x, 0, upper.shape[1] - 1)] > 0.5
    thread = materials.similar(rng, colour, 0.15)
    breaks = np.flatnonzero(np.diff(keep)) + 1
    for run, inside in zip(np.split(seam, breaks), np.split(keep, breaks), strict=True):
        if inside[0] and len(run) > 3:
            pen.stitch(run, thread, smooth=False)


def _perforate(pen: Pen, upper: np.ndarray) -> None:
    """Draws rows of perforations on the toe."""
    left, step = pen.rng.uniform(0.1, 0.2), pen.rng.uniform(0.018, 0.03)
    if pen.size * step < 5:
        return
    at = [(left + (i + (j % 2) / 2) * step, -0.2 + j * step - i * 0.004) for i in range(5) for j in range(3)]
    holes = [geometry.ellipse(centre, (step / 6, step / 6), count=10) for centre in at]
    pen.fill(holes, Material(np.full(3, 0.05, np.float32)), lift=-2, clip=upper)


def _closure(pen: Pen, last: Last, colours: list[np.ndarray], upper: np.ndarray) -> None:
    """Draws laces, straps or no closure."""
    rng = pen.rng
    colour = _pick(rng, colours) if rng.random() < 0.6 else materials.colour(rng, 0.8)
    kind = rng.choice(["laces", "straps", "none"], p=[0.72, 0.13, 0.15])
    if kind == "laces":
        _lace(pen, last, pen.material(("weave",), colour), Material(colours[4] * np.float32(0.5)))
    if kind == "straps":
        for y in rng.uniform(0.24, last.collar - 0.05, int(rng.integers(1, 3))):
            start = np.array([np.interp(y, [0.2, 0.4], [0.3, 0.5]), -y])
            line = start + geometry.parse_points("-.03 -.06  .1 .02  .24 .07")
            loose = rng.random() < 0.3
            strap = pen.material(("weave", "leather"), colour)
            pen.line(line, rng.uniform(0.04, 0.08), strap, lift=3, clip=None if loose else upper)


def _lace(pen: Pen, last: Last, lace: Material, eyelet: Material) -> None:
    """Draws laces with eyelets, and occasionally a bow that may cover the logo."""
    rng = pen.rng
    for t in np.linspace(0, 1, int(rng.integers(4, 8))):
        eye = np.array([0.31 + 0.25 * t, -0.225 - (last.collar - 0.27) * t])
        pen.fill(geometry.ellipse(eye, (0.008, 0.008), count=10), eyelet, lift=-1)
        pen.line([eye, eye + (-0.015, -0.03), eye + (-0.055, -0.055)], rng.uniform(0.01, 0.018), lace, inflate=0.007)
    if rng.random() > 0.6:
        return
    knot = np.array([0.52, -last.collar - 0.02])
    for _ in range(2):
        reach = rng.uniform(0.05, 0.14, 2) * (rng.choice([-1, 1]), 1)
        pen.line([knot, knot + reach * (0.6, -0.2), knot + reach, knot + reach * (0.2, 0.7)], 0.01, lace, inflate=0.005)
    end = knot + (rng.uniform(-0.02, 0.1), rng.uniform(0.1, 0.22))
    pen.line([knot, knot + (0.02, 0.07), end], 0.01, lace, inflate=0.005)


def _sole(pen: Pen, last: Last, colours: list[np.ndarray]) -> None:
    """Draws the midsole, and optionally an outsole, grooves, an air window and tread."""
    rng = pen.rng
    front, back, wave = -last.front, -last.back, rng.uniform(-0.02, 0.02)
    middle = (front + back) / 2 - wave
    top = [(-0.005, front - 0.025), (0.2, front + wave), (0.5, middle), (0.8, back), (1.0, back - 0.04)]
    bottom = geometry.parse_points(".985 -.03  .9 0  .6 0  .3 0  .1 -.01")
    midsole = pen.material(("smooth", "plastic", "paper"), colours[3])
    shape = pen.curve([*top, *bottom, (0.01, -rng.uniform(0.02, 0.05))], midsole, inflate=rng.uniform(0.02, 0.05))
    if rng.random() < 0.65:
        tint = colours[int(rng.choice([1, 3, 4]))] * np.float32(rng.uniform(0.3, 1))
        outsole = geometry.parse_points("0 -.035  .1 -.02  .5 -.018  .95 -.02  1 -.05  .97 .01  .5 .01  .05 .01")
        pen.curve(outsole, pen.material(("smooth", "plastic"), tint), lift=1.5, clip=shape)
    accent = pen.material(("smooth",), colours[4])
    for _ in range(int(rng.integers(0, 3))):
        y = rng.uniform(0.02, last.front)
        groove = [(0.02, -y), (0.5, -y - rng.normal(0, 0.01)), (0.98, y * back / last.front)]
        pen.line(groove, 0.006, accent, lift=-1.5, clip=shape)
    if rng.random() < 0.25:
        window = geometry.ellipse((rng.uniform(0.72, 0.82), back / 2), (rng.uniform(0.06, 0.14), last.back / 4))
        pen.fill(window, pen.material(("plastic",), colours[4]), lift=-3, clip=shape)
    if rng.random() < 0.4 and pen.size > 120:
        count = int(rng.integers(8, 30))
        tread = [geometry.ellipse((x, 0.004), (0.2 / count, 0.012), count=10) for x in np.linspace(0.08, 0.95, count)]
        pen.fill(tread, Material(np.full(3, 0.12, np.float32)), clip=shape)
    pen.logo(rng.uniform(0.3, 0.8), front * 0.55, rng.uniform(0.04, 0.1), clip=shape, probability=0.06)
