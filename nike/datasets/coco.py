"""COCO instance JSON to and from photos with instances.

Reading keeps COCO's own pixels: polygons are filled by pycocotools, run lengths decoded by `nike.datasets.rle`. Writing
uses run lengths, because no polygon fills to the same pixels in labelme and in COCO tools.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nike.datasets import photos, rle
from nike.datasets.labelme_reader import note_lost
from nike.datasets.labels import IGNORE, Labels
from nike.datasets.records import WARNING, Collection, Instance, Photo, Problem
from nike.datasets.safe_json import read_json, write_json
from nike.datasets.shapes import MAX_OUTLINE, MAX_POINTS, ShapeError
from nike.text import short

MAX_COCO_BYTES = 1_000_000_000  # instances_train2017.json has 470 MB


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A piece given as run lengths; checked by `parse_segmentation`."""

    runs: np.ndarray
    extent: tuple[float, float, float, float]

    def draw(self, height: int, width: int) -> np.ndarray:
        """Its pixels, bool `[H, W]`."""
        return rle.fill(self.runs, height, width)


@dataclass(frozen=True, eq=False)
class CocoPolygons:
    """A piece given as COCO polygons, each float64 `[P, 2]` (x, y); checked by `parse_segmentation`."""

    polygons: tuple[np.ndarray, ...]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(y1, x1, y2, x2) around the polygons, pixels."""
        points = np.concatenate(self.polygons)
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return y1, x1, y2, x2

    def draw(self, height: int, width: int) -> np.ndarray:
        """Its pixels by COCO's rule (half a pixel narrower than labelme's), bool `[H, W]`."""
        from pycocotools import mask as coco_mask

        parts = coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in self.polygons], height, width)
        return coco_mask.decode(coco_mask.merge(parts)).astype(bool)


def parse_segmentation(raw: Any, height: int, width: int) -> RunLengths | CocoPolygons:
    """Checks the `segmentation` of an annotation.

    Args:
        raw: the JSON value, of any type and content.
        height, width: of the photo, pixels.

    Raises:
        ValueError: it cannot be used; says why.
    """
    if isinstance(raw, dict):
        runs = rle.parse(raw, height, width)
        extent = rle.extent(runs, height)
        if extent is None:
            raise ValueError("the mask is empty. Delete the annotation.")
        return RunLengths(runs, extent)
    if not isinstance(raw, list) or not raw:
        raise ValueError(f"segmentation must be polygons or run lengths, got {short(raw)}.")
    polygons = tuple(_parse_polygon(polygon, height, width) for polygon in raw[: MAX_POINTS // 3])
    outline = sum(float(np.abs(np.roll(polygon, -1, axis=0) - polygon).sum()) for polygon in polygons)
    if outline > MAX_OUTLINE:
        raise ValueError(f"its outline is {outline:.0f} pixels long on a {width}x{height} photo.")
    return CocoPolygons(polygons)


def _parse_polygon(raw: Any, height: int, width: int) -> np.ndarray:
    if not isinstance(raw, list) or len(raw) < 6 or len(raw) % 2 or len(raw) > 2 * MAX_POINTS:
        raise ValueError(f"a polygon needs x, y, x, y, ... of at least 3 points, got {short(raw)}.")
    if not all(type(value) in (int, float) and abs(value) < 1e6 for value in raw):
        raise ValueError(f"polygon coordinates must be numbers of pixels, got {short(raw)}.")
    polygon = np.array(raw, dtype=np.float64).reshape(-1, 2)
    return np.clip(polygon, 0, (width, height))


def read_coco(
    path: str | os.PathLike, images: str | os.PathLike | None = None, allow_outside: bool = False
) -> Collection:
    """Reads a COCO instances file.

    Args:
        path: the JSON.
        images: the folder of the photos; default: beside the JSON, in `images/`, or where COCO's own layout puts them
            (`annotations/instances_NAME.json` beside `NAME/`).
        allow_outside: let `file_name` and links lead out of the dataset's folder.

    Returns:
        All photos that can be used; annotations that cannot are listed in their photo's problems.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not COCO JSON.
    """
    path = Path(path)
    data = read_json(path, MAX_COCO_BYTES)
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise ValueError(f"{path.name}: COCO JSON needs a list {key!r}; this is another format.")
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
                photo.instances.append(_read_annotation(raw, photo, categories, f"annotations[{i}]"))
            elif type(image_id) is not int or image_id not in known:  # else its photo is reported already
                raise ValueError(f"image_id {short(image_id)} is none of the images.")
        except ValueError as error:
            if photo is None:
                collection.problems.append(Problem(path.name, "shape-invalid", str(error), f"annotations[{i}]"))
            else:
                note_lost(photo, ShapeError(str(error)), path.name, f"annotations[{i}]")
    collection.photos = list(by_id.values())
    return collection


def _read_images(
    raw_images: list, path: Path, folders: list[Path], allow_outside: bool, problems: list[Problem]
) -> dict[int, Photo]:
    """Photos without instances by image id; those that cannot be used are added to `problems`."""
    by_id: dict[int, Photo] = {}
    for i, raw in enumerate(raw_images):
        try:
            image_id, photo = _read_image(raw, path, folders, allow_outside)
            if image_id in by_id:
                raise ValueError(f"image id {image_id} is used twice.")
            by_id[image_id] = photo
        except ValueError as error:
            problems.append(Problem(path.name, "photo-unreadable", str(error), f"images[{i}]"))
    return by_id


def image_folders(path: Path) -> list[Path]:
    """Where the photos of a COCO or VIA file may be, the dataset's folder first."""
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    subset = path.stem.partition("_")[2]
    return [root, root / "images", *((root / subset, root / "images" / subset) if subset else ())]


