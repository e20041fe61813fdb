"""Records the training and validation images of a run in its log folder, for evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcnn.errors import UserError
from nike.datasets.records import Photo
from nike.datasets.safe_json import read_json, write_json

PHOTOS_FILE = "photos.json"  # in the log folder

PhotoKey = tuple[str, int]  # path relative to the dataset, and size in bytes to distinguish images with the same name


@dataclass(frozen=True)
class RunPhotos:
    """Images and labels of a run.

    Attributes:
        labels: class name by label.
        train: keys of the training images.
        val: keys of the validation images.
    """

    labels: dict[str, str]
    train: frozenset[PhotoKey]
    val: frozenset[PhotoKey]


def photo_key(photo: Photo) -> PhotoKey:
    """Returns the key of a photo, which does not depend on the location of the dataset."""
    path = photo.path or photo.annotation
    return photo.file, path.stat().st_size if path is not None and path.is_file() else 0


def write_run_photos(log_dir: Path, labels: dict[str, str], train: Iterable[Photo], val: Iterable[Photo]) -> None:
    """Writes the record of a run into its log folder."""
    parts = {"val": sorted(map(photo_key, val)), "train": sorted(map(photo_key, train))}
    write_json(log_dir / PHOTOS_FILE, {"labels": labels, **parts}, indent=None)


def read_run_photos(weights: Path) -> RunPhotos | None:
    """Reads the record of the run that wrote a checkpoint.

    Args:
        weights: checkpoint.

    Returns:
        The record, or None if the folder of the checkpoint contains no record.

    Raises:
        ValueError: if the record is damaged.
    """
    file = weights.parent / PHOTOS_FILE
    if not file.is_file():
        return None
    record: Any = read_json(file)
    try:
        labels = {str(label): str(name) for label, name in record["labels"].items()}
        train, val = (frozenset((str(name), int(size)) for name, size in record[subset]) for subset in ("train", "val"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(
            f'{file}: expected {{"labels": {{...}}, "train": [[NAME, BYTES], ...], "val": [...]}}. Delete the file to '
            "continue without it."
        ) from None
    return RunPhotos(labels, train, val)
