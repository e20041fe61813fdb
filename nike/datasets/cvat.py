"""Reads and writes the XML format "CVAT for images 1.1". Files are untrusted input.

Shapes with the same label and group form one instance. Polygons are rasterized as in COCO and in CVAT's exporters.
CVAT lists every image of a task, so an image without shapes is unlabelled. An image with the tag `negative` is a
negative example.
"""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from mrcnn.errors import UserError
from mrcnn.ops.masks import mask_box
from nike.datasets.instance_parts import CocoPolygons, RunLengths, mask_piece, polygon_piece
from nike.datasets.photos import find_photo
from nike.datasets.records import Collection, Photo, Problem, group_pieces
from nike.datasets.relocation import copy_images
from nike.datasets.safe_json import write_text
from nike.datasets.safe_xml import has_root, read_xml
from nike.datasets.shapes import MAX_COORDINATE, MAX_POINTS, ShapeError, check_label, ellipse_points, rotate
from nike.datasets.single_polygon import simple_polygon
from nike.datasets.subsets import parse_subset
from nike.formatting import short

NEGATIVE = "negative"


def find(path: Path) -> Path | None:
    """Returns a CVAT file: the path itself, or the first one in a folder."""
    files = [path] if path.is_file() else sorted(path.glob("*.xml"))
    return next((file for file in files if file.suffix.lower() == ".xml" and has_root(file, "annotations")), None)


# --- reading ---


