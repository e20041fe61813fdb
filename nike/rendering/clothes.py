"""Draws what people wear: shirts, hoodies, shorts, trousers, socks, caps, bands; alone or on a rough figure.

Frames: one unit is the width of the garment, the origin its top middle, y down.
"""

from __future__ import annotations

import numpy as np

from nike.rendering import geometry, materials
from nike.rendering.materials import Material
from nike.rendering.pen import Pen

FABRICS = ("smooth", "smooth", "weave", "knit", "mesh", "terry")
SKIN = np.array([[0.96, 0.80, 0.69], [0.89, 0.68, 0.52], [0.76, 0.55, 0.38], [0.55, 0.36, 0.24], [0.36, 0.23, 0.16]], np.float32)


def _skin(rng: np.random.Generator) -> Material:
    tone = SKIN[rng.integers(5)] * np.float32(rng.uniform(0.9, 1.05))
    return Material(np.clip(tone, 0, 1), "skin", 2.0, 0.08, 0.08)


def draw_top(pen: Pen, worn: bool = False) -> None:
    """A T-shirt, vest, sweater or hoodie; marks small on the chest, large across it, on the sleeve or at the hem."""
    rng = pen.rng
    sleeve = rng.choice(["none", "short", "long"], p=[0.15, 0.55, 0.3])
    hood = sleeve == "long" and rng.random() < 0.5
    cloth = pen.material(FABRICS)
    waist, hem = rng.uniform(0.24, 0.3), rng.uniform(0.85, 1.05)
    if not worn:
        pen.shadow(np.array([(-0.3, 0.05), (0.3, 0.05), (waist, hem), (-waist, hem)]), (0.01, 0.02), 0.03, rng.uniform(0, 0.4))
    arms = {"none": [], "short": [(0.29, 0.06), (0.37, 0.16), (0.47, 0.33), (0.36, 0.40), (0.25, 0.28)],
            "long": [(0.29, 0.06), (0.40, 0.30), (0.48, 0.62), (0.50, 0.88), (0.42, 0.90), (0.33, 0.55), (0.25, 0.30)]}[sleeve]
    for side in (-1, 1):
        if arms:
            shape = pen.curve(np.array(arms) * (side, 1), cloth, inflate=0.05)
            pen.folds(shape, rng.uniform(4, 12), 0.05)
            pen.mark(0.40 * side, 0.27, rng.uniform(0.05, 0.1), rng.normal(-0.5 * side, 0.3), clip=shape, chance=0.12)
    if hood:
        pen.curve([(-0.16, 0.06), (-0.18, -0.14), (0, -0.22), (0.18, -0.14), (0.16, 0.06)], cloth, inflate=0.06)
    collar = rng.uniform(0.05, 0.12)
    body = geometry.spline(pen.jitter([
        (-0.12, 0.0), (0, collar), (0.12, 0.0), (0.22, 0.03), (0.30, 0.08), (0.26, 0.22), (0.265, 0.35), (waist, 0.65), (waist + 0.01, hem),
        (0, hem + 0.02), (-waist - 0.01, hem), (-waist, 0.65), (-0.265, 0.35), (-0.26, 0.22), (-0.30, 0.08), (-0.22, 0.03)], 0.004))
    if not worn:
        pen.fill(geometry.ellipse((0, 0.01), (0.12, 0.03)), cloth.tinted(cloth.colour * np.float32(0.5)), lift=-5)
    shape = pen.fill(body, cloth, inflate=rng.uniform(0.05, 0.1))
    pen.folds(shape, rng.uniform(4, 16), rng.uniform(0.05, 0.12))
    trim = materials.near(rng, cloth.colour, 0.1) if rng.random() < 0.6 else materials.colour(rng)
    pen.line([(-0.13, 0.0), (0, collar + 0.02), (0.13, 0.0)], 0.03, cloth.tinted(trim), lift=3, clip=shape)
    pen.stitch([(-waist, hem - 0.03), (0, hem - 0.01), (waist, hem - 0.03)], trim)
    if rng.random() < 0.2:  # a block of another colour across the chest
        y = rng.uniform(0.2, 0.5)
        pen.fill(np.array([(-0.5, y), (0.5, y), (0.5, y + 0.2), (-0.5, y + 0.2)]), cloth.tinted(materials.colour(rng)), clip=shape)
    if hood:
        pen.curve([(-0.18, 0.66), (0.18, 0.66), (0.23, 0.88), (-0.23, 0.88)], cloth, lift=5, clip=shape)
        for x in (-0.06, 0.06):
            pen.line([(x, 0.08), (x * 1.2, 0.2), (x, rng.uniform(0.25, 0.4))], 0.012, cloth.tinted(trim), inflate=0.006)
    _chest(pen, shape)


