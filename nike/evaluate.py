"""`nike evaluate`: evaluates weights on labelled images and writes the metrics and an HTML report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.errors import UserError
from mrcnn.evaluation import CocoEvaluator, encode_masks
from mrcnn.inference.prefetch import prefetch
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets.nike_dataset import NikeDataset
from nike.datasets.records import ERROR
from nike.datasets.safe_json import write_json
from nike.datasets.selective_search import cache_folder
from nike.detection.detector import Detector
from nike.detection.options import add_detector_arguments, load_chosen_detector
from nike.detection.progress import ProgressBar, report_failures
from nike.detection.stream import detect_pictures
from nike.formatting import plural, printable
from nike.reporting.operating_points import PRECISIONS
from nike.reporting.score_table import summary_lines
from nike.reporting.scores import coco_results, score
from nike.reporting.selection import (
    MAX_LISTED_LABELS,
    add_selection_arguments,
    check_selection,
    choose_labels,
    load_photos,
    unknown_labels,
)
from nike.training.run_split import read_run_photos

MIN_CONFIDENCE = 0.01  # low, because AP is computed from nearly all detections
MAX_WORST_IMAGES = 40  # maximum number of images with errors in the HTML report
DESCRIPTION = """\
Evaluate weights on labelled images. Reports COCO AP of masks and boxes (only of boxes for
weights without masks), precision, recall and the errors of each image."""
EPILOG = """\
AP is averaged over IoU thresholds from 0.50 to 0.95 (COCO). It is also reported for small (area under 32 x 32 pixels),
medium (under 96 x 96) and large instances. Boundary AP uses the smaller of the mask IoU and the IoU of the mask
boundaries, whose width is 1% of the image diagonal. At the score threshold, a detection is a true positive if its mask
IoU (box IoU without masks) with an unmatched instance is at least 0.5. Instances labelled `ignore` are excluded.

examples:
  nike evaluate --dataset photos --weights=best --html report.html
  nike evaluate --dataset photos --split all --json -

