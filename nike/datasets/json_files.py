"""Finds the JSON annotation files of a folder and distinguishes their formats by their keys."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from nike.datasets import photos
from nike.datasets.safe_json import read_json

MAX_BYTES = 1_000_000_000  # COCO's instances_train2017.json has 470 MB


def find_json_files(path: Path, wanted: Callable[[dict[str, frozenset[str]]], bool]) -> list[Path]:
    """Returns the JSON files in a folder and its direct subfolders that satisfy a condition on their keys.

    Args:
        path: path of a folder, or of a single file.
        wanted: function that returns whether the keys of a file (see `read_keys`) satisfy the condition.
    """
    if path.is_file():
        files = [path] if path.suffix.lower() == ".json" else []
    else:
        found = photos.find_files(path, frozenset((".json",)))
        files = [file for file in found if len(file.relative_to(path).parts) <= 2]
    return [file for file in files if wanted(read_keys(file))]


def read_keys(path: Path) -> dict[str, frozenset[str]]:
    """Returns the keys of a JSON file, or an empty dict for an unreadable file.

    Returns:
        For a top-level list, a dict with "[]" (the keys of the first element). For a top-level object, a dict with
        "{}" (all keys), "lists" (the keys whose values are lists) and "first" (the keys of the first value or, in VIA
        projects, of the first image).
    """
    try:
        state = os.stat(path)
    except OSError:
        return {}
    return _cached_keys(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _cached_keys(path: Path, size: int, changed: int) -> dict[str, frozenset[str]]:
    try:
        data = read_json(path, MAX_BYTES)
    except (OSError, ValueError):
        return {}
    if isinstance(data, list):
        return {"[]": frozenset(data[0]) if data and isinstance(data[0], dict) else frozenset()}
    if not isinstance(data, dict) or not data:
        return {}
    entries = data.get("_via_img_metadata", data)
    first = next(iter(entries.values()), None) if isinstance(entries, dict) else None
    return {
        "{}": frozenset(key[:100] for key in list(data)[:1000]),
        "lists": frozenset(key[:100] for key, value in list(data.items())[:1000] if isinstance(value, list)),
        "first": frozenset(first) if isinstance(first, dict) else frozenset(),
    }
