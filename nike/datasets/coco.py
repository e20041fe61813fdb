"""Reads and writes COCO instance annotations. Files are untrusted input.

Polygons are rasterized by pycocotools, run-length encodings are decoded by `nike.datasets.rle`. Masks are written run-
length encoded, because labelme and the COCO tools rasterize polygons differently.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.detections.formats import encode_rle
from mrcnn.errors import UserError
from nike.datasets import photos, rle
from nike.datasets.json_files import MAX_BYTES, json_files
from nike.datasets.labels import IGNORE, Labels
from nike.datasets.records import WARNING, Collection, Instance, Photo, Problem
from nike.datasets.relocation import copy_images
from nike.datasets.safe_json import read_json, write_json
from nike.datasets.shapes import MAX_COORDINATE, MAX_OUTLINE, MAX_POINTS, ShapeError
from nike.datasets.subsets import read_parts
from nike.text import short


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A run-length encoded piece of an instance, validated by `parse_segmentation`."""

    runs: np.ndarray
    extent: tuple[float, float, float, float]

    def draw(self, height: int, width: int) -> np.ndarray:
        """Returns the mask, bool `[H, W]`."""
        return rle.fill(self.runs, height, width)


@dataclass(frozen=True, eq=False)
class CocoPolygons:
    """A piece of an instance as COCO polygons, float64 `[P, 2]` (x, y) each, validated by `parse_segmentation`."""

    polygons: tuple[np.ndarray, ...]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(y1, x1, y2, x2), bounding box of the polygons in pixels."""
        points = np.concatenate(self.polygons)
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return y1, x1, y2, x2

    def draw(self, height: int, width: int) -> np.ndarray:
        """Returns the mask, bool `[H, W]`, rasterized like in COCO (half a pixel narrower than in labelme)."""
        from pycocotools import mask as coco_mask

        parts = coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in self.polygons], height, width)
        return coco_mask.decode(coco_mask.merge(parts)).astype(bool)


def mask_piece(mask: np.ndarray) -> RunLengths:
    """Returns a mask, bool `[H, W]`, as a piece of an instance. Raises ShapeError if it is empty."""
    runs = rle.parse(encode_rle(mask), *mask.shape)
    extent = rle.extent(runs, mask.shape[0])
    if extent is None:
        raise ShapeError("the mask is empty. Delete it.")
    return RunLengths(runs, extent)


def polygon_piece(points: np.ndarray, height: int, width: int) -> CocoPolygons:
    """Returns a polygon, float64 `[P, 2]` (x, y), clipped to the photo. Raises ShapeError if no area is left."""
    points = np.clip(points, 0, (width, height))
    if np.ptp(points, axis=0).min() <= 0:
        raise ShapeError("has no area inside the photo. Redraw or delete it.")
    outline = float(np.abs(np.roll(points, -1, axis=0) - points).sum())
    if outline > MAX_OUTLINE:
        raise ShapeError(f"its outline is {outline:.0f} pixels long on a {width}x{height} photo.")
    return CocoPolygons((points,))


def box_piece(box: Sequence[float], height: int, width: int) -> CocoPolygons:
    """Returns a box (y1, x1, y2, x2) in pixels as a piece, see `polygon_piece`. Its mask has the box, rounded."""
    y1, x1, y2, x2 = box
    if not all(abs(side) <= MAX_COORDINATE for side in box) or y1 >= y2 or x1 >= x2:  # also rejects NaN
        raise ShapeError(f"the box must have a width and a height above 0, got x {x1:g}..{x2:g}, y {y1:g}..{y2:g}.")
    return polygon_piece(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64), height, width)


def parse_segmentation(raw: Any, height: int, width: int) -> RunLengths | CocoPolygons:
    """Validates the `segmentation` of an annotation.

    Args:
        raw: JSON value of any type.
        height, width: int, size of the photo in pixels.

    Raises:
        ValueError: if the segmentation is invalid.
    """
    if isinstance(raw, dict):
        runs = rle.parse(raw, height, width)
        extent = rle.extent(runs, height)
        if extent is None:
            raise UserError("the mask is empty. Delete the annotation.")
        return RunLengths(runs, extent)
    if not isinstance(raw, list) or not raw:
        raise UserError(f"segmentation must be polygons or RLE, got {short(raw)}.")
    polygons = tuple(_parse_polygon(polygon, height, width) for polygon in raw[: MAX_POINTS // 3])
    outline = sum(float(np.abs(np.roll(polygon, -1, axis=0) - polygon).sum()) for polygon in polygons)
    if outline > MAX_OUTLINE:
        raise UserError(f"its outline is {outline:.0f} pixels long on a {width}x{height} photo.")
    return CocoPolygons(polygons)


def _parse_polygon(raw: Any, height: int, width: int) -> np.ndarray:
    if not isinstance(raw, list) or len(raw) < 6 or len(raw) % 2 or len(raw) > 2 * MAX_POINTS:
        raise UserError(f"a polygon needs x, y, x, y, ... of at least 3 points, got {short(raw)}.")
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
        images: path of the image folder. By default images are searched for next to the JSON file, in `images/`, and in
            `NAME/` for `annotations/instances_NAME.json`.
        allow_outside: bool, whether `file_name` and symbolic links may refer to files outside the dataset folder.

    Returns:
        A `Collection` of the valid photos. Invalid annotations are listed in the problems of their photo.

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
    categories = _read_categories(data["categories"])
    for i, raw in enumerate(data["annotations"]):
        image_id = raw.get("image_id") if isinstance(raw, dict) else None
        photo = by_id.get(image_id) if type(image_id) is int else None
        try:
            if photo is not None:
                _read_annotation(raw, photo, categories, path.name, f"annotations[{i}]")
            elif type(image_id) is not int or image_id not in known:  # a known photo has already been reported
                raise UserError(f"image_id {short(image_id)} is not an id of 'images'.")
        except ValueError as error:
            if photo is None:
                collection.problems.append(Problem(path.name, "shape-invalid", str(error), f"annotations[{i}]"))
            else:
                photo.add_unusable_shape(ShapeError(str(error)), path.name, f"annotations[{i}]")
    collection.photos = list(by_id.values())
    return collection


def detect(path: Path) -> bool:
    """Returns whether a path is a COCO file, or a folder that contains one, directly or in a direct subfolder."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    files = json_files(path, lambda keys: {"images", "annotations"} <= keys.get("lists", frozenset()))
    instances = [
        file for file in files if file.stem.startswith("instances")
    ]  # excludes captions_* and person_keypoints_*
    return instances or files


