"""Reads image files and converts arrays to uint8 `[H, W, channels]`."""

import contextlib
import functools
import os
import threading
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from mrcnn.errors import UserError, UserTypeError

MAX_PIXELS = 1 << 28  # 268 million; the largest phone cameras have 200 megapixels
ORIENTATION_TAG = 0x0112  # EXIF tag
UPRIGHT_TRANSPOSE = {  # transformation to the upright image by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow mode by number of channels
# Accepted formats. Some of Pillow's other formats are unsafe (EPS is executed by Ghostscript), and most are rare.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "GIF", "JPEG2000", "PPM")  # JPEG includes MPO
_pillow_limit = threading.Lock()


def read_image(path_or_file: str | os.PathLike | BinaryIO | Image.Image, channels: int = 3) -> np.ndarray:
    """Reads an image and applies its EXIF orientation.

    Accepts the formats in FORMATS and reads the first image of a file. Greyscale images are repeated to three channels,
    CMYK and palette images are converted to RGB. 16-bit greyscale images and float TIFFs are converted as in `as_rgb`,
    and 16-bit color channels are reduced to their upper 8 bits. The alpha channel is dropped without blending, as in
    Matterport's code. Color profiles are not applied.

    Args:
        path_or_file: path, binary file open for reading, or PIL image.
        channels: int, 3 for RGB, 1 for greyscale, 4 for RGBA.

    Returns:
        `[H, W, channels]` uint8.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is empty, damaged, not an image, or has more than MAX_PIXELS pixels.
        TypeError: if `path_or_file` is neither a path, a file nor a PIL image.
    """
    if channels not in MODES:
        raise UserError(f"read_image: channels must be 1, 3 or 4, got {channels}. Override load_image() for others.")
    with contextlib.ExitStack() as stack:
        if isinstance(path_or_file, (str, bytes, os.PathLike)):
            name = os.fsdecode(path_or_file)
            file = stack.enter_context(_open_file(name))
        elif isinstance(path_or_file, Image.Image):
            name, file = getattr(path_or_file, "filename", "") or "PIL image", path_or_file
        elif hasattr(path_or_file, "read"):
            name = str(getattr(path_or_file, "name", "image file without a name"))
            file = path_or_file
        else:
            raise UserTypeError(f"read_image: expected a path or a binary file, got {type(path_or_file).__name__}.")
        try:
            image = file if isinstance(file, Image.Image) else stack.enter_context(open_image(file))
            pixels = _decode(image, MODES[channels])
        except MemoryError:
            raise
        except Exception as error:  # decoders can raise almost any exception on a damaged file
            raise UserError(f"{name}: {_describe_error(error, file)}") from error
    return as_rgb(pixels, channels, name)


def as_rgb(image: np.ndarray, channels: int = 3, name: str = "image", clip: bool = False) -> np.ndarray:
    """Converts an image array to uint8 with the given number of channels.

    Args:
        image: `[H, W]` or `[H, W, C]`. uint8, uint16 (the upper 8 bits are kept if a value exceeds 255), other integers
            in 0..255, bool, or floats in [0, 1] or [0, 255], which are rounded. Floats up to 1 are treated as [0, 1].
        channels: int, number of channels of the result. For 3, greyscale images (C = 1, or C = 2 with alpha) are
            repeated and the alpha channel of C = 4 is dropped.
        name: str, name of the image in error messages.
        clip: bool, whether to clip values that are out of range, replace NaN with 0, and scale integers up to 1 like
            floats. For visualization only.

    Returns:
        `[H, W, channels]` uint8. It may be a view of `image`.

    Raises:
        ValueError: if the shape is invalid, or if values are not finite or out of range.
        TypeError: if `image` is not numeric.
    """
    image = np.asarray(image)
    if image.dtype.kind not in "buif":
        raise UserTypeError(
            f"{name}: expected an array of numbers, got dtype {image.dtype}. Read files with read_image()."
        )
    shape = image.shape
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.size == 0:
        raise UserError(f"{name}: expected an array [H, W, {channels}] that is not empty, got shape {shape}.")
    if channels == 3 and image.shape[2] in (2, 4):
        image = image[:, :, :-1]
    if channels == 3 and image.shape[2] == 1:
        image = image.repeat(3, axis=2)
    if image.shape[2] != channels:
        hint = " Put the channels last: np.moveaxis(image, 0, -1)." if shape[0] == channels else ""
        raise UserError(f"{name}: expected {channels} channels, [H, W, {channels}], got shape {shape}.{hint}")
    return _clip_to_uint8(image) if clip and not _is_16_bit(image) else _to_uint8(image, name)


def _is_16_bit(image: np.ndarray) -> bool:
    return image.dtype.kind == "u" and image.dtype.itemsize == 2


def _clip_to_uint8(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    image = np.nan_to_num(image.astype(np.float32))
    scale = 255 if image.max() <= 1 else 1
    return np.rint(np.clip(image * scale, 0, 255)).astype(np.uint8)


def _to_uint8(image: np.ndarray, name: str) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == bool:
        return image.astype(np.uint8) * np.uint8(255)
    if _is_16_bit(image):
        return (image >> 8 if image.max() > 255 else image).astype(np.uint8)
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{name}: some pixels are NaN or infinite. Replace them with np.nan_to_num(image).")
    is_float = image.dtype.kind == "f"
    scale = 255 if is_float and high < 255.5 / 255 else 1
    # The values exceed [0, 1], but the image would be almost black on the scale 0..255, or it may be standardized.
    ambiguous = is_float and scale == 1 and (high < 2 or (low < 0 and high < 16))
    if low * scale < -0.5 or high * scale >= 255.5 or ambiguous:
        expected = "floats in [0, 1] or [0, 255]" if is_float else "integers in 0..255"
        is_normalized = is_float and low < 0
        fix = "Pass the image as it was before normalization." if is_normalized else "Clip or scale the values."
        raise UserError(f"{name}: expected {expected}, got {image.dtype} in {low:g}..{high:g}. {fix}")
    return np.rint(image * scale).astype(np.uint8) if is_float else image.astype(np.uint8)


def _open_file(name: str) -> BinaryIO:
    try:
        return open(name, "rb")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: no such file. Check the path.") from error
    except (IsADirectoryError, ValueError) as error:  # ValueError: null byte in the name
        raise UserError(f"{name!r}: expected an image file, but the path cannot be opened ({error}).") from error


def open_image(file: str | os.PathLike | BinaryIO) -> Image.Image:
    """Opens an image with Pillow, which reads only its header. The caller must check the size against MAX_PIXELS.

    Raises:
        UnidentifiedImageError: if the file has none of the FORMATS.
        Exception: of almost any type, if the header is damaged.
    """
    # Pillow's limit is a global variable. By default, Pillow warns above 89 megapixels and fails above 179.
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_known_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Returns the FORMATS that the installed Pillow supports. Pillow raises an exception for unknown names."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _decode(image: Image.Image, mode: str) -> np.ndarray:
    """Decodes an opened image to upright pixels `[H, W]` or `[H, W, C]`.

    The result is uint8 in the given mode, or has the original dtype for greyscale images with more than 8 bits.
    """
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    image.load()  # not inside the `suppress` below, which would hide errors
    method = None
    with contextlib.suppress(Exception):  # ignores damaged EXIF data
        method = UPRIGHT_TRANSPOSE.get(image.getexif().get(ORIENTATION_TAG))
    if method is not None:
        image = image.transpose(method)
    if image.mode[0] in "IF":  # 16-bit or 32-bit integers and floats, which convert() would clip at 255
        pixels = np.array(image)
        is_16_bit = image.mode == "I" and pixels.min() >= 0 and pixels.max() < 1 << 16
        return pixels.astype(np.uint16) if is_16_bit else pixels
    if mode != "RGBA" and "transparency" in image.info:  # convert() would issue a warning
        image = image.copy()  # the image may belong to the caller
        del image.info["transparency"]
    return np.array(image if image.mode == mode else image.convert(mode))


def _describe_error(error: Exception, file: BinaryIO) -> str:
    """Returns an error message for an exception of the decoder."""
    if isinstance(error, Image.DecompressionBombError):
        return f"has more than {MAX_PIXELS} pixels. Downscale it or increase mrcnn.data.image_files.MAX_PIXELS."
    if isinstance(error, UnidentifiedImageError):
        if getattr(file, "seekable", bool)() and file.seek(0, os.SEEK_END) == 0:
            return "is empty (0 bytes). Copy or download it again."
        return "is not an image of a known format. Convert it to JPEG or PNG."
    return f"cannot be decoded: {error or type(error).__name__}. It is damaged or truncated; copy or download it again."
