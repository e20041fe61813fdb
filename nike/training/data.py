"""Reads, splits and checks the training and validation data of `nike train` and `nike check`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mrcnn.errors import UserError
from nike.datasets.labels import Labels, describe_labels
from nike.datasets.nike_dataset import NikeDataset
from nike.datasets.read_subset import (
    SUBSETS,
    count_labels,
    has_product_groups,
    read_own_split,
    read_subset,
    split_collection,
)
from nike.datasets.records import ERROR, WARNING, Collection
from nike.formatting import plural
from nike.training.run_split import write_run_photos

VAL_SPLIT = 0.2  # fraction of validation images in datasets without a split
MAX_LISTED = 5  # maximum number of problems or files named in a message


@dataclass(frozen=True)
class TrainingRecords:
    """The records of a dataset, including invalid records.

    Attributes:
        folder: folder of the dataset.
        val: folder of a separate validation dataset, or None.
        subsets: records by subset, "train" and "val".
        extra_data: folders of additional training images with their records. A folder may be listed several times.
        labels: mapping of labels to classes.
        counts: number of instances by label if the classes were derived from the labels in the files, else None.
        split: message that describes the split.
    """

    folder: Path
    val: Path | None
    subsets: dict[str, Collection]
    extra_data: list[tuple[Path, Collection]]
    labels: Labels
    counts: Counter[str] | None
    split: str


@dataclass(frozen=True)
class TrainingData:
    """Prepared training and validation datasets.

    Attributes:
        train: training dataset.
        val: validation dataset.
        split: message that describes the split.
        labels: mapping of labels to classes.
        found: messages about the classes, if they were derived from the labels in the files.
    """

    train: NikeDataset
    val: NikeDataset
    split: str
    labels: Labels
    found: tuple[str, ...] = ()

    def write_photos(self, log_dir: Path) -> None:
        """Records the training and validation images in the log folder of a run."""
        photos = ([info["photo"] for info in dataset.image_info] for dataset in (self.train, self.val))
        write_run_photos(log_dir, self.labels.class_of_label, *photos)


def load_training_data(
    folder: Path,
    labels: str | None = None,
    *,
    val: Path | None = None,
    val_split: float | None = None,
    extra_data: Sequence[Path] = (),
    negatives: Sequence[Path] = (),
    seed: int = 0,
    strict: bool = False,
    boxes: bool = False,
) -> TrainingData:
    """Reads, splits and prepares the training and validation data.

    Args:
        folder, labels, val, val_split, extra_data, seed, boxes: see `read_training_records`.
        negatives, strict: see `prepare_training_data`.

    Raises:
        FileNotFoundError: if a folder does not exist.
        ValueError: if the data cannot be used.
    """
    records = read_training_records(
        folder, labels, val=val, val_split=val_split, extra_data=extra_data, seed=seed, boxes=boxes
    )
    return prepare_training_data(records, negatives=negatives, strict=strict)


def read_training_records(
    folder: Path,
    labels: str | None = None,
    *,
    val: Path | None = None,
    val_split: float | None = None,
    extra_data: Sequence[Path] = (),
    seed: int = 0,
    allow_outside: bool = False,
    boxes: bool = False,
) -> TrainingRecords:
    """Reads a dataset, determines its classes and splits it.

    Args:
        folder: dataset folder or annotation file in a format of `nike.datasets.read_any_format`.
        labels: classes (see `nike.datasets.labels.Labels`), or None to derive them from the labels in the files.
        val: separate validation dataset. All images of `folder` are then used for training.
        val_split: fraction of the images for validation, split by groups. None means the split of the dataset or, if it
            has no split, VAL_SPLIT.
        extra_data: folders of additional labelled training images, such as the output of `nike synthesize`.
        seed: random seed of the split.
        allow_outside: whether annotations may refer to images outside of `folder`.
        boxes: whether to accept annotations without masks; see `Photo.accept_boxes`.

    Raises:
        FileNotFoundError: if a folder or file does not exist.
        ValueError: if a dataset cannot be read, or if both `val` and `val_split` are given.
    """
    if val is not None and val_split is not None:
        raise UserError("--val-split: not allowed with --val, whose images are all used for validation.")
    given = Labels(labels) if labels is not None else None
    reader_labels = given or Labels()
    default = reader_labels.classes[0]
    whole: Collection | None = None
    if val is not None:
        train = read_subset(folder, None, reader_labels, allow_outside, boxes=boxes)
        subsets = {"train": train, "val": _read_option_folder("--val", val, reader_labels, allow_outside, boxes)}
        split = f"validation on {val}"
    elif val_split is None and (own := read_own_split(folder, default, allow_outside, boxes)) is not None:
        subsets = own
        split = f"validation images of {folder}"
    else:
        whole = read_subset(folder, None, reader_labels, allow_outside, boxes=boxes)
        subsets = {"all": whole}
        val_split = VAL_SPLIT if val_split is None else val_split
        grouped = ", grouped by product" if has_product_groups(whole) else ""
        split = f"{val_split:.0%} of the images for validation{grouped} (seed {seed})"
    more = [
        (path, _read_option_folder("--extra-data", path, reader_labels, allow_outside, boxes)) for path in extra_data
    ]
    counts = count_labels([*subsets.values(), *(collection for _, collection in more)]) if given is None else None
    known = given or Labels.from_counts(counts or {})
    if whole is not None and val_split is not None:
        subsets = split_collection(whole, known, val_split, seed)
    return TrainingRecords(folder, val, subsets, more, known, counts, split)


def _read_option_folder(option: str, folder: Path, labels: Labels, allow_outside: bool, boxes: bool) -> Collection:
    with _prefix_errors(option):
        return read_subset(folder, None, labels, allow_outside, boxes=boxes)


@contextmanager
def _prefix_errors(option: str | None) -> Iterator[None]:
    """Prefixes errors with the name of the option that caused them."""
    try:
        yield
    except (FileNotFoundError, UserError) as error:
        if option is None:
            raise
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else UserError
        raise kind(f"{option}: {error}") from None


def prepare_training_data(
    records: TrainingRecords, *, negatives: Sequence[Path] = (), strict: bool = False
) -> TrainingData:
    """Prepares the training and validation datasets.

    Args:
        records: records of the dataset.
        negatives: folders of additional training images without objects. Annotations are not required.
        strict: whether an error in the annotations raises ValueError.

    Raises:
        FileNotFoundError: if a folder does not exist.
        ValueError: if a folder is empty, no image contains an object, or an image is in both datasets.
    """
    train, validation = NikeDataset(), NikeDataset()
    labels, separate = records.labels, records.val is not None
    train_records, val_records = (records.subsets[subset] for subset in SUBSETS)
    train.add_collection(train_records, labels, records.folder, None if separate else "train", strict=strict)
    with _prefix_errors("--val" if separate else None):
        validation.add_collection(
            val_records, labels, records.val or records.folder, None if separate else "val", strict=strict
        )
    for path, collection in records.extra_data:
        with _prefix_errors("--extra-data"):
            train.add_collection(collection, labels, path, strict=strict)
    for path in negatives:
        with _prefix_errors("--negatives"):
            train.load_nike(path, labels=labels, unlabelled_as_negatives=True, strict=strict)
    _check_disjoint(train, validation)
    train.prepare()
    validation.prepare()
    _check_objects(train, "training", records.folder)
    trained = _find_classes(train)
    _check_objects(validation, "validation", records.val or records.folder, trained)
    found = () if records.counts is None else tuple(describe_labels(labels, records.counts))
    return TrainingData(train, validation, records.split, labels, found)


def _check_disjoint(train: NikeDataset, validation: NikeDataset) -> None:
    trained = {Path(info["path"]).resolve() for info in train.image_info}
    shared = [info["path"] for info in validation.image_info if Path(info["path"]).resolve() in trained]
    if shared:
        named = ", ".join(shared[:MAX_LISTED]) + (", ..." if len(shared) > MAX_LISTED else "")
        raise UserError(
            f"{plural(len(shared), 'image')} ({named}) {'is' if len(shared) == 1 else 'are'} in both training and "
            "validation. Choose --extra-data, --negatives and --val folders without common images."
        )


def _check_objects(dataset: NikeDataset, name: str, folder: Path, classes: Sequence[int] | None = None) -> None:
    """Raises ValueError if no image contains an object of any class, or of the given class ids."""
    wanted = range(1, dataset.num_classes) if classes is None else classes
    if not set(wanted) & set(_find_classes(dataset)):
        names = " or ".join(dataset.class_names[number] for number in wanted)
        found = {instance.label for info in dataset.image_info for instance in info["photo"].instances}
        seen = f"labels found: {', '.join(sorted(map(str, found)))}" if found else "no annotated instances"
        raise UserError(
            f"{folder}: no instance of {names} in {plural(len(dataset.image_info), f'{name} image')} ({seen}). "
            f"Annotate the images (nike annotate {shlex.quote(str(folder))}), or select your labels with --labels."
        )


def _find_classes(dataset: NikeDataset) -> list[int]:
    return sorted({number for info in dataset.image_info for number in info["instance_classes"] if number > 0})


def find_image_with_object(dataset: NikeDataset) -> int | None:
    """Returns the image id of the first image that contains an object, or None."""
    shown = (i for i, info in enumerate(dataset.image_info) if any(c > 0 for c in info["instance_classes"]))
    return next(shown, None)


def summary_lines(data: TrainingData) -> list[str]:
    """Returns lines that summarize the data and list its first problems."""
    lines = count_lines(data)
    errors, warnings = (_problems(data, severity) for severity in (ERROR, WARNING))
    if errors or warnings:
        lines.append(
            f"problems    {plural(len(errors), 'error')}, {plural(len(warnings), 'warning')}; run nike check for a list"
        )
        lines += [f"            {text}" for text in (errors + warnings)[:MAX_LISTED]]
    return lines


def count_lines(data: TrainingData) -> list[str]:
    """Returns the lines with the classes, the numbers of images and instances, and the split."""
    lines = [*data.found]
    for name, dataset in (("training", data.train), ("validation", data.val)):
        counts = dataset.summary()
        instances = ", ".join(f"{counts[label]} {label}" for label in dataset.class_names[1:])
        ignored = f", {counts['ignored']} ignored" if counts["ignored"] else ""
        images = f"{plural(counts['photos'], 'image')} ({counts['negatives']} without logos)"
        lines.append(f"{name:11} {images}: {instances}{ignored}")
    return [*lines, f"split       {data.split}"]


def error_lines(data: TrainingData) -> list[str]:
    """Returns the lines printed at the end of a run, which list all errors in the data."""
    errors = _problems(data, ERROR)
    return [f"problems    {plural(len(errors), 'error')} in the images and annotations:", *errors] if errors else []


def _problems(data: TrainingData, severity: str) -> list[str]:
    problems = (problem for dataset in (data.train, data.val) for problem in dataset.problems)
    return list(dict.fromkeys(str(problem) for problem in problems if problem.severity == severity))
