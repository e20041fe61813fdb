"""One labelled photo from all the parts: scene, products, marks, look-alikes, things in front, camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from nike.rendering import camera, clothes, geometry, goods, lookalikes, marks, materials, scenes, shoes
from nike.rendering.canvas import Canvas, Placed
from nike.rendering.logo import Mark, load_mark
from nike.rendering.pen import Pen

IGNORE = "ignore"
SMALLEST_SIDE = 12  # pixels: a shorter mark is labelled `ignore`
LARGEST_SIDE = 900
LEAST_VISIBLE = 0.3  # share of a mark's area; below it is labelled `ignore`
LEAST_CONTRAST = 2.5  # levels of 255 across the outline; below it is labelled `ignore`

# What is drawn -> (how often, function, where the origin lies in the frame, height over width).
_PRODUCTS: dict[str, tuple[float, Callable[[Pen], None], tuple[float, float], float]] = {
    "shoe": (44, shoes.draw_shoe, (0.5, -0.22), 0.5), "top": (13, clothes.draw_top, (0, 0.5), 1.1),
    "bottom": (6, clothes.draw_bottom, (0, 0.6), 1.3), "person": (9, clothes.draw_person, (0, 0.6), 1.8),
    "band": (5, clothes.draw_band, (0, 0), 0.6), "cap": (6, clothes.draw_cap, (0, 0.25), 0.8),
    "socks": (5, clothes.draw_socks, (0, -0.4), 1.3), "box": (4, goods.draw_box, (0, 0), 0.8), "bag": (6, goods.draw_bag, (0, 0), 1.2),
    "mug": (4, goods.draw_mug, (0, 0), 1.5), "ball": (3, goods.draw_ball, (0, 0), 1.0), "sign": (6, goods.draw_sign, (0, 0), 0.9),
}


@dataclass(frozen=True)
class Ingredients:
    """What photos are made of.

    Attributes:
        logo: The mark.
        label: What its instances are called.
        cutouts: Real instances that take its place now and then.
        backgrounds: Functions that load a uint8 `[H, W, 3]` photo; none means procedural scenes only.
    """

    logo: Mark = field(default_factory=load_mark)
    label: str = "nike"
    cutouts: tuple[Mark, ...] = ()
    backgrounds: tuple[Callable[[], np.ndarray], ...] = ()


@dataclass(frozen=True)
class Instance:
    """A labelled mark.

    Attributes:
        label: The ingredients' label, or `ignore` where nobody could outline it fairly (tiny, hidden, hardly visible).
        polygons: One `[P, 2]` float32 (x, y) in continuous pixels per visible piece, the largest first.
    """

    label: str
    polygons: list[np.ndarray]


def render_photo(rng: np.random.Generator, height: int, width: int, ingredients: Ingredients, negative: bool = False
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
        source = ingredients.backgrounds[int(rng.integers(len(ingredients.backgrounds)))]
        canvas = scenes.from_photo(rng, source(), height, width)
    else:
        canvas = scenes.backdrop(rng, height, width)
    place = _placer(canvas, ingredients, negative)
    if rng.random() < (0.45 if on_photo else 0.85):
        _products(canvas, place)
    else:
        _scatter(canvas, ingredients, negative, int(rng.integers(1, 6)))
    return _finish(canvas, ingredients, negative)


def render_instances(background: np.ndarray, rng: np.random.Generator, *, ingredients: Ingredients | None = None,
                     count: int | None = None) -> tuple[np.ndarray, list[Instance]]:
    """Puts logos, and some look-alikes, onto a photo as it stands: augmentation while training.

    Args:
        background: uint8 `[H, W, 3]`; it is not changed. Only a photo without the logo stays completely labelled.
        rng: Fixes the result.
        ingredients: What to draw with; the logo that ships by default. Its backgrounds are not used.
        count: Logos to try to place; 1 to 4 by default.

    Returns:
        uint8 `[H, W, 3]`, and the instances.

    Raises:
        ValueError: the background is not a uint8 colour photo of at least 16 x 16 pixels.
    """
    background = np.asarray(background)
    if background.ndim != 3 or background.shape[2] != 3 or background.dtype != np.uint8 or min(background.shape[:2]) < 16:
        raise ValueError(f"render_instances: background must be uint8 [H, W, 3], at least 16 x 16, got {background.dtype} "
                         f"{background.shape}. Read photos with mrcnn.data.image.read_image.")
    ingredients = ingredients or default_ingredients()
    canvas = Canvas(background.astype(np.float32) / np.float32(255), rng)
    _scatter(canvas, ingredients, False, int(rng.integers(1, 5)) if count is None else count)
    return _finish(canvas, ingredients, False)


_default: Ingredients | None = None


def default_ingredients() -> Ingredients:
    """The logo that ships, read once."""
    global _default
    _default = _default or Ingredients()
    return _default


def _finish(canvas: Canvas, ingredients: Ingredients, negative: bool) -> tuple[np.ndarray, list[Instance]]:
    """Things in front, at least one mark that can be seen, the camera, the labels."""
    rng = canvas.rng
    if rng.random() < 0.25:
        _occlude(canvas)
    for _ in range(0 if negative else 12):
        if any(_visible_share(mark) >= LEAST_VISIBLE for mark in canvas.placed):
            break
        _scatter(canvas, ingredients, False, 1)
    image = camera.develop(canvas)
    instances = [_label(image, mark, ingredients.label) for mark in canvas.placed]
    return image, [instance for instance in instances if instance.polygons]


def _mark(rng: np.random.Generator, ingredients: Ingredients) -> Mark:
    if ingredients.cutouts and rng.random() < 0.5:
        return ingredients.cutouts[int(rng.integers(len(ingredients.cutouts)))]
    return ingredients.logo


def _placer(canvas: Canvas, ingredients: Ingredients, negative: bool):
    """The `pen.Place` of this photo: what goes where products offer room."""
    rng = canvas.rng

    def place(matrix: np.ndarray, curve: float, clip: np.ndarray | None, chance: float) -> None:
        draw = rng.random()
        if draw > chance:
            return
        if not negative and draw < chance * 0.82 and _length(matrix) <= LARGEST_SIDE:
            mark = marks.paint(canvas, _mark(rng, ingredients), matrix, curve=curve, clip=clip)
            if mark is not None and rng.random() < 0.12:
                _lockup(canvas, matrix, clip)
        elif rng.random() < (0.75 if negative else 0.5):
            marks.paint(canvas, lookalikes.lookalike(rng), matrix, curve=curve, clip=clip, label=False)

    return place


def _length(matrix: np.ndarray) -> float:
    """What one unit along x becomes, pixels."""
    ends = geometry.apply(matrix, [(-0.5, 0), (0.5, 0)])
    return float(np.linalg.norm(ends[1] - ends[0]))


def _lockup(canvas: Canvas, matrix: np.ndarray, clip: np.ndarray | None) -> None:
    """A word above or below the mark, as on shirts and boxes."""
    rng = canvas.rng
    up = rng.choice([-1, 1], p=[0.6, 0.4])
    beside = geometry.pose((rng.normal(0, 0.08), up * rng.uniform(0.3, 0.45)), rng.uniform(0.4, 0.8))
    if np.linalg.det(matrix[:2, :2]) < 0:  # words are not mirrored
        beside = beside @ np.diag([-1.0, 1, 1])
    marks.paint(canvas, lookalikes.word(rng), matrix @ beside, clip=clip, label=False)


def _products(canvas: Canvas, place) -> None:
    """One large product, or several, at times the same one twice (a pair)."""
    rng = canvas.rng
    h, w = canvas.shape
    count = int(rng.choice([1, 2, 3, 5], p=[0.62, 0.2, 0.12, 0.06]))
    names = list(_PRODUCTS)
    chances = np.array([v[0] for v in _PRODUCTS.values()]) / sum(v[0] for v in _PRODUCTS.values())
    pair = count > 1 and rng.random() < 0.4
    name, seed = str(rng.choice(names, p=chances)), int(rng.integers(1 << 31))
    spots = np.sort(rng.uniform(0.15, 0.85, (count, 2)) if count > 1 else rng.normal(0.5, 0.08, (1, 2)), axis=0)
    for x, y in spots:
        if not pair:
            name = str(rng.choice(names, p=chances))
        _, draw, origin, tall = _PRODUCTS[name]
        room = min(w, h / tall) * (np.exp(rng.normal(-0.25, 0.3)) if count == 1 else rng.uniform(0.25, 0.6))
        turn = rng.normal(0, 0.1) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
        tilt = rng.normal(0, 0.12, 2) if rng.random() < 0.5 else (0.0, 0.0)
        frame = geometry.pose((x * w, y * h), room, turn, rng.random() < 0.5, rng.normal(0, 0.05), np.clip(tilt, -0.3, 0.3))
        frame = frame @ np.array([[1, 0, -origin[0]], [0, 1, -origin[1]], [0, 0, 1.0]])
        if pair:  # the same product again: the same choices
            canvas.rng = np.random.default_rng(seed)
        draw(Pen(canvas, frame, place))
        canvas.rng = rng


def _scatter(canvas: Canvas, ingredients: Ingredients, negative: bool, count: int) -> None:
    """Marks and look-alikes straight onto whatever the canvas shows, from 12 px to most of it."""
    rng = canvas.rng
    h, w = canvas.shape
    top = min(LARGEST_SIDE, 0.8 * max(h, w))
    alike = int(rng.integers(1, 6)) if negative else int(rng.choice([0, 0, 1, 2]))
    for i in range(alike + (0 if negative else count)):
        size = float(np.exp(rng.uniform(np.log(14), np.log(top))))
        for _ in range(6):
            centre = rng.uniform(0.05, 0.95, 2) * (w, h)
            if not any(_near(mark, centre, size) for mark in canvas.placed):
                break
        turn = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
        tilt = np.clip(rng.normal(0, 0.3, 2), -0.7, 0.7) if rng.random() < 0.6 else (0.0, 0.0)
        matrix = geometry.pose(centre, (size * rng.uniform(0.8, 1.1), size * rng.uniform(0.8, 1.1)), turn, rng.random() < 0.3,
                               rng.normal(0, 0.15), tilt)
        if i < alike:
            marks.paint(canvas, lookalikes.lookalike(rng), matrix, label=False)
        elif marks.paint(canvas, _mark(rng, ingredients), matrix, curve=rng.choice([0, rng.uniform(0.2, 0.9)])) and rng.random() < 0.15:
            _lockup(canvas, matrix, None)


def _near(mark: Placed, centre: np.ndarray, size: float) -> bool:
    y0, x0, y1, x1 = mark.window
    reach = size / 2
    return x0 - reach < centre[0] < x1 + reach and y0 - reach / 2 < centre[1] < y1 + reach / 2


def _occlude(canvas: Canvas) -> None:
    """A strap, a lace or fingers across some mark, or anywhere."""
    rng = canvas.rng
    h, w = canvas.shape
    if canvas.placed:
        y0, x0, y1, x1 = canvas.placed[int(rng.integers(len(canvas.placed)))].window
    else:
        y0, x0, y1, x1 = 0, 0, h, w
    size = max(y1 - y0, x1 - x0)
    middle = np.array([x0, y0]) + rng.uniform(0.1, 0.9, 2) * (x1 - x0, y1 - y0)
    turn = rng.uniform(0, np.pi)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    kind = rng.choice(["strap", "lace", "fingers"])
    width = size * {"strap": rng.uniform(0.08, 0.25), "lace": rng.uniform(0.03, 0.07), "fingers": rng.uniform(0.1, 0.2)}[str(kind)]
    if kind == "fingers":
        surface = materials.material(rng, ("skin",), clothes.SKIN[rng.integers(5)], size * 2)
        for i in range(int(rng.integers(1, 5))):
            tip = middle + across * width * i * 1.05 + along * rng.uniform(-0.1, 0.1) * size
            line = geometry.spline([tip + along * size * 1.5, tip + along * size * 0.6 + across * rng.normal(0, 0.05) * size, tip], closed=False)
            canvas.fill([geometry.ribbon(line, width)], surface, inflate=width / 2)
            canvas.fill([geometry.ellipse(tip, (width / 2, width / 2))], surface, inflate=width / 2)
        return
    surface = materials.material(rng, ("weave", "leather", "smooth"), None, size * 2)
    line = geometry.spline([middle - along * size * 1.5, middle + across * rng.normal(0, 0.1) * size, middle + along * size * 1.5], closed=False)
    canvas.shadow([geometry.ribbon(line, width)], (width * 0.15, width * 0.2), width * 0.2, 0.4)
    canvas.fill([geometry.ribbon(line, width)], surface, inflate=width / 2 if kind == "lace" else width / 5)


def _visible_share(mark: Placed) -> float:
    return float(np.count_nonzero(mark.visible) / mark.scale**2 / mark.area)


def _label(image: np.ndarray, mark: Placed, label: str) -> Instance:
    """Outlines what is left of a mark and judges whether a person could have done so."""
    y0, x0 = mark.window[:2]
    polygons = geometry.polygons_of(mark.visible, mark.scale, (x0, y0))
    if not polygons:
        return Instance(IGNORE, [])
    extent = np.ptp(np.concatenate(polygons), axis=0)
    fair = (extent.max() >= SMALLEST_SIDE and extent.min() >= 3 and _visible_share(mark) >= LEAST_VISIBLE
            and contrast(image, polygons[0]) >= LEAST_CONTRAST)
    return Instance(label if fair else IGNORE, polygons)


def contrast(image: np.ndarray, polygon: np.ndarray) -> float:
    """How clearly an outline shows: the mean step across it in levels of 255, each piece of the outline averaged alone."""
    closed = np.concatenate([polygon, polygon[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, along[-1], 129)[:-1]
    points = np.stack([np.interp(at, along, closed[:, k]) for k in (0, 1)], 1)
    tangent = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / (np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6)
    samples = np.stack([points + normal * d - 0.5 for d in (-1.5, 0, 1.5)]).astype(np.float32)
    values = cv2.remap(image, samples[..., 0], samples[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    pieces = values.reshape(3, 16, 8, 3).mean(axis=2)  # 16 pieces of 8 points: texture averages out, an edge does not
    step = np.abs(pieces - np.roll(pieces, 1, axis=0)).max(axis=(0, 2))
    return float(step.mean())
