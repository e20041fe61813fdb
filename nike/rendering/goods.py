"""Draws other things that carry marks: boxes, bags, mugs, bottles, balls, posters, signs.

Frames: one unit is the width of the thing, the origin its middle, y down.
"""

from __future__ import annotations

import numpy as np

from nike.rendering import geometry, lookalikes, marks, materials
from nike.rendering.materials import Material
from nike.rendering.pen import Pen


def draw_box(pen: Pen) -> None:
    """A carton seen from above one corner: lid, front and side, each with room for a mark."""
    rng = pen.rng
    colour = materials.colour(rng, 0.3)
    card = pen.material(("paper", "smooth"), colour)
    tall, depth, turn = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.5), rng.uniform(0.55, 0.85)
    drop = rng.uniform(0.02, 0.15)  # the front edge runs down to the right, the side edge up again
    a, b, c = np.array([-0.5, 0.0]), np.array([-0.5 + turn, drop]), np.array([0.5, drop - depth * 0.7])
    top = np.array([a, b, c, a + c - b])
    down = np.array([0.0, tall])
    pen.shadow(np.array([a + down, b + down, c + down, c, a]), (0.02, 0.03), 0.04, rng.uniform(0.2, 0.6))
    for corners, light in (((a, b, b + down, a + down), 0.85), ((b, c, c + down, b + down), 0.7), (tuple(top), 1.0)):
        face = np.array(corners)
        shape = pen.fill(face, card.tinted(colour * np.float32(light)), lift=rng.uniform(0, 2))
        _on_face(pen, face, shape)
    lid = materials.near(rng, colour, 0.12) if rng.random() < 0.6 else materials.colour(rng)
    rim = tall * rng.uniform(0.1, 0.3)
    for p, q, light in ((a, b, 0.9), (b, c, 0.75)):
        shape = pen.fill(np.array([p, q, q + (0, rim), p + (0, rim)]), card.tinted(lid * np.float32(light)), lift=3)
        if rng.random() < 0.15:
            _on_face(pen, np.array([p, q, q + (0, rim), p + (0, rim)]), shape)


def _on_face(pen: Pen, face: np.ndarray, shape) -> None:
    """Offers room on a parallelogram given by its corners: upper left, upper right, lower right, lower left."""
    rng = pen.rng
    u, v = face[1] - face[0], face[3] - face[0]
    width, height = np.linalg.norm(u), np.linalg.norm(v)
    frame = np.array([[u[0] / width, v[0] / height, face[0, 0]], [u[1] / width, v[1] / height, face[0, 1]], [0, 0, 1.0]])
    plane = Pen(pen.canvas, pen.matrix @ frame, pen.place)
    size = min(width * rng.uniform(0.2, 0.9), height * rng.uniform(0.6, 2.2))
    plane.mark(width * rng.uniform(0.3, 0.7), height * rng.uniform(0.35, 0.65), size, rng.normal(0, 0.1), clip=shape, chance=0.7,
               mirror=False)


def draw_bag(pen: Pen) -> None:
    """A tote, a gym bag or a backpack with straps, pockets and zips."""
    rng = pen.rng
    cloth = pen.material(("weave", "smooth", "leather", "suede"))
    tall, round_ = rng.uniform(0.5, 1.2), rng.uniform(0.02, 0.2)
    strap = cloth.tinted(materials.near(rng, cloth.colour, 0.1) if rng.random() < 0.6 else materials.colour(rng))
    for x in (-0.02, 0.02):
        pen.line([(-0.2 + x, -tall / 2 + 0.05), (-0.16 + x, -tall / 2 - 0.25), (0.16 + x, -tall / 2 - 0.25), (0.2 + x, -tall / 2 + 0.05)], 0.04,
                 strap, inflate=0.015)
    outline = [(-0.45, -tall / 2), (0, -tall / 2 - round_), (0.45, -tall / 2), (0.5, 0), (0.48, tall / 2), (0, tall / 2 + 0.03),
               (-0.48, tall / 2), (-0.5, 0)]
    pen.shadow(np.array(outline), (0.02, 0.04), 0.04, rng.uniform(0, 0.5))
    shape = pen.curve(outline, cloth, inflate=rng.uniform(0.05, 0.2))
    pen.folds(shape, rng.uniform(2, 14), 0.12)
    zip_ = materials.near(rng, cloth.colour, 0.2)
    if rng.random() < 0.6:
        pen.line([(-0.42, -tall * 0.3), (0, -tall * 0.36), (0.42, -tall * 0.3)], 0.02, Material(zip_, "ribs", 2.0, 0.3), clip=shape)
    if rng.random() < 0.4:
        pocket = pen.curve([(-0.35, 0.05), (0.35, 0.05), (0.36, tall * 0.42), (-0.36, tall * 0.42)], cloth, lift=6, clip=shape)
        pen.stitch([(-0.34, 0.08), (0, 0.07), (0.34, 0.08)], zip_)
        pen.mark(rng.normal(0, 0.1), tall * 0.24, rng.uniform(0.1, 0.4), rng.normal(0, 0.06), clip=pocket, chance=0.5, mirror=False)
    pen.mark(rng.normal(0, 0.08), rng.uniform(-0.25, 0.1) * tall, rng.uniform(0.15, 0.7), rng.normal(0, 0.1), clip=shape, chance=0.9, mirror=False)
    if rng.random() < 0.3:  # a strap over the front, at times over the mark
        x = rng.uniform(-0.3, 0.3)
        pen.line([(x, -tall), (x + rng.normal(0, 0.05), 0), (x, tall)], rng.uniform(0.04, 0.08), strap, lift=5, clip=shape)


