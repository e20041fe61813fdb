"""What `nike check` looks at beyond reading: pixels, sizes against the anchors, duplicates, balance. No output here."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mrcnn.config import Config
from mrcnn.data.reading import read_image
from nike.datasets.duplicates import Fingerprint, find_duplicates, fingerprint
from nike.datasets.labelme import embedded_photo
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import label_problems
from nike.datasets.photos import name_in
from nike.datasets.records import ERROR, NOTE, SEVERITIES, WARNING, Collection, Photo, Problem
from nike.text import plural, printable

SMALLEST_SIDE = 2  # pixels at the network's resolution; thinner boxes have no finite log-height and are dropped
ANCHOR_REACH = 2.0  # an object this many times smaller or larger than every anchor overlaps none of them well
SAME_SHAPE_IOU = 0.9  # two instances of one class that agree so well were drawn twice
HISTOGRAM_EDGES = (8, 16, 32, 64, 128, 256, 512)  # pixels at the network's resolution


@dataclass
class Instances:
    """Counts of one class in one part."""

    instances: int = 0
    photos: int = 0


@dataclass
class Part:
    """Counts of one part of a dataset (train, val, or all)."""

    photos: int = 0
    negatives: int = 0
    ignored: int = 0
    classes: dict[str, Instances] = field(default_factory=dict)


@dataclass
class Inspection:
    """The result of `inspect_dataset`.

    Attributes:
        parts: counts by name of part.
        problems: everything found, in the order of the dataset.
        sizes: instances by square root of the box's area at the network's resolution; bin i ends at HISTOGRAM_EDGES[i].
    """

    parts: dict[str, Part]
    problems: list[Problem]
    sizes: list[int]

    def count(self, severity: str) -> int:
        """How many problems have this severity."""
        return sum(problem.severity == severity for problem in self.problems)

    def kinds(self) -> Iterator[tuple[str, str, list[Problem]]]:
        """(severity, code, problems) for each kind of problem, errors first."""
        kinds: dict[tuple[str, str], list[Problem]] = {}
        for problem in self.problems:
            kinds.setdefault((problem.severity, problem.code), []).append(problem)
        for severity, code in sorted(kinds, key=lambda kind: (SEVERITIES.index(kind[0]), kind[1])):
            yield severity, code, kinds[severity, code]


@dataclass
class _Look:
    """What one photo's pixels tell."""

    problems: list[Problem]
    sizes: list[float]
    fingerprint: Fingerprint | None = None  # None: cannot be read


def histogram_names() -> list[str]:
    """The bins of `Inspection.sizes`, as people read them."""
    inner = [f"{low}-{high}" for low, high in zip(HISTOGRAM_EDGES, HISTOGRAM_EDGES[1:], strict=False)]
    return [f"under {HISTOGRAM_EDGES[0]}", *inner, f"from {HISTOGRAM_EDGES[-1]}"]


def part_rows(result: Inspection) -> list[list[str]]:
    """The counts of each part as rows of a table, its heading first."""
    classes = list(next(iter(result.parts.values())).classes)
    rows = [["", "photos", "negatives", "ignored", *map(printable, classes)]]
    for name, part in result.parts.items():
        cells = [f"{c.instances} in {plural(c.photos, 'photo')}" for c in part.classes.values()]
        rows.append([name, str(part.photos), str(part.negatives), str(part.ignored), *cells])
    return rows


def inspect_dataset(
    parts: dict[str, Collection],
    labels: Labels,
    config: Config,
    workers: int = 4,
    on_photo: Callable[[], object] = lambda: None,
) -> Inspection:
    """Looks at every photo and instance of a dataset.

    Args:
        parts: collections by name, for example {"train": ..., "val": ...}.
        labels: which labels mean which class.
        config: its image size and anchors are those of the training to come.
        workers: photos decoded at the same time.
        on_photo: called after each photo, for a progress bar.
    """
    result = Inspection({}, [], [0] * (len(HISTOGRAM_EDGES) + 1))
    prints: dict[str, list[Fingerprint]] = {}
    with ThreadPoolExecutor(workers) as pool:
        for name, collection in parts.items():
            result.parts[name] = _count(collection, labels)
            result.problems += collection.problems + _unlabelled(collection)
            prints[name] = []
            looks = pool.map(lambda photo: _look(photo, labels, config), collection.photos)
            for photo, look in zip(collection.photos, looks, strict=True):
                result.problems += photo.problems + label_problems(photo, labels) + look.problems
                for size in look.sizes:
                    result.sizes[int(np.searchsorted(HISTOGRAM_EDGES, size, side="right"))] += 1
                if look.fingerprint is not None:
                    prints[name].append(look.fingerprint)
                on_photo()
    result.problems += find_duplicates(prints) + _balance(result.parts, labels)
    return result


# --- one photo ---


def _look(photo: Photo, labels: Labels, config: Config) -> _Look:
    found = _Look([], [])
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


def network_scale(height: int, width: int, config: Config) -> float:
    """By how much the network's input is larger than a photo, as `mrcnn.data.image.resize_image` scales it."""
    if config.IMAGE_RESIZE_MODE == "none":
        return 1.0
    scale = max(1.0, (config.IMAGE_MIN_DIM or 0) / min(height, width), config.IMAGE_MIN_SCALE or 0)
    if config.IMAGE_RESIZE_MODE == "square":
        scale = min(scale, config.IMAGE_MAX_DIM / max(height, width))
    return scale


