"""Pictures of results, image in, image out: overlay, colour splash, crops, side by side. NumPy and Pillow only.

Images are `[H, W, 3]` RGB, boxes (y1, x1, y2, x2) half-open pixels. What returns a picture leaves its input as it is;
what returns None draws in place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mrcnn.ops.masks import extract_bboxes
from mrcnn.visualization.captions import draw_labels, fit_text, load_font
from mrcnn.visualization.colors import class_color

OUTLINE_SHARE = 10  # the outline of a mask is at most this part of its shorter side


def as_rgb(image: np.ndarray) -> np.ndarray:
    """A uint8 RGB copy `[H, W, 3]` of a grey, RGB or RGBA image; floats are taken as 0..1 if none is above 1.

    Raises:
        ValueError: another number of axes or channels.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ValueError(f"image: expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], got {list(image.shape)}.")
    if image.dtype != np.uint8:
        image = np.nan_to_num(image.astype(np.float64))
        image = np.clip(image * 255 if image.max(initial=0) <= 1 else image, 0, 255).round().astype(np.uint8)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3].copy()


def blend_mask(
    image: np.ndarray, mask: np.ndarray, color: Sequence[float], alpha: float, box: Sequence[int] | None = None
) -> None:
    """Mix `color` (0..255) into an image where a mask is set, in place; only the mask's box is touched.

    Args:
        image: `[H, W, 3]`, integer or float.
        mask: `[H, W]`, non-zero inside.
        color: RGB.
        alpha: 0 leaves the image, 1 gives the plain colour.
        box: of the mask; found if not given, which takes longer than the blending.
    """
    y1, x1, y2, x2 = extract_bboxes(mask[..., None])[0] if box is None else box
    window, inside = image[y1:y2, x1:x2], mask[y1:y2, x1:x2] != 0
    window[inside] = window[inside] * (1 - alpha) + alpha * np.asarray(color, dtype=np.float32)


def line_width(image_shape: tuple[int, ...]) -> int:
    """Width in pixels of a line that looks the same on photos of any size once they fill the screen."""
    return max(1, round(0.0028 * (image_shape[0] * image_shape[1]) ** 0.5))


def font_size(image_shape: tuple[int, ...], count: int = 1) -> int:
    """Height in pixels of text that can be read on a photo of any size once it fills the screen.

    Where there are many labels (`count`) they are a little smaller, so as not to hide what they name.
    """
    crowding = min(1.0, (6 / max(count, 1)) ** 0.25)
    return max(11, round(0.022 * crowding * (image_shape[0] * image_shape[1]) ** 0.5))