def draw_mug(pen: Pen) -> None:
    """A mug or a bottle: a mark bent around a cylinder."""
    rng = pen.rng
    body = pen.material(("smooth", "plastic"))
    tall, taper = rng.choice([rng.uniform(1.0, 1.3), rng.uniform(1.8, 2.6)], p=[0.6, 0.4]), rng.uniform(-0.02, 0.06)
    if tall < 1.5:
        pen.line([(0.42, -tall * 0.25), (0.75, -tall * 0.25), (0.78, tall * 0.15), (0.42, tall * 0.3)], 0.1, body, inflate=0.05)
    else:
        pen.curve([(-0.25, -tall / 2 - 0.3), (0.25, -tall / 2 - 0.3), (0.3, -tall / 2 + 0.1), (-0.3, -tall / 2 + 0.1)],
                  body.tinted(materials.colour(rng)), inflate=0.15)
    pen.shadow(geometry.ellipse((0.05, tall / 2), (0.55, 0.12)), blur=0.06, strength=rng.uniform(0.2, 0.6))
    low = geometry.ellipse((0, tall / 2), (0.5 - taper, 0.08), start=0, stop=np.pi)
    high = geometry.ellipse((0, -tall / 2), (0.5, 0.08), start=np.pi, stop=2 * np.pi)
    shape = pen.fill(np.concatenate([low, high]), body, inflate=0.45)
    if tall < 1.5:
        pen.fill(geometry.ellipse((0, -tall / 2), (0.47, 0.07)), body.tinted(body.colour * np.float32(0.6)), lift=-8)
    elif rng.random() < 0.5:
        pen.line([(-0.55, tall * 0.3), (0, tall * 0.36), (0.55, tall * 0.3)], 0.1, body.tinted(materials.colour(rng)), clip=shape)
    turned = np.pi / 2 * rng.choice([0, 1, -1], p=[0.8, 0.1, 0.1])
    pen.mark(rng.normal(0, 0.12), rng.uniform(-0.15, 0.15) * tall, rng.uniform(0.3, 0.85), turned + rng.normal(0, 0.08), clip=shape,
             curve=rng.uniform(0.5, 1.1) * (turned == 0), mirror=False)


def draw_ball(pen: Pen) -> None:
    """A ball with seams or panels."""
    rng = pen.rng
    skin = pen.material(("leather", "plastic", "smooth"))
    pen.shadow(geometry.ellipse((0.03, 0.48), (0.4, 0.08)), blur=0.05, strength=rng.uniform(0.2, 0.7))
    shape = pen.fill(geometry.ellipse((0, 0), (0.5, 0.5)), skin, inflate=0.5)
    dark = skin.tinted(materials.contrasting(rng, skin.colour))
    for _ in range(int(rng.integers(0, 5))):
        at = rng.uniform(-0.42, 0.42, 2)
        flat = 1 - np.hypot(*at)
        pen.fill(geometry.ellipse(at, (0.12, 0.12 * flat), np.arctan2(*at[::-1]), count=int(rng.choice([5, 6, 20]))), dark, lift=-1, clip=shape)
    for _ in range(int(rng.integers(0, 6))):
        ends = rng.uniform(-0.6, 0.6, (3, 2))
        pen.line(ends, rng.uniform(0.006, 0.015), dark.tinted(skin.colour * np.float32(0.5)), lift=-3, clip=shape)
    pen.mark(*rng.normal(0, 0.1, 2), rng.uniform(0.2, 0.75), rng.normal(0, 0.7), curve=rng.uniform(0.2, 0.8), clip=shape)


def draw_sign(pen: Pen) -> None:
    """A poster, a label, a shop sign or a screen: flat, often with words."""
    rng = pen.rng
    tall = rng.uniform(0.35, 1.4)
    ground = pen.material(("smooth", "paper", "plastic", "weave"))
    face = np.array([(-0.5, -tall / 2), (0.5, -tall / 2), (0.5, tall / 2), (-0.5, tall / 2)])
    pen.shadow(face, (0.01, 0.015), 0.02, rng.uniform(0, 0.5))
    if rng.random() < 0.3:
        pen.fill(face * 1.06, pen.material(("smooth", "plastic")), lift=6)
    shape = pen.fill(face, ground, lift=rng.choice([0, 4]))
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            spot = geometry.ellipse(rng.uniform(-0.5, 0.5, 2) * (1, tall), rng.uniform(0.1, 0.4, 2))
            pen.fill(spot, ground.tinted(materials.colour(rng, 0.3)), clip=shape)
    size = rng.uniform(0.2, 0.85)
    pen.mark(rng.normal(0, 0.05), rng.uniform(-0.2, 0.2) * tall, min(size, tall * 2), rng.normal(0, 0.12), clip=shape, mirror=False)
    for _ in range(int(rng.integers(0, 3))):
        unit = geometry.pose((rng.normal(0, 0.1), rng.choice([-1, 1]) * tall * rng.uniform(0.25, 0.42)), rng.uniform(0.2, 0.6))
        marks.paint(pen.canvas, lookalikes.word(rng), pen.matrix @ unit, clip=shape, label=False)
