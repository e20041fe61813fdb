"""Selects the photos that `nike evaluate` scores, and what their labels mean to the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import SUBSETS, NikeDataset, has_own_split, read_subset, take
from nike.datasets.records import Collection
from nike.text import plural, printable
from nike.training.run_photos import RunPhotos, photo_key

SHOWN_LABELS = 5


def load_photos(
    folder: Path, split: str | None, labels: Labels, run: RunPhotos | None = None
) -> tuple[NikeDataset, str, list[str]]:
    """The photos to score.

    Args:
        folder: see `NikeDataset.load_nike`.
        split: "train", "val" or "all"; None: "val" if the run or the dataset has a validation part, else "all".
        labels: which labels mean which class.
        run: the photos of the run that made the weights. If it used photos of the folder, "train" and "val" are those
            of the run.

    Returns:
        The prepared dataset, which split it is, and messages on what the run did with these photos.

    Raises:
        FileNotFoundError, ValueError: there is nothing to load.
    """
    notes = []
    collection = _photos_of_run(folder, split, labels, run) if run is not None and split != "all" else None
    if run is not None and collection is not None:
        split = split or "val"
        missing = max(len(run.val) - len(collection.photos), 0) if split == "val" else 0
        notes.append(
            f"split       the {plural(len(collection.photos), 'photo')} of {folder} that the run "
            f"{'validated' if split == 'val' else 'trained'} on"
            + (f"; {missing} more are missing or changed" if missing else "")
        )
    else:
        split = split or ("val" if has_own_split(folder) else "all")
        collection = read_subset(folder, None if split == "all" else split, labels)
    trained = sum(photo_key(photo) in run.train for photo in collection.photos) if run is not None else 0
    if trained:
        notes.append(
            f"warning     {trained} of {plural(len(collection.photos), 'photo')} were trained on: "
            "AP on them says nothing about new photos"
        )
    dataset = NikeDataset()
    dataset.add_collection(collection, labels, folder, None if split == "all" else split)
    dataset.prepare()
    return dataset, split, notes


def _photos_of_run(folder: Path, split: str | None, labels: Labels, run: RunPhotos) -> Collection | None:
    """The photos of a folder that a run validated (or trained) on; None if there are none."""
    whole = Collection(folder)
    try:
        for subset in SUBSETS if has_own_split(folder) else (None,):
            part = read_subset(folder, subset, labels)
            whole.photos += part.photos
            whole.problems += part.problems
    except ValueError:  # no run can have used the folder as a whole
        return None
    wanted = run.train if split == "train" else run.val
    names = {PurePosixPath(photo.file).with_suffix("") for photo in whole.photos if photo_key(photo) in wanted}
    return take(whole, lambda file: PurePosixPath(file).with_suffix("") in names) if names else None


def choose_labels(labels: str | None, class_names: Sequence[str], run: RunPhotos | None) -> Labels:
    """Which labels mean which class of a network.

    Args:
        labels: as the user gave them; None: as in the run that made the weights, or else the class names.
        class_names: of the network, background first.
        run: the photos of that run.

    Raises:
        ValueError: a label means a class that the network does not have.
    """
    classes = class_names[1:]
    if labels is not None:
        return Labels(labels).for_classes(classes)
    known = run.labels if run is not None and set(run.labels.values()) <= set(classes) else {}
    return Labels(known or {name: name for name in classes}).for_classes(classes)


def unknown_labels(dataset: NikeDataset, labels: Labels) -> tuple[str, bool]:
    """The labels of a dataset that mean no class, with counts; whether no other instance is left."""
    instances = [i for info in dataset.image_info for i in info["photo"].instances if not i.crowd]
    unknown = Counter(
        label
        for i in instances
        if not labels.class_of(label := i.label.strip()) and not labels.is_ignored(label) and not labels.nearest(label)
    )
    named = [f"{printable(label)} ({count})" for label, count in unknown.most_common(SHOWN_LABELS)]
    more = [f"{len(unknown) - len(named)} more"] if len(unknown) > len(named) else []
    return ", ".join(named + more), not any(labels.class_of(i.label) for i in instances)
