"""NikeDataset: a labelled dataset in any supported format, as a `mrcnn.data.dataset.Dataset`.

    dataset = NikeDataset()
    dataset.load_nike("photos", subset="train")
    dataset.prepare()
    image, (masks, class_ids) = dataset.load_image(0), dataset.load_mask(0)

Problems in the files are listed in `dataset.problems`.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mrcnn.data.dataset import Dataset
from mrcnn.data.image_files import read_image
from mrcnn.errors import UserError
from nike.datasets.labelme import embedded_photo
from nike.datasets.labels import Labels
from nike.datasets.photos import relative_name, upright_size
from nike.datasets.read_subset import SUBSETS, read_subset
from nike.datasets.records import ERROR, WARNING, Collection, Instance, Photo, Problem
from nike.datasets.selective_search import cache_folder, find_proposals
from nike.formatting import short

SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample_data"
SOURCE = "nike"


class NikeDataset(Dataset):
    """A dataset of images with instance masks.

    Attributes:
        problems: problems found while loading, a list of `Problem`.
        skipped: number of images that were skipped because they or one of their shapes cannot be used.
        ignored: number of instances that are excluded from training and evaluation: instances labelled `ignore`, COCO
            crowds, and instances with a misspelled label.
        keypoint_names: names of the keypoints that `load_keypoints` returns, in order; empty if there are none.
        proposals: `Config.PROPOSALS` of the network, the type of proposals that `load_rois` returns.
    """

    def __init__(self):
        super().__init__()
        self.problems: list[Problem] = []
        self.skipped = 0
        self.ignored = 0
        self.keypoint_names: Sequence[str] = ()
        self.proposals = "rpn"

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
        boxes: bool = False,
    ) -> None:
        """Adds the images of a dataset. Call `prepare()` afterwards.

        Args:
            folder: dataset folder or annotation file in a format of `nike.datasets.read_any_format`.
            subset: "train", "val" or None for all images. Subsets are defined by `val_split` if given, or else by the
                `split.json` of the dataset, or else by folders or annotation files with the name of the subset
                (`instances_val.json`).
            labels: classes; see `nike.datasets.labels.Labels`.
            strict: whether an error raises ValueError. By default the image is skipped and the error is listed in
                `problems`.
            unlabelled_as_negatives: whether images without annotations are loaded as negatives. By default they are
                skipped, because they may show objects.
            allow_outside: whether annotations may refer to images outside of `folder`.
            val_split: fraction of validation images for a random split by groups (see `nike.datasets.split`), or None.
            seed: random seed of the split.
            boxes: whether to accept box annotations without masks, for networks without MASK_HEAD. The masks are then
                filled boxes.

        Raises:
            FileNotFoundError: if the folder does not exist.
            ValueError: if no image can be used, the dataset has no subsets, or `strict` is set and there is an error.
        """
        label_map = labels if isinstance(labels, Labels) else Labels(labels)
        collection = read_subset(folder, subset, label_map, allow_outside, val_split, seed, boxes)
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
        """Adds the images of a collection; see `load_nike`.

        Args:
            collection: records of the dataset. With `unlabelled_as_negatives`, this method adds the images without
                annotations to `collection.photos`.
            label_map: mapping of labels to classes.
            folder: path of the dataset, for messages and for the cache of proposals.
            subset: "train" or "val" if the collection is a subset, for messages.
            strict: see `load_nike`.
            unlabelled_as_negatives: see `load_nike`.

        Raises:
            ValueError: if no image can be used, or `strict` is set and there is an error.
        """
        for class_id, name in enumerate(label_map.classes, 1):
            self.add_class(SOURCE, class_id, name)
        problems = [*collection.problems, *_handle_unlabelled(collection, unlabelled_as_negatives)]
        for photo in collection.photos:
            problems += photo.problems + label_problems(photo, label_map)
        errors = [problem for problem in problems if problem.severity == ERROR]
        if strict and errors:
            raise UserError(f"{errors[0]}" + (f" (And {len(errors) - 1} more errors.)" if len(errors) > 1 else ""))
        usable = [photo for photo in collection.photos if not photo.num_unusable]
        if not usable:
            reason = errors[0] if errors else "no annotated images."
            if subset is not None and not errors:
                reason = f"no annotated {SUBSETS[subset]} images ({subset}). Add images or change the split."
            command = f"nike annotate {shlex.quote(str(folder))}"
            raise UserError(f"{folder}: nothing to load: {reason} Annotate images with: {command}")
        self.problems += problems
        self.skipped += len(collection.photos) - len(usable) + sum(p.severity == ERROR for p in collection.problems)
        for photo in usable:
            self._add_photo(photo, label_map, cache_folder(Path(folder)))

    def _add_photo(self, photo: Photo, labels: Labels, cache: Path) -> None:
        instances: list[Instance] = []
        class_ids: list[int] = []
        for instance in photo.instances:
            name = labels.class_of(instance.label)
            ignored = (
                instance.crowd or labels.is_ignored(instance.label) or not name and labels.find_similar(instance.label)
            )
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
            cache=cache,
        )

    def prepare(self, class_map=None) -> None:
        """Prepares the dataset like `Dataset.prepare`, but keeps commas in class names."""
        super().prepare(class_map)
        self.class_names = [info["name"] for info in self.class_info]

    def load_image(self, image_id: int) -> np.ndarray:
        """Returns the image after EXIF rotation, uint8 RGB `[H, W, 3]`."""
        photo = self.image_info[image_id].get("photo")
        if photo is not None and photo.path is None:
            return read_image(embedded_photo(photo.annotation))
        return super().load_image(image_id)

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the masks, bool `[H, W, N]`, and class ids, int32 `[N]`, negative for ignored instances."""
        info = self.image_info[image_id]
        if info["source"] != SOURCE:
            return super().load_mask(image_id)
        masks = info["photo"].draw(info["instances"])
        # Internal class ids differ from the ids in this source if another source was added first.
        class_ids = [
            self.map_source_class_id(f"{SOURCE}.{abs(number)}") * (1 if number > 0 else -1)
            for number in info["instance_classes"]
        ]
        seen = _is_visible(masks)
        return masks[:, :, seen], np.array(class_ids, dtype=np.int32)[seen]

    def load_keypoints(self, image_id: int) -> np.ndarray | None:
        """Returns the keypoints in `keypoint_names`; see `Dataset.load_keypoints`.

        Raises:
            ValueError: if an object has a keypoint that is not in `keypoint_names`.
        """
        if not self.keypoint_names:
            return None
        info, names = self.image_info[image_id], list(self.keypoint_names)
        points = np.zeros((len(info["instances"]), len(names), 3), np.float32)
        for row, instance in zip(points, info["instances"], strict=True):
            for name, point in instance.keypoints.items():
                if name not in names:
                    raise UserError(
                        f"{info['photo'].annotation_name}, {instance.where}: unknown keypoint {short(name)}; expected "
                        f"{', '.join(names)}. Correct its label or KEYPOINT_NAMES."
                    )
                row[names.index(name)] = point
        return points[_is_visible(info["photo"].draw(info["instances"]))]

    def load_rois(self, image_id: int) -> np.ndarray | None:
        """Returns the cached or computed proposals, float32 `[K, 4]` in pixels, or None for a network with an RPN."""
        if self.proposals == "rpn":
            return None
        return find_proposals(self.load_image(image_id), self.proposals, self.image_info[image_id]["cache"])

    def image_reference(self, image_id: int) -> str:
        """Returns the path of the image file."""
        return self.image_info[image_id]["path"]

    def summary(self) -> dict[str, int]:
        """Returns the number of "photos", "negatives", "ignored" and "skipped", and of the instances of each class."""
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


