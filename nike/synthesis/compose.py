"""One labelled photo from all the parts: scene, products, marks, look-alikes, things in front, camera."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from nike.synthesis import accessories, camera, clothes, geometry, goods, lookalikes, marks, scenes, shoes
from nike.synthesis.canvas import Canvas, Placed
from nike.synthesis.labelling import Instance, can_be_seen, label_marks
from nike.synthesis.logo import Mark, load_mark
from nike.synthesis.occlusion import occlude
from nike.synthesis.pen import Pen, Place

LARGEST_SIDE = 900  # pixels of a mark


@dataclass(frozen=True)
class Product:
    """A thing to draw: how often, by which function, the middle of its frame, its height over its width."""

    chance: float
    draw: Callable[[Pen], None]
    middle: tuple[float, float]
    tall: float


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
class Ingredients:
    """What photos are made of.

    Attributes:
        logo: The mark.
        label: What its instances are called.
        cutouts: Real instances that take its place now and then.
        backgrounds: Functions that load a uint8 `[H, W, 3]` photo; none means drawn scenes only.
    """

    logo: Mark = field(default_factory=load_mark)
    label: str = "nike"
    cutouts: tuple[Mark, ...] = ()
    backgrounds: tuple[Callable[[], np.ndarray], ...] = ()

    def mark(self, rng: np.random.Generator) -> Mark:
        """The logo, or one of the cutouts."""
        if self.cutouts and rng.random() < 0.5:
            return self.cutouts[int(rng.integers(len(self.cutouts)))]
        return self.logo


@functools.cache
def default_ingredients() -> Ingredients:
    """The logo that ships, read once."""
    return Ingredients()


def render_photo(
    rng: np.random.Generator, height: int, width: int, ingredients: Ingredients, negative: bool = False
) -> tuple[np.ndarray, list[Instance]]:
    """Renders one photo.

    Args:
        rng: Fixes the photo; the same state gives the same bytes.
        height: Of the photo in pixels.
        width: Likewise.
        ingredients: What to draw with.
        negative: Without the logo, but with what resembles it.

    Returns:
        uint8 `[height, width, 3]` RGB and its instances, none if `negative`.
    """
    on_photo = bool(ingredients.backgrounds) and rng.random() < 0.65
    if on_photo:
        load = ingredients.backgrounds[int(rng.integers(len(ingredients.backgrounds)))]
        canvas = scenes.from_photo(rng, load(), height, width)
    else:
        canvas = scenes.backdrop(rng, height, width)
    if rng.random() < (0.45 if on_photo else 0.85):
        _products(canvas, placer(canvas, ingredients, negative))
    else:
        _scatter(canvas, ingredients, 0 if negative else int(rng.integers(1, 6)))
    return _finish(canvas, ingredients, negative)


def render_instances(
    background: np.ndarray,
    rng: np.random.Generator,
    *,
    ingredients: Ingredients | None = None,
    count: int | None = None,
) -> tuple[np.ndarray, list[Instance]]:
    """Puts logos, and some look-alikes, onto a photo as it stands: augmentation while training.

    Args:
        background: uint8 `[H, W, 3]`; it is not changed. Only a photo without the logo stays completely labelled.
        rng: Fixes the result.
        ingredients: What to draw with; the logo that ships by default. Its backgrounds are not used.
        count: Logos to place, at least 1; 1 to 4 by default.

    Returns:
        uint8 `[H, W, 3]`, and the instances.

    Raises:
        ValueError: the background is not a uint8 colour photo of at least 16 x 16 pixels.
    """
    background = np.asarray(background)
    shape = background.shape
    if len(shape) != 3 or shape[2] != 3 or background.dtype != np.uint8 or min(shape[:2]) < 16:
        raise ValueError(
            f"render_instances: background must be uint8 [H, W, 3], at least 16 x 16, got {background.dtype} "
            f"{list(shape)}. Read photos with mrcnn.data.reading.read_image."
        )
    ingredients = ingredients or default_ingredients()
    canvas = Canvas(background.astype(np.float32) / np.float32(255), rng)
    _scatter(canvas, ingredients, int(rng.integers(1, 5)) if count is None else count)
    return _finish(canvas, ingredients, negative=False)


def _finish(canvas: Canvas, ingredients: Ingredients, negative: bool) -> tuple[np.ndarray, list[Instance]]:
    """Things in front, at least one mark that can be seen, the camera, the labels."""
    if canvas.rng.random() < 0.14:
        occlude(canvas)
    for _ in range(0 if negative else 12):
        if any(map(can_be_seen, canvas.placed)):
            break
        _scatter(canvas, ingredients, 1)
    image = camera.develop(canvas)
    return image, label_marks(image, canvas.placed, ingredients.label)


def placer(canvas: Canvas, ingredients: Ingredients, negative: bool = False) -> Place:
    """What goes where products offer room: the logo, a look-alike or nothing."""
    rng = canvas.rng

    def place(matrix: np.ndarray, curve: float, clip: np.ndarray | None, chance: float) -> None:
        draw = rng.random()
        if draw > chance:
            return
        if not negative and draw < chance * 0.82 and _length(matrix) <= LARGEST_SIDE:
            mark = marks.paint(canvas, ingredients.mark(rng), matrix, curve=curve, clip=clip)
            if mark is not None and rng.random() < 0.12:
                _lockup(canvas, matrix, clip, ingredients.label)
        elif rng.random() < (0.75 if negative else 0.5):
            marks.paint(canvas, lookalikes.lookalike(rng), matrix, curve=curve, clip=clip, label=False)

    return place


def _length(matrix: np.ndarray) -> float:
    """What one unit along x becomes, pixels."""
    left, right = geometry.apply(matrix, [(-0.5, 0), (0.5, 0)])
    return float(np.linalg.norm(right - left))


def _lockup(canvas: Canvas, matrix: np.ndarray, clip: np.ndarray | None, name: str) -> None:
    """A word above or below the mark, often the brand's name, as on shirts and boxes."""
    rng = canvas.rng
    text = name.upper() if rng.random() < 0.5 else None
    side = rng.choice([-1, 1], p=[0.6, 0.4])
    beside = geometry.pose((rng.normal(0, 0.08), side * rng.uniform(0.3, 0.45)), rng.uniform(0.4, 0.8))
    if np.linalg.det(matrix[:2, :2]) < 0:  # words are not mirrored
        beside = beside @ np.diag([-1.0, 1, 1])
    marks.paint(canvas, lookalikes.word(rng, text), matrix @ beside, clip=clip, label=False)