def _chest(pen: Pen, shape) -> None:
    rng = pen.rng
    if rng.random() < 0.55:
        pen.mark(rng.choice([-0.13, 0.13, 0.0], p=[0.35, 0.5, 0.15]), rng.uniform(0.2, 0.28), rng.uniform(0.06, 0.13),
                 rng.normal(0, 0.06), clip=shape, chance=0.95, mirror=False)
    else:
        pen.mark(rng.normal(0, 0.02), rng.uniform(0.25, 0.5), rng.uniform(0.2, 0.46), rng.normal(0, 0.1), clip=shape, chance=0.9,
                 curve=rng.choice([0, 0.4]))
    pen.mark(rng.uniform(-0.2, 0.2), 0.88, rng.uniform(0.04, 0.08), clip=shape, chance=0.08)


def draw_bottom(pen: Pen, worn: bool = False) -> None:
    """Shorts, a skirt-like cut, trousers or leggings; marks at the hem or on the thigh, at times running down the leg."""
    rng = pen.rng
    cloth = pen.material(FABRICS)
    length, flare = rng.choice([rng.uniform(0.6, 0.9), rng.uniform(1.6, 2.1)], p=[0.6, 0.4]), rng.uniform(-0.08, 0.12)
    hips = 0.42
    for side in (-1, 1):
        outer = hips + flare
        leg = geometry.spline(pen.jitter([(0, 0), (hips * 0.9 * side, 0), (hips * 1.08 * side, 0.3), (outer * side, length),
                                          ((outer * 0.5 - 0.06) * side, length + 0.03), (0.05 * side, 0.5), (0, 0.42)], 0.006), steps=10)
        shape = pen.fill(leg, cloth, inflate=0.12)
        pen.folds(shape, rng.uniform(4, 14), 0.08)
        if rng.random() < 0.25:
            pen.line([(hips * 0.95 * side, 0.03), (hips * 1.02 * side, 0.3), (outer * 0.95 * side, length)], 0.04,
                     cloth.tinted(materials.colour(rng)), clip=shape)
        pen.mark(outer * 0.72 * side, length - rng.uniform(0.08, 0.15), rng.uniform(0.1, 0.2), rng.normal(0, 0.15), clip=shape, chance=0.5)
        turned = rng.choice([0.0, np.pi / 2, -np.pi / 2], p=[0.6, 0.25, 0.15])
        pen.mark(hips * 0.7 * side, rng.uniform(0.25, 0.5), rng.uniform(0.1, 0.25), turned + rng.normal(0, 0.15), clip=shape, chance=0.2)
    band = cloth.tinted(materials.near(rng, cloth.colour, 0.08))
    pen.curve([(-0.39, -0.02), (0, -0.03), (0.39, -0.02), (0.4, 0.07), (0, 0.08), (-0.4, 0.07)], band, lift=4)
    if rng.random() < 0.4 and not worn:
        for x in (-0.05, 0.05):
            pen.line([(x * 0.4, 0.03), (x, 0.15), (x * 1.4, 0.28)], 0.02, Material(materials.colour(rng)), inflate=0.01)


