"""`nike convert`: converts a labelled dataset to a COCO file or to labelme files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from nike import cli
from nike.datasets.coco import image_folders, write_coco
from nike.datasets.labelme import masks_to_shapes, write_labelme
from nike.datasets.labels import IGNORE, Labels
from nike.datasets.read_any_format import read_dataset
from nike.datasets.records import Photo, Problem
from nike.datasets.relocation import copy_photos, copy_split, relocate
from nike.text import plural, short

DESCRIPTION = """\
Convert the annotations of a dataset to one COCO file or to one labelme file per image.
Images outside the folder of TARGET are copied into it, with a split.json if the dataset
has one, so that nike check and nike train can use the result."""
EPILOG = """\
examples:
  nike convert my_photos my_photos/coco.json          labelme files to one COCO file
  nike convert coco/instances.json coco               a COCO file to labelme files
  nike convert balloon/via_region_data.json balloon   a VIA file to labelme files
  nike convert my_photos exported/coco.json           a new dataset: a COCO file and copies of the images

Exit code: 0 all converted; 1 some images or annotations were skipped (listed on stderr); 2 nothing was written."""


def labelme_files(photos: list[Photo], problems: list[Problem]) -> list[Photo]:
    """Returns the photos that can each have a labelme file.

    Args:
        photos: records from a dataset reader, each with a path.
        problems: list to which photos are added whose JSON file would have the same name as that of another photo
            (`a.jpg`, `a.png`). They are skipped.
    """
    chosen: dict[PurePosixPath, Photo] = {}
    for photo in photos:
        first = chosen.setdefault(PurePosixPath(photo.file).with_suffix(".json"), photo)
        if first is not photo:
            message = f"has the same file stem as {short(first.file)}, hence the same labelme file. Rename the image."
            problems.append(Problem(photo.file, "name-twice", message))
    return list(chosen.values())


def write_labelme_file(photo: Photo) -> None:
    """Writes the labelme file of a photo next to it, with masks as polygons of IoU 0.99 or more."""
    labels = [IGNORE[0] if instance.crowd else instance.label for instance in photo.instances]
    shapes = masks_to_shapes(labels, photo.draw())
    write_labelme(photo.path.with_suffix(".json"), photo.path.name, photo.height, photo.width, shapes)


def refuse_to_overwrite(paths: Iterable[Path]) -> None:
    """Raises ValueError if one of the paths exists."""
    there = [path for path in paths if path.exists()]
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise ValueError(f"{there[0]} exists already{more}. Nothing was written. Choose another name or move it.")


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike convert`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="folder of images with labelme files, or a COCO or VIA file"
    )
    parser.add_argument(
        "target", type=Path, metavar="TARGET", help="COCO file to write (.json), or output folder for labelme files"
    )
    parser.add_argument(
        "--labels", metavar="NAMES", help="classes of the COCO file, such as nike,swoosh=nike (default: all labels)"
    )
    parser.add_argument("--allow-outside", action="store_true", help="allow annotations of images outside of SOURCE")


def run_command(arguments: argparse.Namespace) -> int:
    """Converts the dataset. Returns 1 if anything was skipped, else 0."""
    labels = Labels(arguments.labels) if arguments.labels is not None else None
    default = labels.classes[0] if labels else "object"
    collection = read_dataset(arguments.source, default, arguments.allow_outside)
    problems: list[Problem] = list(collection.all_problems())
    found = [photo for photo in collection.photos if photo.path is not None]
    for photo in collection.photos:
        if photo.path is None:
            message = "the image is embedded in the JSON (imageData). Save it as a file next to the JSON to convert it."
            problems.append(Problem(photo.noted_in, "photo-embedded", message))
    if not found:
        raise ValueError(
            f"{arguments.source}: no image to convert. {problems[0] if problems else 'No image is annotated.'}"
        )
    target = arguments.target
    is_coco = target.suffix.lower() == ".json"
    root = image_folders(target)[0] if is_coco else target
    found = found if is_coco else labelme_files(found, problems)
    placed, copies = relocate(found, root)
    refuse_to_overwrite([target] if is_coco else [photo.path.with_suffix(".json") for photo in placed])
    copy_photos(copies)
    if is_coco:
        counts = write_coco(target, placed, labels, problems)
        done = f"{plural(counts['images'], 'image')}, {plural(counts['annotations'], 'instance')}"
    else:
        for photo in placed:
            write_labelme_file(photo)
        done = plural(len(placed), "labelme file")
    copy_split(arguments.source, root, found, placed)
    for problem in problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)
    copied = f", {plural(len(copies), 'image')} copied to {root}" if copies else ""
    print(f"{done} written to {target}{copied}.")
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike convert` and `python nike/convert.py`."""
    return cli.start("convert", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
