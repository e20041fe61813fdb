"""Reads a dataset and detects its format: a folder of labelme files, a COCO file or a VIA file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nike.datasets import photos
from nike.datasets.coco import MAX_COCO_BYTES, read_coco
from nike.datasets.labelme import read_folder, read_labelme
from nike.datasets.records import Collection
from nike.datasets.safe_json import read_json
from nike.datasets.via import is_via, read_via

LABELME, COCO, VIA = "labelme", "COCO", "VIA"


def read_dataset(
    source: str | os.PathLike,
    default_label: str = "object",
    allow_outside: bool = False,
    root: str | os.PathLike | None = None,
) -> Collection:
    """Reads a dataset folder or an annotation file in any supported format.

    Args:
        source: path of an annotation file, or of a folder with labelme files (at any depth) or one COCO or VIA file.
        default_label: str, label of VIA regions without attributes.
        allow_outside: bool, whether file names and symbolic links may refer to files outside the dataset folder.
        root: path of the dataset folder if `source` is a subfolder of it.

    Returns:
        A `Collection` of photos and problems. All photos of a folder without annotations are `unlabelled`.

    Raises:
        FileNotFoundError: if the file or folder does not exist.
        ValueError: if the format is unknown, or if a folder has several COCO or VIA files.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder. Give a dataset folder or an annotation file.")
    if source.is_file():
        return _read_file(source, default_label, allow_outside)
    collection = read_folder(source, allow_outside, root)
    if collection.photos:
        return collection
    files = annotation_files(source)
    if len(files) > 1:
        names = ", ".join(photos.name_in(file, source) for file in files[:5]) + (", ..." if len(files) > 5 else "")
        raise ValueError(
            f"{source}: found {len(files)} annotation files ({names}). Give one of them, or keep two and name them "
            "train.json and val.json, or their folders train/ and val/."
        )
    return _read_file(files[0], default_label, allow_outside) if files else collection


def annotation_files(folder: Path, wanted: Callable[[Path], object] = lambda path: True) -> list[Path]:
    """Returns the COCO and VIA files in a folder and its direct subfolders; only those `wanted` are opened."""
    files = (path for path in photos.find_files(folder, frozenset((".json",))) if wanted(path))
    return [path for path in files if len(path.relative_to(folder).parts) <= 2 and _format_of(path) in (COCO, VIA)]


def _read_file(path: Path, default_label: str, allow_outside: bool) -> Collection:
    kind = _format_of(path)
    if kind == COCO:
        return read_coco(path, allow_outside=allow_outside)
    if kind == VIA:
        return read_via(path, default_label=default_label, allow_outside=allow_outside)
    photo = read_labelme(path, allow_outside=allow_outside) if kind == LABELME else None
    if photo is None:
        raise ValueError(f"{path.name}: expected labelme, COCO or VIA JSON.")
    return Collection(path.parent, [photo])


def _format_of(path: Path) -> str | None:
    try:
        data: Any = read_json(path, MAX_COCO_BYTES)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    if "shapes" in data:
        return LABELME
    if isinstance(data.get("images"), list) and isinstance(data.get("annotations"), list):
        return COCO
    return VIA if is_via(data) else None
