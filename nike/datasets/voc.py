"""Reads and writes Pascal VOC instance masks. Files are untrusted input.

    JPEGImages/shoe.jpg  SegmentationObject/shoe.png  SegmentationClass/shoe.png  ImageSets/Segmentation/train.txt

Each color in the PNG in SegmentationObject is an instance. Its class is given by the most frequent color of the same
pixels in SegmentationClass. The class names are read from `labelmap.txt`, which CVAT and Datumaro write. Without this
file, the classes of Pascal VOC are used. "Void" pixels are background.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import PIL.Image

from mrcnn.atomic import replacing
from mrcnn.data.image_files import MAX_PIXELS
from mrcnn.errors import UserError
from nike.datasets import photos
from nike.datasets.instance_parts import mask_piece
from nike.datasets.records import WARNING, Collection, Instance, Photo, Problem
from nike.datasets.relocation import copy_images
from nike.datasets.safe_json import write_text
from nike.datasets.shapes import ShapeError
from nike.datasets.subsets import ALL_SUBSETS
from nike.formatting import printable, short

IMAGES, OBJECTS, CLASSES = "JPEGImages", "SegmentationObject", "SegmentationClass"
IMAGE_SETS = "ImageSets/Segmentation"
# fmt: off
VOC_CLASSES = [
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]
# fmt: on
VOID = 224 << 16 | 224 << 8 | 192
MAX_TEXT_BYTES = 10_000_000
MAX_INSTANCES = 254  # per image; the other two values of a byte are background and void


def palette_color(number: int) -> tuple[int, int, int]:
    """Returns a color of the Pascal VOC palette. Bits 0, 3 and 6 of the number are the highest bits of red."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


def find(path: Path) -> bool:
    """Returns whether a path is a dataset folder with Pascal VOC masks."""
    return (path / OBJECTS).is_dir()


# --- reading ---


def read_voc(path: str | os.PathLike, default_label: str = "object", allow_outside: bool = False) -> Collection:
    """Reads a dataset, given the folder that contains SegmentationObject. Images without a mask are unlabelled.

    See `Format` for the arguments. `default_label` is used for images without a mask in SegmentationClass.
    """
    root = Path(path)
    names = _class_names(root)
    collection = Collection(root)
    sets = {stem: subset for subset in ALL_SUBSETS for stem in read_lines(root / IMAGE_SETS / f"{subset}.txt")}
    for image in photos.find_files(root / IMAGES):
        relative = image.relative_to(root / IMAGES)
        stem, name = relative.with_suffix(""), photos.relative_name(image, root)
        masks = [root / folder / relative.with_suffix(".png") for folder in (OBJECTS, CLASSES)]
        try:
            if not allow_outside:
                photos.check_links((image, *masks), root)
            photo = Photo(name, image, masks[0], photos.relative_name(masks[0], root), *photos.upright_size(image))
            if masks[0].is_file():
                photo.instances = _read_instances(photo, *masks, names, default_label)
                collection.photos.append(photo)
            else:
                collection.unlabelled.append(image)
        except ValueError as error:
            collection.problems.append(Problem(name, "photo-unreadable", f"{error}.", photo=image))
            continue
        if stem.as_posix() in sets:
            collection.subsets[name] = sets[stem.as_posix()]
    return collection


def read_lines(path: Path) -> list[str]:
    """Returns the non-blank lines of a text file, or no lines if the file does not exist."""
    if not path.is_file():
        return []
    with open(path, "rb") as file:
        text = file.read(MAX_TEXT_BYTES).decode("utf-8-sig", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _class_names(root: Path) -> dict[int, str]:
    """Returns class names by color."""
    names = {}
    for line in read_lines(root / "labelmap.txt"):
        name, _, rest = line.partition(":")
        values = rest.split(":")[0].split(",")
        if line.startswith("#") or not name or len(name) > 200:
            continue
        if len(values) != 3 or not all(value.strip().isdecimal() and len(value) < 5 for value in values):
            raise UserError(f"labelmap.txt: expected NAME:RED,GREEN,BLUE::, got {short(line)}.")
        names[int(values[0]) << 16 | int(values[1]) << 8 | int(values[2])] = name
    return names or {_pack_rgb(palette_color(i)): name for i, name in enumerate(VOC_CLASSES, 1)}


def _pack_rgb(rgb: tuple[int, int, int]) -> int:
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]


