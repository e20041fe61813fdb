"""labelme JSON (3.x to 6.x) to photos with instances. Every file is read as if its author were hostile.

    collection = read_folder("photos/train")
    for photo in collection.photos:
        masks = photo.draw()  # bool [H, W, N], one per instance, as labelme would colour them

A JSON with an empty list of shapes is a negative: a photo known to show no object.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nike.datasets import photos
from nike.datasets.records import ERROR, WARNING, AnnotationError, Collection, Instance, Photo, Problem
from nike.datasets.safe_json import MAX_JSON_BYTES, read_json
from nike.datasets.shapes import MAX_POINTS, Shape, ShapeError, crosses_itself, parse_shape
from nike.text import short

MAX_SHAPES = 10_000
MAX_MASK_AREA = 1_000_000_000  # pixels of all PNG masks in one file: what decodes in seconds


def read_folder(
    folder: str | os.PathLike, allow_outside: bool = False, root: str | os.PathLike | None = None
) -> Collection:
    """Reads all labelme files below a folder and finds the photos that have none.

    Args:
        folder: photos with a JSON beside each, at any depth.
        allow_outside: let `imagePath` and symbolic links lead out of the dataset.
        root: the whole dataset's folder, if `folder` is a part of it; files are named by their path inside it.

    Returns:
        All photos that can be used, in the order of their JSON files; what cannot be used is among the problems.
        JSON files that are not labelme's (a `split.json`, say) are passed over.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Give a folder of photos with labelme JSON files.")
    collection = Collection(root)
    claimed: dict[Path, str] = {}
    for path in photos.find_files(folder, frozenset((".json",))):
        try:
            photo = read_labelme(path, root, allow_outside)
            if photo is None:
                continue
            if photo.path is not None:
                _claim(photo, claimed)
            collection.photos.append(photo)
        except AnnotationError as error:
            collection.problems.append(error.problem)
    broken = {(root / problem.file).with_suffix("") for problem in collection.problems}
    for path in photos.find_files(folder):
        if path.resolve() not in claimed and path.with_suffix("") not in broken:
            collection.unlabelled.append(path)
    return collection


def _claim(photo: Photo, claimed: dict[Path, str]) -> None:
    """Notes that a photo is described; a second JSON for it is an error (its objects would count twice)."""
    real = photo.path.resolve()
    if real in claimed:
        raise _error(photo.noted_in, "photo-twice", f"describes the same photo as {claimed[real]}. Delete one of them.")
    claimed[real] = photo.noted_in


def read_labelme(
    path: str | os.PathLike, root: str | os.PathLike | None = None, allow_outside: bool = False
) -> Photo | None:
    """Reads one labelme file.

    Args:
        path: the JSON.
        root: the dataset's folder, that no path may leave; default: the JSON's own.
        allow_outside: let `imagePath` and symbolic links lead out of `root`.

    Returns:
        The photo. Shapes that cannot be used are left out and listed in its `problems`. None: valid JSON, but not
        labelme's (no `shapes`).

    Raises:
        AnnotationError: nothing in the file can be used; `problem` says why.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    name = photos.name_in(path, root)
    if not allow_outside and not photos.is_inside(path, root):
        raise _error(name, "path-outside", "is a link to a file outside the dataset. Copy it, or use --allow-outside.")
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise _error(name, "json-unreadable", str(error).removeprefix(f"{path.name}: ")) from None
    if not isinstance(data, dict) or "shapes" not in data:
        return None
    if not isinstance(data["shapes"], list) or len(data["shapes"]) > MAX_SHAPES:
        raise _error(name, "json-invalid", f"'shapes' must be a list of at most {MAX_SHAPES:,}.")
    photo = _find_photo(data, path, root, name, allow_outside)
    _check_size(data, photo, name)
    photo.instances = group(_read_shapes(data["shapes"], photo, name))
    return photo


def note_lost(photo: Photo, error: ShapeError, name: str, where: str) -> None:
    """Records a shape that cannot be used."""
    severity = WARNING if error.code == "shape-without-area" else ERROR
    photo.problems.append(Problem(name, error.code, str(error), where, severity, photo.path))
    photo.lost += 1


def _error(name: str, code: str, message: str, photo: Path | None = None) -> AnnotationError:
    return AnnotationError(Problem(name, code, message, photo=photo))


# --- the photo that belongs to a JSON ---


def _find_photo(data: dict, path: Path, root: Path, name: str, allow_outside: bool) -> Photo:
    """The photo named by `imagePath`, or of the same name beside the JSON, or embedded in it."""
    found, refused = photos.locate(_candidates(data.get("imagePath"), path), root, allow_outside)
    if found is not None:
        try:
            height, width = photos.upright_size(found)
        except ValueError as error:
            raise _error(photos.name_in(found, root), "photo-unreadable", f"{error}.", found) from None
        return Photo(photos.name_in(found, root), found, path, name, height, width)
    wanted = short(data.get("imagePath")) if data.get("imagePath") is not None else f"{path.stem}.jpg"
    if refused:
        raise _error(name, "path-outside", f"the photo {wanted} lies outside the dataset. Copy it, or --allow-outside.")
    if isinstance(data.get("imageData"), str):
        try:
            height, width = photos.upright_size(io.BytesIO(base64.b64decode(data["imageData"])))
        except ValueError as error:
            raise _error(name, "photo-unreadable", f"the embedded imageData is {error}.") from None
        return Photo(name, None, path, name, height, width)
    raise _error(name, "photo-missing", f"the photo {wanted} is not there. Put it beside the JSON or delete the JSON.")


def _candidates(image_path: Any, path: Path) -> Iterable[Path]:
    """Where the photo may be, best first: as written, its bare name beside the JSON, the JSON's name."""
    if isinstance(image_path, str):
        yield from (path.parent / written for written in photos.as_written(image_path))
    for suffix in sorted(photos.SUFFIXES):
        yield path.with_suffix(suffix)
        yield path.with_suffix(suffix.upper())


