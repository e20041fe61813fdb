"""`nike convert`: converts a labelled dataset to another format."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mrcnn.errors import UserError
from nike import cli
from nike.datasets.coco import write_coco
from nike.datasets.labelme import write_photo
from nike.datasets.labels import IGNORE, Labels
from nike.datasets.photos import image_folders
from nike.datasets.read_any_format import FORMATS, read_dataset
from nike.datasets.read_subset import read_own_split
from nike.datasets.records import NOTE, WARNING, Collection, Photo, Problem
from nike.datasets.relocation import copy_photos, copy_split, relocate
from nike.formatting import plural, short

DESCRIPTION = """\
Convert a dataset to another format. The format of SOURCE is detected from its content:
labelme, COCO, YOLO segmentation, Roboflow, Pascal VOC masks, CVAT, Label Studio or VIA. With
--to, TARGET is a new dataset folder with copies of the images and the split of SOURCE.
Without --to, one COCO file or one labelme file per image is written, and images outside the
folder of TARGET are copied there. nike check and nike train accept the result."""
EPILOG = """\
examples:
  nike convert my_photos my_photos/coco.json          labelme files to one COCO file
  nike convert coco/instances.json coco               a COCO file to labelme files
  nike convert balloon/via_region_data.json balloon   a VIA file to labelme files
  nike convert my_photos yolo_photos --to yolo        a new YOLO segmentation dataset
  nike convert my_photos exported/coco.json           a new dataset: a COCO file and copies of the images

Exit code: 0 all converted; 1 some images or annotations were skipped (listed on stderr); 2 nothing was written."""


def usable_photos(collection: Collection, problems: list[Problem]) -> list[Photo]:
    """Returns the photos that can be converted, and appends a problem to `problems` for each other photo."""
    usable = []
    for photo in collection.photos:
        if photo.path is None:
            message = "the image is embedded in the JSON (imageData). Save it as a file next to the JSON to convert it."
            problems.append(Problem(photo.annotation_name, "photo-embedded", message))
        elif photo.num_unusable:
            message = "the image is skipped, because its objects with unusable shapes would count as background."
            problems.append(Problem(photo.annotation_name, "left-out", message, photo=photo.path))
        else:
            usable.append(photo)
    return usable


def drop_same_stems(photos: list[Photo], problems: list[Problem]) -> list[Photo]:
    """Returns the first photo of each file stem. `a.jpg` and `a.png` would share the labelme file `a.json`.

    Args:
        photos: records from a dataset reader, each with a path.
        problems: list to which a problem is appended for each dropped photo.
    """
    chosen: dict[PurePosixPath, Photo] = {}
    for photo in photos:
        first = chosen.setdefault(PurePosixPath(photo.file).with_suffix(".json"), photo)
        if first is not photo:
            message = f"has the same file stem and labelme file as {short(first.file)}. Rename the image."
            problems.append(Problem(photo.file, "name-twice", message))
    return list(chosen.values())


def relabel(photos: Iterable[Photo], labels: Labels | None, problems: list[Problem]) -> list[Photo]:
    """Replaces the label of each instance by the name of its class, and the labels of ignored regions by `ignore`.

    Args:
        photos: records from a dataset reader.
        labels: mapping of labels to classes, or None to keep all labels.
        problems: list to which a problem is appended for each instance without a class. These instances are skipped.
    """
    result = []
    for photo in photos:
        instances = []
        for instance in photo.instances:
            is_ignored = instance.crowd or instance.label.strip() in IGNORE
            name = instance.label.strip() if labels is None else labels.class_of(instance.label)
            if is_ignored or name:
                instances.append(replace(instance, label=IGNORE[0] if is_ignored else name))
            else:
                message = f"label {short(instance.label)} has no class; skipped."
                problems.append(Problem(photo.file, "left-out", message, instance.where, WARNING))
        result.append(replace(photo, instances=instances))
    return result


def group_by_subset(source: Path, collection: Collection, allow_outside: bool = False) -> dict[str, list[Photo]]:
    """Returns the photos of a dataset by subset. The only key is "" if the dataset defines no split."""
    subset_of = dict(collection.subsets)
    own = read_own_split(source, allow_outside=allow_outside) if not subset_of and source.is_dir() else None
    if own is not None:
        subset_of = {photo.file: name for name, part in own.items() for photo in part.photos}
    subsets: dict[str, list[Photo]] = {}
    for photo in collection.photos:
        subsets.setdefault(subset_of.get(photo.file, "train" if subset_of else ""), []).append(photo)
    return subsets


def write_dataset(name: str, target: Path, subsets: dict[str, list[Photo]], problems: list[Problem]) -> None:
    """Writes a dataset with its images to a new folder, atomically.

    Args:
        name: name of a format in FORMATS.
        target: path of a folder that does not exist or is empty.
        subsets: photos by subset.
        problems: list to which a problem is appended for each skipped photo or instance.

    Raises:
        ValueError: if the target is a file or a folder that is not empty.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} already exists. Nothing was written. Choose another name or move it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as temporary:
        folder = Path(temporary, "dataset")
        FORMATS[name].write(folder, subsets, problems)
        if target.exists():
            target.rmdir()
        folder.rename(target)


