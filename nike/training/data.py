"""The photos to train and to validate on, as the command line names them; checked before anything slow begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nike.datasets.labels import Labels, found_lines
from nike.datasets.nike_dataset import (
    SUBSETS,
    NikeDataset,
    count_labels,
    has_own_split,
    read_subset,
    split_collection,
)
from nike.datasets.records import ERROR, WARNING, Collection
from nike.text import plural
from nike.training.run_photos import write_run_photos

VAL_SPLIT = 0.2  # where nothing else says which photos are for validation
SHOWN = 5  # problems


@dataclass(frozen=True)
class TrainingParts:
    """A dataset as it was read, before anything is left out.

    Attributes:
        folder: the dataset.
        val: a separate validation dataset.
        parts: photos by subset, "train" and "val".
        also: folders of more photos to train on, each with what was read; one may be listed twice.
        labels: which labels mean which class.
        counts: instances by label, if the classes are those that the files hold.
        split: message on how validation photos were chosen.
    """

    folder: Path
    val: Path | None
    parts: dict[str, Collection]
    also: list[tuple[Path, Collection]]
    labels: Labels
    counts: Counter[str] | None
    split: str


@dataclass(frozen=True)
class TrainingData:
    """Prepared datasets, the meaning of labels, and messages on both."""

    train: NikeDataset
    val: NikeDataset
    split: str
    labels: Labels
    found: tuple[str, ...] = ()

    def write_photos(self, log_dir: Path) -> None:
        """Writes which photos are trained and validated on into a run's log folder."""
        photos = ([info["photo"] for info in dataset.image_info] for dataset in (self.train, self.val))
        write_run_photos(log_dir, self.labels.class_of_label, *photos)


def load_training_data(
    folder: Path,
    labels: str | None = None,
    *,
    val: Path | None = None,
    val_split: float | None = None,
    also: Sequence[Path] = (),
    negatives: Sequence[Path] = (),
    seed: int = 0,
    strict: bool = False,
) -> TrainingData:
    """Loads both parts of a dataset.

    Args:
        folder, labels, val, val_split, also, seed: see `read_training_parts`.
        negatives, strict: see `prepare_training_data`.

    Raises:
        FileNotFoundError, ValueError: see both.
    """
    parts = read_training_parts(folder, labels, val=val, val_split=val_split, also=also, seed=seed)
    return prepare_training_data(parts, negatives=negatives, strict=strict)


def read_training_parts(
    folder: Path,
    labels: str | None = None,
    *,
    val: Path | None = None,
    val_split: float | None = None,
    also: Sequence[Path] = (),
    seed: int = 0,
    allow_outside: bool = False,
) -> TrainingParts:
    """Reads a dataset, finds its classes, and splits it.

    Args:
        folder: photos with labelme JSON beside them at any depth; or a COCO or VIA file, or a folder with one.
        labels: the classes, see `nike.datasets.labels.Labels`; None: the labels that the files hold.
        val: separate validation data; then `folder` is for training as a whole.
        val_split: fraction of the photos to validate on, whole groups at a time. Default: as the folder's `split.json`
            or its folders train/ and val/ say, else VAL_SPLIT.
        also: folders of more labelled training photos, such as `nike synthesize` makes.
        seed: of the split.
        allow_outside: let paths and links in annotation files lead out of the folder.

    Raises:
        FileNotFoundError, ValueError: a folder or file cannot be read at all.
    """
    given = Labels(labels) if labels is not None else None
    reading = given or Labels()
    whole: Collection | None = None
    if val is not None:
        train = read_subset(folder, None, reading, allow_outside)
        parts = {"train": train, "val": _read("--val", val, reading, allow_outside)}
        split = f"validation on {val}"
    elif has_own_split(folder) and val_split is None:
        parts = {subset: read_subset(folder, subset, reading, allow_outside) for subset in SUBSETS}
        split = f"validation photos as {folder} has them"
    else:
        whole = read_subset(folder, None, reading, allow_outside)
        parts = {"all": whole}
        val_split = VAL_SPLIT if val_split is None else val_split
        split = f"{val_split:.0%} of the photos for validation, views of one product together (seed {seed})"
    more = [(path, _read("--also", path, reading, allow_outside)) for path in also]
    counts = count_labels([*parts.values(), *(collection for _, collection in more)]) if given is None else None
    known = given or Labels.found_in(counts or {})
    if whole is not None and val_split is not None:
        parts = split_collection(whole, known, val_split, seed)
    return TrainingParts(folder, val, parts, more, known, counts, split)


def _read(option: str, folder: Path, labels: Labels, allow_outside: bool = False) -> Collection:
    with _naming(option):
        return read_subset(folder, None, labels, allow_outside)