def draw_person(pen: Pen) -> None:
    """A rough figure in a top and shorts or trousers: enough to see marks among arms, hands and hair."""
    rng = pen.rng
    skin, hair = _skin(rng), Material(SKIN[rng.integers(1, 5)] * np.float32(rng.uniform(0.1, 0.7)), "suede", 2.0, 0.4)
    for side in (-1, 1):
        pen.line([(0.13 * side, 0.9), (0.15 * side, 1.5), (0.13 * side, 2.1)], np.interp(np.linspace(0, 1, 17), [0, 1], [0.2, 0.1]), skin,
                 inflate=0.06)
    bent = rng.random(2) < 0.3  # an arm across the body may hide a mark
    for side, across in zip((-1, 1), bent, strict=True):
        if not across:
            _arm(pen, [(0.28 * side, 0.12), (0.38 * side, 0.5), (rng.uniform(0.3, 0.5) * side, 0.95)], skin)
    pen.line([(0, -0.12), (0, 0.0), (0, 0.09)], 0.15, skin, inflate=0.05)
    lower = Pen(pen.canvas, pen.matrix @ geometry.pose((0, 0.86), 0.72), pen.place)
    draw_bottom(lower, worn=True)
    draw_top(pen, worn=True)
    pen.fill(geometry.ellipse((0, -0.26), (0.115, 0.155)), skin, inflate=0.09)
    pen.curve([(-0.12, -0.27), (-0.13, -0.38), (0, -0.45), (0.13, -0.38), (0.12, -0.27), (0.06, -0.35), (-0.06, -0.35)], hair, inflate=0.04)
    if pen.size > 150:
        for x in (-0.045, 0.045):
            pen.fill(geometry.ellipse((x, -0.26), (0.016, 0.008)), Material(np.full(3, 0.1, np.float32)), lift=-2)
        pen.fill(geometry.ellipse((0, -0.175), (0.035, 0.008)), Material(skin.colour * np.float32([0.8, 0.55, 0.55])), lift=-2)
    for side, across in zip((-1, 1), bent, strict=True):
        if across:
            _arm(pen, [(0.29 * side, 0.15), (0.37 * side, 0.5), (rng.uniform(-0.1, 0.2) * side, rng.uniform(0.25, 0.75))], skin)


def _arm(pen: Pen, points, skin: Material) -> None:
    path = geometry.spline(points, closed=False)
    pen.fill(geometry.ribbon(path, np.linspace(0.12, 0.065, len(path))), skin, inflate=0.045)
    hand = path[-1]
    pen.fill(geometry.ellipse(hand, (0.05, 0.06)), skin, inflate=0.03)
    if pen.rng.random() < 0.25:
        draw_band(Pen(pen.canvas, pen.matrix @ geometry.pose(path[-3], 0.1), pen.place))


def draw_band(pen: Pen) -> None:
    """A wristband or a headband: towelling with a mark in the middle."""
    rng = pen.rng
    tall = rng.uniform(0.3, 1.0)
    cloth = pen.material(("terry", "knit", "ribs"))
    outline = [(-0.5, -tall / 2), (0, -tall / 2 + 0.05), (0.5, -tall / 2), (0.53, 0), (0.5, tall / 2), (0, tall / 2 + 0.05),
               (-0.5, tall / 2), (-0.53, 0)]
    shape = pen.curve(outline, cloth, inflate=rng.uniform(0.15, 0.3))
    pen.mark(rng.normal(0, 0.05), 0.03, rng.uniform(0.3, 0.75) * min(1.0, tall * 2.2), rng.normal(0, 0.1), clip=shape, curve=rng.uniform(0, 0.9),
             mirror=False)


