"""`nike convert`: a dataset in any format that can be read -> a COCO file, or labelme files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nike.formats.any_format import read_dataset
from nike.formats.coco_json import write_coco
from nike.formats.labelme_json import masks_to_shapes, write_labelme
from nike.formats.records import Photo, Problem
from nike.labels import IGNORE, Labels
from nike.text import plural


def write_labelme_folder(photos: list[Photo], folder: Path) -> int:
    """Writes a labelme file for each photo, masks as polygons of IoU 0.99 or more; the photos stay where they are.

    Args:
        photos: as a reader returns them; those inside another annotation file (`imageData`) cannot be written.
        folder: gets the JSON files, at the photos' places inside their dataset.

    Returns:
        How many were written.
    """
    written = 0
    for photo in photos:
        if photo.path is None:
            continue
        labels = [IGNORE[0] if instance.crowd else instance.label for instance in photo.instances]
        path = (folder / photo.file).with_suffix(".json")
        relative = os.path.relpath(photo.path.resolve(), path.parent.resolve())
        write_labelme(path, relative, photo.height, photo.width, masks_to_shapes(labels, photo.draw()))
        written += 1
    return written


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike convert`."""
    parser.description = "Converts a dataset (labelme, COCO or VIA) to a COCO file or to labelme files."
    parser.epilog = "Examples: nike convert photos photos/coco.json    nike convert coco/instances.json coco"
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder with labelme files, or a COCO or VIA file")
    parser.add_argument(
        "target", type=Path, metavar="TARGET", help="NAME.json: a COCO file; else a folder for labelme files"
    )
    parser.add_argument("--labels", help="classes of the COCO file, such as 'nike,swoosh=nike' (default: all labels)")
    parser.add_argument("--allow-outside", action="store_true", help="annotations may name photos outside SOURCE")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def run_command(arguments: argparse.Namespace) -> int:
    """Converts; lists what could not be converted and returns 1 if there is any."""
    labels = Labels(arguments.labels) if arguments.labels is not None else None
    default = labels.classes[0] if labels else "object"
    collection = read_dataset(arguments.source, default, arguments.allow_outside)
    problems: list[Problem] = list(collection.all_problems())
    if not collection.photos:
        raise ValueError(
            f"{arguments.source}: no photo to convert; {problems[0] if problems else 'none is annotated.'}"
        )
    if arguments.target.suffix.lower() == ".json":
        counts = write_coco(arguments.target, collection.photos, labels, problems)
        done = f"{plural(counts['images'], 'photo')}, {plural(counts['annotations'], 'instance')}"
    else:
        done = plural(write_labelme_folder(collection.photos, arguments.target), "labelme file")
    for problem in problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)
    print(f"{done} written to {arguments.target}.")
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike convert` and `python nike/convert.py`."""
    from nike.cli import run

    parser = argparse.ArgumentParser(prog="nike convert")
    add_arguments(parser)
    return run(lambda: run_command(parser.parse_args(argv)), argv)


if __name__ == "__main__":
    sys.exit(main())
