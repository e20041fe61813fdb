"""Reads and writes datasets as Roboflow exports them: a COCO file beside the images of each of train, valid and test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from nike.datasets import coco, photos
from nike.datasets.labels import Labels
from nike.datasets.records import Collection, Photo, Problem
from nike.datasets.subsets import Placed, place, read_parts

FILE = "_annotations.coco.json"
FOLDERS = {"": "train", "train": "train", "val": "valid", "test": "test"}


def detect(path: Path) -> bool:
    """Returns whether a path is such a COCO file, or a folder that holds some."""
    return path.name == FILE if path.is_file() else bool(_files(path))


def _files(folder: Path) -> list[Path]:
    return [path for path in (folder / FILE, *sorted(folder.glob(f"*/{FILE}"))) if photos.is_file(path)]


def read_roboflow(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a folder in this format, or one of its files; see `nike.datasets.coco.read_coco`."""
    path = Path(path)
    files = [path] if path.is_file() else _files(path)
    return read_parts(path, files, lambda file: coco.read_coco(file, file.parent, allow_outside))


def write_roboflow(folder: Path, parts: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> Placed:
    """Writes a COCO file in train/, valid/ and test/; in train/ without a split. See `nike.datasets.read_any_format`."""
    placed = place(parts, lambda part: FOLDERS[part], problems)
    labels = Labels.of(photo for photo, _ in placed.values())
    for part in parts:
        here = folder / FOLDERS[part]
        members = {path: photo for path, (photo, subset) in placed.items() if subset == part}
        coco.write_coco(here / FILE, members.values(), labels, problems, [p.relative_to(FOLDERS[part]) for p in members])
    return placed
