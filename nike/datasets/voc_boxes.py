"""Reads boxes from Pascal VOC XML files, as written by labelImg and many converters. Files are untrusted input.

    JPEGImages/shoe.jpg  Annotations/shoe.xml  ImageSets/Main/train.txt

The XML file may also be next to its image. The objects have no masks, so the images can only be used for networks that
detect boxes. Coordinates are 1-based and inclusive, as in Pascal VOC. Objects marked as difficult are ignored regions.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from mrcnn.errors import UserError
from nike.datasets import photos
from nike.datasets.instance_parts import CocoPolygons, box_piece
from nike.datasets.records import Collection, Instance, Photo, Problem
from nike.datasets.safe_xml import has_root, read_xml
from nike.datasets.shapes import ShapeError, check_label
from nike.datasets.subsets import ALL_SUBSETS
from nike.datasets.voc import IMAGES, read_lines
from nike.formatting import short

ANNOTATIONS, IMAGE_SETS = "Annotations", "ImageSets/Main"
MAX_XML_BYTES = 10_000_000  # maximum size of the XML file of one image
BOX_MESSAGE = "is a box without a mask. Train with --task boxes, or annotate a mask."


def find(path: Path) -> bool:
    """Returns whether a path is a folder with Pascal VOC XML files."""
    first = next(_find_files(path), None)
    return first is not None and has_root(first, "annotation")


def _find_files(path: Path) -> Iterator[Path]:
    """Yields the XML files in Annotations/ or, if there is no such folder, next to the images."""
    folder = path / ANNOTATIONS
    return photos.find_files(folder if folder.is_dir() else path, frozenset((".xml",))) if path.is_dir() else iter(())


def read_voc_boxes(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a folder with Pascal VOC XML files. An image whose XML file has no objects is a negative example.

    See `Format` for the arguments.
    """
    root = Path(path)
    collection = Collection(root)
    sets = {stem: subset for subset in ALL_SUBSETS for stem in read_lines(root / IMAGE_SETS / f"{subset}.txt")}
    claimed = set()
    for file in _find_files(root):
        name = photos.relative_name(file, root)
        try:
            if not allow_outside and not photos.is_inside(file, root):
                raise UserError("links to a file outside the dataset; copy it, or use --allow-outside.")
            element = read_xml(file, MAX_XML_BYTES)
            photo = _find_photo(element, file, root, allow_outside)
        except (ValueError, OSError) as error:
            collection.problems.append(Problem(name, "photo-unreadable", str(error).removeprefix(f"{file.name}: ")))
            continue
        if photo.path.resolve() in claimed:
            collection.problems.append(Problem(name, "photo-twice", f"is a second file for {photo.file}. Delete one."))
            continue
        claimed.add(photo.path.resolve())
        for i, raw in enumerate(element.iter("object")):
            _read_object(raw, photo, f"object {i + 1}")
        collection.photos.append(photo)
        if (subset := sets.get(file.stem)) is not None:
            collection.subsets |= {photo.file: subset, photo.annotation_name: subset}
    images = root / IMAGES if (root / IMAGES).is_dir() else root
    collection.unlabelled = [image for image in photos.find_files(images) if image.resolve() not in claimed]
    return collection


def _find_photo(element: ET.Element, file: Path, root: Path, allow_outside: bool) -> Photo:
    """Returns the photo of an XML file, without instances. Raises ValueError if it cannot be used."""
    if element.tag != "annotation":
        raise UserError(f"expected <annotation>, got <{short(element.tag)}>.")
    stated = photos.candidate_paths((element.findtext("filename") or "").strip())
    names = [*stated, *(Path(file.stem + suffix) for suffix in sorted(photos.SUFFIXES))]
    candidates = (folder / name for name in names for folder in (root / IMAGES, file.parent, root))
    found, refused = photos.find_first_file(candidates, root, allow_outside)
    if found is None:
        reason = "is outside the dataset; copy it, or use --allow-outside" if refused else "was not found"
        raise UserError(f"the image {short(element.findtext('filename') or file.stem)} {reason}.")
    try:
        height, width = photos.upright_size(found)
    except ValueError as error:
        raise UserError(f"{found.name} is {error}.") from None
    photo = Photo(photos.relative_name(found, root), found, file, photos.relative_name(file, root), height, width)
    size = element.findtext("size/width"), element.findtext("size/height")
    if size != ("0", "0") and not photo.has_size(*size):  # some tools write 0
        raise UserError(f"drawn on {short(size[0])}x{short(size[1])} pixels, but the image has {width}x{height}.")
    return photo


def _read_object(raw: ET.Element, photo: Photo, where: str) -> None:
    try:
        label = check_label((raw.findtext("name") or "").strip())
        crowd = (raw.findtext("difficult") or "").strip() == "1"
        photo.boxes.append(Instance(label, (_read_box(raw, photo),), where, crowd))
        raise ShapeError(BOX_MESSAGE, "shape-without-area")
    except ShapeError as error:
        photo.add_unusable_shape(error, photo.annotation_name, where)


def _read_box(raw: ET.Element, photo: Photo) -> CocoPolygons:
    texts = [raw.findtext(f"bndbox/{side}") for side in ("ymin", "xmin", "ymax", "xmax")]
    try:
        y1, x1, y2, x2 = (float(text or "") for text in texts)
    except ValueError:
        raise ShapeError(f"bndbox must have the numbers ymin, xmin, ymax, xmax, got {short(texts)}.") from None
    return box_piece((y1 - 1, x1 - 1, y2, x2), photo.height, photo.width)