def _products(canvas: Canvas, place: Place) -> None:
    """One large product, or several, at times the same one twice (a pair)."""
    rng = canvas.rng
    h, w = canvas.shape
    chances = np.array([product.chance for product in PRODUCTS.values()])
    names = list(PRODUCTS)
    count = int(rng.choice([1, 2, 3, 5], p=[0.62, 0.2, 0.12, 0.06]))
    picked = [str(name) for name in rng.choice(names, count, p=chances / chances.sum())]
    pair, seed = count > 1 and rng.random() < 0.4, int(rng.integers(1 << 31))
    spots = rng.uniform(0.15, 0.85, (count, 2)) if count > 1 else rng.normal(0.5, 0.08, (1, 2))
    for name, (x, y) in zip(picked, spots, strict=True):
        product = PRODUCTS[picked[0] if pair else name]
        room = min(w, h / product.tall) * (np.exp(rng.normal(-0.12, 0.3)) if count == 1 else rng.uniform(0.25, 0.6))
        turn = rng.normal(0, 0.1) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
        tilt = np.clip(rng.normal(0, 0.12, 2), -0.3, 0.3) if rng.random() < 0.5 else (0.0, 0.0)
        frame = geometry.pose((x * w, y * h), room, turn, rng.random() < 0.5, rng.normal(0, 0.05), tilt)
        if pair:  # the same choices again make the same product
            canvas.rng = np.random.default_rng(seed)
        product.draw(Pen(canvas, frame @ geometry.pose(-np.array(product.middle), 1.0), place))
        canvas.rng = rng


def _scatter(canvas: Canvas, ingredients: Ingredients, count: int) -> None:
    """Marks, and look-alikes among them, straight onto whatever the canvas shows, from 15 px to most of it."""
    rng = canvas.rng
    h, w = canvas.shape
    alike = int(rng.choice([0, 0, 1, 2]) if count else rng.integers(1, 6))
    for i in range(alike + count):
        size = float(np.exp(rng.uniform(np.log(15), np.log(np.clip(0.8 * max(h, w), 15, LARGEST_SIDE)))))
        for _ in range(6):
            centre = rng.uniform(0.05, 0.95, 2) * (w, h)
            if not any(_near(mark, centre, size) for mark in canvas.placed):
                break
        turn = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
        tilt = np.clip(rng.normal(0, 0.3, 2), -0.7, 0.7) if rng.random() < 0.6 else (0.0, 0.0)
        sides = size * rng.uniform(0.8, 1.1, 2)
        matrix = geometry.pose(centre, tuple(sides), turn, rng.random() < 0.3, rng.normal(0, 0.15), tilt)
        if i < alike:
            marks.paint(canvas, lookalikes.lookalike(rng), matrix, label=False)
            continue
        curve = rng.choice([0, rng.uniform(0.2, 0.9)])
        if marks.paint(canvas, ingredients.mark(rng), matrix, curve=curve) and rng.random() < 0.15:
            _lockup(canvas, matrix, None, ingredients.label)


def _near(mark: Placed, centre: np.ndarray, size: float) -> bool:
    """Whether a new mark of this size would probably cover one that is there."""
    y0, x0, y1, x1 = mark.window
    reach = size / 2
    return x0 - reach < centre[0] < x1 + reach and y0 - reach / 2 < centre[1] < y1 + reach / 2
