"""`nike detect`: finds logos in photos and videos, and writes pictures, tables and labelme files of them."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
from collections import Counter
from pathlib import Path

from mrcnn.detections import Detections
from nike import cli  # first: it quiets TensorFlow
from nike.detection.background import ahead
from nike.detection.detector import add_detector_arguments, load_detector
from nike.detection.outputs import WRITERS, Outputs, output_folders
from nike.detection.progress import Progress, report_failures
from nike.detection.sources import Picture, Source, find_sources, read
from nike.detection.stream import detect_stream
from nike.text import plural

LOWEST = 0.01  # confidence of the second run, where the first finds nothing
HINTS = 10  # photos of that run at most

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

Where nothing is found on any photo, the best score of each is printed, and the --min-confidence that shows it.

examples:
  nike detect photo.jpg
  nike detect photos/ "more/**/*.png" clip.mp4 --save overlay,splash,csv --output found
  nike detect shelf.jpg --tiles                   small logos on a large photo
  nike detect photos --weights=best --save labelme --output to_correct

Exit code: 0 all looked at; 1 some files could not be used (they are listed); 2 none could be used, or a
mistake in the command.
"""


def describe(picture: Picture, result: Detections, class_names: list[str]) -> str:
    """One line about a picture: `photo.jpg: 2 nike (0.98, 0.71)`."""
    frame = "" if picture.frame is None else f" frame {picture.frame}"
    counts = Counter(class_names[class_id] for class_id in result["class_ids"])
    found = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
    scores = ", ".join(f"{score:.2f}" for score in result["scores"][:5])
    more = ", ..." if len(result["scores"]) > 5 else ""
    return f"{picture.title}{frame}: {found}" + (f" ({scores}{more})" if scores else "")


def hint(title: str, best: float, threshold: float) -> str:
    """One line about a photo without detections: the best score below the threshold, and the option that shows it.

    Args:
        title: what messages call the photo.
        best: highest score; 0 if there is none.
        threshold: of the run that found nothing.
    """
    if not best:
        return f"{title}: nothing found; no score reaches {LOWEST:g}"
    # Rounded down, so that the option shows it. The small number undoes the error of float32: 0.3 is 0.30000001.
    shown, option = (math.floor(best * scale + 1e-6) / scale for scale in (100, 10 if best >= 0.1 else 100))
    return (
        f"{title}: nothing found; the best score is {shown:.2f} (threshold {threshold:.2f}). "
        f"Show it with --min-confidence {option:g}"
    )


def print_hints(sources: list[Source], arguments: argparse.Namespace, threshold: float) -> None:
    """Runs on photos without detections again, down to LOWEST, and prints a hint for each.

    A second run costs nothing where the first finds something. One run with a low threshold would be slower
    everywhere: the mask head works on every box that passes it.
    """
    lower = argparse.Namespace(**{**vars(arguments), "min_confidence": LOWEST})
    with contextlib.redirect_stderr(io.StringIO()):  # the first run has printed the same
        detector = load_detector(lower)
    for picture, result in detect_stream(detector, ahead(read(sources[:HINTS])), lambda failure: None):
        print(hint(picture.title, max(result["scores"], default=0.0), threshold), flush=True)
    if len(sources) > HINTS:
        print(f"and nothing found on {plural(len(sources) - HINTS, 'more photo')}")


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
    empty: list[Source] = []  # photos without detections
    total = None if any(source.is_video for source in sources) else len(sources)
    try:
        with (
            Outputs(arguments.output, arguments.save, detector.class_names) as outputs,
            Progress(total, "picture") as progress,
        ):
            for picture, result in detect_stream(detector, ahead(read(sources)), failures.append):
                outputs.write(picture, result)
                found.update(["pictures"], hits=len(result["scores"]) > 0, detections=len(result["scores"]))
                if not len(result["scores"]) and picture.frame is None:
                    empty.append(picture.source)
                progress.step(describe(picture, result, detector.class_names))
    except KeyboardInterrupt:  # what was found so far is written
        if found["pictures"]:
            _report(found, failures, arguments)
        raise
    code = _report(found, failures, arguments)
    threshold = detector.min_confidence
    if empty and threshold > LOWEST:
        if found["hits"]:
            count = plural(found["pictures"] - found["hits"], "picture")
            print(f"Nothing on {count} at threshold {threshold:.2f}; --min-confidence lowers it.")
        else:
            print_hints(empty, arguments, threshold)
    return code


def _report(found: Counter, failures: list[str], arguments: argparse.Namespace) -> int:
    """Says what was found and what could not be used; returns the exit code."""
    if not found["pictures"]:
        if len(failures) == 1:
            raise ValueError(failures[0])
        report_failures(failures, f"No photo or video could be used ({len(failures)} of {len(failures)}):")
        return cli.EXIT_USER_ERROR
    print(summary(found, arguments.save, arguments.output))
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