def read_cvat(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads an XML file or its folder; see `Format`. Images may be next to the file or in `images/`."""
    file = find(Path(path))
    root = read_xml(file) if file is not None else None
    if root is None or root.tag != "annotations":
        raise UserError(f"{Path(path).name}: expected XML in the format 'CVAT for images 1.1'.")
    if root.find("track") is not None:
        raise UserError(f"{file.name}: contains video tracks. Export it from CVAT as 'CVAT for images 1.1'.")
    collection = Collection(file.parent)
    for i, element in enumerate(root.iter("image")):
        where, subset = f"image[{i}]", element.get("subset") or ""
        images = file.parent / "images"
        folders = [file.parent, images, *((images / subset,) if _is_folder_name(subset) else ())]
        size = element.get("width"), element.get("height")
        try:
            photo = find_photo(element.get("name") or "", file, folders, allow_outside, size)
        except ValueError as error:
            collection.problems.append(Problem(file.name, "photo-unreadable", str(error), where))
            continue
        _read_shapes(element, photo, file.name, where)
        is_negative = any(tag.get("label") == NEGATIVE for tag in element.iter("tag"))
        if photo.instances or photo.num_unusable or is_negative:
            collection.photos.append(photo)
        else:
            collection.unlabelled.append(photo.path)
        if (part := parse_subset(subset)) is not None:
            collection.subsets[photo.file] = part
    return collection


def _is_folder_name(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\\0") and len(name) < 256


def _read_shapes(image: ET.Element, photo: Photo, file: str, where: str) -> None:
    pieces = []
    for j, element in enumerate(image):
        if element.tag == "tag":
            continue
        place = f"{where} {element.tag[:40]}[{j}]"
        try:
            label = check_label(element.get("label"))
            piece = _read_shape(element, photo)
        except ShapeError as error:
            photo.add_unusable_shape(error, file, place)
            continue
        pieces.append((label, element.get("group_id") or None, piece, place))
    photo.instances = group_pieces(pieces)


def _read_shape(element: ET.Element, photo: Photo) -> CocoPolygons | RunLengths:
    if element.tag == "mask":
        return _read_mask(element, photo)
    if element.tag == "polygon":
        points = _parse_points(element.get("points") or "")
    elif element.tag == "box":
        x1, y1, x2, y2 = _read_numbers(element, "xtl", "ytl", "xbr", "ybr")
        center = np.array([x1 + x2, y1 + y2]) / 2
        points = rotate(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]), _read_rotation(element), center)
    elif element.tag == "ellipse":
        points = ellipse_points(*_read_numbers(element, "cx", "cy", "rx", "ry"), _read_rotation(element))
    else:
        raise ShapeError(f"a {short(element.tag)} has no area. Draw a polygon or a mask.", "shape-without-area")
    return polygon_piece(points, photo.height, photo.width)


def _parse_points(text: str) -> np.ndarray:
    pairs = text.split(";") if len(text) < 40 * MAX_POINTS else []
    if not 3 <= len(pairs) <= MAX_POINTS:
        raise ShapeError(f"a polygon requires 3 to {MAX_POINTS:,} points as x,y;x,y;...", "points-count")
    try:
        points = np.array([pair.split(",") for pair in pairs], dtype=np.float64)
    except ValueError:
        points = np.empty((0, 0))
    if points.shape != (len(pairs), 2) or not np.all(np.abs(points) <= MAX_COORDINATE):
        raise ShapeError(f"points must be pairs of numbers x,y;x,y;..., got {short(text)}.")
    return points


def _read_numbers(element: ET.Element, *names: str) -> list[float]:
    values = []
    for name in names:
        try:
            values.append(float(element.get(name, "")))
        except ValueError:
            values.append(math.nan)
        if not abs(values[-1]) <= MAX_COORDINATE:
            raise ShapeError(f"{name} must be a number of pixels, got {short(element.get(name))}.")
    return values


def _read_rotation(element: ET.Element) -> float:
    """Returns the rotation of a shape in degrees, clockwise."""
    return _read_numbers(element, "rotation")[0] if element.get("rotation") else 0.0


def _read_mask(element: ET.Element, photo: Photo) -> RunLengths:
    """Reads a mask, encoded as run lengths in row-major order inside its box, starting with zeros."""
    left, top, width, height = (int(value) for value in _read_numbers(element, "left", "top", "width", "height"))
    if not (left >= 0 and top >= 0 and 0 < width <= photo.width - left and 0 < height <= photo.height - top):
        raise ShapeError(f"the box of the mask is not inside the {photo.width}x{photo.height} image.")
    text = element.get("rle") or ""
    try:
        runs = np.array(text.split(",") if len(text) <= 12 * width * height else [], dtype=np.int64)
    except (ValueError, OverflowError):
        raise ShapeError(f"rle must be integers separated by commas, got {short(text)}.") from None
    area = width * height
    if not np.all((runs >= 0) & (runs <= area)) or runs.sum() != area:
        raise ShapeError(f"the runs of the mask must add up to {width} x {height} pixels.")
    mask = np.zeros((photo.height, photo.width), dtype=bool)
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask[top : top + height, left : left + width] = inside.reshape(height, width)
    return mask_piece(mask)


# --- writing ---


def write_cvat(folder: Path, subsets: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes `annotations.xml`. Instances are written as polygons, or as masks if they have holes or several parts.

    See `Format` for the arguments.
    """
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    meta = ET.SubElement(root, "meta")
    task = ET.SubElement(meta, "task" if set(subsets) == {""} else "project")  # CVAT exports subsets as a project
    labels = ET.SubElement(task, "labels")
    for subset in filter(None, subsets):
        ET.SubElement(ET.SubElement(ET.SubElement(task, "tasks"), "task"), "subset").text = subset
    placed = copy_images(folder, subsets, lambda subset: f"images/{subset}", problems)
    members = [(subset, photo) for subset, photos_ in placed.items() for photo in photos_]
    names = sorted({instance.label for _, photo in members for instance in photo.instances})
    for name in [*names, NEGATIVE]:
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        ET.SubElement(label, "type").text = "tag" if name == NEGATIVE else "any"
        ET.SubElement(label, "attributes")
    for number, (subset, photo) in enumerate(members):
        size = {"width": str(photo.width), "height": str(photo.height)}
        name = photo.path.relative_to(folder / "images" / subset).as_posix()
        subset_attribute = {"subset": subset} if subset else {}
        image = ET.SubElement(root, "image", {"id": str(number), "name": name} | subset_attribute | size)
        if photo.is_negative:
            ET.SubElement(image, "tag", {"label": NEGATIVE, "source": "manual"})
        for instance, mask in photo.iter_masks(problems):
            _add_shape(image, instance.label, mask)
    ET.indent(root)
    text = f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, "unicode")}\n'
    write_text(folder / "annotations.xml", text)


def _add_shape(image: ET.Element, label: str, mask: np.ndarray) -> None:
    common = {"label": label, "source": "manual", "occluded": "0", "z_order": "0"}
    polygon = simple_polygon(mask)
    if polygon is not None:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)
        ET.SubElement(image, "polygon", common | {"points": points})
        return
    y1, x1, y2, x2 = mask_box(mask)
    values = mask[y1:y2, x1:x2].ravel()
    runs = [len(list(group)) for _, group in groupby(values.tolist())]
    box = {"left": str(x1), "top": str(y1), "width": str(x2 - x1), "height": str(y2 - y1)}
    runs = [0, *runs] if values[0] else runs
    ET.SubElement(image, "mask", common | {"rle": ", ".join(map(str, runs))} | box)
