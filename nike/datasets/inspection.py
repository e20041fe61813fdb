"""The checks of `nike check`: pixels, object sizes compared with the anchors, duplicates and class balance."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mrcnn.config import Config
from mrcnn.data.image import resize_scale
from mrcnn.data.image_files import read_image
from mrcnn.detections import Detection
from mrcnn.inference.voting import mask_iou
from mrcnn.ops.masks import mask_box
from nike.datasets.duplicates import Fingerprint, find_duplicates, fingerprint
from nike.datasets.labelme import embedded_photo
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import label_problems
from nike.datasets.photos import relative_name
from nike.datasets.records import ERROR, NOTE, SEVERITIES, WARNING, Collection, Photo, Problem
from nike.formatting import plural, printable

MIN_SIDE = 2  # pixels at the network's resolution; thinner boxes are excluded from training
MAX_ANCHOR_RATIO = 2.0  # objects that differ in size from all anchors by a larger factor have a low IoU with them
SAME_SHAPE_IOU = 0.9  # two instances of a class with a higher IoU are considered duplicates
HISTOGRAM_EDGES = (8, 16, 32, 64, 128, 256, 512)  # pixels at the network's resolution


@dataclass
class ClassCounts:
    """Counts of a class in a subset: its instances, and the photos that contain it."""

    instances: int = 0
    photos: int = 0


@dataclass
class SubsetCounts:
    """Counts of a subset (train, val or all)."""

    photos: int = 0
    negatives: int = 0
    ignored: int = 0
    classes: dict[str, ClassCounts] = field(default_factory=dict)


@dataclass
class Inspection:
    """The result of `inspect_dataset`.

    Attributes:
        subsets: counts by name of the subset.
        problems: all problems, in the order of the dataset.
        sizes: histogram of the square roots of the box areas in pixels at the network's resolution. Bin i ends at
            HISTOGRAM_EDGES[i].
    """

    subsets: dict[str, SubsetCounts]
    problems: list[Problem]
    sizes: list[int]

    def count(self, severity: str) -> int:
        """Returns the number of problems of a severity."""
        return sum(problem.severity == severity for problem in self.problems)

    def kinds(self) -> Iterator[tuple[str, str, list[Problem]]]:
        """Yields (severity, code, problems) for each kind of problem, errors first."""
        kinds: dict[tuple[str, str], list[Problem]] = {}
        for problem in self.problems:
            kinds.setdefault((problem.severity, problem.code), []).append(problem)
        for severity, code in sorted(kinds, key=lambda kind: (SEVERITIES.index(kind[0]), kind[1])):
            yield severity, code, kinds[severity, code]


@dataclass
class _PhotoResult:
    """Result of the checks of one photo. `fingerprint` is None if the photo cannot be read."""

    problems: list[Problem]
    sizes: list[float]
    fingerprint: Fingerprint | None = None


def histogram_names() -> list[str]:
    """Returns the labels of the bins of `Inspection.sizes`."""
    inner = [f"{low}-{high}" for low, high in zip(HISTOGRAM_EDGES, HISTOGRAM_EDGES[1:], strict=False)]
    return [f"under {HISTOGRAM_EDGES[0]}", *inner, f"from {HISTOGRAM_EDGES[-1]}"]


def subset_rows(result: Inspection) -> list[list[str]]:
    """Returns the counts of each subset as rows of a table, with a header."""
    classes = list(next(iter(result.subsets.values())).classes)
    rows = [["", "images", "negatives", "ignored", *map(printable, classes)]]
    for name, subset in result.subsets.items():
        cells = [f"{c.instances} in {plural(c.photos, 'image')}" for c in subset.classes.values()]
        rows.append([name, str(subset.photos), str(subset.negatives), str(subset.ignored), *cells])
    return rows


def inspect_dataset(
    subsets: dict[str, Collection],
    labels: Labels,
    config: Config,
    workers: int = 4,
    on_photo: Callable[[], object] = lambda: None,
) -> Inspection:
    """Checks all photos and instances of a dataset.

    Args:
        subsets: records by name of the subset, such as {"train": ..., "val": ...}.
        labels: mapping of labels to classes.
        config: settings of the network, for its input size and anchors.
        workers: number of threads.
        on_photo: called after each photo, for a progress bar.
    """
    result = Inspection({}, [], [0] * (len(HISTOGRAM_EDGES) + 1))
    fingerprints: dict[str, list[Fingerprint]] = {}
    with ThreadPoolExecutor(workers) as pool:
        for name, collection in subsets.items():
            result.subsets[name] = _count_subset(collection, labels)
            result.problems += collection.problems + _unlabelled_problems(collection)
            fingerprints[name] = []
            found = pool.map(lambda photo: _check_photo(photo, labels, config), collection.photos)
            for photo, one in zip(collection.photos, found, strict=True):
                result.problems += photo.problems + label_problems(photo, labels) + one.problems
                for size in one.sizes:
                    result.sizes[int(np.searchsorted(HISTOGRAM_EDGES, size, side="right"))] += 1
                if one.fingerprint is not None:
                    fingerprints[name].append(one.fingerprint)
                on_photo()
    result.problems += find_duplicates(fingerprints) + _balance_problems(result.subsets, labels)
    return result


# --- one photo ---


def _check_photo(photo: Photo, labels: Labels, config: Config) -> _PhotoResult:
    found = _PhotoResult([], [])
    try:
        data = photo.path.read_bytes() if photo.path else embedded_photo(photo.annotation).getvalue()
        file = io.BytesIO(data)
        file.name = photo.file
        image = read_image(file)
    except (OSError, ValueError) as error:
        message = str(error).removeprefix(f"{photo.file}: ")
        found.problems.append(Problem(photo.file, "photo-unreadable", message, photo=photo.path))
        return found
    found.fingerprint = fingerprint(photo, data, image)
    found.problems += _check_instances(photo, labels, config, found.sizes)
    return found


def _check_instances(photo: Photo, labels: Labels, config: Config, sizes: list[float]) -> list[Problem]:
    """Checks the masks of a photo and appends the size of each instance at the network's resolution to `sizes`."""
    problems = []
    limits = config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM, config.IMAGE_MIN_SCALE, config.IMAGE_RESIZE_MODE
    scale = resize_scale(photo.height, photo.width, *limits)
    seen: list[Detection] = []
    for instance in photo.instances:
        name = labels.class_of(instance.label)
        if name is None or instance.crowd:
            continue
        mask = instance.draw(photo.height, photo.width)
        y1, x1, y2, x2 = box = mask_box(mask)
        found = []
        if y2 > y1:
            height, width = (y2 - y1) * scale, (x2 - x1) * scale
            sizes.append(float(np.sqrt(height * width)))
            found += _size_problems(height, width, config.RPN_ANCHOR_SCALES)
            detection = Detection(box, mask[y1:y2, x1:x2], labels.classes.index(name) + 1, score=1.0)
            if any(
                mask_iou(detection, other) > SAME_SHAPE_IOU for other in seen if other.class_id == detection.class_id
            ):
                message = "covers nearly the same pixels as another instance of its class. Delete one of them."
                found.append(("drawn-twice", WARNING, message))
            seen.append(detection)
        else:
            found.append(("outside", ERROR, "covers no pixel of the image. Delete it."))
        for code, severity, message in found:
            place = instance.where, severity, photo.path, instance.extent
            problems.append(Problem(photo.annotation_name, code, message, *place))
    return problems


