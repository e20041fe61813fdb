"""Other products: boxes, bags, mugs, bottles, balls, posters and signs.

One unit of a product's frame is its width. The origin is its centre, and y points down.
"""

from __future__ import annotations

import numpy as np

from nike.synthesis import distractors, geometry, materials, placement
from nike.synthesis.materials import Material
from nike.synthesis.pen import Pen


def draw_box(pen: Pen) -> None:
    """Draws a box with a lid, seen from above one corner."""
    rng = pen.rng
    colour = materials.colour(rng, 0.3)
    card = pen.material(("paper", "smooth"), colour)
    tall, depth, split = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.5), rng.uniform(0.55, 0.85)
    drop = rng.uniform(0.02, 0.15)  # slope of the lower front edge
    a, b, c = np.array([-0.5, 0.0]), np.array([-0.5 + split, drop]), np.array([0.5, drop - depth * 0.7])
    down = np.array([0.0, tall])
    pen.shadow(np.array([a + down, b + down, c + down, c, a]), (0.02, 0.03), 0.04, rng.uniform(0.2, 0.6))
    faces = ((a, b, b + down, a + down), 0.85), ((b, c, c + down, b + down), 0.7), ((a, b, c, a + c - b), 1.0)
    for corners, light in faces:
        shape = pen.fill(np.array(corners), card.tinted(colour * np.float32(light)), lift=rng.uniform(0, 2))
        _face_logo(pen, np.array(corners), shape)
    lid = materials.similar(rng, colour, 0.12) if rng.random() < 0.6 else materials.colour(rng)
    rim = np.array([0, tall * rng.uniform(0.1, 0.3)])
    for p, q, light in ((a, b, 0.9), (b, c, 0.75)):
        face = np.array([p, q, q + rim, p + rim])
        shape = pen.fill(face, card.tinted(lid * np.float32(light)), lift=3)
        if rng.random() < 0.15:
            _face_logo(pen, face, shape)


def _face_logo(pen: Pen, face: np.ndarray, shape) -> None:
    """Draws a logo on a parallelogram. The corners start at the upper left and run clockwise."""
    rng = pen.rng
    u, v = face[1] - face[0], face[3] - face[0]
    width, height = np.linalg.norm(u), np.linalg.norm(v)
    frame = np.eye(3)
    frame[:2] = np.stack([u / width, v / height, face[0]], axis=1)
    plane = Pen(pen.canvas, pen.matrix @ frame, pen.place_logo)
    size = min(width * rng.uniform(0.2, 0.9), height * rng.uniform(0.6, 2.2))
    x, y = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.35, 0.65)
    plane.logo(x, y, size, rng.normal(0, 0.1), clip=shape, probability=0.7)


def draw_bag(pen: Pen) -> None:
    """Draws a bag with handles, pockets and zips."""
    rng = pen.rng
    cloth = pen.material(("weave", "smooth", "leather", "suede"))
    half = rng.uniform(0.25, 0.6)
    tint = materials.similar(rng, cloth.colour, 0.1) if rng.random() < 0.6 else materials.colour(rng)
    strap = cloth.tinted(tint)
    for x in (-0.02, 0.02):
        handle = np.array([(-0.2, 0.05), (-0.16, -0.25), (0.16, -0.25), (0.2, 0.05)]) + (x, -half)
        pen.line(handle, 0.04, strap, inflate=0.015)
    above = [(-0.5, 0), (-0.45, -half), (0, -half - rng.uniform(0.02, 0.2)), (0.45, -half), (0.5, 0)]
    outline = np.array([*above, (0.48, half), (0, half + 0.03), (-0.48, half)])
    pen.shadow(outline, (0.02, 0.04), 0.04, rng.uniform(0, 0.5))
    shape = pen.curve(outline, cloth, inflate=rng.uniform(0.05, 0.2))
    pen.folds(shape, rng.uniform(2, 14), 0.12)
    _pocket(pen, cloth, shape, half)
    x, y = rng.normal(0, 0.08), rng.uniform(-0.5, 0.2) * half
    pen.logo(x, y, rng.uniform(0.15, 0.7), rng.normal(0, 0.1), clip=shape, probability=0.9)
    if rng.random() < 0.3:  # a strap across the front that may occlude the logo
        x = rng.uniform(-0.3, 0.3)
        over = [(x, -2 * half), (x + rng.normal(0, 0.05), 0), (x, 2 * half)]
        pen.line(over, rng.uniform(0.04, 0.08), strap, lift=5, clip=shape)


def _pocket(pen: Pen, cloth: Material, shape, half: float) -> None:
    rng = pen.rng
    metal = Material(materials.similar(rng, cloth.colour, 0.2), "ribs", 2.0, 0.3)
    if rng.random() < 0.6:
        pen.line([(-0.42, -half * 0.6), (0, -half * 0.72), (0.42, -half * 0.6)], 0.02, metal, clip=shape)
    if rng.random() < 0.4:
        outline = [(-0.35, 0.05), (0.35, 0.05), (0.36, half * 0.84), (-0.36, half * 0.84)]
        pocket = pen.curve(outline, cloth, lift=6, clip=shape)
        pen.stitch([(-0.34, 0.08), (0, 0.07), (0.34, 0.08)], metal.colour)
        x, size = rng.normal(0, 0.1), rng.uniform(0.1, 0.4)
        pen.logo(x, half * 0.48, size, rng.normal(0, 0.06), clip=pocket, probability=0.5)


