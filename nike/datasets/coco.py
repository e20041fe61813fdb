"""Reads and writes COCO instance annotations. Files are untrusted input.

Polygons are rasterized by pycocotools, and run lengths are decoded by `nike.datasets.rle`. Masks are written as run
lengths, because labelme and the COCO tools rasterize polygons differently.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.detections.formats import encode_rle
from mrcnn.errors import UserError
from mrcnn.ops.masks import mask_box
from nike.datasets import rle
from nike.datasets.instance_parts import CocoPolygons, RunLengths, box_piece, run_lengths
from nike.datasets.json_files import MAX_BYTES, find_json_files
from nike.datasets.labels import IGNORE, Labels
from nike.datasets.photos import find_photo, image_folders
from nike.datasets.records import WARNING, Collection, Instance, Photo, Problem
from nike.datasets.relocation import copy_images
from nike.datasets.safe_json import read_json, write_json
from nike.datasets.shapes import MAX_COORDINATE, MAX_POINTS, ShapeError, check_outline, outline_length
from nike.datasets.subsets import read_subset_files
from nike.formatting import short


def parse_segmentation(raw: Any, height: int, width: int) -> RunLengths | CocoPolygons:
    """Validates the `segmentation` of an annotation.

    Args:
        raw: JSON value of any type.
        height, width: int, size of the photo in pixels. Polygons are clipped to it.

    Raises:
        ValueError: if the segmentation is invalid.
    """
    if isinstance(raw, dict):
        return run_lengths(rle.parse(raw, height, width), height)
    if not isinstance(raw, list) or not raw:
        raise UserError(f"segmentation must be polygons or RLE, got {short(raw)}.")
    polygons = tuple(_parse_polygon(polygon, height, width) for polygon in raw[: MAX_POINTS // 3])
    check_outline(sum(map(outline_length, polygons)), height, width)
    return CocoPolygons(polygons)


def _parse_polygon(raw: Any, height: int, width: int) -> np.ndarray:
    if not isinstance(raw, list) or len(raw) < 6 or len(raw) % 2 or len(raw) > 2 * MAX_POINTS:
        raise UserError(f"a polygon requires at least 3 points as x, y, x, y, ..., got {short(raw)}.")
    if not all(type(value) in (int, float) and abs(value) < 1e6 for value in raw):
        raise UserError(f"polygon coordinates must be numbers of pixels, got {short(raw)}.")
    polygon = np.array(raw, dtype=np.float64).reshape(-1, 2)
    return np.clip(polygon, 0, (width, height))


def read_coco(
    path: str | os.PathLike, images: str | os.PathLike | None = None, allow_outside: bool = False
) -> Collection:
    """Reads a COCO instances file.

    Args:
        path: path of the JSON file.
        images: path of the image folder. By default, images may be next to the JSON file, in `images/`, and in `NAME/`
            for `annotations/instances_NAME.json`.
        allow_outside: bool, whether `file_name` and symbolic links may refer to files outside the dataset folder.

    Returns:
        A `Collection` of the valid photos and the problems. Invalid annotations count as unusable shapes of the photo.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not COCO JSON.
    """
    path = Path(path)
    data = read_json(path, MAX_BYTES)
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise UserError(f"{path.name}: expected COCO JSON with a list {key!r}.")
    folders = [Path(images)] if images is not None else image_folders(path)
    collection = Collection(folders[0])
    by_id = _read_images(data["images"], path, folders, allow_outside, collection.problems)
    known = {raw.get("id") for raw in data["images"] if isinstance(raw, dict) and type(raw.get("id")) is int}
    categories, names = _read_categories(data["categories"])
    for i, raw in enumerate(data["annotations"]):
        image_id = raw.get("image_id") if isinstance(raw, dict) else None
        photo = by_id.get(image_id) if type(image_id) is int else None
        try:
            if photo is not None:
                _read_annotation(raw, photo, categories, names, path.name, f"annotations[{i}]")
            elif type(image_id) is not int or image_id not in known:  # `_read_images` reports known but unusable images
                raise UserError(f"image_id {short(image_id)} is not an id of 'images'.")
        except ValueError as error:
            if photo is None:
                collection.problems.append(Problem(path.name, "shape-invalid", str(error), f"annotations[{i}]"))
            else:
                photo.add_unusable_shape(ShapeError(str(error)), path.name, f"annotations[{i}]")
    collection.photos = list(by_id.values())
    return collection


def find(path: Path) -> list[Path]:
    """Returns the COCO files of a dataset: the file itself, or those in a folder and its direct subfolders."""
    files = find_json_files(path, lambda keys: {"images", "annotations"} <= keys.get("lists", frozenset()))
    # Excludes captions_* and person_keypoints_*.
    return [file for file in files if file.stem.startswith("instances")] or files


def read_any(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a COCO file, or a folder with one COCO file or one per subset. See `read_coco` for the arguments."""
    return read_subset_files(Path(path), find(Path(path)), lambda file: read_coco(file, allow_outside=allow_outside))


