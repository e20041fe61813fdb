"""Preprocessing of images: resizing, padding and subtraction of the mean color."""

import random
from typing import Any

import numpy as np

from mrcnn import choices
from mrcnn.errors import UserError
from mrcnn.ops.resizing import linear_bands, scaled_side

PAD_MULTIPLE = 64  # stride of P6; the sides become multiples of this stride in mode "pad64"

Window = tuple[int, int, int, int]
Padding = list[tuple[int, int]]


def resize_image(
    image: np.ndarray,
    min_dim: int | None = None,
    max_dim: int | None = None,
    min_scale: float | None = None,
    mode: str = "square",
    rng: Any = random,
) -> tuple[np.ndarray, Window, float, Padding, Window | None]:
    """Resizes an image with its aspect ratio preserved, and pads or crops it to a shape that the network accepts.

    The image is enlarged until its shorter side is at least `min_dim` and its scale at least `min_scale`. It is
    downscaled only in mode "square", if its longer side would exceed `max_dim`.

    Args:
        image: `[H, W, C]`, any real dtype.
        min_dim: minimum length of the shorter side in pixels, or None.
        max_dim: side of the square in pixels, for mode "square".
        min_scale: minimum scale, or None.
        mode: "none" returns the image unchanged. "square" centres and pads it to `[max_dim, max_dim]`. "pad64" centres
            and pads it to multiples of 64. "crop" crops a random region of `[min_dim, min_dim]`, for training only.
        rng: random generator for the crop, the module `random` or a `random.Random`.

    Returns:
        image: `[H', W', C]`, same dtype, padded with 0. Integers are truncated, not rounded.
        window: (y1, x1, y2, x2) half-open region of the returned image without the padding, in pixels.
        scale: ratio of the size after resizing to the original size.
        padding: [(top, bottom), (left, right), (0, 0)] in pixels.
        crop: (y, x, height, width) of the crop in the resized image, or None.

    Raises:
        ValueError: if the image is empty or not `[H, W, C]`, if the mode is unknown, or if `max_dim` or `min_dim` is
            missing or invalid for the mode.

    Source: Matterport.
    Differs from Matterport: a side never becomes 0, for example for a 20000x3 image.
    """
    _check_arguments(image, min_dim, max_dim, mode)
    height, width = image.shape[:2]
    no_padding = [(0, 0), (0, 0), (0, 0)]
    if mode == "none":
        return image, (0, 0, height, width), 1, no_padding, None

    scale = resize_scale(height, width, min_dim, max_dim, min_scale, mode)
    height, width = scaled_side(height, scale), scaled_side(width, scale)
    if mode == "crop":
        y, x = rng.randint(0, height - min_dim), rng.randint(0, width - min_dim)
        cropped = np.empty((min_dim, min_dim, image.shape[2]), dtype=image.dtype)
        _resize_into(cropped, image, (height, width), y, x)
        return cropped, (0, 0, min_dim, min_dim), scale, no_padding, (y, x, min_dim, min_dim)

    if mode == "square":
        full_height = full_width = max_dim
    else:
        full_height, full_width = (-(-side // PAD_MULTIPLE) * PAD_MULTIPLE for side in (height, width))
    top, left = (full_height - height) // 2, (full_width - width) // 2
    padded = np.zeros((full_height, full_width, image.shape[2]), dtype=image.dtype)
    _resize_into(padded[top : top + height, left : left + width], image, (height, width))
    padding = [(top, full_height - height - top), (left, full_width - width - left), (0, 0)]
    return padded, (top, left, top + height, left + width), scale, padding, None


def _check_arguments(image: np.ndarray, min_dim: int | None, max_dim: int | None, mode: str) -> None:
    if image.ndim != 3 or image.size == 0:
        raise UserError(f"resize_image: expected an image [H, W, C] that is not empty, got shape {image.shape}.")
    if mode not in choices.SETTINGS["IMAGE_RESIZE_MODE"]:
        raise UserError(f'resize_image: expected mode "none", "square", "pad64" or "crop", got {mode!r}.')
    if mode == "square" and not max_dim:
        raise UserError('resize_image: mode "square" requires max_dim, the side of the square. Set IMAGE_MAX_DIM.')
    if mode == "crop" and not min_dim:
        raise UserError('resize_image: mode "crop" requires min_dim, the side of the crop. Set IMAGE_MIN_DIM.')
    if mode == "pad64" and min_dim and min_dim % PAD_MULTIPLE:
        raise UserError(f'resize_image: mode "pad64" requires a min_dim that is a multiple of 64, got {min_dim}.')


def resize_scale(
    height: int, width: int, min_dim: int | None, max_dim: int | None, min_scale: float | None, mode: str
) -> float:
    """Returns the factor by which `resize_image` scales an image of the given size in pixels."""
    if mode == "none":
        return 1
    scale = 1
    if min_dim:
        scale = max(scale, min_dim / min(height, width))
    if min_scale:
        scale = max(scale, min_scale)
    if mode == "square" and round(max(height, width) * scale) > max_dim:
        scale = max_dim / max(height, width)
    return scale


def _resize_into(out: np.ndarray, image: np.ndarray, shape: tuple[int, int], y: int = 0, x: int = 0) -> None:
    """Resizes `image` to `shape` and writes the region of the result at (y, x) to `out` `[h, w, C]`."""
    height, width = out.shape[:2]
    if shape == image.shape[:2]:
        out[:] = image[y : y + height, x : x + width]
        return
    for start, band in linear_bands(image, shape, rows=(y, y + height), cols=(x, x + width)):
        out[start : start + len(band)] = band


def normalize_image(image: np.ndarray, mean_pixel: Any) -> np.ndarray:
    """Subtracts the mean color, as in the input pipeline of training.

    Args:
        image: `[..., H, W, C]` RGB, uint8.
        mean_pixel: `[C]`, `Config.MEAN_PIXEL`.

    Returns:
        float32 of the same shape.
    """
    return np.subtract(image, np.asarray(mean_pixel, np.float32), dtype=np.float32)