def _read_instances(
    photo: Photo, objects: Path, classes: Path, names: Mapping[int, str], default: str
) -> list[Instance]:
    instance_map = _read_colors(objects, photo)
    class_map = _read_colors(classes, photo) if classes.is_file() else None
    found = [int(value) for value in np.unique(instance_map) if value not in (0, VOID)]
    if len(found) > 10_000:
        raise UserError(f"{objects.name} has {len(found)} colors. Check that it is an instance mask.")
    instances = []
    for number, value in enumerate(found, start=1):
        mask, label, where = instance_map == value, default, f"object {number}"
        if class_map is not None:
            values, counts = np.unique(class_map[mask], return_counts=True)
            common = int(values[counts.argmax()])
            if common not in names:
                error = ShapeError(f"color #{common:06x} in {CLASSES} is not in labelmap.txt.", "label-invalid")
                photo.add_unusable_shape(error, photo.annotation_name, where)
                continue
            label = names[common]
        instances.append(Instance(label, (mask_piece(mask),), where))
    return instances


def _read_colors(path: Path, photo: Photo) -> np.ndarray:
    """Returns the colors of a PNG, int32 `[H, W]` (red << 16 | green << 8 | blue). Raises ValueError."""
    try:
        with PIL.Image.open(path, formats=["PNG"]) as image:
            if image.size != (photo.width, photo.height) or image.width * image.height > MAX_PIXELS:
                raise UserError(f"{path.name} has {image.width}x{image.height} pixels")
            rgb = np.asarray(image.convert("RGB"), dtype=np.int32)
    except Exception as error:  # Pillow raises many types of exceptions on damaged files
        raise UserError(f"{path.parent.name}/{path.name} does not match the photo ({printable(error)[:100]})") from None
    return rgb[:, :, 0] << 16 | rgb[:, :, 1] << 8 | rgb[:, :, 2]


# --- writing ---


def write_voc(folder: Path, subsets: Mapping[str, Sequence[Photo]], problems: list[Problem]) -> None:
    """Writes the masks, `labelmap.txt` and a list of images for each subset.

    Overlapping pixels are assigned to the smallest instance. A problem is appended for each instance that loses pixels.
    See `Format` for the arguments.
    """
    members = [photo for photos_ in subsets.values() for photo in photos_]
    names = sorted({instance.label for photo in members for instance in photo.instances})
    if len(names) > MAX_INSTANCES:
        raise UserError(f"Pascal VOC masks support at most {MAX_INSTANCES} classes, got {len(names)}.")
    for subset, photos_ in copy_images(folder, subsets, lambda subset: IMAGES, problems).items():
        stems = [PurePosixPath(photo.file).relative_to(IMAGES).with_suffix("") for photo in photos_]
        for stem, photo in zip(stems, photos_, strict=True):
            instance_map, class_map = _draw_maps(photo, names, problems)
            _write_png(folder / OBJECTS / f"{stem}.png", instance_map)
            _write_png(folder / CLASSES / f"{stem}.png", class_map)
        write_text(folder / IMAGE_SETS / f"{subset or 'trainval'}.txt", "".join(f"{stem}\n" for stem in stems))
    rows = [
        f"{name}:{','.join(map(str, palette_color(number)))}::" for number, name in enumerate(["background", *names])
    ]
    write_text(folder / "labelmap.txt", "".join(f"{row}\n" for row in ["# label:color_rgb:parts:actions", *rows]))


def _draw_maps(photo: Photo, names: list[str], problems: list[Problem]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the map of instance numbers and the map of class numbers, uint8 `[H, W]` each."""
    instance_map = np.zeros((photo.height, photo.width), dtype=np.uint8)
    class_map = np.zeros_like(instance_map)
    masks = photo.draw()
    areas = masks.sum(axis=(0, 1))
    for i in np.argsort(-areas, kind="stable").tolist():
        if areas[i] and i < MAX_INSTANCES:
            instance_map[masks[:, :, i]] = i + 1
            class_map[masks[:, :, i]] = names.index(photo.instances[i].label) + 1
    for i, instance in enumerate(photo.instances):
        written = np.count_nonzero(instance_map == i + 1)
        if written < 0.99 * areas[i] or not areas[i]:
            message = (
                f"only {written} of {areas[i]} pixels are written, because other instances overlap it or the image has "
                f"more than {MAX_INSTANCES} instances."
            )
            problems.append(Problem(photo.file, "left-out", message, instance.where, WARNING))
    return instance_map, class_map


def _write_png(path: Path, numbers: np.ndarray) -> None:
    image = PIL.Image.frombytes("P", numbers.shape[::-1], numbers.tobytes())
    image.putpalette([channel for number in range(256) for channel in palette_color(number)])
    with replacing(path) as temporary:
        image.save(temporary)