def read_any(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a COCO file, or a folder with one COCO file or one per subset. See `read_coco` for the arguments."""
    return read_parts(Path(path), _files(Path(path)), lambda file: read_coco(file, allow_outside=allow_outside))


def _read_images(
    raw_images: list, path: Path, folders: list[Path], allow_outside: bool, problems: list[Problem]
) -> dict[int, Photo]:
    """Returns photos without instances by image id, and appends invalid ones to `problems`."""
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


def image_folders(path: Path) -> list[Path]:
    """Returns the folders in which the photos of a COCO or VIA file are searched for, the dataset folder first."""
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    subset = path.stem.partition("_")[2]
    return [root, root / "images", *((root / subset, root / "images" / subset) if subset else ())]


def _read_image(raw: Any, path: Path, folders: list[Path], allow_outside: bool) -> tuple[int, Photo]:
    if not isinstance(raw, dict) or type(raw.get("id")) is not int or not isinstance(raw.get("file_name"), str):
        raise UserError(f"an image needs an integer id and a file_name, got {short(raw)}.")
    photo = find_photo(raw["file_name"], path, folders, allow_outside)
    size = (raw.get("width"), raw.get("height"))
    if size != (None, None) and size != (photo.width, photo.height):
        raise UserError(
            f"{short(raw['file_name'])} has {photo.width}x{photo.height} pixels, but the annotation file has "
            f"{short(size[0])}x{short(size[1])}. The masks would be misplaced."
        )
    return raw["id"], photo


def find_photo(name: str, path: Path, folders: list[Path], allow_outside: bool) -> Photo:
    """Returns a photo without instances for a file name in an annotation file. Raises ValueError if not found."""
    candidates = [folder / written for folder in folders for written in photos.as_written(name)]
    found, refused = photos.locate(candidates, folders[0], allow_outside)
    if found is None:
        if refused:
            raise UserError(f"the photo {short(name)} is outside the dataset. Copy it, or use --allow-outside.")
        raise UserError(f"the photo {short(name)} was not found in {folders[0].name}/. Copy it there.")
    try:
        height, width = photos.upright_size(found)
    except ValueError as error:
        raise UserError(f"{short(name)} is {error}.") from None
    return Photo(photos.name_in(found, folders[0]), found, path, path.name, height, width)


def _read_categories(raw: list) -> dict[int, str]:
    named = [c for c in raw if isinstance(c, dict) and type(c.get("id")) is int and isinstance(c.get("name"), str)]
    return {category["id"]: category["name"] for category in named}


def _read_annotation(raw: dict, photo: Photo, categories: dict[int, str], file: str, where: str) -> None:
    """Adds an annotation to the instances of its photo, or to its boxes. Raises ValueError."""
    category = raw.get("category_id")
    if type(category) is not int or category not in categories:
        raise UserError(f"category_id {short(category)} is not an id of 'categories'.")
    label, crowd = categories[category], raw.get("iscrowd") == 1
    if raw.get("segmentation") in (None, [], {}):
        if raw.get("bbox") is not None:
            photo.boxes.append(Instance(label, (_read_box(raw["bbox"], photo),), where, crowd))
        photo.add_unusable_shape(ShapeError("has no segmentation. Masks cannot be created from boxes."), file, where)
        return
    piece = parse_segmentation(raw["segmentation"], photo.height, photo.width)
    photo.instances.append(Instance(label, (piece,), where, crowd))


def _read_box(raw: Any, photo: Photo) -> CocoPolygons:
    if not isinstance(raw, list) or len(raw) != 4 or not all(type(value) in (int, float) for value in raw):
        raise ShapeError(f"bbox must be four numbers x, y, width, height, got {short(raw)}.")
    x, y, width, height = raw
    return box_piece((y, x, y + height, x + width), photo.height, photo.width)


def write_coco(
    path: str | os.PathLike, collection: Iterable[Photo], labels: Labels | None = None, problems: list | None = None
) -> dict[str, int]:
    """Writes photos and their instances as COCO JSON, with run-length encoded masks.

    Args:
        path: path of the JSON file. Photos are named by their path relative to the dataset folder.
        collection: iterable of `Photo`. A photo without instances is written as an image without annotations.
        labels: `Labels`, mapping of labels to categories. By default every label is a category, in alphabetical order.
        problems: list to which skipped instances (without a category or pixels) are appended, or None.

    Returns:
        A dict with the number of "images", "annotations" and "crowds" (ignored instances, `iscrowd` 1).
    """
    collection = list(collection)
    if labels is None:
        labels = all_labels({"": collection})
    category_of = {name: i + 1 for i, name in enumerate(labels.classes)}
    images: list[dict] = []
    annotations: list[dict] = []
    for photo in collection:
        images.append({"id": len(images) + 1, "file_name": photo.file, "width": photo.width, "height": photo.height})
        for instance in photo.instances:
            crowd = instance.crowd or labels.is_ignored(instance.label)
            category = category_of.get(labels.class_of(instance.label) or "", 1 if crowd else None)
            mask = instance.draw(photo.height, photo.width) if category else None
            if mask is None or not mask.any():
                message = f"label {short(instance.label)} has no category or no pixels; skipped."
                if problems is not None:
                    problems.append(Problem(photo.file, "left-out", message, instance.where, WARNING))
                continue
            annotations.append(_annotation(len(annotations) + 1, len(images), category, mask, crowd))
    categories = [{"id": i, "name": name} for name, i in category_of.items()]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories}, indent=None)
    crowds = sum(annotation["iscrowd"] for annotation in annotations)
    return {"images": len(images), "annotations": len(annotations), "crowds": crowds}


def all_labels(parts: Mapping[str, Sequence[Photo]]) -> Labels:
    """Returns a mapping of all labels in the photos to categories of the same names, in alphabetical order."""
    found = {i.label for photos_ in parts.values() for photo in photos_ for i in photo.instances} - set(IGNORE)
    return Labels({label: label for label in sorted(found)} or ("nike",))


def write_folder(folder: Path, parts: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes `annotations/instances_SUBSET.json` and the images in `images/SUBSET/`.

    Args:
        folder: path of the dataset folder.
        parts: photos by subset, or by "" for a dataset without a split.
        problems: list to which skipped photos and instances are appended.
    """
    labels = all_labels(parts)
    for part, photos_ in copy_images(folder, parts, lambda part: f"images/{part}", problems).items():
        name = f"instances_{part}.json" if part else "instances.json"
        here = folder / "images" / part
        beside = [replace(photo, file=photo.path.relative_to(here).as_posix()) for photo in photos_]
        write_coco(folder / "annotations" / name, beside, labels, problems)


def _annotation(identity: int, image: int, category: int, mask: np.ndarray, crowd: bool) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]  # x, y, width, height
    return {
        "id": identity,
        "image_id": image,
        "category_id": category,
        "segmentation": encode_rle(mask),
        "area": int(mask.sum()),
        "bbox": [float(value) for value in box],
        "iscrowd": int(crowd),
    }