def report_unwritten_keypoints(name: str, subsets: dict[str, list[Photo]]) -> list[Problem]:
    """Returns a note if the photos have keypoints that the format `name` cannot store, else an empty list."""
    instances = (instance for photos in subsets.values() for photo in photos for instance in photo.instances)
    count = sum(bool(instance.keypoints) for instance in instances)
    if FORMATS[name].keypoints or not count:
        return []
    able = ", ".join(other for other, format_ in FORMATS.items() if format_.keypoints)
    message = f"the keypoints of {plural(count, 'object')} are not written. Formats with keypoints: {able}."
    return [Problem(f"--to {name}", "keypoints-left-out", message, severity=NOTE)]


def refuse_to_overwrite(paths: Iterable[Path]) -> None:
    """Raises ValueError if one of the paths exists."""
    existing = [path for path in paths if path.exists()]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]} already exists{more}. Nothing was written. Choose another name or move it.")


def write_annotations(
    source: Path, target: Path, photos: list[Photo], labels: Labels | None, problems: list[Problem]
) -> str:
    """Writes a COCO file or labelme files, and copies images from outside the target folder into it.

    Args:
        source: path of the dataset. Its split is copied.
        target: path of the COCO file (.json) or of the folder of labelme files.
        photos: records from a dataset reader, each with a path.
        labels: mapping of labels to classes, or None to keep all labels.
        problems: list to which a problem is appended for each skipped photo or instance.

    Returns:
        A message with the number of written annotations and of copied images.

    Raises:
        ValueError: if a file already exists.
    """
    is_coco = target.suffix.lower() == ".json"
    root = image_folders(target)[0] if is_coco else target
    if not is_coco:
        photos = drop_same_stems(photos, problems)
        photos = photos if labels is None else relabel(photos, labels, problems)
    placed, copies = relocate(photos, root)
    refuse_to_overwrite([target] if is_coco else [photo.path.with_suffix(".json") for photo in placed])
    copy_photos(copies)
    if is_coco:
        counts = write_coco(target, placed, labels, problems)
        done = f"{plural(counts['images'], 'image')}, {plural(counts['annotations'], 'instance')}"
    else:
        for photo in placed:
            write_photo(photo)
        done = plural(len(placed), "labelme file")
    copy_split(source, root, photos, placed)
    copied = f", {plural(len(copies), 'image')} copied to {root}" if copies else ""
    return f"{done} written to {target}{copied}."


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike convert`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("source", type=Path, metavar="SOURCE", help="dataset folder or annotation file")
    parser.add_argument(
        "target",
        type=Path,
        metavar="TARGET",
        help="new dataset folder; without --to, a COCO file (.json) or a folder of labelme files",
    )
    writable = [name for name, format_ in FORMATS.items() if format_.write is not None]
    parser.add_argument(
        "--to", choices=writable, metavar="FORMAT", help=f"format of the new dataset: {', '.join(writable)}"
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="classes to keep; nike,swoosh=nike maps both labels to the class nike (default: all labels)",
    )
    parser.add_argument("--allow-outside", action="store_true", help="allow annotations of images outside SOURCE")


def run_command(arguments: argparse.Namespace) -> int:
    """Converts the dataset and prints what was skipped. Returns 1 if anything was skipped, else 0."""
    labels = Labels(arguments.labels) if arguments.labels is not None else None
    default = labels.classes[0] if labels else "object"
    collection = read_dataset(arguments.source, default, arguments.allow_outside)
    problems: list[Problem] = list(collection.all_problems())
    photos = usable_photos(collection, problems)
    if not photos:
        raise UserError(
            f"{arguments.source}: no image to convert. {problems[0] if problems else 'No image is annotated.'}"
        )
    target = arguments.target
    if arguments.to is not None:
        photos = relabel(photos, labels, problems)
        subsets = group_by_subset(arguments.source, replace(collection, photos=photos), arguments.allow_outside)
        write_dataset(arguments.to, target, subsets, problems)
        problems += report_unwritten_keypoints(arguments.to, subsets)
        done = f"{plural(len(photos), 'image')} written to {target}."
    else:
        done = write_annotations(arguments.source, target, photos, labels, problems)
    for problem in problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)
    print(done)
    return int(any(problem.severity != NOTE for problem in problems))


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike convert` and `python nike/convert.py`."""
    return cli.start("convert", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
