"""Reads several annotation files as one dataset, with the subset (train, val or test) of each file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mrcnn.errors import UserError
from nike.datasets.photos import relative_name
from nike.datasets.records import Collection, Photo, Problem

SUBSET_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
ALL_SUBSETS = ("train", "val", "test")
_WORD = re.compile(r"[a-z]+")


def parse_subset(text: str) -> str | None:
    """Returns the subset ("train", "val" or "test") in a name such as `instances_val2017`, or None."""
    return next((SUBSET_NAMES[word] for word in _WORD.findall(text.lower()) if word in SUBSET_NAMES), None)


def find_subset(path: Path, root: Path) -> str | None:
    """Returns the subset in the name of an annotation file, or else in the name of a folder below `root`, or None."""
    parts = PurePosixPath(relative_name(path, root)).with_suffix("").parts
    return next((subset for name in reversed(parts) if (subset := parse_subset(name))), None)


def read_subset_files(path: Path, files: Sequence[Path], read: Callable[[Path], Collection]) -> Collection:
    """Reads the annotation files of a dataset, one per subset.

    Args:
        path: path of the dataset, a file or folder.
        files: list of paths of annotation files.
        read: function that reads an annotation file.

    Raises:
        ValueError: if there is no file, or if there are several files that do not belong to different subsets.
    """
    if len(files) == 1:
        return read(files[0])
    subsets = [find_subset(file, path) for file in files]
    if not files or None in subsets or len(set(subsets)) < len(files):
        names = ", ".join(relative_name(file, path) for file in files[:5]) + (", ..." if len(files) > 5 else "")
        raise UserError(
            f"{path}: found {len(files)} annotation files ({names}). Pass one of them, or keep two and name them "
            "train.json and val.json (or their folders train/ and val/)."
        )
    return merge_collections(path, [(subset, file, read(file)) for subset, file in zip(subsets, files, strict=True)])


def merge_collections(root: Path, collections: Iterable[tuple[str | None, Path, Collection]]) -> Collection:
    """Merges datasets below `root`. The merged records contain paths relative to `root`.

    Args:
        root: path of the dataset folder.
        collections: (subset or None, path of the annotation file, its collection). Photos are modified in place.
    """
    merged = Collection(root)
    for subset, path, collection in collections:
        prefix = PurePosixPath(relative_name(collection.root, root) if collection.root != root else ".")
        annotations = relative_name(path, root)
        for photo in collection.photos:
            photo.file = (prefix / photo.file).as_posix()
            photo.annotation_name = annotations
            photo.problems = [_relocate_problem(problem, path.name, annotations, prefix) for problem in photo.problems]
        merged.photos += collection.photos
        merged.problems += [
            _relocate_problem(problem, path.name, annotations, prefix) for problem in collection.problems
        ]
        merged.unlabelled += collection.unlabelled
        if subset is not None:
            files = [photo.file for photo in collection.photos] + [
                relative_name(file, root) for file in collection.unlabelled
            ]
            merged.subsets |= dict.fromkeys([annotations, *files], subset)
    return merged


def _relocate_problem(problem: Problem, old: str, new: str, prefix: PurePosixPath) -> Problem:
    return replace(problem, file=new if problem.file == old else (prefix / problem.file).as_posix())


def remove_generic_folders(photo: Photo) -> PurePosixPath:
    """Returns the path of a photo without leading folders such as `train`, `images` and `JPEGImages`."""
    parts = list(PurePosixPath(photo.file).parts)
    while len(parts) > 1 and (parts[0].lower() in ("images", "jpegimages") or parse_subset(parts[0])):
        del parts[0]
    return PurePosixPath(*parts)
