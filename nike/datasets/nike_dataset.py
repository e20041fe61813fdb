"""NikeDataset: photos with drawn masks, from labelme, COCO or VIA files, as the library's Dataset.

    dataset = NikeDataset()
    dataset.load_nike("photos", subset="train")
    dataset.prepare()
    image, (masks, class_ids) = dataset.load_image(0), dataset.load_mask(0)

What is wrong with the files is listed in `dataset.problems`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from mrcnn.data.dataset import Dataset
from mrcnn.data.reading import read_image
from nike.datasets import split
from nike.datasets.labelme import embedded_photo
from nike.datasets.labels import Labels
from nike.datasets.photos import name_in, upright_size
from nike.datasets.read_any_format import annotation_files, read_dataset
from nike.datasets.records import ERROR, WARNING, Collection, Instance, Photo, Problem
from nike.text import short

SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample_data"
SOURCE = "nike"
SUBSETS = {"train": "training", "val": "validation"}
# In the names of annotation files: whole words, because "trainers.json" and "oval.json" are no subsets.
_SUBSET_WORDS = {"train": r"(?<![a-z])train(ing)?(?![a-z])", "val": r"(?<![a-z])val(id|idation)?(?![a-z])"}


class NikeDataset(Dataset):
    """A dataset of photos with instance masks.

    Attributes:
        problems: what was found wrong while loading.
        skipped: how many photos were left out, because they or one of their shapes cannot be used.
        ignored: how many instances are neither positive nor negative (labels `ignore`, COCO's crowds, typing errors).
    """

    def __init__(self, class_map=None):
        super().__init__(class_map)
        self.problems: list[Problem] = []
        self.skipped = 0
        self.ignored = 0

    def load_nike(
        self,
        folder: str | os.PathLike,
        subset: str | None = None,
        labels: str | Iterable[str] | Mapping[str, str] | Labels = ("nike",),
        *,
        strict: bool = False,
        unlabelled_as_negatives: bool = False,
        allow_outside: bool = False,
        val_split: float | None = None,
        seed: int = 0,
    ) -> None:
        """Adds the photos of a dataset. Call `prepare()` afterwards.

        Args:
            folder: photos with labelme JSON beside them at any depth; or a COCO or VIA file, or a folder with one.
            subset: None for all photos, else "train" or "val": by `val_split` if it is given; else as `split.json` in
                the folder says; else the folder or the annotation file (`instances_val.json`) of that name.
            labels: the classes, see `nike.datasets.labels.Labels`.
            strict: raise at the first error instead of leaving the photo out and listing it in `problems`.
            unlabelled_as_negatives: take photos without annotation as showing no object. Without it they are left
                out, because most often they have not been looked at yet.
            allow_outside: let paths and links in annotation files lead out of the folder.
            val_split: the share of photos that `subset="val"` takes, whole groups at a time (`nike.datasets.split`).
            seed: of that split.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: no photo can be used; `subset` cannot be told apart; with `strict`, any error.
        """
        label_map = labels if isinstance(labels, Labels) else Labels(labels)
        collection = read_subset(folder, subset, label_map, allow_outside, val_split, seed)
        self.add_collection(
            collection, label_map, folder, subset, strict=strict, unlabelled_as_negatives=unlabelled_as_negatives
        )

    def add_collection(
        self,
        collection: Collection,
        label_map: Labels,
        folder: str | os.PathLike,
        subset: str | None = None,
        *,
        strict: bool = False,
        unlabelled_as_negatives: bool = False,
    ) -> None:
        """Adds photos that were read already; see `load_nike`.

        Args:
            collection: the photos. With `unlabelled_as_negatives`, those without annotation are moved to the others.
            label_map: which labels mean which class.
            folder: the dataset as messages name it.
            subset: "train" or "val" if the collection is that part of the dataset.
            strict, unlabelled_as_negatives: see `load_nike`.

        Raises:
            ValueError: see `load_nike`.
        """
        for class_id, name in enumerate(label_map.classes, 1):
            self.add_class(SOURCE, class_id, name)
        problems = [*collection.problems, *_take_unlabelled(collection, unlabelled_as_negatives)]
        for photo in collection.photos:
            problems += photo.problems + label_problems(photo, label_map)
        errors = [problem for problem in problems if problem.severity == ERROR]
        if strict and errors:
            raise ValueError(f"{errors[0]}" + (f" (And {len(errors) - 1} more errors.)" if len(errors) > 1 else ""))
        usable = [photo for photo in collection.photos if not photo.lost]
        if not usable:
            reason = errors[0] if errors else "it holds no photo with an annotation."
            if subset is not None and not errors:
                reason = f"no photo with an annotation is for {SUBSETS[subset]} ({subset}). Add photos, or split anew."
            raise ValueError(f"{folder}: nothing to load; {reason} Draw outlines with: nike annotate {folder}")
        self.problems += problems
        self.skipped += len(collection.photos) - len(usable) + sum(p.severity == ERROR for p in collection.problems)
        for photo in usable:
            self._add_photo(photo, label_map)

    def _add_photo(self, photo: Photo, labels: Labels) -> None:
        instances: list[Instance] = []
        class_ids: list[int] = []
        for instance in photo.instances:
            name = labels.class_of(instance.label)
            ignored = instance.crowd or labels.is_ignored(instance.label) or not name and labels.nearest(instance.label)
            if name or ignored:
                number = labels.classes.index(name) + 1 if name else 1
                instances.append(instance)
                class_ids.append(-number if ignored else number)
        self.ignored += sum(number < 0 for number in class_ids)
        self.add_image(
            SOURCE,
            image_id=photo.file,
            path=str(photo.path or photo.annotation),
            height=photo.height,
            width=photo.width,
            photo=photo,
            instances=instances,
            instance_classes=class_ids,
        )

    def prepare(self, class_map=None) -> None:
        """As the library's, but class names stay whole: a label may contain a comma."""
        super().prepare(class_map)
        self.class_names = [info["name"] for info in self.class_info]

    def load_image(self, image_id: int) -> np.ndarray:
        """The upright photo, uint8 `[H, W, 3]`."""
        photo = self.image_info[image_id].get("photo")
        if photo is not None and photo.path is None:
            return read_image(embedded_photo(photo.annotation))
        return super().load_image(image_id)

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Masks bool `[H, W, N]` and class ids int32 `[N]`; ids of instances to be ignored are negative."""
        info = self.image_info[image_id]
        if info["source"] != SOURCE:
            return super().load_mask(image_id)
        masks = info["photo"].draw(info["instances"])
        # Another source may have been added before this one: its classes come first in the numbers of the library.
        class_ids = [
            self.map_source_class_id(f"{SOURCE}.{abs(number)}") * (1 if number > 0 else -1)
            for number in info["instance_classes"]
        ]
        seen = masks.any(axis=(0, 1))  # an outline may leave no pixel inside the photo
        return masks[:, :, seen], np.array(class_ids, dtype=np.int32)[seen]

    def image_reference(self, image_id: int) -> str:
        """The photo's file."""
        return self.image_info[image_id]["path"]

    def summary(self) -> dict[str, int]:
        """Counts of "photos", "negatives" (nothing drawn), "skipped" photos, "ignored" instances, and each class."""
        names = {info["id"]: info["name"] for info in self.class_info if info["source"] == SOURCE}
        numbers = [number for info in self.image_info for number in info.get("instance_classes", ())]
        counts = Counter(names[number] for number in numbers if number > 0)
        return {
            "photos": len(self.image_info),
            "negatives": sum(not info.get("instance_classes") for info in self.image_info),
            "ignored": self.ignored,
            "skipped": self.skipped,
            **{name: counts[name] for name in names.values()},
        }


def has_own_split(folder: Path) -> bool:
    """Whether a dataset says itself which of its photos are for validation."""
    if (folder / split.SPLIT_FILE).is_file() or has_subset_folders(folder):
        return True
    return all(subset_file(folder, name) is not None for name in SUBSETS)


def has_subset_folders(folder: Path) -> bool:
    """Whether a dataset has the folders train/ and val/."""
    return all((folder / name).is_dir() for name in SUBSETS)


def subset_file(folder: Path, subset: str) -> Path | None:
    """The COCO or VIA file of a subset, such as `instances_train.json`; None if there is none or more than one."""
    files = annotation_files(folder, lambda path: re.search(_SUBSET_WORDS[subset], path.stem, re.IGNORECASE))
    return files[0] if len(files) == 1 else None


def not_for_validation(paths: Iterable[Path], folder: Path) -> list[Path]:
    """Of photos in a dataset's folder those that it does not keep for validation."""
    listed = split.read_split(folder)
    if listed is not None:
        return [path for path in paths if _key(name_in(path, folder)) not in listed]
    if has_subset_folders(folder):
        return [path for path in paths if _key(name_in(path, folder)).parts[0] != "val"]
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
) -> Collection:
    """Reads a dataset, or its training or validation part; see `NikeDataset.load_nike` for how they are told apart.

    Raises:
        FileNotFoundError, ValueError: as `load_nike`.
    """
    folder, default = Path(folder), labels.classes[0]
    if subset is None:
        return read_dataset(folder, default, allow_outside)
    if subset not in SUBSETS:
        raise ValueError(f"subset: expected one of {', '.join(SUBSETS)} or None, got {subset!r}.")
    if folder.is_file() and val_split is None:
        raise ValueError(f"{folder}: a subset ({subset}) can be taken of a folder only. Give the folder.")
    listed = split.read_split(folder) if val_split is None else None
    if listed is None and val_split is None:
        part = read_dataset(folder / subset, default, allow_outside, folder) if (folder / subset).is_dir() else None
        if part is not None and part.photos:
            return part
        named = subset_file(folder, subset)  # its photos may be in the folder of that name
        if named is not None:
            return read_dataset(named, default, allow_outside)
        if part is not None:  # one file may describe the photos of both folders
            whole = read_dataset(folder, default, allow_outside)
            return take(whole, lambda file: PurePosixPath(file).parts[0] == subset)
        raise ValueError(
            f"{folder}: cannot tell training from validation photos. Make folders train/ and val/, or a split.json "
            "that lists the validation photos, or use all (--split all)."
        )
    collection = read_dataset(folder, default, allow_outside)
    if listed is None:
        return split_collection(collection, labels, val_split, seed)[subset]
    return take(collection, lambda file: (_key(file) in listed) == (subset == "val"))


