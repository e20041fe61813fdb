"""Splits a dataset into training and validation images by product, and reads a fixed `split.json`.

Images of one product (`shoe-red_1.jpg`, `shoe-red_2.jpg`) form a group and are assigned to the same subset, because
validation on products seen in training would overestimate AP.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from mrcnn.errors import UserError
from nike.datasets.safe_json import read_json, write_json
from nike.formatting import short

Key = TypeVar("Key")

SPLIT_FILE = "split.json"
MAX_VIEWS = 12  # a larger group is assumed to be a numbered collection instead of views of one product
MIN_GROUPS = 3  # with fewer groups, images are split individually

_VIEW_NUMBER = re.compile(r"(?:[-_. ]+(?:view|img|image|photo)?[-_. ]*\d{1,3}|[-_. ]*\(\d{1,3}\))$", re.IGNORECASE)
_COUNTER = re.compile(  # file names of cameras, phones and downloads, which do not identify a product
    r"(?:img|image|dsc[fn]?|pict?|picture|photo|foto|p|pxl|gopr|frame|scan|screenshot|file|view)?"
    r"[-_. ]*\(?\d+\)?",
    re.IGNORECASE,
)


def remove_view_number(stem: str) -> str:
    """Removes a view number of at most three digits from a file stem: `shoe-red_2` -> `shoe-red`."""
    return _VIEW_NUMBER.sub("", stem) or stem


def assign_groups(names: Sequence[str]) -> list[str]:
    """Returns the group of each image.

    An image forms a separate group, named by its path, if its name is only a counter such as `IMG_001`, if its group
    would have more than MAX_VIEWS images or more than half of all images, or if there would be fewer than MIN_GROUPS
    groups.

    Args:
        names: paths of the images relative to the dataset, without suffix.
    """
    stems = [PurePosixPath(name).name for name in names]
    candidates = [
        name if _COUNTER.fullmatch(stem) else remove_view_number(stem) for name, stem in zip(names, stems, strict=True)
    ]
    sizes = Counter(candidates)
    most = min(MAX_VIEWS, len(names) / 2) if len(sizes) >= MIN_GROUPS else 1
    return [group if sizes[group] <= most else name for group, name in zip(candidates, names, strict=True)]


def split_by_group(
    keys: Sequence[Key],
    groups: Sequence[str],
    fraction: float = 0.2,
    seed: int = 0,
    classes: Sequence[Iterable[str]] | None = None,
) -> tuple[list[Key], list[Key]]:
    """Splits keys into training and validation keys without dividing groups.

    Groups are ordered by a hash of the seed and their name, so the split does not depend on the order of the keys and
    changes little when keys are added.

    Args:
        keys: keys of the images, such as paths relative to the dataset.
        groups: group of each key.
        fraction: target fraction of validation keys, 0 < fraction < 1.
        seed: random seed.
        classes: classes of the objects in each image, empty for negatives. Groups are stratified by their rarest class.
            If all images with objects are in one group, that group is divided.

    Returns:
        The training keys and the validation keys, each in the given order. Both contain groups of each stratum that has
        at least two groups. If at least two images show an object, both contain such an image.

    Raises:
        ValueError: if `fraction` is out of range.
    """
    if not 0 < fraction < 1:
        raise UserError(f"validation fraction: expected a number between 0 and 1, got {fraction!r}.")
    shown = [set(names) for names in classes] if classes is not None else [set()] * len(keys)
    with_objects = {group for group, names in zip(groups, shown, strict=True) if names}
    if len(with_objects) == 1:
        groups = [f"{group}/{key}" if group in with_objects else group for key, group in zip(keys, groups, strict=True)]
    strata = _stratify(groups, shown)
    sizes = Counter(groups)
    validation: set[str] = set()
    for members in strata:
        members.sort(key=lambda group: hashlib.sha256(f"{seed}:{group}".encode("utf-8", "backslashreplace")).digest())
        wanted = fraction * sum(sizes[group] for group in members)
        taken = 0
        for group in members[:-1]:  # at least one group stays in the training set
            if taken and taken + sizes[group] / 2 > wanted:
                break
            validation.add(group)
            taken += sizes[group]
    train = [key for key, group in zip(keys, groups, strict=True) if group not in validation]
    return train, [key for key, group in zip(keys, groups, strict=True) if group in validation]


def _stratify(groups: Sequence[str], shown: Sequence[set[str]]) -> list[list[str]]:
    """Stratifies groups by their rarest class, or only by the presence of objects if all strata have one group."""
    counts = Counter(name for names in shown for name in names)
    classes: dict[str, set[str]] = defaultdict(set)
    for group, names in zip(groups, shown, strict=True):
        classes[group] |= names
    strata: dict[str | None, list[str]] = defaultdict(list)
    for group, names in classes.items():
        strata[min(names, key=lambda name: (counts[name], name), default=None)].append(group)
    negatives = strata.pop(None, [])
    if all(len(members) == 1 for members in strata.values()):
        return [sum(strata.values(), []), negatives]
    return [*strata.values(), negatives]


def read_split(folder: str | os.PathLike) -> set[PurePosixPath] | None:
    """Reads the validation images listed in the `split.json` of a dataset.

    The file has the format `{"val": {"train": ["shoe_1", ...], "negatives": [...]}}`, with file stems by folder, or
    `{"val": ["shoe_1", ...]}` for images next to the file. All other images are training images.

    Args:
        folder: folder of the dataset.

    Returns:
        Paths relative to the dataset without suffix, or None if there is no `split.json`.

    Raises:
        ValueError: if the file is invalid.
    """
    path = Path(folder) / SPLIT_FILE
    if not path.exists():
        return None
    data = read_json(path)
    named = data.get("val") if isinstance(data, dict) else None
    named = {".": named} if isinstance(named, list) else named
    if not isinstance(named, dict) or not all(isinstance(names, list) for names in named.values()):
        raise UserError(f'{SPLIT_FILE}: expected {{"val": {{"FOLDER": ["NAME", ...]}}}}, got val = {short(named)}.')
    return {PurePosixPath(folder, str(name)) for folder, names in named.items() for name in names}


def write_split(folder: Path, validation: Sequence[str]) -> None:
    """Writes a `split.json` for `read_split`.

    Args:
        folder: folder of the dataset.
        validation: paths of the validation images relative to the dataset.
    """
    named: dict[str, list[str]] = {}
    for file in sorted(validation):
        path = PurePosixPath(file)
        named.setdefault(path.parent.as_posix(), []).append(path.stem)
    write_json(folder / SPLIT_FILE, {"val": named})
