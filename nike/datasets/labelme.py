"""Reads and writes labelme JSON (3.x to 6.x). Files are untrusted input.

    collection = read_folder("photos/train")
    for photo in collection.photos:
        masks = photo.draw()  # bool [H, W, N], one mask per instance

    write_detections(Path("shoe.jpg"), result, class_names=["BG", "nike"])  # writes shoe.json

A file with an empty list of shapes marks a negative example. A point is a keypoint of the object that has the same
`group_id`.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.detections import Detections
from mrcnn.detections.labelme import (
    detections_to_shapes,
    keypoint_shapes,
    labelme_document,
    mask_to_shapes,
    with_points,
)
from mrcnn.errors import UserError
from mrcnn.ops.polygons import crosses_itself
from nike.datasets import photos
from nike.datasets.json_files import read_keys
from nike.datasets.labels import IGNORE
from nike.datasets.records import ERROR, WARNING, AnnotationError, Collection, Instance, Photo, Problem, group_pieces
from nike.datasets.relocation import copy_images
from nike.datasets.safe_json import MAX_JSON_BYTES, read_json, write_json
from nike.datasets.shapes import MAX_POINTS, Shape, ShapeError, check_label, parse_points, parse_shape
from nike.formatting import short

MAX_SHAPES = 10_000
MAX_MASK_AREA = 1_000_000_000  # total pixels of the PNG masks in one file, to limit the decoding time


def find(path: Path) -> bool:
    """Returns whether a path is a labelme file, or a folder that contains labelme files at any depth."""
    files = [path] if path.is_file() else photos.find_files(path, frozenset((".json",)))
    return any("shapes" in read_keys(file).get("{}", ()) for file in files)


def read_any(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads one labelme file, or a folder of labelme files; see `read_folder`."""
    path = Path(path)
    if path.is_dir():
        return read_folder(path, allow_outside)
    return Collection(path.parent, [read_labelme(path, allow_outside=allow_outside)])


def read_folder(
    folder: str | os.PathLike, allow_outside: bool = False, root: str | os.PathLike | None = None
) -> Collection:
    """Reads all labelme files in a folder and its subfolders.

    Args:
        folder: path of a folder of photos, each with a JSON file next to it.
        allow_outside: bool, whether `imagePath` and symbolic links may refer to files outside the dataset folder.
        root: path of the dataset folder if `folder` is a subfolder of it. The records contain paths relative to `root`.

    Returns:
        A `Collection` of the valid photos in the order of their JSON files, the problems, and the photos without a
        JSON file. Other JSON files, such as `split.json`, are skipped.

    Raises:
        FileNotFoundError: if the folder does not exist.
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Pass a folder of photos with labelme JSON files.")
    collection = Collection(root)
    claimed: dict[Path, str] = {}
    for path in photos.find_files(folder, frozenset((".json",))):
        try:
            photo = read_labelme(path, root, allow_outside)
            if photo is None:
                continue
            if photo.path is not None:
                _register_photo(photo, claimed)
            collection.photos.append(photo)
        except AnnotationError as error:
            collection.problems.append(error.problem)
    broken = {(root / problem.file).with_suffix("") for problem in collection.problems}
    for path in photos.find_files(folder):
        if path.resolve() not in claimed and path.with_suffix("") not in broken:
            collection.unlabelled.append(path)
    return collection


def _register_photo(photo: Photo, claimed: dict[Path, str]) -> None:
    """Registers the photo of a JSON file. Raises AnnotationError if another JSON file annotates the same photo."""
    real = photo.path.resolve()
    if real in claimed:
        raise _annotation_error(
            photo.annotation_name, "photo-twice", f"annotates the same photo as {claimed[real]}. Delete one of them."
        )
    claimed[real] = photo.annotation_name


def read_labelme(
    path: str | os.PathLike, root: str | os.PathLike | None = None, allow_outside: bool = False
) -> Photo | None:
    """Reads a labelme file.

    Args:
        path: path of the JSON file.
        root: path of the dataset folder; by default the folder of the JSON file.
        allow_outside: bool, whether `imagePath` and symbolic links may refer to files outside `root`.

    Returns:
        The photo, or None for JSON without `shapes`. Invalid shapes are skipped and listed in its `problems`.

    Raises:
        AnnotationError: if the whole file is unusable.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    name = photos.relative_name(path, root)
    if not allow_outside and not photos.is_inside(path, root):
        raise _annotation_error(
            name, "path-outside", "is a link to a file outside the dataset. Copy it, or use --allow-outside."
        )
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise _annotation_error(name, "json-unreadable", str(error).removeprefix(f"{path.name}: ")) from None
    if not isinstance(data, dict) or "shapes" not in data:
        return None
    if not isinstance(data["shapes"], list) or len(data["shapes"]) > MAX_SHAPES:
        raise _annotation_error(name, "json-invalid", f"'shapes' must be a list of at most {MAX_SHAPES:,}.")
    photo = _find_photo(data, path, root, name, allow_outside)
    _check_size(data, photo, name)
    pieces = _read_shapes(data["shapes"], photo, name)
    photo.instances = group_pieces(pieces)
    _join_keypoints(data["shapes"], pieces, photo, name)
    return photo


