"""Splits a dataset into training and validation photos, whole groups at a time, and reads a fixed `split.json`.

Photos of one product (`shoe-red_1.jpg`, `shoe-red_2.jpg`) form a group: with one view in each part, the validation
would reward remembering the product.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from nike.datasets.safe_json import read_json, write_json
from nike.text import short

Key = TypeVar("Key")

SPLIT_FILE = "split.json"
MAX_VIEWS = 12  # a longer series of equal names is a numbered collection, not views of one product

_VIEW = re.compile(r"(?:[-_. ]+(?:view|img|image|photo)?[-_. ]*\d{1,3}|[-_. ]*\(\d{1,3}\))$", re.IGNORECASE)


def group_of(stem: str) -> str:
    """A photo's name without its view number: `shoe-red_2` -> `shoe-red`; a number of four digits or more stays."""
    return _VIEW.sub("", stem) or stem


def groups_of(stems: Sequence[str]) -> list[str]:
    """The group of each photo name; names of a series longer than MAX_VIEWS stay on their own."""
    candidates = [group_of(stem) for stem in stems]
    sizes = Counter(candidates)
    return [group if sizes[group] <= MAX_VIEWS else stem for group, stem in zip(candidates, stems, strict=True)]


def split_by_group(
    keys: Sequence[Key], groups: Sequence[str], fraction: float = 0.2, seed: int = 0, strata: Sequence | None = None
) -> tuple[list[Key], list[Key]]:
    """Splits so that no group is torn apart.

    Groups are taken in the order of a hash of their name and the seed, so a photo added later moves few others.

    Args:
        keys: what to split, for example photo paths.
        groups: the group of each key.
        fraction: of the keys that should be for validation, 0 to 1 (exclusive).
        seed: another seed gives another split.
        strata: the kind of each key (such as: has objects or not); each kind is split by itself. A group belongs to
            the kind of its first key.

    Returns:
        (training keys, validation keys), each in the order given. Both have at least one group of each kind that has
        two groups or more.

    Raises:
        ValueError: `fraction` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation fraction: expected a number between 0 and 1, got {fraction!r}.")
    kind_of: dict[str, object] = {}
    for i, group in enumerate(groups):
        kind_of.setdefault(group, strata[i] if strata is not None else None)
    sizes = Counter(groups)
    validation: set[str] = set()
    for kind in dict.fromkeys(kind_of.values()):
        members = [group for group in kind_of if kind_of[group] == kind]
        members.sort(key=lambda group: hashlib.sha256(f"{seed}:{group}".encode("utf-8", "backslashreplace")).digest())
        wanted = fraction * sum(sizes[group] for group in members)
        taken = 0
        for group in members[:-1]:  # one stays for training
            if taken and taken + sizes[group] / 2 > wanted:
                break
            validation.add(group)
            taken += sizes[group]
    train = [key for key, group in zip(keys, groups, strict=True) if group not in validation]
    return train, [key for key, group in zip(keys, groups, strict=True) if group in validation]


def read_split(folder: str | os.PathLike) -> set[PurePosixPath] | None:
    """The validation photos that `split.json` in a dataset's folder names.

    The file looks like `{"val": {"train": ["shoe_1", ...], "negatives": [...]}}`: folder -> names without suffix, or
    `{"val": ["shoe_1", ...]}` for photos beside the file. All other photos are for training.

    Returns:
        Paths inside the dataset without suffix; None if there is no such file.

    Raises:
        ValueError: the file is not as described.
    """
    path = Path(folder) / SPLIT_FILE
    if not path.exists():
        return None
    data = read_json(path)
    named = data.get("val") if isinstance(data, dict) else None
    named = {".": named} if isinstance(named, list) else named
    if not isinstance(named, dict) or not all(isinstance(names, list) for names in named.values()):
        raise ValueError(f'{SPLIT_FILE}: expected {{"val": {{"FOLDER": ["NAME", ...]}}}}, got val = {short(named)}.')
    return {PurePosixPath(folder, str(name)) for folder, names in named.items() for name in names}


def write_split(folder: str | os.PathLike, validation: Sequence[str], note: str = "") -> Path:
    """Writes `split.json`, as `read_split` reads it, for validation photos given by their path inside the dataset."""
    named: dict[str, list[str]] = {}
    for file in sorted(validation):
        path = PurePosixPath(file)
        named.setdefault(path.parent.as_posix(), []).append(path.stem)
    split: Mapping[str, object] = {"note": note, "val": named}
    write_json(Path(folder) / SPLIT_FILE, split)
    return Path(folder) / SPLIT_FILE
