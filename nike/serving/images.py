"""Decodes images in request bodies, with limits on their size. Paths and URLs are never opened."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np

from mrcnn.data.image_files import open_image, read_image
from mrcnn.errors import UserError

NAME = "image"  # name in error messages instead of the client's file name


class UnusableImageError(UserError):
    """An upload is not a usable image.

    Attributes:
        status: HTTP status: 413 (too large) or 422.
    """

    def __init__(self, message: str, status: int = 422):
        super().__init__(message)
        self.status = status


def decode_image(data: bytes, max_pixels: int) -> np.ndarray:
    """Decodes an uploaded image file.

    The size is read from the header and checked before any pixel is decoded.

    Args:
        data: content of the file.
        max_pixels: maximum number of pixels.

    Returns:
        uint8 `[H, W, 3]`, upright.

    Raises:
        UnusableImageError: if the data is not an image, is damaged, or has too many pixels.
    """
    if not data:
        raise UnusableImageError(f"{NAME}: the request contains no image (0 bytes). Send the file as the request body.")
    width, height = _header_size(data)
    if width * height > max_pixels:
        raise UnusableImageError(
            f"{NAME}: {width} x {height} pixels; expected at most {max_pixels / 1e6:g} megapixels. Reduce its size.",
            413,
        )
    file = io.BytesIO(data)
    file.name = NAME
    try:
        return read_image(file)
    except (ValueError, MemoryError) as error:
        raise UnusableImageError(str(error) or f"{NAME}: too large to decode.") from None


def _header_size(data: bytes) -> tuple[int, int]:
    """Returns (width, height) from the header, or (0, 0) for an unreadable file, which `read_image` reports."""
    try:
        with open_image(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # decoders can raise almost any exception on a damaged header
        return 0, 0


def decode_base64(text: str) -> bytes:
    """Decodes an image file in base64, optionally as a data URI (`data:image/...;base64,`).

    Raises:
        UnusableImageError: if the text is a URL or not base64.
    """
    if text.startswith("data:"):
        header, comma, text = text.partition(",")
        if not comma or not header.endswith(";base64"):
            raise UnusableImageError(f"{NAME}: expected a data URI in base64, such as data:image/png;base64,...")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UnusableImageError(
            f"{NAME}: expected a base64 data URI. URLs and paths are not opened by this server."
        ) from None
