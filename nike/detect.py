"""`nike detect`: finds logos in photos and videos, and writes pictures, tables and labelme files of them."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from nike import cli  # first: it quiets TensorFlow
from nike.detection.background import ahead
from nike.detection.detector import add_detector_arguments, load_detector
from nike.detection.outputs import WRITERS, Outputs, output_folders
from nike.detection.progress import Progress, report_failures
from nike.detection.sources import Picture, find_sources, read
from nike.detection.stream import detect_stream
from nike.text import plural

DESCRIPTION = "Finds logos in photos and videos, pixel by pixel, and writes what it finds into a folder."
EPILOG = """\
what --save can write:
  overlay   the photo with tinted masks, outlines and scores (videos become videos)
  splash    the logo in colour, the rest grey (videos too)
  masks     one PNG a photo: 0 background, 1, 2, ... the detections
  crops     one PNG a detection, its mask as alpha
  labelme   a copy of the photo and its polygons: correct them (nike annotate), then train on them
  coco      detections.json: images, categories, run-length masks with scores
  csv       detections.csv: one row a detection

examples:
  nike detect photo.jpg
  nike detect photos/ "more/**/*.png" clip.mp4 --save overlay,splash,csv --output found
  nike detect shelf.jpg --tiles                   small logos on a large photo
  nike detect photos --weights=best --save labelme --output to_correct

Exit code: 0 all looked at; 1 some files could not be used (they are listed); 2 a mistake in the command.
"""


def describe(picture: Picture, result: dict, class_names: list[str]) -> str:
    """One line about a picture: `photo.jpg: 2 nike (0.98, 0.71)`."""
    frame = "" if picture.frame is None else f" frame {picture.frame}"
    counts = Counter(class_names[class_id] for class_id in result["class_ids"])
    found = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
    scores = ", ".join(f"{score:.2f}" for score in result["scores"][:5])
    more = ", ..." if len(result["scores"]) > 5 else ""
    return f"{picture.title}{frame}: {found}" + (f" ({scores}{more})" if scores else "")


def _kinds(text: str) -> list[str]:
    kinds = list(dict.fromkeys(kind.strip() for kind in text.split(",") if kind.strip()))
    unknown = [kind for kind in kinds if kind not in WRITERS]
    if unknown or not kinds:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(WRITERS)}, got {text!r}")
    return kinds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike detect`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="photo, video, folder, pattern such as '*.jpg', or web address"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output"), metavar="DIR", help="folder for the results (default: output)"
    )
    parser.add_argument(
        "--save",
        type=_kinds,
        default=["overlay", "csv"],
        metavar="KINDS",
        help="what to write, separated by commas, see below (default: overlay,csv)",
    )
    add_detector_arguments(parser)


def run_command(arguments: argparse.Namespace) -> int:
    """Detects and writes; returns the exit code."""
    if arguments.output.is_file():
        raise ValueError(f"--output: {arguments.output} is a file. Give a folder.")
    sources = find_sources(arguments.paths, without=output_folders(arguments.output))
    detector = load_detector(arguments)
    failures: list[str] = []
    found: Counter[str] = Counter()
    total = None if any(source.is_video for source in sources) else len(sources)
    try:
        with (
            Outputs(arguments.output, arguments.save, detector.class_names) as outputs,
            Progress(total, "picture") as progress,
        ):
            for picture, result in detect_stream(detector, ahead(read(sources)), failures.append):
                outputs.write(picture, result)
                found.update(["pictures"], hits=len(result["scores"]) > 0, detections=len(result["scores"]))
                progress.step(describe(picture, result, detector.class_names))
    except KeyboardInterrupt:  # what was found so far is written
        _report(found, failures, arguments)
        raise
    return _report(found, failures, arguments)


def _report(found: Counter, failures: list[str], arguments: argparse.Namespace) -> int:
    """Says what was found and what could not be used; returns the exit code."""
    print(summary(found, arguments.save, arguments.output) if found["pictures"] else "No picture was looked at.")
    total = plural(found["pictures"] + len(failures), "picture")
    return report_failures(failures, f"{len(failures)} of {total} could not be used:")


def summary(found: Counter, kinds: list[str], output: Path) -> str:
    """The last line: what was found, and where it is."""
    tables = {"coco": "detections.json", "csv": "detections.csv"}
    places = ", ".join(str(output / tables.get(kind, kind)) for kind in kinds)
    pictures = plural(found["pictures"], "picture")
    return f"{plural(found['detections'], 'detection')} on {found['hits']} of {pictures}. Written: {places}"


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike detect` and `python nike/detect.py`."""
    return cli.start("detect", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
