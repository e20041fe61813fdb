"""Reads and writes YOLO segmentation datasets: `data.yaml` and one label file per image. Files are untrusted input.

A line of `labels/train/shoe.txt` is `CLASS X Y X Y ...`, a polygon in fractions of the image's width and height. In a
detection dataset, it is `CLASS X Y WIDTH HEIGHT`, a box given by its centre and size. Boxes can only be used for
networks that detect boxes. An image without a label file is a negative example, as in Ultralytics. Polygons are
rasterized as in COCO.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mrcnn.errors import UserError
from nike.datasets import photos
from nike.datasets.instance_parts import box_piece, polygon_piece
from nike.datasets.records import NOTE, Collection, Instance, Photo, Problem
from nike.datasets.relocation import copy_images
from nike.datasets.safe_json import write_text
from nike.datasets.shapes import MAX_POINTS, ShapeError
from nike.datasets.single_polygon import mask_to_polygon
from nike.datasets.subsets import ALL_SUBSETS
from nike.formatting import short

MAX_YAML_BYTES = 1_000_000
MAX_LABEL_BYTES = 20_000_000
BOX_MESSAGE = "is a box without a polygon. Export the dataset as YOLO segmentation."
MARGIN = 1e-3  # tolerance for coordinates outside [0, 1] due to rounding


def find(path: Path) -> Path | None:
    """Returns the `data.yaml` of a YOLO dataset: the path itself, or the first one in a folder."""
    files = [path] if path.is_file() else sorted(path.glob("*.y*ml"))
    for file in files:
        try:
            settings = _read_yaml(file) if file.suffix.lower() in (".yaml", ".yml") else None
        except ValueError:
            continue
        if isinstance(settings, dict) and "names" in settings and any(subset in settings for subset in ALL_SUBSETS):
            return file
    return None


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        with open(path, "rb") as file:
            return yaml.safe_load(file.read(MAX_YAML_BYTES).decode("utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path.name}: not valid YAML ({short(' '.join(str(error).split()))}).") from None


# --- reading ---


def read_yolo(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a YOLO dataset, given its folder or `data.yaml`. See `Format` for the arguments.

    Raises:
        ValueError: if the YAML file is invalid or an image folder is not found.
    """
    file = find(Path(path))
    if file is None:
        raise UserError(f"{Path(path).name}: expected a data.yaml with 'names' and 'train'.")
    settings, root = _read_yaml(file), file.parent
    if "kpt_shape" in settings:  # the numbers of a box and its keypoints would be read as a polygon
        raise UserError(f"{file.name}: kpt_shape: poses are not supported. Export the keypoints as COCO.")
    names = _read_class_names(settings["names"], file.name)
    collection = Collection(root)
    without_labels = 0
    for subset, source in _find_image_folders(settings, file, allow_outside):
        for image in _list_images(source, root):
            name = photos.relative_name(image, root)
            if name in collection.subsets:
                continue
            try:
                photo, labels = _read_photo(image, root, allow_outside)
            except ValueError as error:
                collection.problems.append(Problem(name, "photo-unreadable", f"{error}.", photo=image))
                continue
            without_labels += labels is None
            _read_labels(labels or "", photo, names)
            collection.photos.append(photo)
            collection.subsets |= {photo.file: subset, photo.annotation_name: subset}
    if len(set(collection.subsets.values())) == 1:  # for example if `train` and `val` are the same folder
        collection.subsets.clear()
    if without_labels:
        message = f"{without_labels} images have no label file and are used as negatives, as in Ultralytics."
        collection.problems.append(Problem(file.name, "without-labels", message, severity=NOTE))
    return collection


def _read_class_names(raw: Any, file: str) -> dict[int, str]:
    pairs = dict(enumerate(raw)) if isinstance(raw, list) else raw
    if not isinstance(pairs, dict) or not all(type(i) is int and isinstance(n, str | int) for i, n in pairs.items()):
        raise UserError(f"{file}: 'names' must be a list of class names or a mapping from number to name.")
    return {number: str(name)[:200] for number, name in pairs.items()}


def _find_image_folders(settings: dict, file: Path, allow_outside: bool) -> list[tuple[str, Path]]:
    """Returns (subset, folder or text file that lists images) for each entry. Raises ValueError if one is not found."""
    base = settings.get("path")
    bases = [file.parent / base] if isinstance(base, str) else []
    found: list[tuple[str, Path]] = []
    for subset in ALL_SUBSETS:
        entries = settings.get(subset)
        for entry in entries if isinstance(entries, list) else [entries]:
            if entry is None or entry == "":
                continue
            if not isinstance(entry, str):
                raise UserError(f"{file.name}: {subset!r} must be a folder of images, got {short(entry)}.")
            stripped = entry.replace("\\", "/").removeprefix("../")  # a prefix that Roboflow writes
            candidates = [folder / name for folder in (*bases, file.parent) for name in (entry, stripped)]
            usable = (p for p in candidates if _exists(p) and (allow_outside or photos.is_inside(p, file.parent)))
            source = next(usable, None)
            if source is not None:
                found.append((subset, source))
            elif subset != "test":  # data.yaml often lists a test set that does not exist
                raise UserError(f"{file.name}: {subset}: {short(entry)} was not found inside the dataset folder.")
    return found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _list_images(source: Path, root: Path) -> list[Path]:
    if source.is_dir():
        return list(photos.find_files(source))
    with open(source, "rb") as file:
        lines = file.read(MAX_LABEL_BYTES).decode("utf-8", "replace").splitlines()
    named = [root / line.strip() for line in lines if 0 < len(line.strip()) < 4096]
    return [path for path in named if photos.is_file(path)]


