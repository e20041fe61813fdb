"""Clothes: shirts, hoodies, shorts and trousers, alone or on a person.

One unit of a garment's frame is its width. The origin is the middle of its upper edge, and y points down.
"""

from __future__ import annotations

import numpy as np

from nike.synthesis import accessories, geometry, materials
from nike.synthesis.materials import Material
from nike.synthesis.pen import Pen

FABRICS = ("smooth", "smooth", "weave", "knit", "mesh", "terry")
# Right sleeve from the shoulder along the hem to the armpit.
SLEEVES = {
    "none": None,
    "short": geometry.parse_points(".27 .05  .36 .10  .42 .22  .47 .36  .46 .38  .34 .42  .33 .40  .25 .26"),
    "long": geometry.parse_points(
        ".27 .05  .36 .12  .42 .34  .47 .62  .49 .90  .485 .92  .40 .93  .395 .91  .35 .62  .25 .28"
    ),
}
HOOD = geometry.parse_points("-.16 .06  -.18 -.14  0 -.22  .18 -.14  .16 .06")
POUCH = geometry.parse_points("-.18 .66  .18 .66  .23 .88  -.23 .88")
WAISTBAND = geometry.parse_points("-.39 -.02  0 -.03  .39 -.02  .4 .07  0 .08  -.4 .07")
HAIR = geometry.parse_points("-.12 -.27  -.13 -.38  0 -.45  .13 -.38  .12 -.27  .06 -.35  -.06 -.35")
SIDES = np.array([[-1.0, 1], [1, 1]])  # factors of (x, y) for the left and right side


def draw_top(pen: Pen, worn: bool = False) -> None:
    """Draws a T-shirt, vest, sweater or hoodie with logos on the chest, the sleeves or the hem."""
    rng = pen.rng
    sleeve = rng.choice(list(SLEEVES), p=[0.15, 0.55, 0.3])
    hood = sleeve == "long" and rng.random() < 0.5
    cloth = pen.material(FABRICS)
    waist, hem, neck = rng.uniform(0.24, 0.3), rng.uniform(0.85, 1.05), rng.uniform(0.05, 0.12)
    if not worn:
        lying = np.array([(-0.3, 0.05), (0.3, 0.05), (waist, hem), (-waist, hem)])
        pen.shadow(lying, (0.01, 0.02), 0.03, rng.uniform(0, 0.4))
    for side in SIDES if SLEEVES[sleeve] is not None else ():
        shape = pen.curve(SLEEVES[sleeve] * side, cloth, inflate=rng.uniform(0.02, 0.05))
        pen.folds(shape, rng.uniform(4, 12), 0.05)
        pen.logo(
            0.40 * side[0], 0.27, rng.uniform(0.05, 0.1), rng.normal(-0.5 * side[0], 0.3), clip=shape, probability=0.12
        )
    if hood:
        pen.curve(HOOD, cloth, inflate=0.06)
    if not worn:  # inside of the back, visible through the neck opening
        pen.fill(geometry.ellipse((0, 0.01), (0.12, 0.03)), cloth.tinted(cloth.colour * np.float32(0.5)), lift=-5)
    half = [
        (0.06, neck * 0.8),
        *geometry.parse_points(".115 .005  .125 0  .21 .025  .285 .06  .30 .08  .262 .24  .262 .36"),
    ]
    half = np.array([*half, (waist, 0.65), (waist + 0.01, hem - 0.01), (waist, hem)])
    outline = np.array([(0, neck), *half, (0, hem + 0.01), *(half[::-1] * SIDES[0])])
    shape = pen.fill(geometry.spline(pen.jitter(outline, 0.004)), cloth, inflate=rng.uniform(0.02, 0.07))
    pen.folds(shape, rng.uniform(6, 22), rng.uniform(0.05, 0.12))
    _trim(pen, cloth, shape, waist, hem, neck, hood)
    _chest(pen, shape)


def _trim(pen: Pen, cloth: Material, shape, waist: float, hem: float, neck: float, hood: bool) -> None:
    """Draws the neckband, the hem, an optional colour block, and the pouch and cords of a hoodie."""
    rng = pen.rng
    trim = cloth.tinted(materials.similar(rng, cloth.colour, 0.1) if rng.random() < 0.6 else materials.colour(rng))
    right = np.array([(0.06, neck * 0.8 + 0.01), (0.125, 0.0)])
    pen.line([*(right[::-1] * SIDES[0]), (0, neck + 0.012), *right], 0.025, trim, lift=3, clip=shape)
    pen.stitch([(-waist, hem - 0.03), (0, hem - 0.01), (waist, hem - 0.03)], trim.colour)
    if rng.random() < 0.2:
        y = rng.uniform(0.2, 0.5)
        block = np.array([(-0.5, y), (0.5, y), (0.5, y + 0.2), (-0.5, y + 0.2)])
        pen.fill(block, cloth.tinted(materials.colour(rng)), clip=shape)
    if hood:
        pen.curve(POUCH, cloth, lift=5, clip=shape)
        for x in (-0.06, 0.06):
            pen.line([(x, 0.08), (x * 1.2, 0.2), (x, rng.uniform(0.25, 0.4))], 0.012, trim, inflate=0.006)


