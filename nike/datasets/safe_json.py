"""JSON files from anywhere: read with limits so that no file can exhaust memory or the stack; written atomically."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from nike.atomic import replacing
from nike.text import printable

MAX_JSON_BYTES = 200_000_000  # labelme may embed the photo (`imageData`); COCO's largest file is about this size too
MAX_JSON_DEPTH = 64  # labelme nests 4 levels, COCO 5

# Possessive, and an unterminated string runs to the end: linear in the length of any text.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(path: str | os.PathLike, max_bytes: int = MAX_JSON_BYTES, max_depth: int = MAX_JSON_DEPTH) -> Any:
    """Reads a JSON file that nobody vouches for.

    Args:
        path: the file: UTF-8 text, with or without a byte order mark.
        max_bytes: a larger file is refused before it is read.
        max_depth: more levels of lists and objects are refused before they are parsed: the parser recurses, and
            in a thread with a small stack it would crash the process.

    Returns:
        What `json.loads` gives; NaN and Infinity are floats, as Python and labelme write them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a regular file, too large, too deep, not UTF-8 or not JSON. The message starts with the
            file's name.
    """
    path = Path(path)
    name = printable(path.name)
    if not path.exists():
        raise FileNotFoundError(f"{name}: no such file ({printable(path)}).")
    if not path.is_file():  # a pipe or a device could block for ever
        raise ValueError(f"{name}: expected a file, got a folder or a device.")
    with open(path, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{name}: larger than {max_bytes:,} bytes; is this an annotation file?")
    if json_depth(data) > max_depth:
        raise ValueError(f"{name}: nested deeper than {max_depth} levels; this is no annotation file.")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: byte {error.start} is not UTF-8 text. Save the file again as UTF-8.") from None
    except (ValueError, RecursionError) as error:  # ValueError also covers integers of thousands of digits
        raise ValueError(f"{name}: not valid JSON ({printable(error)}).") from None


def json_depth(data: bytes) -> int:
    """The deepest nesting of lists and objects in JSON text, found without parsing it."""
    brackets = np.frombuffer(_STRING.sub(b"", data).translate(None, _NOT_BRACKETS), np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1).astype(np.int8)
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def write_json(path: str | os.PathLike, value: Any, indent: int | None = 2) -> None:
    """Writes `value` as UTF-8 JSON; the file appears complete or not at all. NaN is refused (ValueError)."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 text; the file appears complete or not at all, and its folder is made if need be."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