def _read_photo(image: Path, root: Path, allow_outside: bool) -> tuple[Photo, str | None]:
    """Returns a photo without instances, and the text of its label file or None. Raises ValueError."""
    labels = _label_path(image, root)
    if not allow_outside:
        photos.check_links((image, labels), root)
    height, width = photos.upright_size(image)
    if not photos.is_file(labels):
        name = photos.relative_name(image, root)
        return Photo(name, image, None, name, height, width), None
    with open(labels, "rb") as file:
        data = file.read(MAX_LABEL_BYTES + 1)
    if len(data) > MAX_LABEL_BYTES:
        raise UserError(f"its label file is larger than {MAX_LABEL_BYTES:,} bytes")
    text = data.decode("utf-8", "replace")
    return Photo(
        photos.relative_name(image, root), image, labels, photos.relative_name(labels, root), height, width
    ), text


def _label_path(image: Path, root: Path) -> Path:
    """Returns `labels/a.txt` for `images/a.jpg`, or `a.txt` next to an image in another folder of the dataset."""
    parts = list(image.parts)
    start = len(root.parts) if image.is_relative_to(root) else 0
    indices = [i for i, part in enumerate(parts[:-1]) if i >= start and part == "images"]
    if indices:
        parts[indices[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _read_labels(text: str, photo: Photo, names: Mapping[int, str]) -> None:
    """Adds an instance for each line of a label file, and a problem for each invalid line."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            label, points = _parse_line(line.split(), photo, names)
            if len(points) == 2:  # centre and size of a box
                (x, y), (width, height) = points.tolist()
                box = (y - height / 2, x - width / 2, y + height / 2, x + width / 2)
                photo.boxes.append(Instance(label, (box_piece(box, photo.height, photo.width),), where))
                raise ShapeError(BOX_MESSAGE, "shape-without-area")
            piece = polygon_piece(points, photo.height, photo.width)
        except ShapeError as error:
            photo.add_unusable_shape(error, photo.annotation_name, where)
        else:
            photo.instances.append(Instance(label, (piece,), where))


def _parse_line(values: Sequence[str], photo: Photo, names: Mapping[int, str]) -> tuple[str, np.ndarray]:
    """Returns the label and the points `[P, 2]` (x, y) in pixels. For a box, the two rows are its centre and size."""
    if not values[0].isascii() or not values[0].isdigit() or int(values[0][:9]) not in names:
        raise ShapeError(f"class {short(values[0])} is not a number in 'names' of data.yaml.", "label-invalid")
    if len(values) != 5 and (not 7 <= len(values) <= 2 * MAX_POINTS or len(values) % 2 == 0):
        raise ShapeError(f"expected a class and at least 3 points x y, got {len(values)} values.", "points-count")
    try:
        points = np.array(values[1:], dtype=np.float64).reshape(-1, 2)
    except ValueError:
        raise ShapeError(f"coordinates must be numbers, got {short(' '.join(values[:9]))}.") from None
    if not np.all((points >= -MARGIN) & (points <= 1 + MARGIN)):  # also rejects NaN
        raise ShapeError("coordinates must be fractions of the image's width and height, between 0 and 1.")
    return names[int(values[0])], points * (photo.width, photo.height)


# --- writing ---


def write_yolo(folder: Path, subsets: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes `data.yaml` and the label files. The images are in `images/`, or in `images/train`, `images/val`, ...

    See `Format` for the arguments.
    """
    import yaml

    names = sorted(
        {instance.label for photos_ in subsets.values() for photo in photos_ for instance in photo.instances}
    )
    for photos_ in copy_images(folder, subsets, lambda subset: f"images/{subset}", problems).values():
        for photo in photos_:
            path = Path("labels", *PurePosixPath(photo.file).parts[1:]).with_suffix(".txt")
            write_text(folder / path, "".join(f"{line}\n" for line in _label_lines(photo, names, problems)))
    train = "train" if "train" in subsets else next(iter(subsets))
    listed = {"train": train, "val": "val" if "val" in subsets else train}
    listed |= {"test": "test"} if "test" in subsets else {}
    settings = {subset: f"images/{folder_name}".rstrip("/") for subset, folder_name in listed.items()}
    write_text(folder / "data.yaml", yaml.safe_dump(settings | {"names": dict(enumerate(names))}, sort_keys=False))


def _label_lines(photo: Photo, names: Sequence[str], problems: list[Problem]) -> Iterator[str]:
    """Yields the lines of a label file."""
    for instance, mask in photo.iter_masks(problems):
        values = (mask_to_polygon(mask) / (photo.width, photo.height)).ravel()
        yield " ".join([str(names.index(instance.label)), *(f"{value:.7g}" for value in values)])