def _size_problems(height: float, width: float, anchor_scales: Sequence[float]) -> list[tuple[str, str, str]]:
    """Returns [(code, severity, message)] if a box is too small or too large for the anchors, else [].

    All sizes are in pixels at the network's resolution.
    """
    size = float(np.sqrt(height * width))
    smallest, largest = min(anchor_scales), max(anchor_scales)
    size_text = f"is {width:.1f}x{height:.1f} pixels at the network's resolution"
    if min(height, width) < MIN_SIDE:
        message = (
            f"{size_text}. Objects thinner than {MIN_SIDE} pixels are excluded from training. Increase "
            "--image-size or label it ignore."
        )
        return [("tiny", WARNING, message)]
    if size * MAX_ANCHOR_RATIO < smallest:
        message = f"{size_text}; the smallest anchor is {smallest}. Increase --image-size or add smaller anchors."
        return [("small", NOTE, message)]
    if size > largest * MAX_ANCHOR_RATIO:
        message = f"{size_text}; the largest anchor is {largest}. Decrease --image-size or add larger anchors."
        return [("huge", WARNING, message)]
    return []


# --- the whole dataset ---


def _unlabelled_problems(collection: Collection) -> list[Problem]:
    message = "has no annotation and is skipped. Annotate its objects, or save an annotation without objects."
    return [
        Problem(relative_name(path, collection.root), "photo-unlabelled", message, severity=WARNING, photo=path)
        for path in collection.unlabelled
    ]


def _count_subset(collection: Collection, labels: Labels) -> SubsetCounts:
    subset = SubsetCounts(len(collection.photos), classes={name: ClassCounts() for name in labels.classes})
    for photo in collection.photos:
        usable = [i for i in photo.instances if not i.crowd]
        counts = Counter(name for i in usable if (name := labels.class_of(i.label)))
        subset.ignored += sum(i.crowd or labels.is_ignored(i.label) for i in photo.instances)
        subset.negatives += photo.is_negative
        for name, count in counts.items():
            subset.classes[name].instances += count
            subset.classes[name].photos += 1
    return subset


def _balance_problems(subsets: dict[str, SubsetCounts], labels: Labels) -> list[Problem]:
    """Reports classes that are missing from a subset, and classes much rarer than the most frequent one."""
    problems = []
    for name, subset in subsets.items():
        if not subset.photos:
            problems.append(Problem(name, "empty", "has no usable image. Annotate images with nike annotate."))
            continue
        counts = {label: subset.classes[label].instances for label in labels.classes}
        for label, count in counts.items():
            if not count:
                problems.append(
                    Problem(name, "class-missing", f"has no instance of {label!r}. Add images that show it.")
                )
            elif count * 20 < max(counts.values()):
                most = max(counts.values())
                message = f"{label!r} has {plural(count, 'instance')}, but the most frequent class has {most}."
                problems.append(Problem(name, "class-rare", message, severity=WARNING))
        if subset.photos > 20 and not subset.negatives:
            message = "has no negative images. Add images without objects to measure false positives."
            problems.append(Problem(name, "no-negatives", message, severity=NOTE))
    return problems