Exit code: 0 all images evaluated; 1 some images could not be used (listed on stderr); 2 no image could be used.
"""


@dataclass(frozen=True, eq=False)
class _LabelledImage:
    """An image with its ground truth and run-length encoded masks, or an error message."""

    title: str
    image: np.ndarray | None = None
    class_ids: Any = None
    masks: Any = None
    keypoints: np.ndarray | None = None
    error: str = ""


def evaluate(
    detector: Detector, dataset: NikeDataset, on_failure: Callable[[str], None], on_photo: Callable[[str], None]
) -> CocoEvaluator:
    """Runs detection on all images of a dataset and compares the results with its annotations.

    Only a few images are in memory at a time.

    Args:
        detector: detector with the classes of the dataset.
        dataset: prepared dataset.
        on_failure: called with a message for each image that cannot be used.
        on_photo: called with a line of text for each evaluated image.
    """
    evaluator = CocoEvaluator(dataset.class_names)
    for photo, result in detect_pictures(detector, prefetch(_read_images(dataset)), on_failure):
        truth = photo.class_ids, photo.masks
        record = evaluator.add(photo.title, *truth, result, photo.image.shape, photo.keypoints)
        found, truth = plural(len(record.scores), "detection"), plural(len(record.gt_rles), "instance")
        on_photo(f"{printable(photo.title)}: {found}, {truth}")
    return evaluator


def evaluate_folder(
    detector: Detector, folder: Path, split: str | None, labels: str | None, failures: list[str], lines: bool = True
) -> tuple[CocoEvaluator, NikeDataset, str, list[str]]:
    """Evaluates a detector on the images of a folder, with a progress bar.

    Args:
        detector: detector with a low score threshold, such as MIN_CONFIDENCE.
        folder: labelled images.
        split: "train", "val", "all" or None; see `load_photos`.
        labels: classes (see `nike.datasets.labels.Labels`), or None for the default of `choose_labels`.
        failures: list to which a message is added for each image that cannot be used.
        lines: see `ProgressBar`.

    Returns:
        The evaluator with at least one image, the dataset, the name of the split, and notes on images and labels.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if no image can be used, or the labels do not map to the detector's classes.
    """
    run = read_run_photos(detector.path) if detector.path is not None else None
    try:
        label_map = choose_labels(labels, detector.class_names, run)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None
    dataset, split, notes = load_photos(folder, split, label_map, run, boxes=not detector.has_masks)
    dataset.keypoint_names = detector.keypoint_names
    detector.cache = cache_folder(folder)
    unknown, only_unknown = unknown_labels(dataset, label_map) if labels is None else ("", False)
    if unknown:
        classes = detector.class_names[1:]
        known = ", ".join(map(printable, classes[:MAX_LISTED_LABELS])) + (
            ", ..." if len(classes) > MAX_LISTED_LABELS else ""
        )
        message = f"{unknown} without a class in the weights (classes: {known})"
        if only_unknown:
            raise UserError(f"{folder}: labels {message}. Map them with --labels LABEL={printable(classes[0])}.")
        notes.append(f"labels      {message}, counted as background. Map a label with --labels LABEL=CLASS,...")
    failures.extend(str(problem) for problem in dataset.problems if problem.severity == ERROR)
    with ProgressBar(len(dataset.image_ids), lines=lines) as progress:
        evaluator = evaluate(detector, dataset, failures.append, progress.step)
    if not evaluator.records:
        raise UserError(f"{folder}: no image could be used. {failures[0]}")
    return evaluator, dataset, split, notes


def _read_images(dataset: NikeDataset) -> Iterator[_LabelledImage]:
    for image_id in dataset.image_ids:
        name = dataset.image_info[image_id]["id"]
        try:
            masks, class_ids = dataset.load_mask(image_id)
            points = dataset.load_keypoints(image_id)
            yield _LabelledImage(name, dataset.load_image(image_id), class_ids, encode_masks(masks), points)
        except (ValueError, OSError) as error:
            yield _LabelledImage(name, error=str(error) if name in str(error) else f"{name}: {error}")


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike evaluate`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_selection_arguments(parser)
    parser.add_argument(
        "--target-precision",
        type=float,
        action="append",
        metavar="FLOAT",
        help="report the lowest score threshold with this precision, and its recall; can be repeated (default: 0.9, "
        "0.95 and 0.99)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write all metrics as JSON; '-' prints them instead of the tables"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write an HTML page with curves and the images with the most errors"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="write the detections in COCO results format (JSON)"
    )
    add_detector_arguments(parser, min_confidence=MIN_CONFIDENCE)


def run_command(arguments: argparse.Namespace) -> int:
    """Evaluates the weights and writes the reports. Returns 1 if some images could not be used, else 0."""
    check_selection(arguments, ("json", "html", "results"))
    precisions = arguments.target_precision or PRECISIONS
    if not all(0 < precision <= 1 for precision in precisions):
        raise UserError(f"--target-precision: expected a number above 0 and at most 1, got {min(precisions):g}.")
    detector = load_chosen_detector(arguments)
    failures: list[str] = []
    evaluator, dataset, split, notes = evaluate_folder(
        detector, arguments.dataset, arguments.split, arguments.labels, failures, lines=arguments.json != "-"
    )
    scores = {"weights": arguments.weights, "dataset": str(arguments.dataset), "split": split}
    scores |= score(evaluator, arguments.threshold, precisions) | {"failures": failures}
    for note in notes:
        print(note, file=sys.stderr if arguments.json == "-" else sys.stdout)
    _write_reports(arguments, scores, evaluator, dataset)
    return report_failures(failures, f"Some images could not be used ({plural(len(failures), 'problem')}):")


def _write_reports(arguments: argparse.Namespace, scores: dict, evaluator: CocoEvaluator, dataset: NikeDataset) -> None:
    if arguments.json == "-":
        print(json.dumps(scores, indent=2))
    else:
        print("\n".join(summary_lines(scores)))
        if arguments.json:
            write_json(arguments.json, scores)
    if arguments.results:
        folder = arguments.dataset.resolve().name
        write_json(arguments.results, coco_results(evaluator.records, folder, evaluator.class_names), indent=None)
    if arguments.html:
        from nike.reporting.report import write_report

        write_report(arguments.html, scores, evaluator, dataset, MAX_WORST_IMAGES)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike evaluate` and `python nike/evaluate.py`."""
    return cli.start("evaluate", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