def _annotation_error(name: str, code: str, message: str, photo: Path | None = None) -> AnnotationError:
    return AnnotationError(Problem(name, code, message, photo=photo))


# --- the photo of a JSON file ---


def _find_photo(data: dict, path: Path, root: Path, name: str, allow_outside: bool) -> Photo:
    """Returns the photo of `imagePath`, else the photo with the stem of the JSON file, else the embedded photo."""
    found, refused = photos.find_first_file(_candidates(data.get("imagePath"), path), root, allow_outside)
    if found is not None:
        try:
            height, width = photos.upright_size(found)
        except ValueError as error:
            raise _annotation_error(photos.relative_name(found, root), "photo-unreadable", f"{error}.", found) from None
        return Photo(photos.relative_name(found, root), found, path, name, height, width)
    wanted = short(data.get("imagePath")) if data.get("imagePath") is not None else f"{path.stem}.jpg"
    if refused:
        raise _annotation_error(
            name, "path-outside", f"the photo {wanted} is outside the dataset. Copy it or use --allow-outside."
        )
    if isinstance(data.get("imageData"), str):
        try:
            height, width = photos.upright_size(io.BytesIO(base64.b64decode(data["imageData"])))
        except ValueError as error:
            raise _annotation_error(name, "photo-unreadable", f"the embedded imageData is {error}.") from None
        return Photo(name, None, path, name, height, width)
    raise _annotation_error(
        name,
        "photo-missing",
        f"the photo {wanted} was not found. Copy it next to the JSON file, or delete the JSON file.",
    )


def _candidates(image_path: Any, path: Path) -> Iterable[Path]:
    """Yields the paths at which the image may be found.

    They are `imagePath`, its file name in the folder of the JSON file, and the JSON file with the suffix of an image.
    """
    if isinstance(image_path, str):
        yield from (path.parent / candidate for candidate in photos.candidate_paths(image_path))
    for suffix in sorted(photos.SUFFIXES):
        yield path.with_suffix(suffix)
        yield path.with_suffix(suffix.upper())


def embedded_photo(path: str | os.PathLike) -> io.BytesIO:
    """Returns the photo embedded in a labelme file (`imageData`), for a `Photo` whose path is None.

    Raises:
        ValueError: if the file has no embedded photo.
    """
    data = read_json(path, MAX_JSON_BYTES)
    if not isinstance(data, dict) or not isinstance(data.get("imageData"), str):
        raise UserError(f"{Path(path).name}: no imageData in this file. Copy the photo next to the JSON file.")
    return io.BytesIO(base64.b64decode(data["imageData"]))


def _check_size(data: dict, photo: Photo, name: str) -> None:
    """Raises AnnotationError if the image size in the file differs from the photo. Shapes would be misplaced."""
    size = (data.get("imageWidth"), data.get("imageHeight"))
    if size == (None, None) or size == (photo.width, photo.height):
        return
    if not all(type(side) is int and side > 0 for side in size):
        message = f"imageWidth and imageHeight are {short(size)}; the photo is {photo.width}x{photo.height}."
        photo.problems.append(Problem(name, "size-invalid", message, severity=WARNING, photo=photo.path))
        return
    hint = "Its EXIF rotation changed" if size == (photo.height, photo.width) else "It was scaled or replaced"
    raise _annotation_error(
        name,
        "size-mismatch",
        f"drawn on {short(size[0])}x{short(size[1])} pixels, but the photo has {photo.width}x{photo.height}. "
        f"{hint}; restore the original or annotate it again.",
        photo.path,
    )


# --- shapes ---


def _read_shapes(raw_shapes: list, photo: Photo, name: str) -> list[tuple[str, int | None, Shape, str]]:
    """Validates all shapes. Returns (label, group_id, shape, where) for each usable shape."""
    points = sum(len(p) for raw in raw_shapes if isinstance(raw, dict) and isinstance(p := raw.get("points"), list))
    if points > MAX_POINTS:
        raise _annotation_error(name, "json-invalid", f"has {points:,} points, more than {MAX_POINTS:,}.", photo.path)
    usable, area = [], 0.0
    for i, raw in enumerate(raw_shapes):
        if _is_keypoint(raw):
            continue
        where = f"shapes[{i}]"
        try:
            shape = parse_shape(raw, photo.height, photo.width)
            label, group_id = _label_and_group(raw)
        except ShapeError as error:
            photo.add_unusable_shape(error, name, where)
            continue
        y1, x1, y2, x2 = shape.extent
        area += (y2 - y1) * (x2 - x1) if shape.kind == "mask" else 0.0
        if area > MAX_MASK_AREA:
            raise _annotation_error(
                name, "json-invalid", f"has masks of more than {MAX_MASK_AREA:,} pixels in total.", photo.path
            )
        if y1 >= photo.height or x1 >= photo.width or y2 < 0 or x2 < 0:
            message = f"is outside the {photo.width}x{photo.height} photo. Delete it."
            photo.problems.append(Problem(name, "outside", message, where, ERROR, photo.path))
            continue
        for code, message in _find_warnings(raw, shape, group_id, photo):
            photo.problems.append(Problem(name, code, message, where, WARNING, photo.path, shape.extent))
        usable.append((label, group_id, shape, where))
    return usable