def _is_visible(masks: np.ndarray) -> np.ndarray:
    """Returns whether each mask covers at least one pixel of the image, bool `[N]`."""
    return masks.any(axis=(0, 1))


def _handle_unlabelled(collection: Collection, as_negatives: bool) -> list[Problem]:
    """Adds photos without annotations as negatives, or returns a warning for each of them."""
    problems = []
    for path in collection.unlabelled:
        name = relative_name(path, collection.root)
        try:
            size = upright_size(path)
        except ValueError as error:
            problems.append(Problem(name, "photo-unreadable", f"{error}.", photo=path))
            continue
        if as_negatives:
            collection.photos.append(Photo(name, path, None, name, *size))
        else:
            message = "has no annotation and is skipped. Annotate it, or load it as a negative (--negatives)."
            problems.append(Problem(name, "photo-unlabelled", message, severity=WARNING, photo=path))
    return problems


def label_problems(photo: Photo, labels: Labels) -> list[Problem]:
    """Reports the labels of a photo that map to no class: an error for a probable misspelling, else a warning."""
    problems = []
    for instance in photo.instances:
        if labels.class_of(instance.label) or labels.is_ignored(instance.label) or instance.crowd:
            continue
        near = labels.find_similar(instance.label)
        if near:
            code, severity = "label-typo", ERROR
            message = f"label {short(instance.label)} is unknown and ignored; did you mean {near!r}?"
        else:
            code, severity = "label-unknown", WARNING
            known = ", ".join(labels.classes)
            message = f"label {short(instance.label)} is not a class ({known}) and counts as background."
        problems.append(
            Problem(photo.annotation_name, code, message, instance.where, severity, photo.path, instance.extent)
        )
    return problems
