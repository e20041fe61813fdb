"""Reads and writes Roboflow's dataset format: folders train, valid and test, each with images and a COCO file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nike.datasets import coco, photos
from nike.datasets.records import Collection, Photo, Problem
from nike.datasets.relocation import copy_images
from nike.datasets.subsets import read_parts

FILE = "_annotations.coco.json"
FOLDERS = {"": "train", "train": "train", "val": "valid", "test": "test"}


def detect(path: Path) -> bool:
    """Returns whether a path is a COCO file of this format or a folder that contains one."""
    return path.name == FILE if path.is_file() else bool(_files(path))


def _files(folder: Path) -> list[Path]:
    return [path for path in (folder / FILE, *sorted(folder.glob(f"*/{FILE}"))) if photos.is_file(path)]


def read_roboflow(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a folder in this format, or one of its files; see `nike.datasets.coco.read_coco`."""
    path = Path(path)
    files = [path] if path.is_file() else _files(path)
    return read_parts(path, files, lambda file: coco.read_coco(file, file.parent, allow_outside))


def write_roboflow(folder: Path, parts: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes a COCO file and the images into train/, valid/ and test/, or into train/ for a dataset without a split.

    Args:
        folder: path of the dataset folder.
        parts: photos by subset, or by "" for a dataset without a split.
        problems: list to which skipped photos and instances are appended.
    """
    labels = coco.all_labels(parts)
    for part, photos_ in copy_images(folder, parts, FOLDERS.__getitem__, problems).items():
        here = folder / FOLDERS[part]
        beside = [replace(photo, file=photo.path.relative_to(here).as_posix()) for photo in photos_]
        coco.write_coco(here / FILE, beside, labels, problems)