def _read_images(
    raw_images: list, path: Path, folders: list[Path], allow_outside: bool, problems: list[Problem]
) -> dict[int, Photo]:
    """Returns photos without instances by image id. A problem is appended for each invalid image."""
    by_id: dict[int, Photo] = {}
    for i, raw in enumerate(raw_images):
        try:
            image_id, photo = _read_image(raw, path, folders, allow_outside)
            if image_id in by_id:
                raise UserError(f"image id {image_id} is used twice.")
            by_id[image_id] = photo
        except ValueError as error:
            problems.append(Problem(path.name, "photo-unreadable", str(error), f"images[{i}]"))
    return by_id


def _read_image(raw: Any, path: Path, folders: list[Path], allow_outside: bool) -> tuple[int, Photo]:
    if not isinstance(raw, dict) or type(raw.get("id")) is not int or not isinstance(raw.get("file_name"), str):
        raise UserError(f"expected an image with an integer id and a file_name, got {short(raw)}.")
    size = raw.get("width"), raw.get("height")
    return raw["id"], find_photo(raw["file_name"], path, folders, allow_outside, size)


def _read_categories(raw: list) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Returns the category names and the keypoint names, each by category id."""
    named = [c for c in raw if isinstance(c, dict) and type(c.get("id")) is int and isinstance(c.get("name"), str)]
    points = {c["id"]: [str(name) for name in c["keypoints"]] for c in named if isinstance(c.get("keypoints"), list)}
    return {category["id"]: category["name"] for category in named}, points


def _read_keypoints(raw: Any, names: list[str]) -> dict[str, tuple[float, float, int]]:
    """Returns the labelled keypoints of an annotation as (x, y, v).

    They are shifted by half a pixel, because COCO places pixel centres at integer coordinates.
    """
    if not isinstance(raw, list) or len(raw) != 3 * len(names):
        raise UserError(f"keypoints must be x, y, v for each of {len(names)} keypoints, got {short(raw)}.")
    if not all(type(value) in (int, float) and abs(value) <= MAX_COORDINATE for value in raw):
        raise UserError(f"keypoints must be numbers of pixels, got {short(raw)}.")
    if any(v not in (0, 1, 2) for v in raw[2::3]):
        raise UserError(f"the visibility v of a keypoint must be 0, 1 or 2, got {short(raw[2::3])}.")
    points = zip(names, raw[::3], raw[1::3], raw[2::3], strict=True)
    return {name: (x + 0.5, y + 0.5, int(v)) for name, x, y, v in points if v > 0}


def _read_annotation(
    raw: dict, photo: Photo, categories: dict[int, str], names: dict[int, list[str]], file: str, where: str
) -> None:
    """Adds an annotation to the instances of its photo, or to its boxes if it has no segmentation.

    Raises:
        ValueError: if the annotation is invalid.
    """
    category = raw.get("category_id")
    if type(category) is not int or category not in categories:
        raise UserError(f"category_id {short(category)} is not an id of 'categories'.")
    label, crowd = categories[category], raw.get("iscrowd") == 1
    points, named = raw.get("keypoints") or [], names.get(category)
    keypoints = _read_keypoints(points, named) if points and named else {}  # points without names have no meaning
    if raw.get("segmentation") in (None, [], {}):
        if raw.get("bbox") is not None:
            photo.boxes.append(Instance(label, (_read_box(raw["bbox"], photo),), where, crowd, keypoints))
        photo.add_unusable_shape(ShapeError("has no segmentation. Masks cannot be created from boxes."), file, where)
        return
    piece = parse_segmentation(raw["segmentation"], photo.height, photo.width)
    photo.instances.append(Instance(label, (piece,), where, crowd, keypoints))


def _read_box(raw: Any, photo: Photo) -> CocoPolygons:
    if not isinstance(raw, list) or len(raw) != 4 or not all(type(value) in (int, float) for value in raw):
        raise ShapeError(f"bbox must be four numbers x, y, width, height, got {short(raw)}.")
    x, y, width, height = raw
    return box_piece((y, x, y + height, x + width), photo.height, photo.width)


def write_coco(
    path: str | os.PathLike,
    collection: Iterable[Photo],
    labels: Labels | None = None,
    problems: list[Problem] | None = None,
    keypoint_names: Sequence[str] | None = None,
) -> dict[str, int]:
    """Writes photos and their instances as COCO JSON, with run-length encoded masks.

    Args:
        path: path of the JSON file. `file_name` of an image is `Photo.file`, relative to the dataset folder.
        collection: iterable of `Photo`. A photo without instances is written as an image without annotations.
        labels: mapping of labels to categories. By default, every label is a category, in alphabetical order.
        problems: list to which a problem is appended for each skipped instance (without a category or without pixels),
            or None.
        keypoint_names: names of the keypoints of all categories, in order. By default, the names found in the photos.

    Returns:
        A dict with the number of "images", "annotations" and "crowds" (ignored instances, `iscrowd` 1).
    """
    collection, problems = list(collection), [] if problems is None else problems
    if labels is None:
        labels = all_labels({"": collection})
    category_of = {name: i + 1 for i, name in enumerate(labels.classes)}
    images: list[dict] = []
    annotations: list[dict] = []
    names = all_keypoint_names({"": collection}) if keypoint_names is None else list(keypoint_names)
    for photo in collection:
        images.append({"id": len(images) + 1, "file_name": photo.file, "width": photo.width, "height": photo.height})
        for instance, mask in photo.iter_masks(problems):
            crowd = instance.crowd or labels.is_ignored(instance.label)
            category = category_of.get(labels.class_of(instance.label) or "", 1 if crowd else None)
            if category is None:
                message = f"label {short(instance.label)} has no category; skipped."
                problems.append(Problem(photo.file, "left-out", message, instance.where, WARNING))
                continue
            annotation = _encode_annotation(len(annotations) + 1, len(images), category, mask, crowd)
            annotations.append(annotation | (_encode_keypoints(instance, names) if names else {}))
    points = {"keypoints": names, "skeleton": []} if names else {}
    categories = [{"id": i, "name": name, **points} for name, i in category_of.items()]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories}, indent=None)
    crowds = sum(annotation["iscrowd"] for annotation in annotations)
    return {"images": len(images), "annotations": len(annotations), "crowds": crowds}


def all_labels(subsets: Mapping[str, Sequence[Photo]]) -> Labels:
    """Returns a mapping of all labels in the photos to categories of the same names, in alphabetical order."""
    found = {i.label for photos_ in subsets.values() for photo in photos_ for i in photo.instances} - set(IGNORE)
    return Labels({label: label for label in sorted(found)} or ("nike",))


def all_keypoint_names(subsets: Mapping[str, Sequence[Photo]]) -> list[str]:
    """Returns the names of all keypoints in the photos, in the order of their first occurrence."""
    instances = (i for photos_ in subsets.values() for photo in photos_ for i in photo.instances)
    return list(dict.fromkeys(name for instance in instances for name in instance.keypoints))


def write_folder(folder: Path, subsets: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes `annotations/instances_SUBSET.json` and the images in `images/SUBSET/`. See `Format` for the arguments."""
    labels, names = all_labels(subsets), all_keypoint_names(subsets)
    for subset, photos_ in copy_images(folder, subsets, lambda subset: f"images/{subset}", problems).items():
        name = f"instances_{subset}.json" if subset else "instances.json"
        images = folder / "images" / subset
        relative = [replace(photo, file=photo.path.relative_to(images).as_posix()) for photo in photos_]
        write_coco(folder / "annotations" / name, relative, labels, problems, names)


def _encode_keypoints(instance: Instance, names: list[str]) -> dict[str, Any]:
    """Returns the keypoint fields of an annotation. This is the inverse of `_read_keypoints`."""
    points = [instance.keypoints.get(name, (0.5, 0.5, 0)) for name in names]
    flat = [value for x, y, v in points for value in (x - 0.5, y - 0.5, v)]
    return {"keypoints": flat, "num_keypoints": len(instance.keypoints)}


def _encode_annotation(annotation_id: int, image: int, category: int, mask: np.ndarray, crowd: bool) -> dict[str, Any]:
    y1, x1, y2, x2 = mask_box(mask)
    return {
        "id": annotation_id,
        "image_id": image,
        "category_id": category,
        "segmentation": encode_rle(mask),
        "area": int(mask.sum()),
        "bbox": [float(side) for side in (x1, y1, x2 - x1, y2 - y1)],
        "iscrowd": int(crowd),
    }
