"""`nike detect`: segments logos in images and videos and writes images, tables and annotations."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
from collections import Counter
from pathlib import Path

from mrcnn.detections import Detections
from mrcnn.errors import UserError
from mrcnn.inference.prefetch import prefetch
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.detection.options import add_detector_arguments, load_chosen_detector
from nike.detection.output_formats import WRITERS, Outputs, draw_overlay, output_folders
from nike.detection.preview_window import Window, has_display
from nike.detection.progress import ProgressBar, report_failures
from nike.detection.sources import Picture, Source, count_pictures, find_sources, read_pictures
from nike.detection.stream import detect_pictures
from nike.detection.tracking import LOW_THRESHOLD_FACTOR, track
from nike.formatting import plural, printable
from nike.output_checks import check_output_folder

DEFAULT_OUTPUT = Path("output")
HINT_THRESHOLD = 0.01  # score threshold of the second run, on images without detections
MAX_HINTS = 10  # maximum number of images in the second run

DESCRIPTION = "Segment logos in images and videos, and write the results into a folder."
EPILOG = """\
output formats (--save):
  overlay   image or video with masks, outlines and scores
  splash    image or video in gray with the logos in color
  masks     one PNG per image with instance ids: 0 background, 1, 2, ... detections
  crops     one PNG per detection with the mask as alpha channel
  labelme   copy of the image with labelme polygons, for correction with nike annotate and for training
  coco      detections.json: images, categories and run-length encoded masks with scores
  csv       detections.csv: one row per detection

If no image has a detection, the best score below the threshold is printed for the first 10 images.

examples:
  nike detect photo.jpg
  nike detect photos/ "more/**/*.png" clip.mp4 --save overlay,splash,csv --output found
  nike detect clip.mp4 --frame-stride 5           every fifth frame; the audio is kept
  nike detect 0                                   first camera in a window, until q is pressed
  nike detect rtsp://host/door --output door      a stream in a window and in files, until Ctrl-C
  nike detect shelf.jpg --tiles                   small logos in a large image
  nike detect photos --weights=best --save labelme --output to_correct

