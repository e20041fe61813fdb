"""Labels on photos: text on a coloured chip, kept inside the picture and off each other."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mrcnn.visualization.colors import text_color

SMALLEST_FONT = 8


@lru_cache(maxsize=32)
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """The bold sans-serif that comes with Matplotlib: Latin, Greek and Cyrillic, the same on every machine."""
    import matplotlib  # here, because only the folder of its fonts is wanted and most callers draw no text

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf"), size)


def draw_labels(
    image: np.ndarray, labels: Sequence[tuple[str, Sequence[float], Sequence[int]]], font_size: int
) -> None:
    """Write a label at each box, in place; the first labels get the best places.

    Args:
        image: uint8 `[H, W, 3]`.
        labels: (text, box in pixels, RGB of the chip).
        font_size: pixels; made smaller, and the text cut, where a label is wider than the picture.
    """
    height, width = image.shape[:2]
    boxes = np.nan_to_num(np.array([box for _, box, _ in labels], dtype=np.float64).reshape(-1, 4))
    placed = np.zeros((0, 4))
    for (text, _, color), box in zip(labels, boxes, strict=True):
        chip, opacity = render_chip(text, color, font_size, width)
        chip_height, chip_width = min(chip.shape[0], height), min(chip.shape[1], width)
        y, x = place_chip((chip_height, chip_width), box, (height, width), placed, boxes)
        placed = np.vstack([placed, (y, x, y + chip_height, x + chip_width)])
        window = image[y : y + chip_height, x : x + chip_width]
        alpha = opacity[:chip_height, :chip_width, None]
        window[:] = np.round(window * (1 - alpha) + chip[:chip_height, :chip_width] * alpha)


def fit_text(text: str, size: int, max_width: int) -> tuple[str, int]:
    """Text and font size that fit into `max_width` pixels: smaller letters first, then fewer of them."""
    text = " ".join(str(text).split())
    while size > SMALLEST_FONT and load_font(size).getlength(text) > max_width:
        size -= 1
    while len(text) > 1 and load_font(size).getlength(text) > max_width:
        text = text[:-2] + "…"
    return text, size


def render_chip(text: str, color: Sequence[int], font_size: int, max_width: int) -> tuple[np.ndarray, np.ndarray]:
    """A rounded chip with text on it.

    Returns:
        uint8 `[h, w, 3]` and its opacity, float32 `[h, w]` in 0..1. All chips of a font size have the same height.
    """
    padding = max(3, round(0.45 * font_size))
    text, size = fit_text(text, font_size, max_width - 2 * padding)
    font = load_font(size)
    ascent, descent = font.getmetrics()
    width, height = int(np.ceil(font.getlength(text))) + 2 * padding, ascent + descent + padding // 2
    background = tuple(int(v) for v in color)
    chip = Image.new("RGB", (width, height), background)
    baseline = padding // 4 + ascent
    ImageDraw.Draw(chip).text((padding, baseline), text, font=font, fill=text_color(background), anchor="ls")
    # Pillow draws rounded corners without smoothing: draw them four times as large and shrink.
    shape = Image.new("L", (4 * width, 4 * height), 0)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), radius=2 * padding, fill=255)
    opacity = shape.resize((width, height), Image.Resampling.BOX)
    return np.asarray(chip), np.asarray(opacity, dtype=np.float32) / 255


def place_chip(
    size: tuple[int, int],
    box: np.ndarray,
    image_size: tuple[int, int],
    chips: np.ndarray,
    boxes: np.ndarray,
) -> tuple[int, int]:
    """Top left corner (y, x) of the chip of a box: near it, inside the picture, on little else.

    Args:
        size: height and width of the chip, not larger than the picture.
        box: (y1, x1, y2, x2) of the instance, pixels.
        image_size: height and width of the picture.
        chips: `[N, 4]` boxes of the chips that are there already.
        boxes: `[M, 4]` boxes of all instances; to cover them is not as bad as to cover a chip.
    """
    height, width = size
    y1, x1, y2, x2 = box
    rows = [y1 - height, y2, y1, y2 - height] + [y for k in (1, 2, 3) for y in (y1 - (k + 1) * height, y2 + k * height)]
    columns = [x1, x2 - width, x2, x1 - width]
    wanted = np.array([(y, x) for y in rows for x in columns])  # [P, 2], the first is the usual place
    corners = np.clip(np.round(wanted), 0, np.subtract(image_size, size))
    places = np.hstack([corners, corners + size])
    area = height * width
    gap = np.maximum(0, np.maximum(box[:2] - places[:, 2:], places[:, :2] - box[2:])).sum(axis=1)  # from box to chip
    cost = 50 * _shared(places, chips) + 0.2 * _shared(places, boxes) + 0.5 * _shared(places, box[None])
    cost += area * (np.arange(len(places)) / 40 + gap / height)
    y, x = corners[np.argmin(cost)]
    return int(y), int(x)


def _shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pixels `[N]` that each box of `a [N, 4]` shares with all of `b [M, 4]`."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return np.clip(sides, 0, None).prod(axis=2).sum(axis=1)