def overlay(
    image: np.ndarray,
    result: Mapping[str, Any],
    class_names: Sequence[str],
    *,
    alpha: float = 0.45,
    boxes: bool = False,
    labels: bool = True,
    colors: Sequence[Sequence[int]] | None = None,
    captions: Sequence[str] | None = None,
) -> np.ndarray:
    """Draw instances into a copy of a photo: tinted masks with an outline, and a label each.

    Lines and letters scale with the photo. The instance with the best score lies on top.

    Args:
        image: the photo, `[H, W, 3]`, or grey or RGBA.
        result: as `detect()` returns it: `class_ids [N]`, and as far as present `masks [H, W, N]`, `rois [N, 4]`,
            `scores [N]`. Ground truth without scores or boxes will do; negative class ids are regions to ignore.
        class_names: names by class id, background first.
        alpha: strength of the tint, 0..1.
        boxes: draw boxes too. They are always drawn where there are no masks.
        labels: write class and score.
        colors: RGB 0..255 for each instance; by default one for each class, the same on every photo.
        captions: texts in place of class and score.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        ValueError: masks of another size than the photo, or fields of different lengths.
    """
    canvas = as_rgb(image)
    class_ids, masks, rois, scores = _instances(result, canvas.shape)
    if colors is None:
        colors = [class_color(class_id) for class_id in class_ids]
    if captions is None:
        captions = [caption(class_names, c, s) for c, s in zip(class_ids, scores, strict=True)]
    if len(colors) != len(class_ids) or len(captions) != len(class_ids):
        raise ValueError(f"{len(class_ids)} instances, but {len(colors)} colors and {len(captions)} captions.")
    width = line_width(canvas.shape)
    best_last = np.argsort(scores, kind="stable")
    if masks is not None:
        tight = extract_bboxes(masks)  # `rois` need not enclose the masks
        for i in best_last:
            blend_mask(canvas, masks[..., i], colors[i], alpha, tight[i])
        for i in best_last:
            y1, x1, y2, x2 = tight[i]
            thin = max(1, min(y2 - y1, x2 - x1) // OUTLINE_SHARE)  # a thick line would hide a small mask
            draw_outline(canvas, masks[..., i], colors[i], min(width, thin), tight[i])
    for i in best_last:
        if boxes or masks is None:
            draw_frame(canvas, rois[i], colors[i], width)
    if labels:
        best_first = best_last[::-1]
        chips = [(captions[i], rois[i], colors[i]) for i in best_first]
        draw_labels(canvas, chips, font_size(canvas.shape, len(chips)))
    return canvas


def caption(class_names: Sequence[str], class_id: int, score: float | None = None) -> str:
    """`name score`; `name (ignore)` for a negative id, `class 7` without a name; no score if it is None or NaN."""
    number = abs(class_id)
    name = str(class_names[number]) if number < len(class_names) else f"class {number}"
    if class_id < 0:
        name += " (ignore)"
    return name if score is None or np.isnan(score) else f"{name} {score:.2f}"


def _instances(result: Mapping[str, Any], image_shape: tuple[int, ...]):
    """Class ids `[N]`, masks `[H, W, N]` or None, boxes `[N, 4]`, scores `[N]` (NaN if unknown) that fit together."""
    class_ids = np.asarray(result["class_ids"], dtype=np.int64).reshape(-1)
    masks, rois, scores = result.get("masks"), result.get("rois"), result.get("scores")
    if masks is not None and masks.shape != (*image_shape[:2], len(class_ids)):
        raise ValueError(f"masks: expected {[*image_shape[:2], len(class_ids)]}, got {list(masks.shape)}.")
    if rois is None and masks is None:
        raise ValueError("result: expected masks or rois, got neither.")
    rois = extract_bboxes(masks) if rois is None else np.asarray(rois).reshape(-1, 4)
    scores = np.full(len(class_ids), np.nan) if scores is None else np.asarray(scores, dtype=np.float64).reshape(-1)
    if not len(class_ids) == len(rois) == len(scores):
        raise ValueError(f"result: {len(class_ids)} class_ids, {len(rois)} rois, {len(scores)} scores.")
    return class_ids, masks, rois, scores


def draw_outline(
    image: np.ndarray, mask: np.ndarray, color: Sequence[int], width: int, box: Sequence[int] | None = None
) -> None:
    """Draw the edge of a mask in place: a coloured line, cased in dark so that it shows on its own colour too.

    Arguments are those of `blend_mask`; `width` of the line in pixels.
    """
    y1, x1, y2, x2 = extract_bboxes(mask[..., None])[0] if box is None else box
    if y2 == 0:
        return
    casing = max(1, width // 3)
    margin = width + casing + 2
    rows = slice(max(y1 - margin, 0), y2 + margin)
    columns = slice(max(x1 - margin, 0), x2 + margin)
    window, inside = image[rows, columns], mask[rows, columns] != 0
    outward = (width + 1) // 2
    grown = _grow(inside, outward)
    line = grown & _grow(~inside, width - outward)
    _paint(window, _grow(grown, casing) & ~grown, (0, 0, 0), 0.45)
    _paint(window, line, color, 1.0)


def _grow(mask: np.ndarray, steps: int) -> np.ndarray:
    """Dilate by `steps` pixels. Alternating plus and square neighbourhoods make an octagon, close to a disc."""
    for step in range(steps):
        vertical = mask.copy()
        vertical[1:] |= mask[:-1]
        vertical[:-1] |= mask[1:]
        source = vertical if step % 2 else mask
        mask = vertical.copy()
        mask[:, 1:] |= source[:, :-1]
        mask[:, :-1] |= source[:, 1:]
    return mask


def _paint(image: np.ndarray, where: np.ndarray, color: Sequence[int], opacity: float) -> None:
    """Colour the pixels of a bool mask in place, with edges softened by half a pixel."""
    soft = np.asarray(Image.fromarray(where.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(0.5)))
    touched = soft > 0  # a thin line in a large window
    alpha = soft[touched, None] * np.float32(opacity / 255)
    image[touched] = np.round(image[touched] * (1 - alpha) + np.asarray(color, dtype=np.float32) * alpha)


def draw_frame(image: np.ndarray, box: Sequence[float], color: Sequence[int], width: int) -> None:
    """Draw a box in place, its outer edge on the box; parts outside the picture are left out."""
    y1, x1, y2, x2 = (round(float(v)) for v in box)
    for top, left, bottom, right in (
        (y1, x1, min(y1 + width, y2), x2),
        (max(y2 - width, y1), x1, y2, x2),
        (y1, x1, y2, min(x1 + width, x2)),
        (y1, max(x2 - width, x1), y2, x2),
    ):
        image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = color


def color_splash(image: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Keep the colours inside the masks and turn the rest grey.

    Args:
        image: `[H, W, 3]`, or grey or RGBA.
        masks: `[H, W, N]` or `[H, W]`; without any instance the whole photo turns grey.

    Returns:
        uint8 `[H, W, 3]`.
    """
    image = as_rgb(image)
    masks = np.asarray(masks)
    if masks.shape[:2] != image.shape[:2]:
        raise ValueError(f"masks: expected [{image.shape[0]}, {image.shape[1]}, N], got {list(masks.shape)}.")
    grey = as_rgb(np.asarray(Image.fromarray(image).convert("L")))
    inside = masks.reshape(*image.shape[:2], -1).any(axis=-1, keepdims=True)
    return np.where(inside, image, grey)


def crops(image: np.ndarray, result: Mapping[str, Any], margin: float = 0.1, cutout: bool = False) -> list[np.ndarray]:
    """Cut every instance out of the photo.

    Args:
        image: `[H, W, 3]`, or grey or RGBA.
        result: as for `overlay`.
        margin: how much to add around the box, as a part of its longer side.
        cutout: add the mask as alpha channel, so that all but the instance is transparent.

    Returns:
        One uint8 array `[h, w, 3]` (`[h, w, 4]` if `cutout`) for each instance, in the order of `result`. The crop of
        an instance that lies outside the photo is 1 x 1.
    """
    image = as_rgb(image)
    class_ids, masks, rois, _ = _instances(result, image.shape)
    if cutout and masks is None:
        raise ValueError("cutout: the result has no masks.")
    pictures = []
    for i in range(len(class_ids)):
        y1, x1, y2, x2 = (float(v) for v in rois[i])
        around = margin * max(y2 - y1, x2 - x1)
        rows = _span(y1 - around, y2 + around, image.shape[0])
        columns = _span(x1 - around, x2 + around, image.shape[1])
        picture = image[rows, columns]
        if cutout:
            picture = np.dstack([picture, masks[rows, columns, i].astype(np.uint8) * 255])
        pictures.append(picture.copy())
    return pictures


def _span(start: float, stop: float, limit: int) -> slice:
    first = min(max(int(np.floor(start)), 0), limit - 1)
    return slice(first, min(max(int(np.ceil(stop)), first + 1), limit))


def side_by_side(
    images: Sequence[np.ndarray], titles: Sequence[str] | None = None, height: int | None = None
) -> np.ndarray:
    """Put pictures into one row, scaled to one height, with a title above each.

    Args:
        images: at least one, each `[H, W, 3]`, or grey or RGBA.
        titles: one text for each picture; None for none.
        height: of every picture in pixels; by default that of the highest.

    Returns:
        uint8 `[height + title, sum of widths + gaps, 3]` on white.
    """
    if not images or (titles is not None and len(titles) != len(images)):
        raise ValueError(f"side_by_side: {len(images)} images and {titles and len(titles)} titles.")
    pictures = [Image.fromarray(as_rgb(image)) for image in images]
    height = height or max(picture.height for picture in pictures)
    widths = [max(1, round(picture.width * height / picture.height)) for picture in pictures]
    scaled = [p.resize((width, height), Image.Resampling.LANCZOS) for p, width in zip(pictures, widths, strict=True)]
    gap, size = max(2, height // 60), max(11, height // 28)
    top = 2 * size if titles else 0
    page = Image.new("RGB", (sum(widths) + gap * (len(widths) - 1), height + top), "white")
    draw, left = ImageDraw.Draw(page), 0
    for i, picture in enumerate(scaled):
        page.paste(picture, (left, top))
        if titles:
            text, fitting = fit_text(titles[i], size, picture.width - size // 3)
            draw.text((left + size // 3, top // 2), text, fill=(40, 40, 40), font=load_font(fitting), anchor="lm")
        left += picture.width + gap
    return np.asarray(page).copy()
