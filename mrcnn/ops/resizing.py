"""Linear interpolation between pixel grids: the one way in which photos and masks change size.

Pixel centres lie at half-integers: output pixel `i` of `n_out` reads the input at `(i + 0.5) * n_in / n_out - 0.5`.
There is no smoothing before making an image smaller. Outside the image is 0, so an enlarged image fades at its border,
but never below its own minimum. This is `skimage.transform.resize(order=1, mode="constant", anti_aliasing=False)`, with
which Matterport prepared its images and masks; going one axis at a time, in bands of rows, is 10 to 40 times as fast
and needs no float copy of the photo.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BAND_VALUES = 1 << 15  # float64 values per band: 256 KiB stays in the L2 cache


def scaled_side(side: int, scale: float) -> int:
    """Length in pixels of an image side after scaling: rounded half to even, never below 1 (a 20000x3 photo)."""
    return max(1, round(side * scale))


class _Taps(NamedTuple):
    """What each output pixel of one axis reads. All `[n]`."""

    lower: np.ndarray  # index of the input pixel before it
    upper: np.ndarray  # index of the input pixel after it
    fraction: np.ndarray  # float64 0..1: weight of `upper`
    fade: np.ndarray  # float64: weight that falls inside the image, below 1 only at the border


def input_positions(n_in: int, n_out: int, start: int, stop: int) -> np.ndarray:
    """Where output pixels `start`..`stop - 1` of one axis read the input; input pixel centres are at whole numbers."""
    return (np.arange(start, stop) + 0.5) * (n_in / n_out) - 0.5


def _taps(n_in: int, n_out: int, start: int, stop: int) -> _Taps:
    position = input_positions(n_in, n_out, start, stop)
    lower = np.floor(position).astype(np.intp)
    fraction = position - lower
    fade = np.where(lower < 0, fraction, np.where(lower + 1 >= n_in, 1 - fraction, 1.0))
    return _Taps(np.clip(lower, 0, n_in - 1), np.clip(lower + 1, 0, n_in - 1), fraction, fade)


def _mix(lower: np.ndarray, upper: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    # lower + fraction * (upper - lower): unlike a sum of two weighted values, this leaves flat regions exactly flat.
    mixed = np.subtract(upper, lower, dtype=np.float64)
    mixed *= fraction
    mixed += lower
    return mixed


def linear_bands(
    image: np.ndarray,
    output_shape: tuple[int, int],
    rows: tuple[int, int] | None = None,
    cols: tuple[int, int] | None = None,
    clip: bool = True,
) -> Iterator[tuple[int, np.ndarray]]:
    """Resizes an image and hands it out in bands of rows, so that the caller can store it in any form.

    Args:
        image: `[H, W]` or `[H, W, C]`, real numbers or bool; no side is 0.
        output_shape: (height, width) of the whole resized image.
        rows: (first, last + 1) of the output rows that are wanted; all without it.
        cols: the same for columns.
        clip: keep the faded border inside the range of values of `image`.

    Yields:
        (index of the band's first row counted from `rows[0]`, float64 band `[n, columns]` or `[n, columns, C]`).
    """
    height, width = image.shape[:2]
    y = _taps(height, output_shape[0], *(rows or (0, output_shape[0])))
    x = _taps(width, output_shape[1], *(cols or (0, output_shape[1])))

    flat = image.reshape(height, -1)  # [H, W*C]: the columns of all channels are picked in one `take`
    channels = np.arange(flat.shape[1] // width)
    left = (x.lower[:, None] * len(channels) + channels).ravel()
    right = (x.upper[:, None] * len(channels) + channels).ravel()
    x_fraction, x_fade = np.repeat(x.fraction, len(channels)), np.repeat(x.fade, len(channels))

    x_border = np.flatnonzero(x_fade < 1)
    low, high = -np.inf, np.inf
    if clip and (len(x_border) or (y.fade < 1).any()):
        low, high = np.fmin.reduce(image, axis=None), np.fmax.reduce(image, axis=None)

    step = max(1, BAND_VALUES // max(flat.shape[1], left.size, 1))
    for start in range(0, len(y.lower), step):
        part = slice(start, start + step)
        band = _mix(flat[y.lower[part]], flat[y.upper[part]], y.fraction[part, None])
        band *= y.fade[part, None]
        band = _mix(band.take(left, axis=1), band.take(right, axis=1), x_fraction)
        band[:, x_border] *= x_fade[x_border]
        if low > 0 or high < 0:  # fading moves values towards 0: only then can they leave the range
            np.clip(band, low, high, out=band)
        yield start, band.reshape(len(band), -1, *image.shape[2:])


def resize(
    image: np.ndarray,
    output_shape: tuple[int, ...],
    order: int = 1,
    mode: str = "constant",
    cval: float = 0,
    clip: bool = True,
    preserve_range: bool = False,
    anti_aliasing: bool = False,
    anti_aliasing_sigma: float | None = None,
) -> np.ndarray:
    """Resizes an image; the arguments are those of `skimage.transform.resize`, the defaults Matterport's.

    The defaults run on this module's own code; everything else is handed to scikit-image.

    Args:
        image: `[H, W]` or `[H, W, C]`.
        output_shape: (height, width) in pixels.
        preserve_range: keep the values as they are; otherwise integers are scaled to [0, 1] first.

    Returns:
        float64 `[height, width]` or `[height, width, C]`.

    Raises:
        ValueError: the image is empty, or a wanted side is below 1.

    Source: Matterport.
    """
    image = np.asarray(image)
    if image.size == 0 or min(output_shape) < 1:
        raise ValueError(f"resize: cannot make {tuple(output_shape)} of an image {image.shape}; no side may be 0.")
    if image.dtype.kind in "bf":
        image = image.astype(np.float64, copy=False)
    elif image.dtype.kind == "u" and not preserve_range:
        image = image / np.iinfo(image.dtype).max

    plain = (order, mode, cval, anti_aliasing) == (1, "constant", 0, False) and image.ndim in (2, 3)
    if not plain or len(output_shape) != 2 or (image.dtype.kind == "i" and not preserve_range):
        from skimage.transform import resize as skimage_resize  # slow to import and rarely needed

        return skimage_resize(
            image,
            output_shape,
            order=order,
            mode=mode,
            cval=cval,
            clip=clip,
            preserve_range=preserve_range,
            anti_aliasing=anti_aliasing,
            anti_aliasing_sigma=anti_aliasing_sigma,
        )
    resized = np.empty((*output_shape, *image.shape[2:]))
    for start, band in linear_bands(image, output_shape, clip=clip):
        resized[start : start + len(band)] = band
    return resized
