"""`nike compare`: compares two weights files on the same labelled images."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path

from mrcnn.errors import UserError
from mrcnn.evaluation import CocoEvaluator
from nike import cli, evaluate  # imported first to suppress TensorFlow's messages
from nike.datasets.nike_dataset import NikeDataset
from nike.datasets.records import ERROR
from nike.datasets.safe_json import write_json
from nike.detection.detector import load_detector
from nike.detection.progress import ProgressBar, report_failures
from nike.detection.weights import read_settings, resolve_weights
from nike.formatting import plural, printable
from nike.reporting.comparison import NAMES, compare, comparison_lines
from nike.reporting.selection import add_selection_arguments, check_selection, choose_labels, load_photos
from nike.training.run_split import photo_key, read_run_photos

MAX_IMAGES_PER_SECTION = 20  # maximum number of images in each section of the HTML page
DESCRIPTION = """\
Compare two weights files on the same labelled images. Reports the AP of both, a confidence interval
of the difference, and the images on which the detections differ most."""
EPILOG = """\
A and B are nike, coco, best, last, a weights file, or the log folder or name of a run (see nike runs). Without --split,
the validation images of the run that produced A are used, or those of B's run if A has no record of its images. An
instance is lost if only A detects it and gained if only B detects it, at the score threshold and mask IoU 0.5.

examples:
  nike compare nike best --dataset my_photos
  nike compare nike20260101T1200 nike20260102T0900 --dataset my_photos --html comparison.html

Exit code: 0 all images compared; 1 some images could not be used (listed on stderr); 2 no image could be used.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike compare`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("a", metavar="A", help="baseline weights")
    parser.add_argument("b", metavar="B", help="weights to compare with the baseline")
    add_selection_arguments(parser)
    parser.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="folder of the runs (default: logs)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the comparison as JSON; '-' prints it instead of tables")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write an HTML page with the images on which A and B differ most"
    )


def run_command(arguments: argparse.Namespace) -> int:
    """Compares the weights and writes the reports. Returns 1 if some images could not be used, else 0."""
    check_selection(arguments, ("json", "html"))
    paths = [resolve_weights(name, arguments.logs) for name in (arguments.a, arguments.b)]
    if paths[0].resolve() == paths[1].resolve():
        raise UserError(f"A and B: expected two weights files, got {paths[0]} twice.")
    classes = _common_classes(paths)
    dataset, split, notes = _load_images(arguments, paths, classes)
    failures = [str(problem) for problem in dataset.problems if problem.severity == ERROR]
    evaluators = _evaluate(paths, dataset, failures, lines=arguments.json != "-")
    for note in notes:
        print(note, file=sys.stderr if arguments.json == "-" else sys.stdout)
    result = {"weights": [str(path) for path in paths], "dataset": str(arguments.dataset), "split": split}
    result |= compare(evaluators, arguments.threshold) | {"failures": failures}
    if arguments.json == "-":
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(comparison_lines(result)))
        if arguments.json:
            write_json(arguments.json, result)
    if arguments.html:
        from nike.reporting.comparison_page import write_comparison

        write_comparison(arguments.html, result, evaluators, dataset, MAX_IMAGES_PER_SECTION)
    return report_failures(failures, f"Some images could not be used ({plural(len(failures), 'problem')}):")


def _common_classes(paths: list[Path]) -> list[str]:
    """Returns the class names of both files, background first. Raises ValueError if they differ."""
    a, b = (read_settings(path)[1] for path in paths)
    if a != b:
        named = [", ".join(map(printable, names[1:6])) + (", ..." if len(names) > 6 else "") for names in (a, b)]
        raise UserError(f"A and B: expected weights with the same classes, got {named[0]} in A and {named[1]} in B.")
    return a


def _load_images(
    arguments: argparse.Namespace, paths: list[Path], classes: list[str]
) -> tuple[NikeDataset, str, list[str]]:
    """Loads the images; see `load_photos`. The returned notes warn if weights were trained on some of the images."""
    runs = [read_run_photos(path) for path in paths]
    run = next((each for each in runs if each is not None), None)
    try:
        labels = choose_labels(arguments.labels, classes, run)
    except UserError as error:
        raise UserError(f"{arguments.dataset}: {error}") from None
    dataset, split, notes = load_photos(arguments.dataset, arguments.split, labels, run)
    notes = [note for note in notes if not note.startswith("warning")]
    for name, each in zip(NAMES, runs, strict=True):
        trained = sum(photo_key(info["photo"]) in each.train for info in dataset.image_info) if each else 0
        if trained:
            notes.append(
                f"warning     {name} was trained on {trained} of {plural(len(dataset.image_ids), 'image')}, so its "
                "metrics are too optimistic"
            )
    return dataset, split, notes


def _evaluate(paths: list[Path], dataset: NikeDataset, failures: list[str], lines: bool) -> list[CocoEvaluator]:
    """Runs detection with each weights file. One network is in memory at a time."""
    evaluators = []
    with ProgressBar(2 * len(dataset.image_ids), lines=lines) as progress:
        for name, path in zip(NAMES, paths, strict=True):
            detector = load_detector(path, min_confidence=evaluate.MIN_CONFIDENCE)
            evaluators.append(
                evaluate.evaluate(detector, dataset, failures.append, lambda line, n=name: progress.step(f"{n} {line}"))
            )
            del detector
            gc.collect()
    failures[:] = dict.fromkeys(failures)
    common = set.intersection(*({record.image_id for record in evaluator.records} for evaluator in evaluators))
    if not common:
        raise UserError(f"no image could be used. {failures[0]}")
    for evaluator in evaluators:
        evaluator.records = [record for record in evaluator.records if record.image_id in common]
    return evaluators


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike compare` and `python nike/compare.py`."""
    return cli.start("compare", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
