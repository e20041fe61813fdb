"""`nike annotate`: opens labelme with the right labels and options; predictions can be the start."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from nike import photos
from nike.annotations import read_labelme
from nike.labels import IGNORE, Labels
from nike.records import AnnotationError
from nike.safe_json import read_json, write_json
from nike.text import plural

INSTALL = "Install it: pip install labelme (it brings a graphical toolkit)"


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


def predict(paths: list[Path], weights: str, labels: Labels) -> int:
    """Writes what the network finds on photos as labelme files beside them.

    A photo on which it finds nothing gets no file, for a file without shapes would make it a negative that nobody
    has looked at.

    Args:
        paths: photos without labelme files.
        weights: as `nike detect --weights` takes them.
        labels: shapes with other labels are left out.

    Returns:
        How many files were written.

    Raises:
        ValueError: detection failed; its own message went to stderr.
    """
    from nike import detect

    with tempfile.TemporaryDirectory() as output:
        arguments = ["--weights", weights, "--output", output, "--save", "labelme"]
        if detect.main([*map(str, paths), *arguments]) == 2:
            raise ValueError("the predictions could not be made, see above. Without --weights labelme opens as it is.")
        return adopt(photos.find_files(output, frozenset((".json",))), labels)


def adopt(files: Iterable[Path], labels: Labels) -> int:
    """Puts labelme files from elsewhere beside the photos they name; those without a shape of `labels` are left."""
    written = 0
    for file in files:
        try:
            photo = read_labelme(file, allow_outside=True)
        except AnnotationError:
            continue
        if photo is None or photo.path is None or photo.path.with_suffix(".json").exists():
            continue
        document = read_json(file)
        document["shapes"] = [s for s in document["shapes"] if labels.class_of(str(s.get("label")))]
        document["imagePath"] = photo.path.name
        if document["shapes"]:
            write_json(photo.path.with_suffix(".json"), document)
            written += 1
    return written


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike annotate`."""
    parser.description = (
        "Opens a folder of photos in labelme to draw outlines, with the right labels. Outline each logo by its outer "
        "edge with one polygon; give pieces of one logo the same group id; label 'ignore' what is there but cannot be "
        "outlined. Save photos without any logo too: they teach what is none."
    )
    parser.epilog = "Example: nike annotate photos --weights last   Afterwards: nike check photos"
    parser.add_argument("folder", type=Path, metavar="DIR", help="photos; the JSON files go beside them")
    parser.add_argument("--labels", default="nike", help="classes: 'nike' (default), 'nike,adidas', ...")
    parser.add_argument("--weights", metavar="W", help="first draw what these weights find on photos without a JSON")
    parser.add_argument(
        "--no-open", action="store_true", help="only make the predictions, for a machine without display"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def run_command(arguments: argparse.Namespace) -> int:
    """Makes predictions if asked for, then opens labelme and waits until it is closed."""
    folder, labels = arguments.folder, Labels(arguments.labels)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. Give the folder with your photos.")
    if arguments.no_open and not arguments.weights:
        raise ValueError("--no-open leaves nothing to do without --weights.")
    version = None if arguments.no_open else labelme_version()
    if version and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"} & set(os.environ):
        raise ValueError("labelme needs a display and there is none. Use a desktop, ssh -X, or --no-open --weights W.")
    todo = unlabelled(folder)
    print(f"{plural(len(todo), 'photo')} in {folder} without an annotation.")
    if arguments.weights and todo:
        written = predict(todo, arguments.weights, labels)
        print(f"{plural(written, 'photo')} with predicted outlines. Correct each one: nobody has looked at them yet.")
    if version is None:
        return 0
    return 1 if subprocess.call(labelme_command(folder, labels, version)) else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike annotate` and `python nike/annotate.py`."""
    from nike.cli import run

    parser = argparse.ArgumentParser(prog="nike annotate")
    add_arguments(parser)
    return run(lambda: run_command(parser.parse_args(argv)), argv)


if __name__ == "__main__":
    sys.exit(main())