def embedded_photo(path: str | os.PathLike) -> io.BytesIO:
    """The photo file inside a labelme JSON (`imageData`), for a `Photo` whose path is None.

    Raises:
        ValueError: there is none.
    """
    data = read_json(path, MAX_JSON_BYTES)
    if not isinstance(data, dict) or not isinstance(data.get("imageData"), str):
        raise ValueError(f"{Path(path).name}: has no imageData. Put the photo beside the JSON.")
    return io.BytesIO(base64.b64decode(data["imageData"]))


def _check_size(data: dict, photo: Photo, name: str) -> None:
    """Compares the size noted by labelme with the photo's; shapes drawn on another size lie in wrong places."""
    noted = (data.get("imageWidth"), data.get("imageHeight"))
    if noted == (None, None) or noted == (photo.width, photo.height):
        return
    if not all(type(side) is int and side > 0 for side in noted):
        message = f"imageWidth and imageHeight are {short(noted)}; the photo is {photo.width}x{photo.height}."
        photo.problems.append(Problem(name, "size-invalid", message, severity=WARNING, photo=photo.path))
        return
    hint = "Its EXIF rotation changed" if noted == (photo.height, photo.width) else "It was scaled or replaced"
    raise _error(
        name,
        "size-mismatch",
        f"drawn on {short(noted[0])}x{short(noted[1])} pixels, but the photo has {photo.width}x{photo.height}. "
        f"{hint}; put the original back or draw again.",
        photo.path,
    )


# --- shapes ---


def _read_shapes(raw_shapes: list, photo: Photo, name: str) -> list[tuple[str, int | None, Shape, str]]:
    """Checks every shape; returns (label, group_id, shape, where) of the usable ones and notes the others."""
    points = sum(len(p) for raw in raw_shapes if isinstance(raw, dict) and isinstance(p := raw.get("points"), list))
    if points > MAX_POINTS:
        raise _error(name, "json-invalid", f"has {points:,} points; more than {MAX_POINTS:,}.", photo.path)
    usable, area = [], 0.0
    for i, raw in enumerate(raw_shapes):
        where = f"shapes[{i}]"
        try:
            shape = parse_shape(raw, photo.height, photo.width)
            label, group_id = _label_and_group(raw)
        except ShapeError as error:
            note_lost(photo, error, name, where)
            continue
        y1, x1, y2, x2 = shape.extent
        area += (y2 - y1) * (x2 - x1) if shape.kind == "mask" else 0.0
        if area > MAX_MASK_AREA:
            raise _error(name, "json-invalid", f"has masks of more than {MAX_MASK_AREA:,} pixels in all.", photo.path)
        if y1 >= photo.height or x1 >= photo.width or y2 < 0 or x2 < 0:
            message = f"lies outside the {photo.width}x{photo.height} photo. Delete it."
            photo.problems.append(Problem(name, "outside", message, where, ERROR, photo.path))
            continue
        for code, message in _doubts(raw, shape, group_id, photo):
            photo.problems.append(Problem(name, code, message, where, WARNING, photo.path, shape.extent))
        usable.append((label, group_id, shape, where))
    return usable


def _doubts(raw: dict, shape: Shape, group_id: int | None, photo: Photo) -> Iterable[tuple[str, str]]:
    """(code, message) of what is odd about a shape that can be drawn."""
    outside = shape.points_outside(photo.height, photo.width)
    if outside and shape.kind != "circle":
        message = f"{outside} of {len(shape.points)} points lie outside the photo; the mask ends at its edge."
        yield "points-outside", message
    if shape.kind == "polygon" and crosses_itself(shape.points):
        yield "self-crossing", "the outline crosses itself, so parts of it may be holes. Redraw it."
    if raw.get("group_id") is not None and group_id is None:
        yield "group-id", f"group_id {short(raw['group_id'])} is not a whole number; taken as none."


def _label_and_group(raw: dict) -> tuple[str, int | None]:
    label, group_id = raw.get("label"), raw.get("group_id")
    if not isinstance(label, str) or not label.strip() or len(label) > 200:
        raise ShapeError(f"the label must be a short text, got {short(label)}.", "label-invalid")
    return label, group_id if type(group_id) is int else None


def group(shapes: Iterable[tuple[str, int | None, Shape, str]]) -> list[Instance]:
    """Joins shapes of equal label and group_id into one instance, in the order of their first shapes."""
    pieces: dict[tuple, list[Shape]] = {}
    places: dict[tuple, str] = {}
    for label, group_id, shape, where in shapes:
        key = (label, where if group_id is None else group_id)
        pieces.setdefault(key, []).append(shape)
        places.setdefault(key, where)
    return [Instance(key[0], tuple(pieces[key]), places[key]) for key in pieces]
