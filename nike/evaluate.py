"""`nike evaluate`: how good weights are on labelled photos, in figures and on a page with the worst photos first."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.evaluation import CocoEvaluator, encode_masks
from nike import cli  # first: it quiets TensorFlow
from nike.datasets.nike_dataset import SAMPLE_DATA, SUBSETS, NikeDataset
from nike.datasets.records import ERROR
from nike.datasets.safe_json import write_json
from nike.detection.background import ahead
from nike.detection.detector import Detector, add_detector_arguments, load_detector
from nike.detection.progress import Progress, report_failures
from nike.detection.stream import detect_stream
from nike.reporting.score_table import summary_lines
from nike.reporting.scores import coco_results, score
from nike.reporting.selection import SHOWN_LABELS, choose_labels, load_photos, unknown_labels
from nike.text import plural, printable
from nike.training.run_photos import read_run_photos

MIN_CONFIDENCE = 0.01  # AP wants the whole ranking, not only what is reported to users
WORST_ON_PAGE = 40
DESCRIPTION = """\
Measures how good weights are: looks for logos on labelled photos and compares what it
finds with the outlines that people drew."""
EPILOG = """\
AP: mean over IoU 0.50 to 0.95 (COCO); s, m, l: instances under 32 x 32, under 96 x 96, and larger pixels.
A detection is true from IoU 0.5 on; a second one of the same instance is false. Instances labelled `ignore` do
not count.

examples:
  nike evaluate --dataset photos --weights=best --html report.html
  nike evaluate --dataset photos --split all --json -

Exit code: 0 all photos scored; 1 some could not be used (they are listed); 2 nothing could be scored.
"""


@dataclass(frozen=True, eq=False)
class _Labelled:
    """A photo with its ground truth, masks run-length encoded; or why there is none."""

    title: str
    image: np.ndarray | None = None
    class_ids: Any = None
    masks: Any = None
    error: str = ""


def evaluate(
    detector: Detector, dataset: NikeDataset, on_failure: Callable[[str], None], on_photo: Callable[[str], None]
) -> CocoEvaluator:
    """Detects on all photos of a dataset; a few are in memory at a time.

    Args:
        detector: its classes are those of the dataset.
        dataset: prepared.
        on_failure: gets the message for each photo that cannot be used.
        on_photo: gets a line for each photo that was looked at.
    """
    evaluator = CocoEvaluator(dataset.class_names)
    for photo, result in detect_stream(detector, ahead(_read(dataset)), on_failure):
        record = evaluator.add(photo.title, photo.class_ids, photo.masks, result, photo.image.shape)
        found, truth = plural(len(record.scores), "detection"), plural(len(record.gt_rles), "instance")
        on_photo(f"{printable(photo.title)}: {found}, {truth}")
    return evaluator


def evaluate_folder(
    detector: Detector, folder: Path, split: str | None, labels: str | None, failures: list[str], lines: bool = True
) -> tuple[CocoEvaluator, NikeDataset, str, list[str]]:
    """Detects on all photos of a folder, with a progress bar.

    Args:
        detector: reports detections of any score.
        folder: labelled photos.
        split: "train", "val", "all" or None, see `load_photos`.
        labels: see `nike.datasets.labels.Labels`; None: see `choose_labels`.
        failures: gets the message for each photo that cannot be used.
        lines: see `Progress`.

    Returns:
        The evaluator with at least one photo, the dataset, which split it is, and messages on photos and labels.

    Raises:
        FileNotFoundError, ValueError: no photo can be used, or the labels are not the detector's classes.
    """
    run = read_run_photos(detector.path) if detector.path is not None else None
    try:
        meaning = choose_labels(labels, detector.class_names, run)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    dataset, split, notes = load_photos(folder, split, meaning, run)
    unknown, nothing_else = unknown_labels(dataset, meaning) if labels is None else ("", False)
    if unknown:
        classes = detector.class_names[1:]
        known = ", ".join(map(printable, classes[:SHOWN_LABELS])) + (", ..." if len(classes) > SHOWN_LABELS else "")
        message = f"{unknown}: no class of the weights, which know {known}"
        if nothing_else:
            raise ValueError(f"{folder}: labels {message}. Map them, such as --labels LABEL={printable(classes[0])}.")
        notes.append(f"labels      {message}; counted as background. To map one: --labels LABEL=CLASS,...")
    failures.extend(str(problem) for problem in dataset.problems if problem.severity == ERROR)
    with Progress(len(dataset.image_ids), lines=lines) as progress:
        evaluator = evaluate(detector, dataset, failures.append, progress.step)
    if not evaluator.records:
        raise ValueError(f"{folder}: no photo could be used; {failures[0]}")
    return evaluator, dataset, split, notes


def _read(dataset: NikeDataset) -> Iterator[_Labelled]:
    for image_id in dataset.image_ids:
        name = dataset.image_info[image_id]["id"]
        try:
            masks, class_ids = dataset.load_mask(image_id)
            yield _Labelled(name, dataset.load_image(image_id), class_ids, encode_masks(masks))
        except (ValueError, OSError) as error:
            yield _Labelled(name, error=str(error) if name in str(error) else f"{name}: {error}")


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike evaluate`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "--dataset", type=Path, default=SAMPLE_DATA, metavar="DIR", help="labelled photos (default: the sample photos)"
    )
    parser.add_argument(
        "--split",
        choices=(*SUBSETS, "all"),
        help="which part of them (default: what the weights were validated on, else val if there is one, else all)",
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="labels that are classes; nike,swoosh=nike makes two labels one class (default: as in training)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="SCORE",
        help="what counts as found, for counts of right, wrong and missed; AP looks at all scores (default: 0.5)",
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures; '-' prints them instead of the tables")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a web page: curves, and the worst photos")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="write the detections as a JSON list of COCO results"
    )
    add_detector_arguments(parser, min_confidence=MIN_CONFIDENCE)


def run_command(arguments: argparse.Namespace) -> int:
    """Scores and reports; returns the exit code."""
    if not 0 <= arguments.threshold <= 1:
        raise ValueError(f"--threshold: expected a number from 0 to 1, got {arguments.threshold:g}.")
    if not arguments.dataset.exists():
        raise FileNotFoundError(f"--dataset: {arguments.dataset}: no such folder.")
    detector = load_detector(arguments)
    failures: list[str] = []
    evaluator, dataset, split, notes = evaluate_folder(
        detector, arguments.dataset, arguments.split, arguments.labels, failures, lines=arguments.json != "-"
    )
    scores = {"weights": arguments.weights, "dataset": str(arguments.dataset), "split": split}
    scores |= score(evaluator, arguments.threshold) | {"failures": failures}
    for note in notes:
        print(note, file=sys.stderr if arguments.json == "-" else sys.stdout)
    _write(arguments, scores, evaluator, dataset)
    return report_failures(failures, f"Not everything could be scored ({plural(len(failures), 'problem')}):")


def _write(arguments: argparse.Namespace, scores: dict, evaluator: CocoEvaluator, dataset: NikeDataset) -> None:
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

        write_report(arguments.html, scores, evaluator, dataset, WORST_ON_PAGE)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike evaluate` and `python nike/evaluate.py`."""
    return cli.start("evaluate", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