def draw_mug(pen: Pen) -> None:
    """Draws a mug or a bottle with a logo bent around its cylinder."""
    rng = pen.rng
    body = pen.material(("smooth", "plastic"))
    mug = rng.random() < 0.6
    half, taper = (rng.uniform(0.5, 0.65) if mug else rng.uniform(0.9, 1.3)), rng.uniform(-0.02, 0.06)
    if mug:
        handle = [(0.42, -half * 0.5), (0.75, -half * 0.5), (0.78, half * 0.3), (0.42, half * 0.6)]
        pen.line(handle, 0.1, body, inflate=0.05)
    else:
        cap = geometry.parse_points("-.25 -.3  .25 -.3  .3 .1  -.3 .1") - (0, half)
        pen.curve(cap, body.tinted(materials.colour(rng)), inflate=0.15)
    pen.shadow(geometry.ellipse((0.05, half), (0.55, 0.12)), blur=0.06, strength=rng.uniform(0.2, 0.6))
    low = geometry.ellipse((0, half), (0.5 - taper, 0.08), start=0, stop=np.pi)
    high = geometry.ellipse((0, -half), (0.5, 0.08), start=np.pi, stop=2 * np.pi)
    shape = pen.fill(np.concatenate([low, high]), body, inflate=0.45)
    if mug:
        inside = body.tinted(body.colour * np.float32(0.6))
        pen.fill(geometry.ellipse((0, -half), (0.47, 0.07)), inside, lift=-8)
    elif rng.random() < 0.5:
        ring = [(-0.55, half * 0.6), (0, half * 0.72), (0.55, half * 0.6)]
        pen.line(ring, 0.1, body.tinted(materials.colour(rng)), clip=shape)
    upright = rng.random() < 0.2
    angle = (rng.choice([-1, 1]) * np.pi / 2 if upright else 0) + rng.normal(0, 0.08)
    x, y, curve = rng.normal(0, 0.12), rng.uniform(-0.3, 0.3) * half, 0.0 if upright else rng.uniform(0.5, 1.1)
    pen.logo(x, y, rng.uniform(0.3, 0.85), angle, clip=shape, curve=curve)


def draw_ball(pen: Pen) -> None:
    """Draws a ball with seams or panels."""
    rng = pen.rng
    skin = pen.material(("leather", "plastic", "smooth"))
    pen.shadow(geometry.ellipse((0.03, 0.48), (0.4, 0.08)), blur=0.05, strength=rng.uniform(0.2, 0.7))
    shape = pen.fill(geometry.ellipse((0, 0), (0.5, 0.5)), skin, inflate=0.5)
    dark = skin.tinted(materials.contrasting(rng, skin.colour))
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(-0.42, 0.42, 2)
        flat, corners = 0.12 * (1 - np.hypot(x, y)), int(rng.choice([5, 6, 20]))  # foreshortening near the rim
        pen.fill(geometry.ellipse((x, y), (flat, 0.12), np.arctan2(y, x), count=corners), dark, lift=-1, clip=shape)
    seam = dark.tinted(skin.colour * np.float32(0.5))
    for _ in range(int(rng.integers(0, 6))):
        pen.line(rng.uniform(-0.6, 0.6, (3, 2)), rng.uniform(0.006, 0.015), seam, lift=-3, clip=shape)
    x, y = rng.normal(0, 0.1, 2)
    pen.logo(x, y, rng.uniform(0.2, 0.75), rng.normal(0, 0.7), curve=rng.uniform(0.2, 0.8), clip=shape)


def draw_sign(pen: Pen) -> None:
    """Draws a flat poster or sign, often with words."""
    rng = pen.rng
    half = rng.uniform(0.18, 0.7)
    ground = pen.material(("smooth", "paper", "plastic", "weave"))
    face = np.array([(-0.5, -half), (0.5, -half), (0.5, half), (-0.5, half)])
    pen.shadow(face, (0.01, 0.015), 0.02, rng.uniform(0, 0.5))
    if rng.random() < 0.3:
        pen.fill(face * 1.06, pen.material(("smooth", "plastic")), lift=6)
    shape = pen.fill(face, ground, lift=rng.choice([0, 4]))
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            spot = geometry.ellipse(rng.uniform(-0.5, 0.5, 2) * (1, 2 * half), rng.uniform(0.1, 0.4, 2))
            pen.fill(spot, ground.tinted(materials.colour(rng, 0.3)), clip=shape)
    x, y, size = rng.normal(0, 0.05), rng.uniform(-0.4, 0.4) * half, min(rng.uniform(0.2, 0.85), 4 * half)
    pen.logo(x, y, size, rng.normal(0, 0.12), clip=shape)
    for _ in range(int(rng.integers(0, 3))):
        at = rng.normal(0, 0.1), rng.choice([-1, 1]) * half * rng.uniform(0.5, 0.84)
        frame = pen.matrix @ geometry.pose(at, rng.uniform(0.2, 0.6), mirror=pen.mirrored)
        placement.draw_logo(pen.canvas, distractors.word(rng), frame, clip=shape, label=False)
