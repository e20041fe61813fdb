"""`nike annotate`: opens labelme with the right labels and options; predictions can be the start."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nike import cli
from nike.datasets import photos
from nike.datasets.labelme import read_folder, write_detections
from nike.datasets.labels import IGNORE, Labels
from nike.datasets.nike_dataset import count_labels
from nike.detection.detector import Detector, add_detector_arguments, load_detector
from nike.detection.progress import report_failures
from nike.text import plural

DESCRIPTION = """\
Opens a folder of photos in labelme, with the right labels, to outline logos by hand:

* one polygon around each logo, along its outer edge
* pieces of one logo (cut by a lace, say): one polygon each, with the same group id
* label 'ignore': there is a logo, but nobody could say where it ends
* save photos without any logo too: the network learns from them what is no logo

With --weights the network draws first, on photos that nobody has looked at yet."""
EPILOG = """\
examples:
  nike annotate my_photos
  nike annotate my_photos --weights=best     correct what the last training finds
  nike check my_photos                       afterwards: is all well?"""
INSTALL = "Install it: pip install labelme (it brings a graphical toolkit)."


def labelme_command(folder: Path, labels: Labels, version: str) -> list[str]:
    """The command line that opens a folder in labelme.

    Args:
        folder: photos, with or without labelme files.
        labels: offered for shapes; others are refused by labelme, so that nobody misspells one.
        version: of labelme, such as "6.3.1"; options have changed over time.
    """
    command = [sys.executable, "-m", "labelme", str(folder), "--logger-level", "warning"]
    command += ["--labels", ",".join([*labels.names, IGNORE[0]])]
    if int(version.partition(".")[0]) >= 6:  # saves by itself and leaves the photo out of the JSON, unless configured
        return [*command, "--validate-label", "exact"]
    return [*command, "--validatelabel", "exact", "--nodata", "--autosave"]


def labelme_version() -> str:
    """Version of the labelme that is installed.

    Raises:
        FileNotFoundError: none is; says how to get it.
    """
    try:
        return importlib.metadata.version("labelme")
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(f"labelme is not installed. {INSTALL}") from None


def unlabelled(folder: Path) -> list[Path]:
    """Photos below a folder that have no JSON of their name beside them."""
    return [path for path in photos.find_files(folder) if not path.with_suffix(".json").exists()]


def choose_labels(folder: Path, detector: Detector | None) -> Labels:
    """The labels in the folder; if it has none, the classes of the network, or "nike" without one."""
    counts = count_labels([read_folder(folder)])
    if not counts and detector is not None:
        return Labels({name: name for name in detector.class_names[1:]})
    return Labels.found_in(counts)


def predict(paths: list[Path], detector: Detector, labels: Labels, on_failure: Callable[[str], None]) -> int:
    """Writes what the network finds on photos as labelme files beside them.

    A photo on which it finds nothing gets no file: without shapes it would be a negative that nobody has looked at.

    Args:
        paths: photos without labelme files.
        detector: see `nike.detection.detector`.
        labels: what is of no class of theirs is left out.
        on_failure: gets the message for each photo that cannot be read.

    Returns:
        How many files were written.
    """
    from nike.detection.sources import Source, read
    from nike.detection.stream import detect_stream

    written = 0
    pictures = read(Source(str(path), path, is_video=False) for path in paths)
    for picture, result in detect_stream(detector, pictures, on_failure):
        names = [detector.class_names[class_id] for class_id in result["class_ids"]]
        wanted = np.array([labels.class_of(name) is not None for name in names], dtype=bool)
        if wanted.any():
            write_detections(picture.source.path, result[wanted], detector.class_names)
            written += 1
    return written


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike annotate`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("folder", type=Path, metavar="DIR", help="photos; a labelme file goes beside each")
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="labels to choose from, such as nike,adidas (default: those in DIR, else of --weights, else nike)",
    )
    parser.add_argument("--no-open", action="store_true", help="do not open labelme, only write what --weights finds")
    add_detector_arguments(parser, weights=None)


def run_command(arguments: argparse.Namespace) -> int:
    """Makes predictions if asked for, then opens labelme and waits until it is closed."""
    folder = arguments.folder
    given = None if arguments.labels is None else Labels(arguments.labels)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Give the folder with your photos.")
    if arguments.no_open and not arguments.weights:
        raise ValueError("--no-open leaves nothing to do without --weights.")
    version = None if arguments.no_open else labelme_version()
    if version and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"} & set(os.environ):
        raise ValueError(
            "labelme needs a display and there is none. Use a desktop, ssh -X, or --no-open --weights=best."
        )
    todo = unlabelled(folder)
    print(f"{plural(len(todo), 'photo')} in {folder} without an annotation.")
    failures: list[str] = []
    detector = load_detector(arguments) if arguments.weights and todo else None
    labels = given or choose_labels(folder, detector)
    if detector is not None:
        written = predict(todo, detector, labels, failures.append)
        print(f"{plural(written, 'photo')} with predicted outlines. Correct each one: nobody has looked at them yet.")
    failed = report_failures(failures, f"{len(failures)} of {plural(len(todo), 'photo')} could not be used:")
    if version is None:
        return failed
    return 1 if subprocess.call(labelme_command(folder, labels, version)) else failed


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike annotate` and `python nike/annotate.py`."""
    return cli.start("annotate", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