def split_collection(collection: Collection, labels: Labels, fraction: float, seed: int) -> dict[str, Collection]:
    """Splits a dataset at random, by product and class; see `nike.datasets.split`.

    Args:
        collection: the whole dataset.
        labels: which labels mean which class.
        fraction: of the photos that "val" gets.
        seed: random seed.

    Returns:
        The parts "train" and "val".
    """
    photos = [photo for photo in collection.photos if not photo.lost]  # the others are not loaded
    keys = [_key(photo.file) for photo in photos]
    shown = [{name for i in photo.instances if not i.crowd and (name := labels.class_of(i.label))} for photo in photos]
    validation = set(split.split_by_group(keys, split.groups_of([str(key) for key in keys]), fraction, seed, shown)[1])
    return {
        subset: take(collection, lambda file, subset=subset: (_key(file) in validation) == (subset == "val"))
        for subset in SUBSETS
    }


def take(collection: Collection, wanted: Callable[[str], bool]) -> Collection:
    """The photos of a collection whose file is wanted, with their problems."""
    return Collection(
        collection.root,
        [photo for photo in collection.photos if wanted(photo.file)],
        [problem for problem in collection.problems if wanted(problem.file)],
        [path for path in collection.unlabelled if wanted(name_in(path, collection.root))],
    )