def _read_image(raw: Any, path: Path, folders: list[Path], allow_outside: bool) -> tuple[int, Photo]:
    if not isinstance(raw, dict) or type(raw.get("id")) is not int or not isinstance(raw.get("file_name"), str):
        raise ValueError(f"an image needs an id (a whole number) and a file_name, got {short(raw)}.")
    photo = find_photo(raw["file_name"], path, folders, allow_outside)
    noted = (raw.get("width"), raw.get("height"))
    if noted != (None, None) and noted != (photo.width, photo.height):
        raise ValueError(
            f"{short(raw['file_name'])} has {photo.width}x{photo.height} pixels, the file says "
            f"{short(noted[0])}x{short(noted[1])}; the masks would lie in wrong places."
        )
    return raw["id"], photo


def find_photo(name: str, path: Path, folders: list[Path], allow_outside: bool) -> Photo:
    """A photo without instances for a file name in an annotation file. Raises ValueError."""
    candidates = [folder / written for folder in folders for written in photos.as_written(name)]
    found, refused = photos.locate(candidates, folders[0], allow_outside)
    if found is None:
        if refused:
            raise ValueError(f"the photo {short(name)} is outside the dataset. Copy it, or use --allow-outside.")
        raise ValueError(f"the photo {short(name)} is not in {folders[0].name}/. Put it there.")
    try:
        height, width = photos.upright_size(found)
    except ValueError as error:
        raise ValueError(f"{short(name)} is {error}.") from None
    return Photo(photos.name_in(found, folders[0]), found, path, path.name, height, width)


def _read_categories(raw: list) -> dict[int, str]:
    named = [c for c in raw if isinstance(c, dict) and type(c.get("id")) is int and isinstance(c.get("name"), str)]
    return {category["id"]: category["name"] for category in named}


def _read_annotation(raw: dict, photo: Photo, categories: dict[int, str], where: str) -> Instance:
    category = raw.get("category_id")
    if type(category) is not int or category not in categories:
        raise ValueError(f"category_id {short(category)} is none of the categories.")
    if raw.get("segmentation") in (None, [], {}):
        raise ValueError("has no segmentation, only a box at best; masks need outlines.")
    piece = parse_segmentation(raw["segmentation"], photo.height, photo.width)
    return Instance(categories[category], (piece,), where, crowd=raw.get("iscrowd") == 1)


def write_coco(
    path: str | os.PathLike, collection: Iterable[Photo], labels: Labels | None = None, problems: list | None = None
) -> dict[str, int]:
    """Writes photos and their instances as COCO JSON, masks as run lengths (exact).

    Args:
        path: the JSON. Photos are named by their path inside the dataset.
        collection: the photos; one without instances becomes an image without annotations, a negative.
        labels: which labels become which category; default: every label that occurs, in alphabetical order.
        problems: a list to which instances without a category or without pixels are added; None: they are left out.

    Returns:
        How many of "images", "annotations", "crowds" (ignored ones, `iscrowd` 1) were written.
    """
    collection = list(collection)
    if labels is None:
        found = sorted({i.label for photo in collection for i in photo.instances} - set(IGNORE))
        labels = Labels({label: label for label in found} or ("nike",))
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
                message = f"label {short(instance.label)} has no category or no pixels; left out."
                if problems is not None:
                    problems.append(Problem(photo.file, "left-out", message, instance.where, WARNING))
                continue
            annotations.append(_annotation(len(annotations) + 1, len(images), category, mask, crowd))
    categories = [{"id": i, "name": name} for name, i in category_of.items()]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories}, indent=None)
    crowds = sum(annotation["iscrowd"] for annotation in annotations)
    return {"images": len(images), "annotations": len(annotations), "crowds": crowds}


def _annotation(identity: int, image: int, category: int, mask: np.ndarray, crowd: bool) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]  # x, y, width, height
    return {
        "id": identity,
        "image_id": image,
        "category_id": category,
        "segmentation": rle.encode(mask),
        "area": int(mask.sum()),
        "bbox": [float(value) for value in box],
        "iscrowd": int(crowd),
    }
