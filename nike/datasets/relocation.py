"""Copies the photos of a dataset into another dataset folder. Readers require all images to be inside the folder."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mrcnn.atomic import replacing
from mrcnn.errors import UserError
from nike.datasets.records import Photo, Problem
from nike.datasets.split import SPLIT_FILE, read_split, write_split
from nike.datasets.subsets import remove_generic_folders
from nike.formatting import printable


def relocate(photos: list[Photo], root: Path) -> tuple[list[Photo], dict[Path, Path]]:
    """Determines the path of each photo in another dataset folder, without writing anything.

    Args:
        photos: list of `Photo`, each with a path.
        root: path of the other dataset folder, which need not exist.

    Returns:
        The photos with their `file` and `path` in `root`, and a dict from the path of each copy to the path of its
        original. Photos in `root` are not copied. A copy has the same relative path as its original.

    Raises:
        ValueError: if a different file already exists at the path of a copy.
    """
    base = root.resolve()
    placed: list[Photo] = []
    copies: dict[Path, Path] = {}
    for photo in photos:
        source = photo.path.resolve()
        path = source if source.is_relative_to(base) else (base / photo.file).resolve()
        is_outside = not path.is_relative_to(base)  # through a symbolic link in `root`
        if is_outside or (
            path != source
            and (
                copies.setdefault(path, source) != source
                or path.exists()
                and not filecmp.cmp(path, source, shallow=False)
            )
        ):
            raise UserError(
                f"{printable(root / photo.file)}: expected a copy of {printable(photo.path)}, but another file has "
                "this name. Nothing was written. Choose another folder or rename one of them."
            )
        placed.append(replace(photo, file=path.relative_to(base).as_posix(), path=path))
    return placed, {path: source for path, source in copies.items() if not path.exists()}


def copy_photos(copies: dict[Path, Path]) -> None:
    """Copies photos, given a dict from the path of each copy to the path of its original; see `relocate`."""
    for path, source in copies.items():
        with replacing(path) as temporary:
            shutil.copyfile(source, temporary)


def copy_images(
    folder: Path, subsets: Mapping[str, Sequence[Photo]], layout: Callable[[str], str], problems: list[Problem]
) -> dict[str, list[Photo]]:
    """Copies images into a new dataset folder with the subfolders of a format.

    Args:
        folder: path of the dataset folder.
        subsets: photos by subset, or by "" for a dataset without a split.
        layout: function that takes a subset and returns the folder of its images, relative to `folder`.
        problems: list to which a problem is appended for each photo that is skipped because another photo has the same
            name without suffix.

    Returns:
        The copied photos by subset, with their `file` and `path` in `folder`; see `remove_generic_folders`.
    """
    placed: dict[str, list[Photo]] = {}
    taken: dict[Path, Photo] = {}
    for subset, photos in subsets.items():
        placed[subset] = []
        for photo in photos:
            path = folder / layout(subset) / remove_generic_folders(photo)
            first = taken.setdefault(path.with_suffix(""), photo)
            if first is not photo:
                message = f"would have the same name as {printable(first.file)}. Rename one of them."
                problems.append(Problem(photo.file, "name-twice", message))
                continue
            copy_photos({path: photo.path})
            placed[subset].append(replace(photo, file=path.relative_to(folder).as_posix(), path=path))
    return placed


def copy_split(source: Path, root: Path, before: list[Photo], after: list[Photo]) -> None:
    """Writes the `split.json` of a dataset, if it exists, to the folder of the relocated photos.

    Args:
        source: path of the dataset.
        root: path of the folder.
        before: list of `Photo` of the dataset.
        after: the same photos after the relocation.

    Raises:
        ValueError: if the `split.json` of the dataset is invalid.
    """
    listed = read_split(source) if source.is_dir() and source.resolve() != root.resolve() else None
    if listed is None or (root / SPLIT_FILE).exists():
        return
    kept = {photo.file for photo in before if PurePosixPath(photo.file).with_suffix("") in listed}
    write_split(root, [new.file for old, new in zip(before, after, strict=True) if old.file in kept])
