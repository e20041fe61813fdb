"""Selects the images for `nike evaluate` and `nike compare` and maps their labels to the classes of the weights."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mrcnn.errors import UserError
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import SAMPLE_DATA, NikeDataset
from nike.datasets.read_subset import SUBSETS, has_own_split, read_subset
from nike.datasets.records import Collection
from nike.formatting import plural, printable
from nike.output_checks import check_output_file
from nike.training.run_split import RunPhotos, photo_key

MAX_LISTED_LABELS = 5  # maximum number of labels in a message


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--dataset`, `--split`, `--labels` and `--threshold`."""
    parser.add_argument(
        "--dataset", type=Path, default=SAMPLE_DATA, metavar="DIR", help="labelled images (default: the sample images)"
    )
    add_split_argument(parser, "--dataset")
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="classes; nike,swoosh=nike maps both labels to the class nike (default: as in training)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="SCORE",
        help="score threshold for all metrics except AP, which uses all scores (default: 0.5)",
    )


def add_split_argument(parser: argparse.ArgumentParser, dataset: str) -> None:
    """Adds `--split`, which selects a subset of the images of the option `dataset`; see `load_photos`."""
    parser.add_argument(
        "--split",
        choices=(*SUBSETS, "all"),
        help=f"subset of {dataset} (default: validation images of the training run, else val, else all)",
    )


def check_selection(arguments: argparse.Namespace, outputs: Sequence[str]) -> None:
    """Checks the options of `add_selection_arguments`, and that the files of the options `outputs` can be written.

    Raises:
        FileNotFoundError: if the dataset does not exist.
        ValueError: if the threshold is out of range, or a file cannot be written.
    """
    if not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold: expected a number from 0 to 1, got {arguments.threshold:g}.")
    if not arguments.dataset.exists():
        raise FileNotFoundError(f"--dataset: {arguments.dataset}: no such folder.")
    for option in outputs:
        path = getattr(arguments, option)
        if path and path != "-":
            check_output_file(path, f"--{option}")


def load_photos(
    folder: Path, split: str | None, labels: Labels, run: RunPhotos | None = None, boxes: bool = False
) -> tuple[NikeDataset, str, list[str]]:
    """Loads the images to evaluate.

    Args:
        folder: see `NikeDataset.load_nike`.
        split: "train", "val" or "all". None means "val" if the run or the dataset has a validation set, else "all".
        labels: mapping of labels to classes.
        run: record of the training run, or None. If the run used images of the folder, "train" and "val" are the
            subsets of the run.
        boxes: see `NikeDataset.load_nike`.

    Returns:
        The prepared dataset, the name of the split, and notes on the images of the run.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if no image can be loaded.
    """
    notes = []
    collection = _find_run_images(folder, split, labels, run, boxes) if run is not None and split != "all" else None
    if run is not None and collection is not None:
        split = split or "val"
        missing = max(len(run.val) - len(collection.photos), 0) if split == "val" else 0
        notes.append(
            f"split       {plural(len(collection.photos), f'{SUBSETS[split]} image')} of the run in {folder}"
            + (f"; {missing} more are missing or changed" if missing else "")
        )
    else:
        split = split or ("val" if has_own_split(folder) else "all")
        collection = read_subset(folder, None if split == "all" else split, labels, boxes=boxes)
    trained = sum(photo_key(photo) in run.train for photo in collection.photos) if run is not None else 0
    if trained:
        notes.append(
            f"warning     {trained} of {plural(len(collection.photos), 'image')} were used for training, so the "
            "metrics are too optimistic"
        )
    dataset = NikeDataset()
    dataset.add_collection(collection, labels, folder, None if split == "all" else split)
    dataset.prepare()
    return dataset, split, notes


def _find_run_images(folder: Path, split: str | None, labels: Labels, run: RunPhotos, boxes: bool) -> Collection | None:
    """Returns the validation (or training) images of a run in a folder, or None if there are none."""
    whole = Collection(folder)
    try:
        for subset in SUBSETS if has_own_split(folder) else (None,):
            collection = read_subset(folder, subset, labels, boxes=boxes)
            whole.photos += collection.photos
            whole.problems += collection.problems
    except ValueError:  # an invalid dataset cannot have been used for training
        return None
    wanted = run.train if split == "train" else run.val
    photos = [photo for photo in whole.photos if photo_key(photo) in wanted]
    # The suffix is ignored, because the files of problems are annotation files.
    stems = {PurePosixPath(photo.file).with_suffix("") for photo in photos}
    problems = [problem for problem in whole.problems if PurePosixPath(problem.file).with_suffix("") in stems]
    return Collection(folder, photos, problems) if photos else None


def choose_labels(labels: str | None, class_names: Sequence[str], run: RunPhotos | None) -> Labels:
    """Maps labels to the classes of the weights.

    Args:
        labels: value of `--labels`, or None for the labels of the training run or, without a run, the class names.
        class_names: class names of the weights by class id, background first.
        run: record of the training run, or None.

    Raises:
        ValueError: if a label maps to a class that the weights do not have.
    """
    classes = class_names[1:]
    if labels is not None:
        return Labels(labels).for_classes(classes)
    known = run.labels if run is not None and set(run.labels.values()) <= set(classes) else {}
    return Labels(known or {name: name for name in classes}).for_classes(classes)


def unknown_labels(dataset: NikeDataset, labels: Labels) -> tuple[str, bool]:
    """Finds the labels of a dataset that map to no class.

    Returns:
        The labels with their counts as text ("" if there are none), and whether the dataset has no other instances.
    """
    instances = [i for info in dataset.image_info for i in info["photo"].instances if not i.crowd]
    unknown = Counter(
        label
        for i in instances
        if not labels.class_of(label := i.label.strip())
        and not labels.is_ignored(label)
        and not labels.find_similar(label)
    )
    named = [f"{printable(label)} ({count})" for label, count in unknown.most_common(MAX_LISTED_LABELS)]
    more = [f"{len(unknown) - len(named)} more"] if len(unknown) > len(named) else []
    return ", ".join(named + more), not any(labels.class_of(i.label) for i in instances)
