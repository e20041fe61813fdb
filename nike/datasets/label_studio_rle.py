"""Label Studio's run-length encoding of brush masks. Encodings are untrusted input.

An encoding is a bit stream, stored as a list of bytes. The header consists of 32 bits with the number of values, 5 bits
with the width of a value minus 1, and four 4-bit fields with the widths of run lengths minus 1. Each block consists of
one bit (1 for a run of one value, 0 for literal values), 2 bits that select one of the four widths, the length minus 1
with that width, and the value or values. The values are RGBA pixels, and pixels of the mask have alpha 255.

Source: @thi.ng/rle-pack, which Label Studio uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrcnn.errors import UserError

WIDTHS = (4, 8, 16, 16)  # widths of run lengths in bits, as written by the encoder
MAX_RUN = 1 << 16


def encode(mask: np.ndarray) -> list[int]:
    """Encodes a mask, bool `[H, W]`, as a list of bytes."""
    flat = mask.ravel().astype(np.int8)
    changes = np.flatnonzero(np.diff(flat)) + 1
    starts = [0, *changes.tolist(), len(flat)]
    bits = [_to_bits(4 * len(flat), 32), _to_bits(7, 5), *(_to_bits(width - 1, 4) for width in WIDTHS)]
    for start, end in zip(starts, starts[1:], strict=False):
        value, left = 255 * int(flat[start]), 4 * (end - start)  # all 4 channels have the same value
        while left:
            run = min(left, MAX_RUN)
            choice = next(i for i, width in enumerate(WIDTHS) if run <= 1 << width)
            bits += ["1", _to_bits(choice, 2), _to_bits(run - 1, WIDTHS[choice]), _to_bits(value, 8)]
            left -= run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def _to_bits(value: int, width: int) -> str:
    return format(value, f"0{width}b")


def decode(encoded: Sequence[int], height: int, width: int) -> np.ndarray:
    """Decodes a list of bytes to a mask, bool `[H, W]`.

    Raises:
        ValueError: if the encoding is malformed or its size differs from the size of the image.
    """
    if not isinstance(encoded, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in encoded):
        raise UserError("rle must be a list of bytes.")
    stream = _BitReader(bytes(encoded))
    count, word = stream.take(32), stream.take(5) + 1
    if count != 4 * height * width or word != 8:
        expected = 4 * height * width
        raise UserError(f"the rle has {count} values; an image of {width}x{height} pixels in RGBA has {expected}.")
    widths = [stream.take(4) + 1 for _ in range(4)]
    values = np.empty(count, dtype=np.uint8)
    done = 0
    while done < count:
        is_run = stream.take(1)
        length = stream.take(widths[stream.take(2)]) + 1
        if length > count - done:
            raise UserError("the rle is malformed: a run is longer than the image.")
        values[done : done + length] = stream.take(8) if is_run else [stream.take(8) for _ in range(length)]
        done += length
    return values.reshape(height, width, 4)[:, :, 3] > 127


class _BitReader:
    """Reads numbers from a bit stream."""

    def __init__(self, data: bytes):
        self._data, self._position = data, 0

    def take(self, count: int) -> int:
        """Returns the next `count` bits as a number, most significant bit first."""
        first, last = self._position // 8, (self._position + count + 7) // 8
        if last > len(self._data):
            raise UserError("the rle is truncated.")
        window = int.from_bytes(self._data[first:last], "big") >> (8 * last - self._position - count)
        self._position += count
        return window & ((1 << count) - 1)
