"""The registry of dataset formats, and a reader that detects the format of a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mrcnn.errors import UserError
from nike.datasets import coco, cvat, label_studio, labelme, roboflow, via, voc, voc_boxes, yolo
from nike.datasets.records import Collection, Photo, Problem

Writer = Callable[[Path, Mapping[str, Sequence[Photo]], list[Problem]], None]


class Format(NamedTuple):
    """The functions that find, read and write datasets of a format.

    Attributes:
        find: returns a truthy value, such as the annotation files, if the path is a dataset of this format, else a
            falsy value.
        read: returns a `Collection`. The arguments are `path`, `default_label` (label of shapes without one) and
            `allow_outside` (whether file names and symbolic links may refer to files outside the dataset folder).
            Raises ValueError if the annotation file is not of this format.
        write: writes a dataset with copies of its images, or None for a read-only format. The arguments are `folder`
            (a new dataset folder), `subsets` (the photos by subset, or by "" for a dataset without a split) and
            `problems` (a list to which a problem is appended for each skipped photo or instance).
        keypoints: whether `write` writes keypoints.
    """

    find: Callable[[Path], object]
    read: Callable[[Path, str, bool], Collection]
    write: Writer | None
    keypoints: bool = False


# Formats are detected in this order. labelme comes first, because other annotation files next to labelme files are
# assumed to be exports of them.
FORMATS: dict[str, Format] = {
    "labelme": Format(labelme.find, labelme.read_any, labelme.write_folder, keypoints=True),
    "yolo": Format(yolo.find, yolo.read_yolo, yolo.write_yolo),
    "roboflow": Format(roboflow.find, roboflow.read_roboflow, roboflow.write_roboflow, keypoints=True),
    "coco": Format(coco.find, coco.read_any, coco.write_folder, keypoints=True),
    "voc": Format(voc.find, voc.read_voc, voc.write_voc),
    "voc-boxes": Format(voc_boxes.find, voc_boxes.read_voc_boxes, None),
    "cvat": Format(cvat.find, cvat.read_cvat, cvat.write_cvat),
    "labelstudio": Format(label_studio.find, label_studio.read_label_studio, label_studio.write_label_studio),
    "via": Format(via.find, via.read_any, None),
}


def detect_format(source: Path) -> str | None:
    """Returns the name of the format of a file or folder, or None if it is unknown."""
    return next((name for name, format_ in FORMATS.items() if format_.find(source)), None)


def read_dataset(
    source: str | os.PathLike,
    default_label: str = "object",
    allow_outside: bool = False,
    root: str | os.PathLike | None = None,
    boxes: bool = False,
) -> Collection:
    """Reads a dataset folder or an annotation file in any supported format.

    Args:
        source: path of an annotation file, or of a dataset folder.
        default_label: str, label of shapes without one.
        allow_outside: bool, whether file names and symbolic links may refer to files outside the dataset folder.
        root: path of the dataset folder if `source` is a subfolder of it with labelme files.
        boxes: whether to accept annotations without masks; see `Photo.accept_boxes`.

    Returns:
        A `Collection` of photos and problems. All photos of a folder without annotations are `unlabelled`.

    Raises:
        FileNotFoundError: if the file or folder does not exist.
        ValueError: if the format is unknown, or if a folder has several annotation files that are not its subsets.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder. Pass a dataset folder or an annotation file.")
    name = detect_format(source)
    if name is None and source.is_file():
        raise UserError(f"{source.name}: expected an annotation file in one of the formats {', '.join(FORMATS)}.")
    if name in (None, "labelme") and source.is_dir():
        return labelme.read_folder(source, allow_outside, root)
    collection = FORMATS[name].read(source, default_label, allow_outside)
    if boxes:
        collection.accept_boxes()
    return collection
