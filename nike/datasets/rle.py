"""COCO's run-length masks: read from untrusted JSON with every bound checked, and written.

Pixels are counted down the columns (column-major), starting with a run of zeros that may be empty. The compressed form
is a text of 6-bit characters: five bits of a number each, a continuation bit, and from the fourth run on the difference
to the run two before. Source: the COCO API's data format.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nike.text import short


def encode(mask: np.ndarray) -> dict[str, Any]:
    """A mask `bool [H, W]` as `{"size": [H, W], "counts": text}`, equal to what pycocotools writes."""
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
    counts = runs.tolist() if flat.size and not flat[0] else [0, *runs.tolist()]
    return {"size": list(mask.shape), "counts": _compress(counts)}


def decode(rle: Any, height: int, width: int) -> np.ndarray:
    """The mask `bool [H, W]` of an RLE. Raises ValueError as `parse`."""
    return fill(parse(rle, height, width), height, width)


def parse(rle: Any, height: int, width: int) -> np.ndarray:
    """The runs of an RLE with compressed (text) or plain (list) counts, int64 `[R]`, zeros first.

    Raises:
        ValueError: not an RLE, or of another size than the photo, or its runs do not add up to the photo.
    """
    size = rle.get("size") if isinstance(rle, dict) else None
    if size != [height, width]:
        raise ValueError(f"an RLE on a {width}x{height} photo must have size [{height}, {width}], got {short(size)}.")
    counts = rle.get("counts")
    if isinstance(counts, str):
        counts = _expand(counts)
    elif not isinstance(counts, list) or not all(type(n) is int and 0 <= n <= height * width for n in counts):
        raise ValueError("RLE counts must be a text or a list of whole numbers of pixels.")
    if sum(counts) != height * width:
        raise ValueError(f"RLE counts add up to {short(sum(counts))} pixels; the photo has {height * width}.")
    return np.array(counts, dtype=np.int64)


def fill(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask `bool [H, W]` of runs as `parse` gives them."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape((height, width), order="F")


def extent(runs: np.ndarray, height: int) -> tuple[float, float, float, float] | None:
    """(y1, x1, y2, x2), half open, around the pixels of runs on a photo of this height; None if there are none."""
    ends = np.cumsum(runs)[1::2]
    starts = (ends - runs[1::2])[runs[1::2] > 0]
    lasts = ends[runs[1::2] > 0] - 1
    if not len(starts):
        return None
    one_column = starts // height == lasts // height  # a run that turns into the next column touches top and bottom
    y1 = np.where(one_column, starts % height, 0).min()
    y2 = np.where(one_column, lasts % height, height - 1).max() + 1
    return float(y1), float(starts[0] // height), float(y2), float(lasts[-1] // height + 1)


def _compress(counts: list[int]) -> str:
    text = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            # Done when the rest is only the sign, and bit 16 already tells the sign.
            done = value == (-1 if bits & 16 else 0)
            text.append(chr(48 + (bits if done else bits | 32)))
            if done:
                break
    return "".join(text)


def _expand(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("RLE counts are damaged (a character or a number out of range).")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            value += counts[-2] if len(counts) > 2 else 0
            if value < 0:
                raise ValueError("RLE counts are damaged (a negative run).")
            counts.append(value)
            value = shift = 0
    if shift:
        raise ValueError("RLE counts are cut off.")
    return counts
