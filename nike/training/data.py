"""The photos to train and to validate on, as the command line names them; checked before anything slow begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nike.datasets.nike_dataset import NikeDataset, has_own_split
from nike.datasets.records import ERROR, WARNING
from nike.text import plural

VAL_SPLIT = 0.2  # where nothing else says which photos are for validation
SHOWN = 5  # problems


@dataclass(frozen=True)
class TrainingData:
    """Prepared datasets, and in words how they were told apart."""

    train: NikeDataset
    val: NikeDataset
    split: str


def load_training_data(
    folder: Path,
    labels: str = "nike",
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
        folder: see `NikeDataset.load_nike`.
        labels: the classes, see `nike.datasets.labels.Labels`.
        val: separate validation data; then `folder` is for training as a whole.
        val_split: share of the photos to validate on, whole groups at a time. Default: as the folder's `split.json`
            or its folders train/ and val/ say, else VAL_SPLIT.
        also: folders of more labelled training photos, such as `nike synthesize` makes.
        negatives: folders of more training photos, which show no object; they need no annotation.
        seed: of the split.
        strict: any error in the annotations stops.

    Raises:
        FileNotFoundError, ValueError: a folder is missing or empty, no photo shows an object, or a photo would be both
            trained and validated on.
    """
    options = dict(labels=labels, strict=strict)
    train, validation = NikeDataset(), NikeDataset()
    if val is not None:
        train.load_nike(folder, **options)
        _add(validation, "--val", val, **options)
        split = f"validation on {val}"
    else:
        if not has_own_split(folder) or val_split is not None:
            val_split = VAL_SPLIT if val_split is None else val_split
            split = f"{val_split:.0%} of the photos for validation, whole groups (seed {seed})"
        else:
            val_split, split = None, f"validation photos as {folder} has them"
        for dataset, subset in ((train, "train"), (validation, "val")):
            dataset.load_nike(folder, subset=subset, val_split=val_split, seed=seed, **options)
    for path in also:
        _add(train, "--also", path, **options)
    for path in negatives:
        _add(train, "--negatives", path, unlabelled_as_negatives=True, **options)
    _check_apart(train, validation)
    for name, dataset in (("training", train), ("validation", validation)):
        dataset.prepare()
        _check_objects(dataset, name, folder)
    return TrainingData(train, validation, split)


def _add(dataset: NikeDataset, option: str, folder: Path, **options) -> None:
    try:
        dataset.load_nike(folder, **options)
    except (FileNotFoundError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{option}: {error}") from None


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


def _check_objects(dataset: NikeDataset, name: str, folder: Path) -> None:
    if photo_with_object(dataset) is None:
        names = " or ".join(dataset.class_names[1:])
        found = {instance.label for info in dataset.image_info for instance in info["photo"].instances}
        seen = f"labels found: {', '.join(sorted(map(str, found)))}" if found else "none has an outline"
        raise ValueError(
            f"{folder}: none of the {len(dataset.image_info)} {name} photos shows {names} ({seen}). "
            f"Draw outlines (nike annotate {folder}), or name your labels with --labels."
        )


def photo_with_object(dataset: NikeDataset) -> int | None:
    """Number of the first photo that shows an object."""
    shown = (i for i, info in enumerate(dataset.image_info) if any(c > 0 for c in info["instance_classes"]))
    return next(shown, None)


def summary_lines(data: TrainingData) -> list[str]:
    """What was loaded and what is wrong with it, for people."""
    lines = []
    for name, dataset in (("training", data.train), ("validation", data.val)):
        counts = dataset.summary()
        instances = ", ".join(f"{counts[label]} {label}" for label in dataset.class_names[1:])
        ignored = f", {counts['ignored']} to ignore" if counts["ignored"] else ""
        lines.append(
            f"{name:11} {counts['photos']} photos ({counts['negatives']} without any logo): {instances}{ignored}"
        )
    errors, warnings = (_problems(data, severity) for severity in (ERROR, WARNING))
    if errors or warnings:
        lines.append(f"problems    {len(errors)} errors, {len(warnings)} warnings; nike check lists them")
        lines += [f"            {text}" for text in (errors + warnings)[:SHOWN]]
    return [*lines, f"split       {data.split}"]


def error_lines(data: TrainingData) -> list[str]:
    """Every error that was met while loading, for the end of a run; its beginning has scrolled away."""
    errors = _problems(data, ERROR)
    return [f"problems    {len(errors)} errors in the photos and their annotations:", *errors] if errors else []


def _problems(data: TrainingData, severity: str) -> list[str]:
    problems = (problem for dataset in (data.train, data.val) for problem in dataset.problems)
    return list(dict.fromkeys(str(problem) for problem in problems if problem.severity == severity))
