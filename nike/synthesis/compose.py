"""Composition of a labelled image from a scene, products, logos, distractors, occlusions and camera effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from nike.synthesis import accessories, camera, clothes, distractors, geometry, goods, placement, scenes, shoes
from nike.synthesis.canvas import Canvas, PlacedLogo
from nike.synthesis.labelling import Instance, is_visible, label_logos
from nike.synthesis.logo import Logo, load_logo
from nike.synthesis.occlusion import occlude
from nike.synthesis.pen import Pen, PlaceLogo

MAX_LENGTH = 900  # maximum length of a logo in pixels


@dataclass(frozen=True)
class Product:
    """A kind of product.

    Attributes:
        weight: Relative frequency.
        draw: Function that draws the product.
        centre: (x, y) centre of the product in its frame.
        aspect: Ratio of height to width.
    """

    weight: float
    draw: Callable[[Pen], None]
    centre: tuple[float, float]
    aspect: float


PRODUCTS = {
    "shoe": Product(44, shoes.draw_shoe, (0.5, -0.22), 0.5),
    "top": Product(13, clothes.draw_top, (0, 0.5), 1.1),
    "bottom": Product(6, clothes.draw_bottom, (0, 0.6), 1.3),
    "person": Product(9, clothes.draw_person, (0, 0.6), 1.8),
    "band": Product(5, accessories.draw_band, (0, 0), 0.6),
    "cap": Product(6, accessories.draw_cap, (0, 0.25), 0.8),
    "socks": Product(5, accessories.draw_socks, (0, -0.4), 1.3),
    "box": Product(4, goods.draw_box, (0, 0), 0.8),
    "bag": Product(6, goods.draw_bag, (0, 0), 1.2),
    "mug": Product(4, goods.draw_mug, (0, 0), 1.5),
    "ball": Product(3, goods.draw_ball, (0, 0), 1.0),
    "sign": Product(6, goods.draw_sign, (0, 0), 0.9),
}


@dataclass(frozen=True)
class Assets:
    """Inputs of the renderer.

    Attributes:
        logo: Logo to draw.
        label: Label of its instances.
        cutouts: Logos cut out of photos, drawn instead of `logo` half of the time.
        backgrounds: Functions that load a `[H, W, 3]` uint8 background photo. If empty, only synthetic scenes are used.
    """

    logo: Logo = field(default_factory=load_logo)
    label: str = "nike"
    cutouts: tuple[Logo, ...] = ()
    backgrounds: tuple[Callable[[], np.ndarray], ...] = ()

    def sample_logo(self, rng: np.random.Generator) -> Logo:
        """Returns the logo or a random cutout."""
        if self.cutouts and rng.random() < 0.5:
            return self.cutouts[int(rng.integers(len(self.cutouts)))]
        return self.logo


def render_image(
    rng: np.random.Generator, height: int, width: int, assets: Assets, negative: bool = False
) -> tuple[np.ndarray, list[Instance]]:
    """Renders one synthetic image.

    Args:
        rng: Random generator. The same state gives the same image.
        height: Image height in pixels.
        width: Image width in pixels.
        assets: Logo, cutouts and backgrounds.
        negative: Whether to draw distractors but no logo.

    Returns:
        The `[height, width, 3]` uint8 RGB image and its instances. There are none if `negative`.
    """
    on_photo = bool(assets.backgrounds) and rng.random() < 0.65
    if on_photo:
        load = assets.backgrounds[int(rng.integers(len(assets.backgrounds)))]
        canvas = scenes.crop_photo(rng, load(), height, width)
    else:
        canvas = scenes.draw_scene(rng, height, width)
    if rng.random() < (0.45 if on_photo else 0.85):
        _draw_products(canvas, logo_placer(canvas, assets, negative))
    else:
        _place_at_random(canvas, assets, 0 if negative else int(rng.integers(1, 6)))
    return _finish(canvas, assets, negative)


def _finish(canvas: Canvas, assets: Assets, negative: bool) -> tuple[np.ndarray, list[Instance]]:
    """Adds occlusions, adds logos to a positive image until one is visible, and renders and labels the image."""
    if canvas.rng.random() < 0.14:
        occlude(canvas)
    for _ in range(0 if negative else 12):
        if any(map(is_visible, canvas.placed)):
            break
        _place_at_random(canvas, assets, 1)
    image = camera.capture(canvas)
    return image, label_logos(image, canvas.placed, assets.label)


def logo_placer(canvas: Canvas, assets: Assets, negative: bool = False) -> PlaceLogo:
    """Returns a callback that draws the logo, a distractor or nothing at a position on a product."""
    rng = canvas.rng

    def place_logo(matrix: np.ndarray, curve: float, clip: np.ndarray | None, probability: float) -> None:
        draw = rng.random()
        if draw > probability:
            return
        if not negative and draw < probability * 0.82 and _length(matrix) <= MAX_LENGTH:
            placed = placement.draw_logo(canvas, assets.sample_logo(rng), matrix, curve=curve, clip=clip)
            if placed is not None and rng.random() < 0.12:
                _lockup(canvas, matrix, clip, assets.label)
        elif rng.random() < (0.75 if negative else 0.5):
            placement.draw_logo(canvas, distractors.distractor(rng), matrix, curve=curve, clip=clip, label=False)

    return place_logo


def _length(matrix: np.ndarray) -> float:
    """Returns the length of one unit along x in pixels."""
    left, right = geometry.transform(matrix, [(-0.5, 0), (0.5, 0)])
    return float(np.linalg.norm(right - left))


def _lockup(canvas: Canvas, matrix: np.ndarray, clip: np.ndarray | None, name: str) -> None:
    """Draws a word above or below a logo, often the label in upper case."""
    rng = canvas.rng
    text = name.upper() if rng.random() < 0.5 else None
    side = rng.choice([-1, 1], p=[0.6, 0.4])
    beside = geometry.pose((rng.normal(0, 0.08), side * rng.uniform(0.3, 0.45)), rng.uniform(0.4, 0.8))
    if np.linalg.det(matrix[:2, :2]) < 0:  # words are not mirrored
        beside = beside @ np.diag([-1.0, 1, 1])
    placement.draw_logo(canvas, distractors.word(rng, text), matrix @ beside, clip=clip, label=False)


def _draw_products(canvas: Canvas, place_logo: PlaceLogo) -> None:
    """Draws one large product or several smaller ones, occasionally identical ones."""
    rng = canvas.rng
    h, w = canvas.shape
    weights = np.array([product.weight for product in PRODUCTS.values()])
    names = list(PRODUCTS)
    count = int(rng.choice([1, 2, 3, 5], p=[0.62, 0.2, 0.12, 0.06]))
    picked = [str(name) for name in rng.choice(names, count, p=weights / weights.sum())]
    identical, seed = count > 1 and rng.random() < 0.4, int(rng.integers(1 << 31))
    centres = rng.uniform(0.15, 0.85, (count, 2)) if count > 1 else rng.normal(0.5, 0.08, (1, 2))
    for name, (x, y) in zip(picked, centres, strict=True):
        product = PRODUCTS[picked[0] if identical else name]
        size = min(w, h / product.aspect) * (np.exp(rng.normal(-0.12, 0.3)) if count == 1 else rng.uniform(0.25, 0.6))
        angle = rng.normal(0, 0.1) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
        tilt = np.clip(rng.normal(0, 0.12, 2), -0.3, 0.3) if rng.random() < 0.5 else (0.0, 0.0)
        frame = geometry.pose((x * w, y * h), size, angle, rng.random() < 0.5, rng.normal(0, 0.05), tilt)
        if identical:  # the same seed draws the same product
            canvas.rng = np.random.default_rng(seed)
        product.draw(Pen(canvas, frame @ geometry.pose(-np.array(product.centre), 1.0), place_logo))
        canvas.rng = rng


def _place_at_random(canvas: Canvas, assets: Assets, count: int) -> None:
    """Draws `count` logos and some distractors at random positions, sizes and orientations."""
    rng = canvas.rng
    h, w = canvas.shape
    distractor_count = int(rng.choice([0, 0, 1, 2]) if count else rng.integers(1, 6))
    for i in range(distractor_count + count):
        size = float(np.exp(rng.uniform(np.log(15), np.log(np.clip(0.8 * max(h, w), 15, MAX_LENGTH)))))
        for _ in range(6):
            centre = rng.uniform(0.05, 0.95, 2) * (w, h)
            if not any(_overlaps(placed, centre, size) for placed in canvas.placed):
                break
        angle = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
        tilt = np.clip(rng.normal(0, 0.3, 2), -0.7, 0.7) if rng.random() < 0.6 else (0.0, 0.0)
        sides = size * rng.uniform(0.8, 1.1, 2)
        matrix = geometry.pose(centre, tuple(sides), angle, rng.random() < 0.3, rng.normal(0, 0.15), tilt)
        if i < distractor_count:
            placement.draw_logo(canvas, distractors.distractor(rng), matrix, label=False)
            continue
        curve = rng.choice([0, rng.uniform(0.2, 0.9)])
        if placement.draw_logo(canvas, assets.sample_logo(rng), matrix, curve=curve) and rng.random() < 0.15:
            _lockup(canvas, matrix, None, assets.label)


def _overlaps(placed: PlacedLogo, centre: np.ndarray, size: float) -> bool:
    """Returns whether a logo of this size would probably overlap a placed one."""
    y0, x0, y1, x1 = placed.window
    half = size / 2
    return x0 - half < centre[0] < x1 + half and y0 - half / 2 < centre[1] < y1 + half / 2
