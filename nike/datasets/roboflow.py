"""Reads and writes Roboflow's dataset format: folders train, valid and test, each with images and a COCO file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nike.datasets import coco, photos
from nike.datasets.records import Collection, Photo, Problem
from nike.datasets.relocation import copy_images
from nike.datasets.subsets import read_subset_files

FILE = "_annotations.coco.json"
FOLDERS = {"": "train", "train": "train", "val": "valid", "test": "test"}


def find(path: Path) -> list[Path]:
    """Returns the COCO files of a dataset: the file itself, or those in a folder and its direct subfolders."""
    if path.is_file():
        return [path] if path.name == FILE else []
    return [file for file in (path / FILE, *sorted(path.glob(f"*/{FILE}"))) if photos.is_file(file)]


def read_roboflow(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a folder in this format, or one of its files. See `Format` for the arguments."""
    return read_subset_files(
        Path(path), find(Path(path)), lambda file: coco.read_coco(file, file.parent, allow_outside)
    )


def write_roboflow(folder: Path, subsets: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes a COCO file and the images into train/, valid/ and test/, or into train/ for a dataset without a split.

    See `Format` for the arguments.
    """
    labels, names = coco.all_labels(subsets), coco.all_keypoint_names(subsets)
    for subset, photos_ in copy_images(folder, subsets, FOLDERS.__getitem__, problems).items():
        images = folder / FOLDERS[subset]
        relative = [replace(photo, file=photo.path.relative_to(images).as_posix()) for photo in photos_]
        coco.write_coco(images / FILE, relative, labels, problems, names)
