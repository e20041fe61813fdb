"""Reads the training or the validation subset of a dataset."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from mrcnn.errors import UserError
from nike.datasets import split
from nike.datasets.labels import Labels
from nike.datasets.photos import relative_name
from nike.datasets.read_any_format import detect_format, read_dataset
from nike.datasets.records import Collection, Photo

SUBSETS = {"train": "training", "val": "validation"}


def has_own_split(folder: Path) -> bool:
    """Returns whether a dataset defines its validation set by a `split.json`, folders or annotation files."""
    if (folder / split.SPLIT_FILE).is_file() or has_subset_folders(folder):
        return True
    try:
        return folder.exists() and read_own_split(folder) is not None
    except ValueError:  # the dataset cannot be read
        return False


def has_subset_folders(folder: Path) -> bool:
    """Returns whether a dataset has the folders train/ and val/."""
    return all((folder / name).is_dir() for name in SUBSETS)


def read_own_split(
    folder: Path, default_label: str = "object", allow_outside: bool = False, boxes: bool = False
) -> dict[str, Collection] | None:
    """Reads the training and the validation subset of a dataset that defines its own split.

    The split is defined by `split.json`, or else by the annotation files (`data.yaml`, `instances_val.json`, ...), or
    else by the folders train/ and val/.

    Returns:
        The subsets "train" and "val", or None if the dataset does not define both.

    Raises:
        FileNotFoundError, ValueError: see `nike.datasets.read_any_format.read_dataset`.
    """
    listed = split.read_split(folder) if folder.is_dir() else None
    if listed is None and folder.is_dir() and detect_format(folder) in (None, "labelme"):
        if not has_subset_folders(folder):
            return None
        return {name: read_dataset(folder / name, default_label, allow_outside, folder, boxes) for name in SUBSETS}
    whole = read_dataset(folder, default_label, allow_outside, boxes=boxes)
    if listed is not None:
        return {
            name: select_files(whole, lambda file, n=name: (_without_suffix(file) in listed) == (n == "val"))
            for name in SUBSETS
        }
    if set(SUBSETS) <= set(whole.subsets.values()):
        subsets = {
            name: select_files(whole, lambda file, name=name: whole.subsets.get(file) == name) for name in SUBSETS
        }
        subsets["train"].problems += [problem for problem in whole.problems if problem.file not in whole.subsets]
        return subsets
    if has_subset_folders(folder):  # a single annotation file may describe the photos of both folders
        return {
            name: select_files(whole, lambda file, name=name: PurePosixPath(file).parts[0] == name) for name in SUBSETS
        }
    return None


def exclude_validation_images(paths: Iterable[Path], folder: Path) -> list[Path]:
    """Returns the images of a dataset folder that are not validation images."""
    listed = split.read_split(folder)
    if listed is not None:
        return [path for path in paths if _without_suffix(relative_name(path, folder)) not in listed]
    if has_subset_folders(folder):
        return [path for path in paths if _without_suffix(relative_name(path, folder)).parts[0] != "val"]
    if has_own_split(folder):
        kept = {photo.path.resolve() for photo in read_subset(folder, "val", Labels()).photos if photo.path}
        return [path for path in paths if path.resolve() not in kept]
    return list(paths)


def read_subset(
    folder: str | os.PathLike,
    subset: str | None,
    labels: Labels,
    allow_outside: bool = False,
    val_split: float | None = None,
    seed: int = 0,
    boxes: bool = False,
) -> Collection:
    """Reads a dataset or a subset of it. See `NikeDataset.load_nike` for the arguments.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if the dataset cannot be read or has no subsets.
    """
    folder, default = Path(folder), labels.classes[0]
    if subset is None:
        return read_dataset(folder, default, allow_outside, boxes=boxes)
    if subset not in SUBSETS:
        raise UserError(f"subset: expected one of {', '.join(SUBSETS)} or None, got {subset!r}.")
    if val_split is not None:
        whole = read_dataset(folder, default, allow_outside, boxes=boxes)
        return split_collection(whole, labels, val_split, seed)[subset]
    subsets = read_own_split(folder, default, allow_outside, boxes)
    if subsets is not None:
        return subsets[subset]
    if (folder / subset).is_dir():
        return read_dataset(folder / subset, default, allow_outside, folder, boxes)
    raise UserError(
        f"{folder}: no training and validation subsets. Create folders train/ and val/ or a split.json that lists "
        "the validation images, or use all images (--split all)."
    )


def split_collection(collection: Collection, labels: Labels, fraction: float, seed: int) -> dict[str, Collection]:
    """Splits a dataset randomly, grouped by product and stratified by class; see `nike.datasets.split`.

    Args:
        collection: records of the whole dataset.
        labels: mapping of labels to classes.
        fraction: fraction of validation images.
        seed: random seed.

    Returns:
        The subsets "train" and "val".
    """
    photos = _usable_photos(collection)
    keys = [_without_suffix(photo.file) for photo in photos]
    image_classes = [
        {name for i in photo.instances if not i.crowd and (name := labels.class_of(i.label))} for photo in photos
    ]
    validation = set(
        split.split_by_group(keys, split.assign_groups([str(key) for key in keys]), fraction, seed, image_classes)[1]
    )
    return {
        subset: select_files(
            collection, lambda file, subset=subset: (_without_suffix(file) in validation) == (subset == "val")
        )
        for subset in SUBSETS
    }


def has_product_groups(collection: Collection) -> bool:
    """Returns whether `split_collection` groups any images as views of one product."""
    keys = [str(_without_suffix(photo.file)) for photo in _usable_photos(collection)]
    return len(set(split.assign_groups(keys))) < len(set(keys))


def _usable_photos(collection: Collection) -> list[Photo]:
    return [
        photo for photo in collection.photos if not photo.num_unusable
    ]  # photos with unusable shapes are not loaded


def select_files(collection: Collection, wanted: Callable[[str], bool]) -> Collection:
    """Selects photos and problems by their path relative to the dataset folder."""
    return Collection(
        collection.root,
        [photo for photo in collection.photos if wanted(photo.file)],
        [problem for problem in collection.problems if wanted(problem.file)],
        [path for path in collection.unlabelled if wanted(relative_name(path, collection.root))],
    )


def count_labels(collections: Iterable[Collection]) -> Counter[str]:
    """Counts the instances by label, excluding crowds."""
    photos = (photo for collection in collections for photo in collection.photos)
    return Counter(i.label.strip() for photo in photos for i in photo.instances if not i.crowd)


def _without_suffix(file: str) -> PurePosixPath:
    return PurePosixPath(file).with_suffix("")
