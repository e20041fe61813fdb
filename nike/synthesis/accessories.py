"""Accessories: caps, beanies, wristbands, headbands and socks.

One unit of a product's frame is its width (for socks, the length of the foot). The origin is its centre, and y points
down.
"""

from __future__ import annotations

import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.pen import Pen

SOCK = geometry.parse_points(".17 -.1  .17 .12  .1 .28  -.3 .36  -.62 .37  -.68 .25  -.55 .17  -.25 .1  -.16 -.1")
TURNED_UP = geometry.parse_points("-.5 .3  0 .33  .5 .3  .5 .55  0 .6  -.5 .55")


def draw_band(pen: Pen) -> None:
    """Draws a wristband or a headband with a logo in the middle."""
    rng = pen.rng
    half = rng.uniform(0.15, 0.5)
    above = np.array([(-0.53, 0), (-0.5, -half), (0, -half + 0.05), (0.5, -half), (0.53, 0)])
    below = np.array([(0.5, half), (0, half + 0.05), (-0.5, half)])
    cloth = pen.material(("terry", "knit", "ribs"))
    shape = pen.curve([*above, *below], cloth, inflate=rng.uniform(0.15, 0.3))
    size = rng.uniform(0.3, 0.75) * min(1.0, half * 4.4)
    angle, curve = rng.normal(0, 0.1), rng.uniform(0, 0.9)
    pen.logo(rng.normal(0, 0.05), 0.03, size, angle, clip=shape, curve=curve)


def draw_cap(pen: Pen) -> None:
    """Draws a baseball cap in frontal or oblique view, or a beanie."""
    rng = pen.rng
    cloth = pen.material(("smooth", "weave", "suede", "mesh", "knit"))
    tall, lean = rng.uniform(0.5, 0.68), rng.uniform(-0.25, 0.25)
    left = np.array([(-0.48, 0.5), (-0.47, 0.5 - tall * 0.55), (-0.25, 0.5 - tall * 0.95)])
    dome = pen.curve([*left, (0, 0.5 - tall), *(left[::-1] * (-1, 1)), (0, 0.54)], cloth, inflate=0.3)
    if rng.random() < 0.25:
        rib = pen.curve(TURNED_UP, pen.material(("ribs", "knit"), cloth.colour), inflate=0.08)
        pen.logo(rng.normal(0, 0.1), 0.45, rng.uniform(0.15, 0.35), rng.normal(0, 0.05), clip=rib)
        return
    thread, top = materials.similar(rng, cloth.colour, 0.15), np.array([lean * 0.6, 0.5 - tall])
    for x in (-0.3, 0.0, 0.3):
        pen.stitch([top, (x * 0.9 + lean * 0.5, 0.5 - tall * 0.6), (x + lean * 0.3, 0.5)], thread)
    pen.fill(geometry.ellipse(top, (0.025, 0.015)), cloth, inflate=0.015)
    x, y = lean * 0.7 + rng.normal(0, 0.03), 0.5 - tall * rng.uniform(0.3, 0.5)
    size, curve = rng.uniform(0.15, 0.45), rng.uniform(0.2, 0.8)
    pen.logo(x, y, size, rng.normal(0, 0.06), curve=curve, clip=dome, probability=0.95)
    brim = cloth if rng.random() < 0.6 else cloth.tinted(materials.colour(rng))
    back = [(-0.46 + lean, 0.47), (lean, 0.40), (0.46 + lean, 0.47)]
    front = np.array([(0.42 + lean * 2, 0.62), (lean * 2.4, 0.7), (-0.42 + lean * 2, 0.62)])
    visor = pen.curve([*back, *front], brim, inflate=0.06)
    for k in (0.05, 0.09, 0.13):
        pen.stitch(front - (0, k), thread)
    pen.logo(lean * 2, 0.58, 0.12, clip=visor, probability=0.05)


def draw_socks(pen: Pen) -> None:
    """Draws one or two socks with a horizontal or vertical logo."""
    rng = pen.rng
    cloth = pen.material(("knit", "ribs", "terry", "smooth"))
    for i in range(int(rng.integers(1, 3))):
        frame = geometry.pose((i * rng.uniform(0.35, 0.8), 0), 1.0)
        _sock(Pen(pen.canvas, pen.matrix @ frame, pen.place_logo), cloth, rng.uniform(0.5, 1.2))


def _sock(pen: Pen, cloth: materials.Material, tall: float) -> None:
    rng = pen.rng
    shape = pen.curve([(-0.16, -tall), (0.16, -tall), *SOCK], cloth, inflate=0.1)
    pen.folds(shape, rng.uniform(1, 6), 0.06, 1.0)
    cuff = pen.material(("ribs",), cloth.colour if rng.random() < 0.6 else materials.colour(rng))
    pen.fill(np.array([(-0.2, -0.1), (0.2, -0.1), (0.2, 0.16), (-0.2, 0.16)]) - (0, tall), cuff, lift=3, clip=shape)
    if rng.random() < 0.3:
        stripe = cloth.tinted(materials.colour(rng))
        for y in (0.25 - tall, 0.32 - tall):
            pen.line([(-0.2, y), (0, y + 0.01), (0.2, y)], 0.03, stripe, clip=shape)
    angle = rng.choice([0.0, np.pi / 2, -np.pi / 2], p=[0.75, 0.15, 0.1]) + rng.normal(0, 0.1)
    x, y, curve = rng.normal(0, 0.03), -tall * rng.uniform(0.5, 0.8), rng.uniform(0, 0.7)
    pen.logo(x, y, rng.uniform(0.12, 0.26), angle, clip=shape, curve=curve, probability=0.95)
