"""`nike annotate`: opens a folder of images in labelme, optionally with predicted annotations."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from mrcnn.errors import UserError
from nike import cli
from nike.datasets import photos
from nike.datasets.coco import all_keypoint_names
from nike.datasets.labelme import read_folder, write_detections
from nike.datasets.labels import IGNORE, Labels
from nike.datasets.read_subset import count_labels
from nike.datasets.records import Collection
from nike.detection.detector import Detector
from nike.detection.options import add_detector_arguments, load_chosen_detector
from nike.detection.progress import report_failures
from nike.formatting import plural

DESCRIPTION = """\
Open a folder of images in labelme and annotate logos with polygons:

* one polygon around each logo, along its outer edge
* one polygon for each visible part of a partly occluded logo, all with the same group id
* label 'ignore' for logos without a clear outline, which excludes them from training
* an empty annotation for images without a logo, which are negative examples

With --weights, images without annotations are annotated with predictions first."""
EPILOG = """\
examples:
  nike annotate my_photos
  nike annotate my_photos --weights=best     correct the predictions of the best weights
  nike annotate my_photos --weights=best --tta --min-confidence 0.3
                                             more accurate outlines, 6 times slower
  nike check my_photos                       check the annotations afterwards"""
INSTALL = "Install it with: pip install labelme (this also installs Qt)."


def labelme_command(folder: Path, labels: Labels, keypoints: Iterable[str], version: str) -> list[str]:
    """Returns the command line that opens a folder in labelme.

    Args:
        folder: images, with or without labelme files.
        labels: labels to choose from. labelme rejects any other label except `keypoints`.
        keypoints: names of the keypoints, which are the labels of points.
        version: labelme version, such as "6.3.1". The options differ between versions.
    """
    command = [sys.executable, "-m", "labelme", str(folder), "--logger-level", "warning"]
    command += ["--labels", ",".join(dict.fromkeys([*labels.names, *keypoints, IGNORE[0]]))]
    if int(version.partition(".")[0]) >= 6:  # saves automatically and does not embed image data by default
        return [*command, "--validate-label", "exact"]
    return [*command, "--validatelabel", "exact", "--nodata", "--autosave"]


def labelme_version() -> str:
    """Returns the version of the installed labelme.

    Raises:
        FileNotFoundError: if labelme is not installed.
    """
    try:
        return importlib.metadata.version("labelme")
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(f"labelme is not installed. {INSTALL}") from None


def find_unannotated(folder: Path) -> list[Path]:
    """Returns the images below a folder that have no JSON file of the same name next to them."""
    return [path for path in photos.find_files(folder) if not path.with_suffix(".json").exists()]


def choose_labels(collection: Collection, detector: Detector | None) -> Labels:
    """Returns the labels used in the dataset, or else the detector's classes, or else "nike"."""
    counts = count_labels([collection])
    if not counts and detector is not None:
        return Labels({name: name for name in detector.class_names[1:]})
    return Labels.from_counts(counts)


def predict(paths: list[Path], detector: Detector, labels: Labels, on_failure: Callable[[str], None]) -> int:
    """Runs detection on images and writes the results as labelme files next to them.

    No file is written for an image without detections, because a labelme file without shapes declares the image a
    negative example. Existing files are kept, for example those that are saved in labelme during the predictions.

    Args:
        paths: images without labelme files.
        detector: see `nike.detection.detector`.
        labels: labels to write. Detections of other classes are dropped.
        on_failure: called with a message for each image that cannot be read or whose labelme file exists.

    Returns:
        Number of files written.
    """
    from nike.detection.sources import Source, read_pictures
    from nike.detection.stream import detect_pictures

    written = 0
    pictures = read_pictures(Source(str(path), path, is_video=False) for path in paths)
    for picture, result in detect_pictures(detector, pictures, on_failure):
        names = [detector.class_names[class_id] for class_id in result["class_ids"]]
        wanted = np.array([labels.class_of(name) is not None for name in names], dtype=bool)
        annotation = picture.source.path.with_suffix(".json")
        if annotation.exists():
            on_failure(f"{picture.title}: {annotation.name} already exists and is kept.")
        elif wanted.any():
            write_detections(picture.source.path, result[wanted], detector.class_names)
            written += 1
    return written


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike annotate`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder of images; labelme files are written next to them"
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="labels to choose from, such as nike,adidas (default: labels used in DIR, else classes of --weights, else "
        "nike)",
    )
    parser.add_argument("--no-open", action="store_true", help="only write the predictions, without opening labelme")
    add_detector_arguments(parser, weights=None)


def run_command(arguments: argparse.Namespace) -> int:
    """Writes predictions with `--weights`, then opens labelme and waits until it is closed."""
    folder = arguments.folder
    given = None if arguments.labels is None else Labels(arguments.labels)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Expected a folder of images.")
    if arguments.no_open and not arguments.weights:
        raise UserError("--no-open requires --weights.")
    version = None if arguments.no_open else labelme_version()
    if version and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"} & set(os.environ):
        raise UserError(
            "labelme requires a display, but none was found. Run it on a desktop or with ssh -X, or pass --no-open "
            "--weights=best."
        )
    todo = find_unannotated(folder)
    print(f"{plural(len(todo), 'image')} without annotations in {folder}.")
    failures: list[str] = []
    detector = load_chosen_detector(arguments) if arguments.weights and todo else None
    collection = read_folder(folder)
    labels = given or choose_labels(collection, detector)
    keypoints = [*all_keypoint_names({"": collection.photos}), *(detector.keypoint_names if detector else ())]
    if detector is not None:
        written = predict(todo, detector, labels, failures.append)
        print(f"Wrote predictions for {plural(written, 'image')}. Review each of them before training.")
    failed = report_failures(failures, f"{len(failures)} of {plural(len(todo), 'image')} could not be used:")
    if version is None:
        return failed
    return 1 if subprocess.call(labelme_command(folder, labels, keypoints, version)) else failed


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike annotate` and `python nike/annotate.py`."""
    return cli.start("annotate", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