def _check_instances(photo: Photo, labels: Labels, config: Config, sizes: list[float]) -> list[Problem]:
    """What is odd about the masks of a photo. Adds each instance's size at the network's resolution to `sizes`."""
    problems = []
    scale = network_scale(photo.height, photo.width, config)
    seen: list[tuple[str, tuple[int, int, int, int], np.ndarray]] = []
    for instance in photo.instances:
        name = labels.class_of(instance.label)
        if name is None or instance.crowd:
            continue
        mask = instance.draw(photo.height, photo.width)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        doubts = []
        if len(rows):
            y1, x1, y2, x2 = box = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
            height, width = (y2 - y1) * scale, (x2 - x1) * scale
            sizes.append(float(np.sqrt(height * width)))
            doubts += _size_doubts(height, width, config.RPN_ANCHOR_SCALES)
            crop = mask[y1:y2, x1:x2]
            if any(name == other and _crop_iou(box, crop, *rest) > SAME_SHAPE_IOU for other, *rest in seen):
                message = "covers the same pixels as another shape of its class. Delete one."
                doubts.append(("drawn-twice", WARNING, message))
            seen.append((name, box, crop))
        else:
            doubts.append(("outside", ERROR, "has no pixel inside the photo. Delete it."))
        for code, severity, message in doubts:
            place = instance.where, severity, photo.path, instance.extent
            problems.append(Problem(photo.noted_in, code, message, *place))
    return problems


def _size_doubts(height: float, width: float, anchor_scales: Sequence[float]) -> list[tuple[str, str, str]]:
    """(code, severity, message) if a box, in pixels at the network's resolution, is out of the anchors' reach."""
    size = float(np.sqrt(height * width))
    smallest, largest = min(anchor_scales), max(anchor_scales)
    at = f"is {width:.1f}x{height:.1f} pixels at the network's resolution"
    if min(height, width) < SMALLEST_SIDE:
        return [("tiny", WARNING, f"{at}: too thin to learn, so it is dropped. Label it ignore, or train larger.")]
    if size * ANCHOR_REACH < smallest:
        return [("small", NOTE, f"{at}; the smallest anchor is {smallest}. Train larger or add smaller anchors.")]
    if size > largest * ANCHOR_REACH:
        return [("huge", WARNING, f"{at}; the largest anchor is {largest}. Train smaller or add larger anchors.")]
    return []


def _crop_iou(box: tuple, mask: np.ndarray, other_box: tuple, other: np.ndarray) -> float:
    """Intersection over union of two masks, each given inside its box."""
    y1, x1 = max(box[0], other_box[0]), max(box[1], other_box[1])
    y2, x2 = min(box[2], other_box[2]), min(box[3], other_box[3])
    if y1 >= y2 or x1 >= x2:
        return 0.0
    a = mask[y1 - box[0] : y2 - box[0], x1 - box[1] : x2 - box[1]]
    b = other[y1 - other_box[0] : y2 - other_box[0], x1 - other_box[1] : x2 - other_box[1]]
    both = np.count_nonzero(a & b)
    return both / (np.count_nonzero(mask) + np.count_nonzero(other) - both)


# --- the whole dataset ---


def _unlabelled(collection: Collection) -> list[Problem]:
    message = "has no annotation: nobody said what it shows. Draw its objects, or save it without any."
    return [
        Problem(name_in(path, collection.root), "photo-unlabelled", message, severity=WARNING, photo=path)
        for path in collection.unlabelled
    ]


def _count(collection: Collection, labels: Labels) -> Part:
    part = Part(len(collection.photos), classes={name: Instances() for name in labels.classes})
    for photo in collection.photos:
        usable = [i for i in photo.instances if not i.crowd]
        counts = Counter(name for i in usable if (name := labels.class_of(i.label)))
        part.ignored += sum(i.crowd or labels.is_ignored(i.label) for i in photo.instances)
        part.negatives += photo.is_negative
        for name, count in counts.items():
            part.classes[name].instances += count
            part.classes[name].photos += 1
    return part


def _balance(parts: dict[str, Part], labels: Labels) -> list[Problem]:
    """Classes that a part lacks, and classes that are rare against the commonest."""
    problems = []
    for name, part in parts.items():
        if not part.photos:
            problems.append(Problem(name, "empty", "holds no photo that can be used. Draw outlines: nike annotate."))
            continue
        counts = {label: part.classes[label].instances for label in labels.classes}
        for label, count in counts.items():
            if not count:
                problems.append(Problem(name, "class-missing", f"holds no {label!r}. Add photos that show it."))
            elif count * 20 < max(counts.values()):
                message = f"{label!r} occurs {count} times, the commonest class {max(counts.values())} times."
                problems.append(Problem(name, "class-rare", message, severity=WARNING))
        if part.photos > 20 and not part.negatives:
            message = "every photo shows an object; without photos that show none, false alarms stay unseen."
            problems.append(Problem(name, "no-negatives", message, severity=NOTE))
    return problems
