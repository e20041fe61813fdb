"""Backgrounds: studio paper, gradients, materials, planks, bricks, and defocused rooms, streets and shelves."""

from __future__ import annotations

import cv2
import numpy as np

from nike.synthesis import geometry, materials
from nike.synthesis.canvas import Canvas
from nike.synthesis.materials import Material


def draw_scene(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """Draws a random scene without products on a new canvas."""
    weights = np.array([weight for weight, _ in SCENES.values()])
    kind = str(rng.choice(list(SCENES), p=weights / weights.sum()))
    grey = rng.choice([1.0, 0.965, 0.93, 0.85, 0.6, 0.15])
    base = np.full(3, grey, np.float32) if kind == "studio" and rng.random() < 0.8 else materials.colour(rng, 0.5)
    canvas = Canvas(np.broadcast_to(base, (height, width, 3)).copy(), rng)
    SCENES[kind][1](canvas)
    return canvas


def crop_photo(rng: np.random.Generator, photo: np.ndarray, height: int, width: int) -> Canvas:
    """Returns a canvas with a random crop of a photo (`[H, W, 3]` uint8), randomly mirrored and scaled to fill it."""
    h, w = photo.shape[:2]
    fit = min(h / height, w / width)  # photo pixels per canvas pixel of the largest crop
    zoom = fit * rng.uniform(0.6, 1.0)
    ch, cw = max(1, min(h, round(height * zoom))), max(1, min(w, round(width * zoom)))
    y, x = int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1))
    crop = photo[y : y + ch, x : x + cw]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    scaled = cv2.resize(
        np.ascontiguousarray(crop), (width, height), interpolation=cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    )
    return Canvas(scaled.astype(np.float32) / np.float32(255), rng)


def _ramp(canvas: Canvas, other: np.ndarray, angle: float, sharp: float = 1.0) -> None:
    """Blends the canvas into another colour along a direction."""
    canvas.colour += materials.ramp(*canvas.shape, angle, sharp)[..., None] * (other - canvas.colour)


def _studio(canvas: Canvas) -> None:
    """Draws plain paper, optionally with a gradient towards the bottom."""
    rng = canvas.rng
    if rng.random() < 0.4:
        _ramp(canvas, canvas.colour[0, 0] * np.float32(rng.uniform(0.8, 1.0)), np.pi / 2, rng.uniform(0.5, 6))


def _gradient(canvas: Canvas) -> None:
    _ramp(canvas, materials.colour(canvas.rng, 0.3), canvas.rng.uniform(0, 2 * np.pi), canvas.rng.uniform(0.7, 1.5))
    for _ in range(int(canvas.rng.integers(0, 4))):
        _blob(canvas, defocused=True)


def _material(canvas: Canvas) -> None:
    """Fills the canvas with one material, such as a wall, a table, cloth or a close-up of a product."""
    rng = canvas.rng
    h, w = canvas.shape
    surface = materials.material(rng, None, canvas.colour[0, 0], pixels=rng.uniform(150, 900))
    colour, bumps = surface.render(rng, h, w)
    stains = materials.noise(rng, h, w, rng.uniform(30, 120))[..., None] * np.float32(rng.uniform(0, 0.05))
    canvas.colour[:] = np.clip(colour + stains, 0, 1)
    canvas.height += bumps
    canvas.gloss[:] = surface.gloss
    if rng.random() < 0.5:  # wrinkles
        canvas.height += materials.noise(rng, w, h, rng.uniform(20, 80), 2.5).T * np.float32(rng.uniform(0, 6))
    for _ in range(int(rng.integers(0, 4))):  # panels and seams
        start = rng.uniform(-0.2, 1.2, (4, 2)) * (w, h)
        canvas.fill(
            geometry.spline(start),
            surface.tinted(materials.similar(rng, surface.colour, rng.uniform(0.02, 0.3))),
            lift=rng.uniform(1, 4),
        )
        canvas.stitch(geometry.spline(start * 0.98 + 0.01 * np.array([w, h])), materials.colour(rng), 1.5, 6)


