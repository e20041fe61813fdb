"""COCO's run-length encoding (RLE) of masks. Encodings are untrusted input and validated before decoding.

Runs are counted in column-major order, starting with a run of zeros that may be empty. Compressed counts are a string
of 6-bit characters, each with five bits of a number and a continuation bit. From the fourth run on, the number is the
difference between the run and the run two positions earlier. Source: COCO API.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mrcnn.errors import UserError
from nike.formatting import short


def decode(rle: Any, height: int, width: int) -> np.ndarray:
    """Decodes an RLE to a mask, bool `[H, W]`. Raises ValueError; see `parse`."""
    return fill(parse(rle, height, width), height, width)


def parse(rle: Any, height: int, width: int) -> np.ndarray:
    """Validates an RLE with compressed (str) or uncompressed (list) counts.

    Returns:
        int64 `[R]`, lengths of the runs, zeros first.

    Raises:
        ValueError: if the RLE is invalid, or if its size differs from the size of the photo.
    """
    size = rle.get("size") if isinstance(rle, dict) else None
    if size != [height, width]:
        raise UserError(f"the RLE of a {width}x{height} photo must have size [{height}, {width}], got {short(size)}.")
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = _decompress_counts(counts)
    elif not isinstance(counts, list) or not all(type(n) is int and 0 <= n <= height * width for n in counts):
        raise UserError("RLE counts must be a string or a list of integers between 0 and the number of pixels.")
    if sum(counts) != height * width:
        raise UserError(f"RLE counts add up to {short(sum(counts))} pixels; the photo has {height * width}.")
    return np.array(counts, dtype=np.int64)


def fill(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """Decodes the runs returned by `parse` to a mask, bool `[H, W]`."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape((height, width), order="F")


def extent(runs: np.ndarray, height: int) -> tuple[float, float, float, float] | None:
    """Returns the half-open bounding box (y1, x1, y2, x2) of runs, or None for an empty mask.

    A run that extends over several columns is assumed to have the full height.
    """
    ends = np.cumsum(runs)[1::2]
    starts = (ends - runs[1::2])[runs[1::2] > 0]
    lasts = ends[runs[1::2] > 0] - 1
    if not len(starts):
        return None
    one_column = starts // height == lasts // height
    y1 = np.where(one_column, starts % height, 0).min()
    y2 = np.where(one_column, lasts % height, height - 1).max() + 1
    return float(y1), float(starts[0] // height), float(y2), float(lasts[-1] // height + 1)


def _decompress_counts(text: str) -> list[int]:
    """Decompresses counts. Unlike pycocotools, it checks every character and number."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise UserError("RLE counts are malformed (a character or number is out of range).")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            value += counts[-2] if len(counts) > 2 else 0
            if value < 0:
                raise UserError("RLE counts are malformed (a run length is negative).")
            counts.append(value)
            value = shift = 0
    if shift:
        raise UserError("RLE counts are truncated.")
    return counts
