"""Text labels on images, placed inside the image with little overlap."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mrcnn.visualization.colors import text_color

MIN_FONT_SIZE = 8  # pixels


@lru_cache(maxsize=32)
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """Returns DejaVu Sans Bold, which is bundled with Matplotlib and supports Latin, Greek and Cyrillic."""
    import matplotlib  # deferred, because most callers draw no text

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf"), size)


def draw_labels(
    image: np.ndarray, labels: Sequence[tuple[str, Sequence[float], Sequence[int]]], font_size: int
) -> None:
    """Draws a label at each box, in place. Labels are placed in the given order.

    Args:
        image: uint8 `[H, W, 3]`.
        labels: list of (text, box in pixels, RGB background color).
        font_size: int, pixels. A label that is wider than the image is drawn in a smaller font, then truncated.
    """
    height, width = image.shape[:2]
    boxes = np.nan_to_num(np.array([box for _, box, _ in labels], dtype=np.float64).reshape(-1, 4))
    placed = np.zeros((0, 4))
    for (text, _, color), box in zip(labels, boxes, strict=True):
        label, opacity = render_label(text, color, font_size, width)
        label_height, label_width = min(label.shape[0], height), min(label.shape[1], width)
        y, x = place_label((label_height, label_width), box, (height, width), placed, boxes)
        placed = np.vstack([placed, (y, x, y + label_height, x + label_width)])
        window = image[y : y + label_height, x : x + label_width]
        alpha = opacity[:label_height, :label_width, None]
        window[:] = np.round(window * (1 - alpha) + label[:label_height, :label_width] * alpha)


def fit_text(text: str, size: int, max_width: int) -> tuple[str, int]:
    """Reduces the font size, then truncates the text, until it fits into `max_width` pixels.

    Returns:
        The text without line breaks, and the font size in pixels.
    """
    text = " ".join(str(text).split())
    while size > MIN_FONT_SIZE and load_font(size).getlength(text) > max_width:
        size -= 1
    while len(text) > 1 and load_font(size).getlength(text) > max_width:
        text = text[:-2] + "…"
    return text, size


def render_label(text: str, color: Sequence[int], font_size: int, max_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Renders text on a rounded rectangle.

    Returns:
        The label, uint8 `[h, w, 3]`, and its opacity, float32 `[h, w]` in 0..1. The height depends only on the font
        size.
    """
    padding = max(3, round(0.45 * font_size))
    text, size = fit_text(text, font_size, max_width - 2 * padding)
    font = load_font(size)
    ascent, descent = font.getmetrics()
    width, height = int(np.ceil(font.getlength(text))) + 2 * padding, ascent + descent + padding // 2
    background = tuple(int(v) for v in color)
    label = Image.new("RGB", (width, height), background)
    baseline = padding // 4 + ascent
    ImageDraw.Draw(label).text((padding, baseline), text, font=font, fill=text_color(background), anchor="ls")
    # Pillow does not antialias rounded corners, so they are drawn at four times the size and reduced.
    shape = Image.new("L", (4 * width, 4 * height), 0)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), radius=2 * padding, fill=255)
    opacity = shape.resize((width, height), Image.Resampling.BOX)
    return np.asarray(label), np.asarray(opacity, dtype=np.float32) / 255


def place_label(
    size: tuple[int, int],
    box: np.ndarray,
    image_size: tuple[int, int],
    labels: np.ndarray,
    boxes: np.ndarray,
) -> tuple[int, int]:
    """Returns the top left corner (y, x) for the label of a box: close to the box, with little overlap.

    Args:
        size: (height, width) of the label, at most the size of the image.
        box: (y1, x1, y2, x2) of the instance, in pixels.
        image_size: (height, width) of the image.
        labels: `[N, 4]` boxes of the labels placed so far.
        boxes: `[M, 4]` boxes of all instances. Overlap with an instance costs less than overlap with a label.
    """
    height, width = size
    y1, x1, y2, x2 = box
    rows = [y1 - height, y2, y1, y2 - height] + [y for k in (1, 2, 3) for y in (y1 - (k + 1) * height, y2 + k * height)]
    columns = [x1, x2 - width, x2, x1 - width]
    candidates = np.array([(y, x) for y in rows for x in columns])  # [P, 2], the default position first
    corners = np.clip(np.round(candidates), 0, np.subtract(image_size, size))
    places = np.hstack([corners, corners + size])  # [P, 4]
    area = height * width
    gap = np.maximum(0, np.maximum(box[:2] - places[:, 2:], places[:, :2] - box[2:])).sum(axis=1)  # from box to label
    # The cost is a weighted sum of overlap areas in pixels. The last term prefers early candidates close to the box.
    cost = 50 * _intersection(places, labels) + 0.2 * _intersection(places, boxes)
    cost += 0.5 * _intersection(places, box[None]) + area * (np.arange(len(places)) / 40 + gap / height)
    y, x = corners[np.argmin(cost)]
    return int(y), int(x)


def _intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the intersection area `[N]` of each box of `a [N, 4]`, summed over the boxes of `b [M, 4]`."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return np.clip(sides, 0, None).prod(axis=2).sum(axis=1)