def _planks(canvas: Canvas) -> None:
    rng = canvas.rng
    h, w = canvas.shape
    wood = np.clip(np.array([0.62, 0.45, 0.3]) * rng.uniform(0.4, 1.5) + rng.normal(0, 0.03, 3), 0, 1).astype(
        np.float32
    )
    count = int(rng.integers(3, 12))
    grain = materials.noise(rng, h, w, 2.0, stretch=25) * 0.5 + materials.noise(rng, h, w, 8.0, stretch=12) * 0.5
    canvas.colour[:] = wood * (1 + np.float32(0.14) * grain)[..., None]
    for i, edge in enumerate(np.linspace(0, h, count + 1)[:-1].astype(int)):
        canvas.colour[edge : edge + h // count] *= np.float32(rng.uniform(0.8, 1.15))
        canvas.height[edge : edge + 2] -= 3 if i else 0
    canvas.height += grain * np.float32(0.3)
    if rng.random() < 0.5:
        canvas.colour = np.ascontiguousarray(cv2.resize(canvas.colour.transpose(1, 0, 2), (w, h)))
        canvas.height = np.ascontiguousarray(cv2.resize(canvas.height.T, (w, h)))


def _bricks(canvas: Canvas) -> None:
    rng = canvas.rng
    h, w = canvas.shape
    rows = int(rng.integers(5, 18))
    tall, mortar = h / rows, max(2, h // rows // 9)
    canvas.colour[:] = np.float32(rng.uniform(0.4, 0.9))
    base = materials.colour(rng, 0.3) * np.float32(0.8)
    for row in range(rows):
        for x in np.arange(-(row % 2) * tall * 1.3, w, tall * 2.6):
            y0, x0, x1 = int(row * tall), int(max(x, 0)), int(min(x + tall * 2.6 - mortar, w))
            canvas.colour[y0 : int(y0 + tall - mortar), x0 : max(x1, x0)] = np.clip(
                base * rng.uniform(0.75, 1.2) + rng.normal(0, 0.02, 3), 0, 1
            )
            canvas.height[y0 : int(y0 + tall - mortar), x0 : max(x1, x0)] = 3
    canvas.height += materials.noise(rng, h, w, 2.0) * np.float32(0.4)


def _blob(canvas: Canvas, defocused: bool = False) -> None:
    """Draws one ellipse, polygon or curved bar in a random material."""
    rng = canvas.rng
    h, w = canvas.shape
    at, radii = rng.uniform(0, 1, 2) * (w, h), rng.uniform(0.03, 0.35, 2) * max(h, w)
    kind = rng.integers(3)
    if kind == 0:
        outline = geometry.ellipse(at, radii, rng.uniform(0, np.pi))
    elif kind == 1:
        outline = geometry.ellipse(at, radii, rng.uniform(0, np.pi), count=int(rng.integers(3, 6)))
    else:
        ends = rng.uniform(-0.1, 1.1, (3, 2)) * (w, h)
        outline = geometry.ribbon(geometry.spline(ends, closed=False), rng.uniform(2, 30))
    surface = materials.material(rng, None, None, pixels=radii.max())
    canvas.fill(
        outline,
        surface,
        lift=rng.uniform(0, 2),
        blur=rng.uniform(5, 20) if defocused else rng.choice([0, 0, 1, 4]),
        opacity=rng.uniform(0.2, 0.7) if defocused else 1.0,
    )


def _clutter(canvas: Canvas) -> None:
    """Draws a cluttered room or table."""
    rng = canvas.rng
    if rng.random() < 0.5:
        _material(canvas)
    for _ in range(int(rng.integers(5, 25))):
        _blob(canvas)
    _defocus(canvas, 0.6)


def _street(canvas: Canvas) -> None:
    """Draws sky, houses with windows, a road and random objects."""
    rng = canvas.rng
    h, w = canvas.shape
    canvas.colour[:] = materials.hsv(rng.uniform(0.5, 0.65), rng.uniform(0, 0.5), rng.uniform(0.3, 1.0))
    horizon = int(h * rng.uniform(0.4, 0.8))
    x = -rng.uniform(0, 0.2) * w
    while x < w:
        wide, top = rng.uniform(0.12, 0.4) * w, rng.uniform(0, 0.5) * h
        wall = materials.material(rng, ("plaster", "smooth", "paper"))
        canvas.fill(np.array([(x, top), (x + wide, top), (x + wide, h), (x, h)]), wall, lift=2)
        pane = Material(wall.colour * np.float32(rng.uniform(0.2, 0.6)), gloss=0.4)
        nx, ny = int(rng.integers(2, 6)), int(rng.integers(2, 8))
        step = np.array([wide / nx, (horizon - top) / ny])
        cells = [
            np.array([(0.2, 0.25), (0.8, 0.25), (0.8, 0.85), (0.2, 0.85)]) * step + (x + i * step[0], top + j * step[1])
            for i in range(nx)
            for j in range(ny)
        ]
        canvas.fill(cells, pane, lift=-2)
        x += wide
    road = materials.material(rng, ("plaster", "paper"), np.full(3, rng.uniform(0.2, 0.6)))
    canvas.fill(np.array([(0, horizon), (w, horizon), (w, h), (0, h)]), road)
    for _ in range(int(rng.integers(2, 12))):
        _blob(canvas)
    _defocus(canvas, 0.8)


def _shelf(canvas: Canvas) -> None:
    """Draws shelves with boxes."""
    rng = canvas.rng
    h, w = canvas.shape
    rows = int(rng.integers(2, 6))
    base = materials.colour(rng, 0.2)
    for row in range(rows):
        x, bottom = 0.0, (row + 0.9) * h / rows
        while x < w:
            wide, tall = rng.uniform(0.05, 0.3) * w, rng.uniform(0.3, 0.8) * h / rows
            tint = base * np.float32(rng.uniform(0.6, 1.1)) if rng.random() < 0.6 else materials.colour(rng, 0.4)
            box = np.array([(x, bottom - tall), (x + wide, bottom - tall), (x + wide, bottom), (x, bottom)])
            canvas.fill(box, Material(np.clip(tint, 0, 1)), lift=3)
            x += wide * rng.uniform(1.0, 1.3)
        canvas.fill(
            np.array([(0, bottom), (w, bottom), (w, bottom + 0.04 * h), (0, bottom + 0.04 * h)]),
            Material(materials.colour(rng)),
            lift=2,
        )
    _defocus(canvas, 0.85)


def _defocus(canvas: Canvas, probability: float) -> None:
    """Blurs the canvas with the given probability."""
    if canvas.rng.random() < probability:
        sigma = max(canvas.shape) * canvas.rng.uniform(0.002, 0.02)
        # Blurring at half the resolution takes a quarter of the time without a visible difference.
        half = cv2.resize(canvas.shade((-0.4, -0.6), 0.5), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(half, (0, 0), max(sigma / 2, 0.4))
        canvas.colour = np.clip(cv2.resize(blurred, canvas.shape[::-1]), 0, 1)
        canvas.height[:] = 0
        canvas.gloss[:] = 0


# Relative frequency of each scene, and the function that draws it onto a canvas of uniform colour.
SCENES = {
    "studio": (44, _studio),
    "gradient": (10, _gradient),
    "material": (16, _material),
    "planks": (7, _planks),
    "bricks": (5, _bricks),
    "clutter": (12, _clutter),
    "street": (8, _street),
    "shelf": (6, _shelf),
}