@contextmanager
def _naming(option: str | None) -> Iterator[None]:
    """Puts the option that named a folder before what is wrong with it."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        if option is None:
            raise
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{option}: {error}") from None


def prepare_training_data(
    parts: TrainingParts, *, negatives: Sequence[Path] = (), strict: bool = False
) -> TrainingData:
    """Makes datasets to train and to validate on.

    Args:
        parts: the photos.
        negatives: folders of more training photos, which show no object; they need no annotation.
        strict: any error in the annotations stops.

    Raises:
        FileNotFoundError, ValueError: a folder is missing or empty, no photo shows an object, or a photo would be both
            trained and validated on.
    """
    train, validation = NikeDataset(), NikeDataset()
    labels, separate = parts.labels, parts.val is not None
    train_part, val_part = (parts.parts[subset] for subset in SUBSETS)
    train.add_collection(train_part, labels, parts.folder, None if separate else "train", strict=strict)
    with _naming("--val" if separate else None):
        validation.add_collection(
            val_part, labels, parts.val or parts.folder, None if separate else "val", strict=strict
        )
    for path, collection in parts.also:
        with _naming("--also"):
            train.add_collection(collection, labels, path, strict=strict)
    for path in negatives:
        with _naming("--negatives"):
            train.load_nike(path, labels=labels, unlabelled_as_negatives=True, strict=strict)
    _check_apart(train, validation)
    train.prepare()
    validation.prepare()
    _check_objects(train, "training", parts.folder)
    trained = _classes_shown(train)
    _check_objects(validation, "validation", parts.val or parts.folder, trained)
    found = () if parts.counts is None else tuple(found_lines(labels, parts.counts))
    return TrainingData(train, validation, parts.split, labels, found)


def _check_apart(train: NikeDataset, validation: NikeDataset) -> None:
    trained = {Path(info["path"]).resolve() for info in train.image_info}
    shared = [info["path"] for info in validation.image_info if Path(info["path"]).resolve() in trained]
    if shared:
        named = ", ".join(shared[:SHOWN]) + (", ..." if len(shared) > SHOWN else "")
        raise ValueError(
            f"{plural(len(shared), 'photo')} ({named}) {'is' if len(shared) == 1 else 'are'} both for training and for "
            "validation, which would reward learning by heart. Give --also, --negatives and --val folders that share "
            "no photo."
        )


def _check_objects(dataset: NikeDataset, name: str, folder: Path, classes: Sequence[int] | None = None) -> None:
    """Raises ValueError if no photo shows an object (of `classes`, numbers of the source)."""
    wanted = range(1, dataset.num_classes) if classes is None else classes
    if not set(wanted) & set(_classes_shown(dataset)):
        names = " or ".join(dataset.class_names[number] for number in wanted)
        found = {instance.label for info in dataset.image_info for instance in info["photo"].instances}
        seen = f"labels found: {', '.join(sorted(map(str, found)))}" if found else "none has an outline"
        raise ValueError(
            f"{folder}: none of the {len(dataset.image_info)} {name} photos shows {names} ({seen}). "
            f"Draw outlines (nike annotate {folder}), or name your labels with --labels."
        )


def _classes_shown(dataset: NikeDataset) -> list[int]:
    return sorted({number for info in dataset.image_info for number in info["instance_classes"] if number > 0})


def photo_with_object(dataset: NikeDataset) -> int | None:
    """Number of the first photo that shows an object."""
    shown = (i for i, info in enumerate(dataset.image_info) if any(c > 0 for c in info["instance_classes"]))
    return next(shown, None)


def summary_lines(data: TrainingData) -> list[str]:
    """What was loaded and what is wrong with it, for people."""
    lines = count_lines(data)
    errors, warnings = (_problems(data, severity) for severity in (ERROR, WARNING))
    if errors or warnings:
        lines.append(f"problems    {len(errors)} errors, {len(warnings)} warnings; nike check lists them")
        lines += [f"            {text}" for text in (errors + warnings)[:SHOWN]]
    return lines


def count_lines(data: TrainingData) -> list[str]:
    """The classes, the photos of both parts, and how they were told apart."""
    lines = [*data.found]
    for name, dataset in (("training", data.train), ("validation", data.val)):
        counts = dataset.summary()
        instances = ", ".join(f"{counts[label]} {label}" for label in dataset.class_names[1:])
        ignored = f", {counts['ignored']} to ignore" if counts["ignored"] else ""
        lines.append(
            f"{name:11} {counts['photos']} photos ({counts['negatives']} without any logo): {instances}{ignored}"
        )
    return [*lines, f"split       {data.split}"]


def error_lines(data: TrainingData) -> list[str]:
    """Every error that was met while loading, for the end of a run; its beginning has scrolled away."""
    errors = _problems(data, ERROR)
    return [f"problems    {len(errors)} errors in the photos and their annotations:", *errors] if errors else []


def _problems(data: TrainingData, severity: str) -> list[str]:
    problems = (problem for dataset in (data.train, data.val) for problem in dataset.problems)
    return list(dict.fromkeys(str(problem) for problem in problems if problem.severity == severity))