Exit code: 0 all files processed; 1 some files could not be used (listed on stderr); 2 no file could be used, or
invalid options.
"""


def describe(picture: Picture, result: Detections, class_names: list[str]) -> str:
    """Returns a one-line summary of the detections of an image, such as `photo.jpg: 2 nike (0.98, 0.71)`."""
    frame = "" if picture.frame is None else f" frame {picture.frame}"
    counts = Counter(class_names[class_id] for class_id in result["class_ids"])
    found = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
    scores = ", ".join(f"{score:.2f}" for score in result["scores"][:5])
    more = ", ..." if len(result["scores"]) > 5 else ""
    return f"{picture.title}{frame}: {found}" + (f" ({scores}{more})" if scores else "")


def format_hint(title: str, best: float, threshold: float) -> str:
    """Returns a message with the best score of an image without detections.

    Args:
        title: name of the image.
        best: highest score, or 0 if the second run has no detections either.
        threshold: score threshold of the first run.
    """
    if not best:
        return f"{title}: no detections, and no score of {HINT_THRESHOLD:g} or more"
    # Rounding down ensures that the suggested threshold includes the score. 1e-6 compensates for float32 rounding.
    shown, option = (math.floor(best * scale + 1e-6) / scale for scale in (100, 10 if best >= 0.1 else 100))
    return (
        f"{title}: no detections; the best score is {shown:.2f} (threshold {threshold:.2f}). "
        f"Use --min-confidence {option:g} to include it"
    )


def print_hints(sources: list[Source], arguments: argparse.Namespace, threshold: float) -> None:
    """Runs detection again with the threshold HINT_THRESHOLD on images without detections and prints the best scores.

    A single run with a low threshold would slow down every image, because the mask head runs on each detected box.
    """
    lower = argparse.Namespace(**{**vars(arguments), "min_confidence": HINT_THRESHOLD})
    with contextlib.redirect_stderr(io.StringIO()):  # the first run has already printed these messages
        detector = load_chosen_detector(lower)
    for picture, result in detect_pictures(
        detector, prefetch(read_pictures(sources[:MAX_HINTS])), lambda failure: None
    ):
        print(format_hint(picture.title, max(result["scores"], default=0.0), threshold), flush=True)
    if len(sources) > MAX_HINTS:
        print(f"no detections in {plural(len(sources) - MAX_HINTS, 'more image')}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike detect`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="image, video, folder, pattern such as '*.jpg', URL, camera number such as 0, or stream address "
        "(rtsp://..., or http://... ending in .mjpg or .m3u8)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"output folder (default: {DEFAULT_OUTPUT}; cameras and streams are only shown in a window by default)",
    )
    parser.add_argument(
        "--save",
        type=cli.comma_separated(WRITERS),
        default=["overlay", "csv"],
        metavar="KINDS",
        help="output formats, separated by commas, see below (default: overlay,csv)",
    )
    parser.add_argument(
        "--frame-stride",
        type=_parse_frame_stride,
        default=1,
        metavar="N",
        help="run on every N-th frame of videos (default: 1)",
    )
    parser.add_argument(
        "--track",
        action="store_true",
        help="assign track ids to the objects in a video (requires: pip install trackers)",
    )
    add_detector_arguments(parser)


def _parse_frame_stride(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a number of frames, 1 or more, got {text!r}")
    return int(text)


def run_command(arguments: argparse.Namespace) -> int:
    """Runs detection, writes the results and displays cameras and streams. Returns the exit code, see EPILOG."""
    folder = arguments.output or DEFAULT_OUTPUT
    if folder.is_file():
        raise UserError(f"--output: expected a folder, got the file {folder}.")
    sources = find_sources(arguments.paths, excluded=output_folders(folder))
    live = next((source for source in sources if source.live is not None), None)
    is_shown = live is not None and has_display()
    if arguments.output is None and live is not None:
        if not is_shown:
            raise UserError(f"{printable(live.name)}: no display for a window. Write the results with --output DIR.")
        folder = None
    else:
        check_output_folder(folder, "--output")
    threshold_factor = LOW_THRESHOLD_FACTOR if arguments.track else 1.0
    detector = load_chosen_detector(arguments, threshold_factor)
    threshold = detector.min_confidence / threshold_factor
    failures: list[str] = []
    found: Counter[str] = Counter()
    empty: list[Source] = []  # images without detections
    total = count_pictures(sources, arguments.frame_stride)
    try:
        with contextlib.ExitStack() as stack:
            outputs = stack.enter_context(Outputs(folder, arguments.save, detector.class_names)) if folder else None
            window = stack.enter_context(Window()) if is_shown else None
            progress = stack.enter_context(ProgressBar(total, "image"))
            results = detect_pictures(
                detector, prefetch(read_pictures(sources, arguments.frame_stride)), failures.append
            )
            for picture, result in track(results, threshold) if arguments.track else results:
                if outputs:
                    outputs.write(picture, result)
                found.update(["pictures"], hits=len(result["scores"]) > 0, detections=len(result["scores"]))
                if not len(result["scores"]) and picture.frame is None:
                    empty.append(picture.source)
                progress.step(describe(picture, result, detector.class_names))
                if window and not window.show(draw_overlay(picture, result, detector.class_names)):
                    break
    except KeyboardInterrupt:  # report the results written so far
        if found["pictures"]:
            _print_report(found, failures, arguments.save, folder)
        raise
    code = _print_report(found, failures, arguments.save, folder)
    if empty and threshold > HINT_THRESHOLD:
        if found["hits"]:
            count = plural(found["pictures"] - found["hits"], "image")
            print(f"No detections in {count} at threshold {threshold:.2f}. Lower it with --min-confidence.")
        else:
            del detector, results  # free the first model before the second is loaded
            print_hints(empty, arguments, threshold)
    return code


def _print_report(found: Counter, failures: list[str], kinds: list[str], output: Path | None) -> int:
    """Prints the number of detections and the files that could not be used. Returns the exit code."""
    if not found["pictures"]:
        if len(failures) == 1:
            raise UserError(failures[0])
        report_failures(failures, f"No image or video could be used ({len(failures)} of {len(failures)}):")
        return cli.EXIT_USER_ERROR
    print(summary(found, kinds, output))
    total = plural(found["pictures"] + len(failures), "image")
    return report_failures(failures, f"{len(failures)} of {total} could not be used:")


def summary(found: Counter, kinds: list[str], output: Path | None) -> str:
    """Returns the final message: the number of detections, and the output paths if anything was written."""
    images = plural(found["pictures"], "image")
    message = f"{plural(found['detections'], 'detection')} in {found['hits']} of {images}."
    if output is None:
        return message
    tables = {"coco": "detections.json", "csv": "detections.csv"}
    return f"{message} Written: {', '.join(str(output / tables.get(kind, kind)) for kind in kinds)}"


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike detect` and `python nike/detect.py`."""
    return cli.start("detect", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
