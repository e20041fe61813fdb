"""Photo files and arrays of any kind -> uint8 `[H, W, channels]`, or an error that names the photo and the fix."""

import contextlib
import functools
import os
import threading
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 1 << 28  # 268 million: above the 200 megapixels of the largest phone cameras
ORIENTATION_TAG = 0x0112  # of EXIF
TURNS = {  # EXIF orientation -> what makes the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # channels -> Pillow's mode
# What photos come in. Of Pillow's other formats some are programs (it hands EPS to Ghostscript), most are never met.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "GIF", "JPEG2000", "PPM")  # MPO opens as JPEG
_pillow_limit = threading.Lock()


def read_image(path_or_file: str | os.PathLike | BinaryIO | Image.Image, channels: int = 3) -> np.ndarray:
    """Reads a photo and turns it upright as its EXIF orientation says.

    Takes the FORMATS, and of a file with several pictures the first. Greyscale is repeated into three
    channels, CMYK and palettes become RGB, of 16 bits per channel the upper 8 are kept, float TIFFs follow `as_rgb`.
    Transparency is dropped, not blended over a colour: what the network sees must not depend on a colour chosen here,
    and Matterport did so too. Colour profiles are not applied.

    Args:
        path_or_file: path, or binary file open for reading, or PIL image.
        channels: 3 for RGB, 1 for greyscale, 4 for RGBA.

    Returns:
        `[H, W, channels]` uint8.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, damaged, not an image, or more than MAX_PIXELS pixels.
        TypeError: neither a path nor a file.
    """
    if channels not in MODES:
        raise ValueError(f"read_image: channels must be 1, 3 or 4, got {channels}. Override load_image() for others.")
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
            raise TypeError(f"read_image: expected a path or a binary file, got {type(path_or_file).__name__}.")
        try:
            image = file if isinstance(file, Image.Image) else stack.enter_context(open_image(file))
            pixels = _decode(image, MODES[channels])
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes decoders raise nearly anything
            raise ValueError(f"{name}: {_explain(error, file)}") from error
    return as_rgb(pixels, channels, name)


def as_rgb(image: np.ndarray, channels: int = 3, name: str = "image") -> np.ndarray:
    """Brings an array that shall be a photo into the one form that the network's input is made from.

    Args:
        image: `[H, W]` or `[H, W, C]`. uint8; uint16, of which the upper 8 bits are kept; other integers in 0..255;
            bool; floats in [0, 1] (if none is above 1) or [0, 255], which are rounded.
        channels: wanted channels. For 3, greyscale (C = 1, or C = 2 with alpha) is repeated and the alpha channel of
            C = 4 is dropped.
        name: what error messages call the image.

    Returns:
        `[H, W, channels]` uint8; the array itself where nothing had to be done.

    Raises:
        ValueError: a wrong shape, an empty image, values that are not finite or out of range.
        TypeError: not an array of numbers.
    """
    image = np.asarray(image)
    if image.dtype.kind not in "buif":
        raise TypeError(f"{name}: expected an array of numbers, got dtype {image.dtype}. Read files with read_image().")
    shape = image.shape
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.size == 0:
        raise ValueError(f"{name}: expected an array [H, W, {channels}] with pixels in it, got shape {shape}.")
    if channels == 3 and image.shape[2] in (2, 4):
        image = image[:, :, :-1]
    if channels == 3 and image.shape[2] == 1:
        image = image.repeat(3, axis=2)
    if image.shape[2] != channels:
        hint = " Put the channels last: np.moveaxis(image, 0, -1)." if shape[0] == channels else ""
        raise ValueError(f"{name}: expected {channels} channels, [H, W, {channels}], got shape {shape}.{hint}")
    return _to_uint8(image, name)


def _to_uint8(image: np.ndarray, name: str) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == bool:
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind == "u" and image.dtype.itemsize == 2:
        return (image >> 8).astype(np.uint8)
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{name}: has pixels that are NaN or infinite. Repair them: np.nan_to_num(image).")
    is_float = image.dtype.kind == "f"
    scale = 255 if is_float and high < 255.5 / 255 else 1
    # Too much for [0, 1], and a black photo in [0, 255]; or z-scores.
    ambiguous = is_float and scale == 1 and (high < 2 or (low < 0 and high < 16))
    if low * scale < -0.5 or high * scale >= 255.5 or ambiguous:
        expected = "floats in [0, 1] or [0, 255]" if is_float else "integers in 0..255"
        is_normalized = is_float and low < 0
        fix = "Pass the image as it was before normalization." if is_normalized else "Clip or scale the values."
        raise ValueError(f"{name}: expected {expected}, got {image.dtype} in {low:g}..{high:g}. {fix}")
    return np.rint(image * scale).astype(np.uint8) if is_float else image.astype(np.uint8)


def _open_file(name: str) -> BinaryIO:
    try:
        return open(name, "rb")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: no such file. Check the path.") from error
    except (IsADirectoryError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ValueError(f"{name!r}: expected an image file, got {error}.") from error


def open_image(file: str | os.PathLike | BinaryIO) -> Image.Image:
    """Opens a photo with Pillow, which reads its header only. Sizes up to MAX_PIXELS are for the caller to check.

    Raises:
        UnidentifiedImageError: the file is of none of the FORMATS.
        Exception: nearly any other; the header is damaged.
    """
    # Pillow refuses 179 megapixels, warns from 89 on, and has no other way to say so than a global.
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_known_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Those of FORMATS that this Pillow has heard of; it fails over the name of another (AVIF before 11.3)."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _decode(image: Image.Image, mode: str) -> np.ndarray:
    """Pixels `[H, W]` or `[H, W, C]` of an opened image, upright; uint8 in the mode, or deep greyscale as it is."""
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    image.load()  # here, so that the `suppress` below hides no damage of the pixels
    turn = None
    with contextlib.suppress(Exception):  # damaged EXIF data is no reason to refuse a good photo
        turn = TURNS.get(image.getexif().get(ORIENTATION_TAG))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode[0] in "IF":  # integers of 16 or 32 bits, floats: convert() would clip them at 255
        pixels = np.array(image)
        is_16_bit = image.mode == "I" and pixels.min() >= 0 and pixels.max() < 1 << 16
        return pixels.astype(np.uint16) if is_16_bit else pixels
    if mode != "RGBA":
        image.info.pop("transparency", None)  # or Pillow warns that convert() drops it
    return np.array(image if image.mode == mode else image.convert(mode))


def _explain(error: Exception, file: BinaryIO) -> str:
    """What to tell the user about an error of the decoder."""
    if isinstance(error, Image.DecompressionBombError):
        return f"has more than {MAX_PIXELS} pixels. Scale it down, or raise mrcnn.data.reading.MAX_PIXELS."
    if isinstance(error, UnidentifiedImageError):
        if getattr(file, "seekable", bool)() and file.seek(0, os.SEEK_END) == 0:
            return "is empty (0 bytes). Copy or download it again."
        return "is not an image of a known format. Convert it to JPEG or PNG."
    return f"cannot be decoded: {error or type(error).__name__}. It is damaged or cut short; copy or download it again."
