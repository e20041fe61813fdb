"""Reads VGG Image Annotator (VIA 1 and 2) JSON, the format of Matterport's balloon dataset."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from mrcnn.errors import UserError
from mrcnn.ops.polygons import crosses_itself
from nike.datasets.json_files import find_json_files
from nike.datasets.photos import find_photo, image_folders
from nike.datasets.records import WARNING, Collection, Instance, Photo, Problem
from nike.datasets.safe_json import read_json
from nike.datasets.shapes import (
    MAX_COORDINATE,
    Shape,
    ShapeError,
    check_label,
    ellipse_points,
    parse_shape,
)
from nike.datasets.subsets import read_subset_files
from nike.formatting import short

# Names of the region attribute that contains the class, in order of preference. A single attribute may have any name.
LABEL_ATTRIBUTES = ("label", "class", "name", "category", "object", "type")


def read_via(
    path: str | os.PathLike,
    images: str | os.PathLike | None = None,
    default_label: str = "object",
    allow_outside: bool = False,
) -> Collection:
    """Reads a VIA project or exported VIA annotations.

    Args:
        path: path of the JSON file.
        images: path of the image folder; by default, see `nike.datasets.photos.image_folders`.
        default_label: str, label of regions without attributes, as in the balloon dataset.
        allow_outside: bool, whether file names and symbolic links may refer to files outside the dataset folder.

    Returns:
        A `Collection`. VIA lists every photo of a project, so photos without regions are `unlabelled`, not negatives.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not VIA JSON.
    """
    path = Path(path)
    data = read_json(path)
    entries = data.get("_via_img_metadata", data) if isinstance(data, dict) else None
    if not is_via(data):
        raise UserError(f"{path.name}: expected VIA JSON, objects with 'filename' and 'regions'.")
    folders = [Path(images)] if images is not None else image_folders(path)
    collection = Collection(folders[0])
    for key, entry in entries.items():
        where = short(key)
        try:
            if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
                raise UserError(f"expected an object with a filename, got {short(entry)}.")
            photo = find_photo(entry["filename"], path, folders, allow_outside)
        except ValueError as error:
            collection.problems.append(Problem(path.name, "photo-unreadable", str(error), where))
            continue
        regions = entry.get("regions")
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1 has a dict by index
        if not regions:
            collection.unlabelled.append(photo.path)
            continue
        _read_regions(regions, photo, path.name, where, default_label)
        collection.photos.append(photo)
    return collection


def find(path: Path) -> list[Path]:
    """Returns the VIA files of a dataset: the file itself, or those in a folder and its direct subfolders."""
    return find_json_files(path, lambda keys: {"filename", "regions"} <= keys.get("first", frozenset()))


def read_any(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a VIA file, or a folder with one file or one per subset. See `Format` for the arguments."""
    return read_subset_files(
        Path(path), find(Path(path)), lambda file: read_via(file, None, default_label, allow_outside)
    )


def is_via(data: Any) -> bool:
    """Returns whether a JSON value has the structure of a VIA file."""
    entries = data.get("_via_img_metadata", data) if isinstance(data, dict) else None
    if not isinstance(entries, dict) or not entries:
        return False
    first = next(iter(entries.values()))
    return isinstance(first, dict) and "filename" in first and "regions" in first


def _read_regions(regions: Any, photo: Photo, file: str, where: str, default_label: str) -> None:
    for i, region in enumerate(regions if isinstance(regions, list) else [regions]):
        place = f"{where} regions[{i}]"
        try:
            shape = _parse_region(region, photo)
            label = _read_label(region.get("region_attributes"), default_label)
        except ShapeError as error:
            photo.add_unusable_shape(error, file, place)
            continue
        if shape.kind == "polygon" and crosses_itself(shape.points):
            message = "the outline crosses itself, so parts of it may be holes. Redraw it."
            photo.problems.append(Problem(file, "self-crossing", message, place, WARNING, photo.path, shape.extent))
        photo.instances.append(Instance(label, (shape,), place))


def _parse_region(region: Any, photo: Photo) -> Shape:
    attributes = region.get("shape_attributes") if isinstance(region, dict) else None
    if not isinstance(attributes, dict):
        raise ShapeError(f"expected a region with shape_attributes, got {short(region)}.")
    kind = attributes.get("name")
    if kind in ("polygon", "polyline"):
        xs, ys = attributes.get("all_points_x"), attributes.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise ShapeError("all_points_x and all_points_y must be lists of equal length.")
        points = [list(point) for point in zip(xs, ys, strict=True)]
        raw = {"shape_type": "polygon" if kind == "polygon" else "linestrip", "points": points}
    elif kind == "rect":
        x, y, w, h = _read_numbers(attributes, "x", "y", "width", "height")
        if w <= 0 or h <= 0:
            raise ShapeError(f"a rectangle of {w:g}x{h:g} pixels has no area. Delete it.")
        raw = {"shape_type": "rectangle", "points": [[x, y], [x + w, y + h]]}
    elif kind == "circle":
        x, y, r = _read_numbers(attributes, "cx", "cy", "r")
        raw = {"shape_type": "circle", "points": [[x, y], [x + r, y]]}
    elif kind == "ellipse":
        degrees = math.degrees(_read_numbers(attributes, "theta")[0]) if "theta" in attributes else 0.0
        points = ellipse_points(*_read_numbers(attributes, "cx", "cy", "rx", "ry"), degrees).tolist()
        raw = {"shape_type": "polygon", "points": points}
    else:
        raw = {"shape_type": kind if kind == "point" else f"VIA {short(kind)}"}
    return parse_shape(raw, photo.height, photo.width)


def _read_numbers(attributes: dict, *names: str) -> list[float]:
    values = [attributes.get(name) for name in names]
    for name, value in zip(names, values, strict=True):
        if type(value) not in (int, float) or not abs(value) <= MAX_COORDINATE:
            raise ShapeError(f"{name} must be a number of pixels, got {short(value)}.")
    return values


def _read_label(attributes: Any, default: str) -> str:
    if not isinstance(attributes, dict) or not attributes:
        return default
    name = next((name for name in LABEL_ATTRIBUTES if name in attributes), None)
    if name is None and len(attributes) > 1:
        raise ShapeError(
            f"ambiguous region attributes {short(sorted(attributes))}. Name the class attribute 'label'.",
            "label-invalid",
        )
    value = attributes[name] if name else next(iter(attributes.values()))
    if isinstance(value, dict):  # checkboxes: {"nike": true}
        value = next((key for key, checked in value.items() if checked), None)
    return check_label(value).strip()