def count_labels(collections: Iterable[Collection]) -> Counter[str]:
    """Instances by label, crowds left out."""
    photos = (photo for collection in collections for photo in collection.photos)
    return Counter(i.label.strip() for photo in photos for i in photo.instances if not i.crowd)


def _key(file: str) -> PurePosixPath:
    return PurePosixPath(file).with_suffix("")


def _take_unlabelled(collection: Collection, as_negatives: bool) -> list[Problem]:
    """Adds photos without annotation as negatives, or says that they are left out."""
    problems = []
    for path in collection.unlabelled:
        name = name_in(path, collection.root)
        try:
            size = upright_size(path)
        except ValueError as error:
            problems.append(Problem(name, "photo-unreadable", f"{error}.", photo=path))
            continue
        if as_negatives:
            collection.photos.append(Photo(name, path, None, name, *size))
        else:
            message = "has no annotation; left out. Draw its objects, or take such photos as negatives."
            problems.append(Problem(name, "photo-unlabelled", message, severity=WARNING, photo=path))
    return problems


def label_problems(photo: Photo, labels: Labels) -> list[Problem]:
    """Labels of a photo that mean no class: an error if one looks like a typing mistake, else a warning."""
    problems = []
    for instance in photo.instances:
        if labels.class_of(instance.label) or labels.is_ignored(instance.label) or instance.crowd:
            continue
        near = labels.nearest(instance.label)
        if near:
            code, severity = "label-typo", ERROR
            message = f"label {short(instance.label)} is unknown; did you mean {near!r}? Until then it is ignored."
        else:
            code, severity = "label-unknown", WARNING
            message = f"label {short(instance.label)} is none of {', '.join(labels.classes)}; counts as background."
        problems.append(Problem(photo.noted_in, code, message, instance.where, severity, photo.path, instance.extent))
    return problems