def _is_keypoint(raw: Any) -> bool:
    return isinstance(raw, dict) and raw.get("shape_type") == "point" and type(raw.get("group_id")) is int


def _join_keypoints(raw_shapes: list, pieces: list[tuple], photo: Photo, name: str) -> None:
    """Adds each point with a `group_id` as a keypoint to the instance with the same `group_id`."""
    groups = {where: group for _, group, _, where in pieces}
    owners: dict[int | None, list[Instance]] = {}
    for instance in photo.instances:
        owners.setdefault(groups[instance.where], []).append(instance)
    for i, raw in enumerate(raw_shapes):
        if not _is_keypoint(raw):
            continue
        try:
            label, group = _label_and_group(raw)
            ((x, y),) = parse_points(raw.get("points"), "point").tolist()
            if group not in owners:
                raise ShapeError(
                    f"point {short(label)}: no object has the group_id {group}. Set it to the group_id of the object."
                )
            owner, *others = owners[group]
            if others:
                raise ShapeError(
                    f"point {short(label)}: objects {short(owner.label)} and {short(others[0].label)} both have the "
                    f"group_id {group}. Give each object a different group_id."
                )
            if label in owner.keypoints:
                raise ShapeError(f"point {short(label)} exists twice in group {group}. Delete one of them.")
            owner.keypoints[label] = (x, y, 2)
        except ShapeError as error:
            photo.add_unusable_shape(error, name, f"shapes[{i}]")


def _find_warnings(raw: dict, shape: Shape, group_id: int | None, photo: Photo) -> Iterable[tuple[str, str]]:
    """Yields the warnings about a valid shape as (code, message)."""
    outside = shape.points_outside(photo.height, photo.width)
    if outside and shape.kind != "circle":
        message = f"{outside} of {len(shape.points)} points are outside the photo; the mask is clipped."
        yield "points-outside", message
    if shape.kind == "polygon" and crosses_itself(shape.points):
        yield "self-crossing", "the outline crosses itself, so parts of it may be holes. Redraw it."
    if raw.get("group_id") is not None and group_id is None:
        yield "group-id", f"group_id {short(raw['group_id'])} is not an integer and is ignored."


def _label_and_group(raw: dict) -> tuple[str, int | None]:
    group_id = raw.get("group_id")
    return check_label(raw.get("label")), group_id if type(group_id) is int else None


# --- writing ---


def write_labelme(
    path: str | os.PathLike, image_path: str, height: int, width: int, shapes: Iterable[dict[str, Any]]
) -> None:
    """Writes a labelme file, atomically.

    Args:
        path: path of the JSON file.
        image_path: path of the photo relative to the JSON file.
        height, width: size of the photo in pixels.
        shapes: labelme shapes, such as the output of `mask_to_shapes`.
    """
    write_json(path, labelme_document(Path(image_path).as_posix(), height, width, shapes))


def write_folder(folder: Path, subsets: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Copies images into a new folder, with a subfolder per subset, and writes a labelme file next to each image.

    See `Format` for the arguments.
    """
    for photos_ in copy_images(folder, subsets, lambda subset: subset, problems).values():
        for photo in photos_:
            write_photo(photo)


def write_photo(photo: Photo) -> None:
    """Writes a labelme file next to a photo. Masks are approximated by polygons with an IoU of at least 0.99."""
    labels = [IGNORE[0] if instance.crowd else instance.label for instance in photo.instances]
    shapes = masks_to_shapes(labels, photo.draw(), [instance.keypoints for instance in photo.instances])
    write_labelme(photo.path.with_suffix(".json"), photo.path.name, photo.height, photo.width, shapes)


def masks_to_shapes(
    labels: Sequence[str], masks: np.ndarray, keypoints: Sequence[Mapping[str, tuple]] | None = None
) -> list[dict[str, Any]]:
    """Converts the masks of several instances to shapes. Parts and points of an instance have the same `group_id`.

    Args:
        labels: list of N str.
        masks: bool `[H, W, N]`.
        keypoints: `Instance.keypoints` of each instance, or None.
    """
    shapes = []
    for i, label in enumerate(labels):
        parts = mask_to_shapes(label, masks[:, :, i], i + 1)
        shapes += with_points(parts, keypoint_shapes(keypoints[i], i + 1) if keypoints else [])
    return shapes


def write_detections(photo: Path, result: Detections, class_names: Sequence[str]) -> Path:
    """Writes detections as a labelme file next to the photo, for correction in labelme.

    Args:
        photo: path of the photo.
        result: the detections.
        class_names: list of class names, background first.

    Returns:
        The path of the JSON file.
    """
    path = photo.with_suffix(".json")
    shapes = detections_to_shapes(result, [class_names[class_id] for class_id in result.class_ids])
    write_labelme(path, photo.name, *result.image_shape, shapes)
    return path
