"""Reads and writes Label Studio JSON. Files are untrusted input.

Polygons, rectangles and ellipses are stored as percentages of the image size and rasterized as in COCO. Brush masks are
run-length encoded. A shape without a label has the default label. A task without annotations is unlabelled. A task with
an empty annotation is a negative example.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from mrcnn.errors import UserError
from nike.datasets import label_studio_rle
from nike.datasets.instance_parts import CocoPolygons, RunLengths, mask_piece, polygon_piece
from nike.datasets.json_files import find_json_files
from nike.datasets.photos import find_photo
from nike.datasets.records import NOTE, Collection, Photo, Problem, group_pieces
from nike.datasets.relocation import copy_images
from nike.datasets.safe_json import read_json, write_json
from nike.datasets.shapes import MAX_POINTS, ShapeError, check_label, ellipse_points, rotate
from nike.datasets.single_polygon import simple_polygon
from nike.datasets.subsets import parse_subset
from nike.formatting import short

# Types of shapes. The type ends in "labels" if the shape contains its label, for example with the tag <PolygonLabels>.
KINDS = ("polygon", "brush", "rectangle", "ellipse")
UNSUPPORTED_KINDS = ("bitmask", "vector")
MAX_BYTES = 1_000_000_000
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # prefix of the names of uploaded files


def find(path: Path) -> list[Path]:
    """Returns the Label Studio files of a dataset: the file itself, or those in a folder and its direct subfolders."""
    return find_json_files(path, lambda keys: {"data", "annotations"} <= keys.get("[]", frozenset()))


# --- reading ---


def read_label_studio(
    path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False
) -> Collection:
    """Reads tasks that were exported as "JSON". Images may be next to the file or in `images/`.

    See `Format` for the arguments.
    """
    files = find(Path(path))
    if len(files) != 1:
        raise UserError(f"{Path(path).name}: expected one JSON file of Label Studio, found {len(files)}.")
    file = files[0]
    tasks = read_json(file, MAX_BYTES)
    collection = Collection(file.parent)
    for i, task in enumerate(tasks):
        where = f"[{i}]"
        try:
            photo = _find_photo(task, file, allow_outside)
            regions = _select_regions(task, photo, file.name, where)
        except ValueError as error:
            collection.problems.append(Problem(file.name, "photo-unreadable", str(error), where))
            continue
        if regions is None:
            collection.unlabelled.append(photo.path)
        else:
            _read_regions(regions, photo, file.name, where, default_label)
            collection.photos.append(photo)
        meta = task.get("meta")
        if isinstance(meta, dict) and isinstance(subset := meta.get("subset"), str) and parse_subset(subset):
            collection.subsets[photo.file] = parse_subset(subset)
    return collection


def _find_photo(task: Any, file: Path, allow_outside: bool) -> Photo:
    data = task.get("data") if isinstance(task, dict) else None
    values = [v for v in data.values() if isinstance(v, str)] if isinstance(data, dict) else []
    named = data.get("image") if isinstance(data, dict) and isinstance(data.get("image"), str) else None
    if named is None and not values:
        raise UserError(f"expected a task with an image in 'data', got {short(data)}.")
    path = _extract_path(named or values[0])
    folders = [file.parent, file.parent / "images"]
    try:
        return find_photo(path, file, folders, allow_outside)
    except ValueError:
        name = _UPLOAD_PREFIX.sub("", PurePosixPath(path).name)
        if name == PurePosixPath(path).name:
            raise
        return find_photo(name, file, folders, allow_outside)


def _extract_path(address: str) -> str:
    """Returns the path of the file in an address such as `/data/local-files/?d=images/a.jpg` or `s3://bucket/a.jpg`."""
    if len(address) > 4096:
        return ""
    try:
        parts = urlsplit(address)
        query = parse_qs(parts.query).get("d")
    except ValueError:
        return ""
    return query[0] if query else unquote(parts.path).lstrip("/")


def _select_regions(task: dict, photo: Photo, file: str, where: str) -> list | None:
    """Returns the regions of the ground-truth annotation, or of the first one, or None if there is no annotation."""
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        raise UserError(f"'annotations' must be a list, got {short(annotations)}.")
    usable = [a for a in annotations if isinstance(a, dict) and isinstance(a.get("result"), list)]
    usable = [annotation for annotation in usable if not annotation.get("was_cancelled")]
    if len(usable) > 1:
        message = f"has {len(usable)} annotations. The one marked as ground truth, or else the first one, is used."
        photo.problems.append(Problem(file, "annotated-twice", message, where, NOTE, photo.path))
    chosen = [a for a in usable if a.get("ground_truth") is True] or usable
    return chosen[0]["result"] if chosen else None


def _read_regions(regions: list, photo: Photo, file: str, where: str, default_label: str) -> None:
    labels = _separate_labels(regions)
    pieces = []
    for j, region in enumerate(regions):
        place = f"{where} result[{j}]"
        try:
            kind = _parse_kind(region)
            if kind is None:
                continue
            piece = _read_region(region, kind, photo)
            names = region["value"].get(f"{kind}labels") or labels.get(str(region.get("id")))
            label = check_label(names[0] if isinstance(names, list) and names else default_label)
        except ShapeError as error:
            photo.add_unusable_shape(error, file, place)
            continue
        group = region.get("parentID")
        pieces.append((label, group if isinstance(group, str) and group else None, piece, place))
    photo.instances = group_pieces(pieces)


def _separate_labels(regions: list) -> dict[str, Any]:
    """Returns the labels that the tag <Labels> stores as separate entries, by region id."""
    return {
        str(region.get("id")): region["value"].get("labels")
        for region in regions
        if isinstance(region, dict) and region.get("type") == "labels" and isinstance(region.get("value"), dict)
    }


def _parse_kind(region: Any) -> str | None:
    """Returns the kind of a shape, one of KINDS, or None for other entries, such as choices, texts and relations."""
    type_ = region.get("type") if isinstance(region, dict) else None
    kind = type_.removesuffix("labels") if isinstance(type_, str) else None
    if kind is None or kind in UNSUPPORTED_KINDS:
        raise ShapeError(f"expected a region of type {', '.join(KINDS)}, got {short(type_)}.")
    return kind if kind in KINDS else None


def _read_region(region: dict, kind: str, photo: Photo) -> CocoPolygons | RunLengths:
    value = region.get("value")
    if not isinstance(value, dict):
        raise ShapeError(f"expected a region with a value, got {short(value)}.")
    size = region.get("original_width"), region.get("original_height")
    if not photo.has_size(*size):
        stated = f"{short(size[0])}x{short(size[1])}"
        raise ShapeError(f"was drawn on an image of {stated} pixels; this image has {photo.width}x{photo.height}.")
    if kind == "brush":
        try:
            return mask_piece(label_studio_rle.decode(value.get("rle"), photo.height, photo.width))
        except ShapeError:
            raise
        except ValueError as error:
            raise ShapeError(str(error)) from None
    return polygon_piece(_read_points(value, kind, photo), photo.height, photo.width)


def _read_points(value: dict, kind: str, photo: Photo) -> np.ndarray:
    """Returns the corners of a region, float64 `[P, 2]` (x, y) in pixels."""
    size = np.array([photo.width, photo.height]) / 100
    if kind == "polygon":
        raw = value.get("points")
        if not isinstance(raw, list) or not 3 <= len(raw) <= MAX_POINTS:
            raise ShapeError(f"a polygon requires at least 3 points [x, y], got {short(raw)}.", "points-count")
        for point in raw:
            if not isinstance(point, list) or len(point) != 2:
                raise ShapeError(f"a point must be two numbers [x, y], got {short(point)}.")
            for number in point:
                _check_percent(number)
        return np.array(raw, dtype=np.float64) * size
    names = ("x", "y", "width", "height") if kind == "rectangle" else ("x", "y", "radiusX", "radiusY")
    x, y, a, b = (_check_percent(value.get(name)) * size[i % 2] for i, name in enumerate(names))
    degrees = _check_percent(value.get("rotation") or 0)
    if kind == "ellipse":
        return ellipse_points(x, y, a, b, degrees)
    corners = np.array([(x, y), (x + a, y), (x + a, y + b), (x, y + b)])
    return rotate(corners, degrees, corners[0])  # rotation about the first corner


def _check_percent(number: Any) -> float:
    if type(number) not in (int, float) or not abs(number) <= 1000:
        raise ShapeError(f"coordinates must be percentages of the image size, got {short(number)}.")
    return float(number)


# --- writing ---


def write_label_studio(folder: Path, subsets: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes `annotations.json` with polygons, or brush masks for instances with holes or several parts.

    Args:
        folder: path of the dataset folder. To import it into Label Studio, add it as the root of a local storage.
        subsets, problems: see `Format`.
    """
    tasks: list[dict[str, Any]] = []
    for subset, photos_ in copy_images(folder, subsets, lambda subset: f"images/{subset}", problems).items():
        for photo in photos_:
            drawn = enumerate(photo.iter_masks(problems))
            regions = [_encode_region(f"r{i}", instance.label, mask) for i, (instance, mask) in drawn]
            address = f"/data/local-files/?d={quote(photo.file)}"
            annotation = {"result": regions, "was_cancelled": False, "ground_truth": False}
            task = {"id": len(tasks) + 1, "data": {"image": address}, "annotations": [annotation], "predictions": []}
            tasks.append(task | ({"meta": {"subset": subset}} if subset else {}))
    write_json(folder / "annotations.json", tasks, indent=None)


def _encode_region(region_id: str, label: str, mask: np.ndarray) -> dict[str, Any]:
    height, width = mask.shape
    polygon = simple_polygon(mask)
    if polygon is None:
        kind, value = "brushlabels", {"format": "rle", "rle": label_studio_rle.encode(mask)}
    else:
        kind, value = "polygonlabels", {"points": (polygon * 100 / (width, height)).round(4).tolist(), "closed": True}
    return {
        "id": region_id,
        "type": kind,
        "value": value | {kind: [label]},
        "from_name": kind.removesuffix("labels"),
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
