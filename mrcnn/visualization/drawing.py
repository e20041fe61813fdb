"""Raster drawing of results with NumPy and Pillow: overlay, color splash, crops.

Images are `[H, W, 3]` RGB, boxes (y1, x1, y2, x2) in half-open pixels. Functions that return an image do not modify
their input. Functions that return None draw in place.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mrcnn.data.image_files import as_rgb
from mrcnn.errors import UserError
from mrcnn.ops.masks import extract_bboxes, mask_box
from mrcnn.visualization.captions import draw_labels
from mrcnn.visualization.colors import class_color

MIN_SIZE_TO_OUTLINE = 10  # minimum ratio of the shorter side of a mask to the width of its outline


class ResultMapping(Protocol):
    """The mapping methods that drawing requires, as in `Detections` or in a dict with some of its keys."""

    def __getitem__(self, key: str, /) -> Any: ...

    def get(self, key: str, /) -> Any: ...


def new_canvas(image: np.ndarray) -> np.ndarray:
    """Returns a uint8 RGB copy `[H, W, 3]` of an image to draw on; see `as_rgb` with `clip=True`."""
    return as_rgb(image, clip=True).copy()


def blend_mask(
    image: np.ndarray, mask: np.ndarray, color: Sequence[float], alpha: float, box: Sequence[int] | None = None
) -> None:
    """Blends a color into an image where a mask is set, in place.

    Args:
        image: `[H, W, 3]`, integer or float.
        mask: `[H, W]`, non-zero inside.
        color: RGB, range 0..255.
        alpha: float in 0..1, opacity of the color.
        box: (y1, x1, y2, x2), bounding box of the mask; computed if None.
    """
    y1, x1, y2, x2 = mask_box(mask) if box is None else box
    window, inside = image[y1:y2, x1:x2], mask[y1:y2, x1:x2] != 0
    window[inside] = window[inside] * (1 - alpha) + alpha * np.asarray(color, dtype=np.float32)


def line_width(image_shape: tuple[int, ...]) -> int:
    """Returns the line width in pixels, proportional to the image size."""
    return max(1, round(0.0028 * (image_shape[0] * image_shape[1]) ** 0.5))


def font_size(image_shape: tuple[int, ...], count: int = 1) -> int:
    """Returns the font size in pixels, proportional to the image size and smaller for more than six labels."""
    crowding = min(1.0, (6 / max(count, 1)) ** 0.25)
    return max(11, round(0.022 * crowding * (image_shape[0] * image_shape[1]) ** 0.5))


def overlay(
    image: np.ndarray,
    result: ResultMapping,
    class_names: Sequence[str],
    *,
    alpha: float = 0.45,
    boxes: bool = False,
    labels: bool = True,
    colors: Sequence[Sequence[int]] | None = None,
    captions: Sequence[str] | None = None,
    skeleton: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Draws instances on a copy of an image: tinted masks with an outline, boxes and labels.

    Line width and font size scale with the image. Instances with a higher score are drawn on top.

    Args:
        image: `[H, W, 3]` RGB, or a greyscale or RGBA image.
        result: a result of `detect()`, or ground truth: `class_ids [N]` and optionally `masks [H, W, N]`,
            `rois [N, 4]`, `scores [N]`. A negative class id is an ignored region.
        class_names: list of class names, background first.
        alpha: float in 0..1, opacity of the masks.
        boxes: bool, whether to draw boxes. If there are no masks, boxes are always drawn.
        labels: bool, whether to draw class and score.
        colors: RGB in 0..255 for each instance; by default one color per class.
        captions: list of N str that replace class and score.
        skeleton: index pairs of keypoints that are connected by a line. Keypoints are drawn if `result` is a
            `Detections` object with keypoints.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        ValueError: if the size of the masks differs from the size of the image, or if fields have different lengths.
    """
    canvas = new_canvas(image)
    class_ids, masks, rois, scores = _check_instances(result, canvas.shape)
    if colors is None:
        colors = [class_color(class_id) for class_id in class_ids]
    if captions is None:
        captions = [caption(class_names, c, s) for c, s in zip(class_ids, scores, strict=True)]
    if len(colors) != len(class_ids) or len(captions) != len(class_ids):
        raise UserError(f"{len(class_ids)} instances, but {len(colors)} colors and {len(captions)} captions.")
    width = line_width(canvas.shape)
    ascending = np.argsort(scores, kind="stable")
    if masks is not None:
        tight = extract_bboxes(masks)  # `rois` may be smaller than the masks
        for i in ascending:
            blend_mask(canvas, masks[..., i], colors[i], alpha, tight[i])
        for i in ascending:
            y1, x1, y2, x2 = tight[i]
            max_width = max(1, min(y2 - y1, x2 - x1) // MIN_SIZE_TO_OUTLINE)  # a thick line would hide a small mask
            draw_outline(canvas, masks[..., i], colors[i], min(width, max_width), tight[i])
    for i in ascending:
        if boxes or masks is None:
            draw_frame(canvas, rois[i], colors[i], width)
    keypoints = getattr(result, "keypoints", None)
    if keypoints is not None:
        for i in ascending:
            draw_keypoints(canvas, keypoints[i], colors[i], width, skeleton)
    if labels:
        texts = [(captions[i], rois[i], colors[i]) for i in ascending[::-1]]
        draw_labels(canvas, texts, font_size(canvas.shape, len(texts)))
    return canvas


def caption(class_names: Sequence[str], class_id: int, score: float | None = None) -> str:
    """Returns the caption "name score", "name (ignore)" for a negative id, or "class 7" without a name.

    The score is omitted if it is None or NaN.
    """
    number = abs(class_id)
    name = str(class_names[number]) if number < len(class_names) else f"class {number}"
    if class_id < 0:
        name += " (ignore)"
    return name if score is None or np.isnan(score) else f"{name} {score:.2f}"


def _check_instances(result: ResultMapping, image_shape: tuple[int, ...]):
    """Returns validated class ids `[N]`, masks `[H, W, N]` or None, boxes `[N, 4]` and scores `[N]` or NaN."""
    class_ids = np.asarray(result["class_ids"], dtype=np.int64).reshape(-1)
    masks, rois, scores = result.get("masks"), result.get("rois"), result.get("scores")
    if masks is not None and masks.shape != (*image_shape[:2], len(class_ids)):
        raise UserError(f"masks: expected {[*image_shape[:2], len(class_ids)]}, got {list(masks.shape)}.")
    if rois is None and masks is None:
        raise UserError("result: expected masks or rois, got neither.")
    rois = extract_bboxes(masks) if rois is None else np.asarray(rois).reshape(-1, 4)
    scores = np.full(len(class_ids), np.nan) if scores is None else np.asarray(scores, dtype=np.float64).reshape(-1)
    if not len(class_ids) == len(rois) == len(scores):
        raise UserError(
            f"result: expected arrays of equal length, got {len(class_ids)} class_ids, {len(rois)} rois and "
            f"{len(scores)} scores."
        )
    return class_ids, masks, rois, scores


def draw_outline(
    image: np.ndarray, mask: np.ndarray, color: Sequence[int], width: int, box: Sequence[int] | None = None
) -> None:
    """Draws the edge of a mask in place, as a colored line with a dark casing for contrast.

    See `blend_mask` for the arguments. `width` is the line width in pixels.
    """
    y1, x1, y2, x2 = mask_box(mask) if box is None else box
    if y2 == 0:
        return
    casing = max(1, width // 3)
    margin = width + casing + 2
    rows = slice(max(y1 - margin, 0), y2 + margin)
    columns = slice(max(x1 - margin, 0), x2 + margin)
    window, inside = image[rows, columns], mask[rows, columns] != 0
    outward = (width + 1) // 2
    dilated = _dilate(inside, outward)
    line = dilated & _dilate(~inside, width - outward)
    _blend_color(window, _dilate(dilated, casing) & ~dilated, (0, 0, 0), 0.45)
    _blend_color(window, line, color, 1.0)


def _dilate(mask: np.ndarray, steps: int) -> np.ndarray:
    """Dilates a mask by `steps` pixels with an octagon: 4- and 8-neighborhoods alternate."""
    for step in range(steps):
        vertical = mask.copy()
        vertical[1:] |= mask[:-1]
        vertical[:-1] |= mask[1:]
        source = vertical if step % 2 else mask
        mask = vertical.copy()
        mask[:, 1:] |= source[:, :-1]
        mask[:, :-1] |= source[:, 1:]
    return mask


def _blend_color(image: np.ndarray, where: np.ndarray, color: Sequence[int], opacity: float) -> None:
    """Blends a color into the pixels of a bool mask in place, with antialiased edges."""
    soft = np.asarray(Image.fromarray(where.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(0.5)))
    touched = soft > 0
    alpha = soft[touched, None] * np.float32(opacity / 255)
    image[touched] = np.round(image[touched] * (1 - alpha) + np.asarray(color, dtype=np.float32) * alpha)


def draw_frame(image: np.ndarray, box: Sequence[float], color: Sequence[int], width: int) -> None:
    """Draws a box in place. The line lies inside the box and is clipped to the image."""
    y1, x1, y2, x2 = (round(float(v)) for v in box)
    for top, left, bottom, right in (
        (y1, x1, min(y1 + width, y2), x2),
        (max(y2 - width, y1), x1, y2, x2),
        (y1, x1, y2, min(x1 + width, x2)),
        (y1, max(x2 - width, x1), y2, x2),
    ):
        image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = color


def draw_keypoints(
    image: np.ndarray, keypoints: np.ndarray, color: Sequence[int], width: int, skeleton: Sequence[Sequence[int]] = ()
) -> None:
    """Draws keypoints in place, as white-rimmed dots connected by the lines of a skeleton.

    Args:
        image: uint8 `[H, W, 3]`.
        keypoints: `[J, 3]` (x, y, score or visibility). Keypoints with a score or visibility of 0 are not drawn.
        color: RGB, range 0..255.
        width: line width in pixels.
        skeleton: pairs of indices of connected keypoints.

    Raises:
        ValueError: if `skeleton` has an item that is not a pair of keypoint indices.
    """
    indices = range(len(keypoints))
    if not all(np.shape(pair) == (2,) and all(_is_index(i) and i in indices for i in pair) for pair in skeleton):
        raise UserError(f"skeleton: expected pairs of indices below {len(keypoints)} keypoints, got {list(skeleton)}.")
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    points = [(float(x) - 0.5, float(y) - 0.5) if shown > 0 else None for x, y, shown in keypoints]
    for a, b in skeleton:
        if points[a] and points[b]:
            pen.line([points[a], points[b]], fill=tuple(int(value) for value in color), width=width)
    for x, y in filter(None, points):
        for radius, fill in ((2 * width + 1, (255, 255, 255)), (2 * width - 1, tuple(int(value) for value in color))):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    image[:] = np.asarray(canvas)


def _is_index(value: Any) -> bool:
    return isinstance(value, (int, np.integer))


def color_splash(image: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Converts an image to greyscale except inside the masks.

    Args:
        image: `[H, W, 3]` RGB, or a greyscale or RGBA image.
        masks: `[H, W, N]` or `[H, W]`.

    Returns:
        uint8 `[H, W, 3]`, entirely grey if there are no instances.
    """
    image = new_canvas(image)
    masks = np.asarray(masks)
    if masks.shape[:2] != image.shape[:2]:
        raise UserError(f"masks: expected [{image.shape[0]}, {image.shape[1]}, N], got {list(masks.shape)}.")
    gray = new_canvas(np.asarray(Image.fromarray(image).convert("L")))
    inside = masks.reshape(*image.shape[:2], -1).any(axis=-1, keepdims=True)
    return np.where(inside, image, gray)


def crops(image: np.ndarray, result: ResultMapping, margin: float = 0.1, cutout: bool = False) -> list[np.ndarray]:
    """Returns a crop of the image for each instance.

    Args:
        image: `[H, W, 3]` RGB, or a greyscale or RGBA image.
        result: see `overlay`.
        margin: float, margin around the box as a fraction of its longer side.
        cutout: bool, whether to add the mask as an alpha channel.

    Returns:
        A list of uint8 arrays `[h, w, 3]` (`[h, w, 4]` if `cutout`), in the order of `result`. The crop of an instance
        outside the image has a size of 1 x 1 pixel.
    """
    image = new_canvas(image)
    class_ids, masks, rois, _ = _check_instances(result, image.shape)
    if cutout and masks is None:
        raise UserError("cutout: the result has no masks.")
    cropped = []
    for i in range(len(class_ids)):
        y1, x1, y2, x2 = (float(v) for v in rois[i])
        padding = margin * max(y2 - y1, x2 - x1)
        rows = _clipped_slice(y1 - padding, y2 + padding, image.shape[0])
        columns = _clipped_slice(x1 - padding, x2 + padding, image.shape[1])
        crop = image[rows, columns]
        if cutout:
            crop = np.dstack([crop, masks[rows, columns, i].astype(np.uint8) * 255])
        cropped.append(crop.copy())
    return cropped


def _clipped_slice(start: float, stop: float, size: int) -> slice:
    first = min(max(int(np.floor(start)), 0), size - 1)
    return slice(first, min(max(int(np.ceil(stop)), first + 1), size))