def draw_cap(pen: Pen) -> None:
    """A baseball cap, from the front or the side, or a beanie."""
    rng = pen.rng
    cloth = pen.material(("smooth", "weave", "suede", "mesh", "knit"))
    tall, lean = rng.uniform(0.5, 0.68), rng.uniform(-0.25, 0.25)
    dome = [(-0.48, 0.5), (-0.47, 0.5 - tall * 0.55), (-0.25, 0.5 - tall * 0.95), (0, 0.5 - tall), (0.25, 0.5 - tall * 0.95),
            (0.47, 0.5 - tall * 0.55), (0.48, 0.5), (0, 0.54)]
    shape = pen.curve(dome, cloth, inflate=0.3)
    thread = materials.near(rng, cloth.colour, 0.15)
    if rng.random() < 0.25:  # beanie: a turned-up rib
        rib = pen.curve([(-0.5, 0.3), (0, 0.33), (0.5, 0.3), (0.5, 0.55), (0, 0.6), (-0.5, 0.55)], pen.material(("ribs", "knit"), cloth.colour),
                        inflate=0.08)
        pen.mark(rng.normal(0, 0.1), 0.45, rng.uniform(0.15, 0.35), rng.normal(0, 0.05), clip=rib, mirror=False)
        return
    for x in (-0.3, 0.0, 0.3):
        pen.stitch([(lean * 0.6, 0.5 - tall), (x * 0.9 + lean * 0.5, 0.5 - tall * 0.6), (x + lean * 0.3, 0.5)], thread)
    pen.fill(geometry.ellipse((lean * 0.6, 0.5 - tall), (0.025, 0.015)), cloth, inflate=0.015)
    pen.mark(lean * 0.7 + rng.normal(0, 0.03), 0.5 - tall * rng.uniform(0.3, 0.5), rng.uniform(0.15, 0.45), rng.normal(0, 0.06),
             curve=rng.uniform(0.2, 0.8), clip=shape, mirror=False, chance=0.95)
    brim = cloth if rng.random() < 0.6 else cloth.tinted(materials.colour(rng))
    visor = pen.curve([(-0.46 + lean, 0.47), (lean, 0.40), (0.46 + lean, 0.47), (0.42 + lean * 2, 0.62), (lean * 2.4, 0.7),
                       (-0.42 + lean * 2, 0.62)], brim, inflate=0.06)
    for k in (0.05, 0.09, 0.13):
        pen.stitch([(-0.4 + lean * 2, 0.62 - k), (lean * 2.4, 0.7 - k), (0.4 + lean * 2, 0.62 - k)], thread)
    pen.mark(lean * 2, 0.58, 0.12, clip=visor, chance=0.05)


def draw_socks(pen: Pen) -> None:
    """One or two socks, flat or on a leg, the mark upright or along the shin."""
    rng = pen.rng
    cloth = pen.material(("knit", "ribs", "terry", "smooth"))
    for i in range(int(rng.integers(1, 3))):
        dx = i * rng.uniform(0.35, 0.8)
        tall = rng.uniform(0.5, 1.2)
        points = np.array([(-0.16, -tall), (0.16, -tall), (0.17, -0.1), (0.17, 0.12), (0.1, 0.28), (-0.3, 0.36), (-0.62, 0.37), (-0.68, 0.25),
                           (-0.55, 0.17), (-0.25, 0.1), (-0.16, -0.1)]) + (dx, 0)
        shape = pen.curve(points, cloth, inflate=0.1)
        pen.folds(shape, rng.uniform(1, 6), 0.06, 1.0)
        cuff = pen.material(("ribs",), cloth.colour if rng.random() < 0.6 else materials.colour(rng))
        pen.fill(np.array([(-0.2 + dx, -tall - 0.1), (0.2 + dx, -tall - 0.1), (0.2 + dx, -tall + 0.16), (-0.2 + dx, -tall + 0.16)]), cuff,
                 lift=3, clip=shape)
        if rng.random() < 0.3:
            for y in (0.25, 0.32):
                pen.line([(-0.2 + dx, -tall + y), (dx, -tall + y + 0.01), (0.2 + dx, -tall + y)], 0.03, cloth.tinted(materials.colour(rng)),
                         clip=shape)
        upright = rng.choice([0.0, np.pi / 2, -np.pi / 2], p=[0.75, 0.15, 0.1])
        pen.mark(dx + rng.normal(0, 0.03), -tall * rng.uniform(0.5, 0.8), rng.uniform(0.12, 0.26), upright + rng.normal(0, 0.1), clip=shape,
                 curve=rng.uniform(0, 0.7), chance=0.95)