def _chest(pen: Pen, shape) -> None:
    rng = pen.rng
    if rng.random() < 0.55:
        x, y = rng.choice([-0.13, 0.13, 0.0], p=[0.35, 0.5, 0.15]), rng.uniform(0.2, 0.28)
        pen.logo(x, y, rng.uniform(0.06, 0.13), rng.normal(0, 0.06), clip=shape, probability=0.95)
    else:
        x, y, curve = rng.normal(0, 0.02), rng.uniform(0.25, 0.5), rng.choice([0, 0.4])
        pen.logo(x, y, rng.uniform(0.2, 0.46), rng.normal(0, 0.1), clip=shape, probability=0.9, curve=curve)
    pen.logo(rng.uniform(-0.2, 0.2), 0.88, rng.uniform(0.04, 0.08), clip=shape, probability=0.08)


def draw_bottom(pen: Pen, worn: bool = False) -> None:
    """Draws shorts, trousers or leggings with logos at the hem or on the thigh, horizontal or along the leg."""
    rng = pen.rng
    cloth = pen.material(FABRICS)
    length = rng.choice([rng.uniform(0.6, 0.9), rng.uniform(1.6, 2.1)], p=[0.6, 0.4])
    hips, outer = 0.42, 0.42 + rng.uniform(-0.08, 0.12)
    inner = outer * 0.2
    leg = [(0, 0), (hips * 0.9, 0), (hips * 1.08, 0.3), (outer, length - 0.02), (outer - 0.02, length)]
    leg = np.array([*leg, (inner + 0.02, length + 0.02), (inner, length), (0.04, 0.5), (0, 0.42)])
    for side in SIDES:
        shape = pen.fill(geometry.spline(pen.jitter(leg * side, 0.006)), cloth, inflate=rng.uniform(0.04, 0.1))
        pen.folds(shape, rng.uniform(4, 14), 0.08)
        if rng.random() < 0.25:
            seam = np.array([(hips * 0.95, 0.03), (hips * 1.02, 0.3), (outer * 0.95, length)]) * side
            pen.line(seam, 0.04, cloth.tinted(materials.colour(rng)), clip=shape)
        x, y = outer * 0.72 * side[0], length - rng.uniform(0.08, 0.15)
        pen.logo(x, y, rng.uniform(0.1, 0.2), rng.normal(0, 0.15), clip=shape, probability=0.5)
        angle = rng.choice([0.0, np.pi / 2, -np.pi / 2], p=[0.6, 0.25, 0.15]) + rng.normal(0, 0.15)
        x, y = hips * 0.7 * side[0], rng.uniform(0.25, 0.5)
        pen.logo(x, y, rng.uniform(0.1, 0.25), angle, clip=shape, probability=0.2)
    pen.curve(WAISTBAND, cloth.tinted(materials.similar(rng, cloth.colour, 0.08)), lift=4)
    if rng.random() < 0.4 and not worn:
        for x in (-0.05, 0.05):
            pen.line([(x * 0.4, 0.03), (x, 0.15), (x * 1.4, 0.28)], 0.02, Material(materials.colour(rng)), inflate=0.01)


def draw_person(pen: Pen) -> None:
    """Draws a simple person in a top and shorts or trousers."""
    rng = pen.rng
    skin = materials.skin(rng)
    thin = np.linspace(0.2, 0.1, 17)
    for x, _ in SIDES:
        pen.line([(0.13 * x, 0.9), (0.15 * x, 1.5), (0.13 * x, 2.1)], thin, skin, inflate=0.06)
    folded = rng.random(2) < 0.3  # arms across the body may occlude a logo
    for (x, _), across in zip(SIDES, folded, strict=True):
        if not across:
            _arm(pen, [(0.28 * x, 0.12), (0.38 * x, 0.5), (rng.uniform(0.3, 0.5) * x, 0.95)], skin)
    pen.line([(0, -0.12), (0, 0.0), (0, 0.09)], 0.15, skin, inflate=0.05)
    draw_bottom(Pen(pen.canvas, pen.matrix @ geometry.pose((0, 0.86), 0.72), pen.place_logo), worn=True)
    draw_top(pen, worn=True)
    _head(pen, skin)
    for (x, _), across in zip(SIDES, folded, strict=True):
        if across:
            hand = (rng.uniform(-0.1, 0.2) * x, rng.uniform(0.25, 0.75))
            _arm(pen, [(0.29 * x, 0.15), (0.37 * x, 0.5), hand], skin)


def _head(pen: Pen, skin: Material) -> None:
    rng = pen.rng
    pen.fill(geometry.ellipse((0, -0.26), (0.115, 0.155)), skin, inflate=0.09)
    hair = materials.skin(rng).colour * np.float32(rng.uniform(0.1, 0.7))
    pen.curve(HAIR, Material(hair, "suede", 2.0, 0.4), inflate=0.04)
    if pen.size > 150:
        for x in (-0.045, 0.045):
            pen.fill(geometry.ellipse((x, -0.26), (0.016, 0.008)), Material(np.full(3, 0.1, np.float32)), lift=-2)
        lips = Material(skin.colour * np.float32([0.8, 0.55, 0.55]))
        pen.fill(geometry.ellipse((0, -0.175), (0.035, 0.008)), lips, lift=-2)


def _arm(pen: Pen, points, skin: Material) -> None:
    path = geometry.spline(points, closed=False)
    pen.fill(geometry.ribbon(path, np.linspace(0.12, 0.065, len(path))), skin, inflate=0.045)
    pen.fill(geometry.ellipse(path[-1], (0.05, 0.06)), skin, inflate=0.03)
    if pen.rng.random() < 0.25:
        accessories.draw_band(Pen(pen.canvas, pen.matrix @ geometry.pose(path[-3], 0.1), pen.place_logo))
