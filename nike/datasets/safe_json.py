"""Reads untrusted JSON files with limits on size and nesting depth, and writes files atomically."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.atomic import replacing
from mrcnn.errors import UserError
from nike.formatting import printable

MAX_JSON_BYTES = 200_000_000  # large, because labelme files may embed the photo (`imageData`)
MAX_JSON_DEPTH = 64  # labelme files have 4 levels, COCO files 5

# The quantifiers are possessive and an unterminated string extends to the end, so matching takes linear time.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(path: str | os.PathLike, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Reads an untrusted JSON file.

    Args:
        path: path of a UTF-8 file, with or without a byte-order mark (BOM).
        max_bytes: int, maximum file size in bytes.

    Returns:
        The result of `json.loads`. NaN and Infinity are read as floats.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not a regular file, too large, too deeply nested, or not UTF-8 JSON. The message
            starts with the file name.
    """
    path = Path(path)
    name = printable(path.name)
    if not path.exists():
        raise FileNotFoundError(f"{name}: no such file ({printable(path)}).")
    if not path.is_file():  # reading a pipe or a device could block
        raise UserError(f"{name}: expected a file, got a folder or a device.")
    with open(path, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UserError(f"{name}: larger than {max_bytes:,} bytes. Check that it is an annotation file.")
    if json_depth(data) > MAX_JSON_DEPTH:  # the parser is recursive and can overflow the stack of a thread
        raise UserError(f"{name}: nested deeper than {MAX_JSON_DEPTH} levels. Check that it is an annotation file.")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: byte {error.start} is not UTF-8 text. Save the file again as UTF-8.") from None
    except (ValueError, RecursionError) as error:  # also raised for integers with thousands of digits
        raise UserError(f"{name}: not valid JSON ({printable(error)}).") from None


def json_depth(data: bytes) -> int:
    """Returns the maximum nesting depth of lists and objects in JSON text, without parsing it."""
    brackets = np.frombuffer(_STRING.sub(b"", data).translate(None, _NOT_BRACKETS), np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1).astype(np.int8)
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def write_json(path: str | os.PathLike, value: Any, indent: int | None = 2) -> None:
    """Writes `value` as UTF-8 JSON, atomically. Raises ValueError for NaN."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 text, atomically. The folder is created if it does not exist."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
