"""`nike check`: checks a labelled dataset before training."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrcnn.config import Config
from mrcnn.errors import UserError
from nike import cli
from nike.datasets.config_file import read_config_file
from nike.datasets.inspection import Inspection, histogram_names, inspect_dataset, subset_rows
from nike.datasets.photos import find_files
from nike.datasets.read_subset import SUBSETS, has_subset_folders
from nike.datasets.records import ERROR, NOTE, SEVERITIES, WARNING, Problem
from nike.datasets.safe_json import write_json
from nike.datasets.split import SPLIT_FILE
from nike.formatting import align_columns, plural, printable
from nike.output_checks import check_output_file
from nike.training.data import count_lines, prepare_training_data, read_training_records
from nike.training.options import TASKS

MAX_LISTED_PER_KIND = 5  # maximum number of problems printed per kind; --json and --html list all of them
BAR_WIDTH = 40  # characters
DESCRIPTION = """\
Check a dataset before training. Reports unreadable images, invalid outlines, misspelled
labels, objects too small or too large for the network, duplicate images and images in
both training and validation. Images are read and split as in `nike train`, with the
same error messages."""
EPILOG = """\
examples:
  nike check my_photos
  nike check my_photos --html check.html         write a page that shows each problem
  nike check train_photos --val val_photos --labels nike,swoosh=nike

Exit code: 0 no errors; 1 errors found; 2 the check failed, or nike train cannot start on this dataset."""
ANSI_COLORS = {ERROR: "\033[31m", WARNING: "\033[33m", NOTE: "\033[36m"}


def find_unused_images(folder: Path) -> list[Problem]:
    """Returns a warning for each folder next to train/ and val/ whose images belong to neither subset."""
    if (folder / SPLIT_FILE).is_file() or not has_subset_folders(folder):
        return []
    counts = Counter(path.relative_to(folder).parent.parts[:1] for path in find_files(folder))
    return [
        Problem(
            folders[0] if folders else ".",
            "unused",
            f"{plural(count, 'image')} in neither train/ nor val/.",
            severity=WARNING,
        )
        for folders, count in counts.items()
        if not folders or folders[0] not in SUBSETS
    ]


# --- output ---


def summary_lines(result: Inspection, config: Config, color: bool = False) -> Iterator[str]:
    """Yields the lines of the terminal report."""
    yield from align_columns(subset_rows(result))
    yield ""
    scales = f"{min(config.RPN_ANCHOR_SCALES)} to {max(config.RPN_ANCHOR_SCALES)}"
    yield f"Instances by size in pixels, at network input size {config.IMAGE_MAX_DIM} (anchors {scales}):"
    yield from _histogram_lines(result.sizes)
    yield ""
    for severity, code, problems in result.kinds():
        yield from _problem_lines(severity, code, problems, color)
    counts = [plural(result.count(severity), severity) for severity in SEVERITIES]
    yield ", ".join(counts) + "."


def _histogram_lines(sizes: list[int]) -> Iterator[str]:
    unit = max(max(sizes) / BAR_WIDTH, 1)
    for name, count in zip(histogram_names(), sizes, strict=True):
        bar = "#" * max(round(count / unit), count > 0)
        yield f"  {name:>9}  {count:>6}  {bar}".rstrip()


def _problem_lines(severity: str, code: str, problems: list[Problem], color: bool) -> Iterator[str]:
    heading = f"{severity}: {code} ({len(problems)})"
    yield f"{ANSI_COLORS[severity]}{heading}\033[0m" if color else heading
    for problem in problems[:MAX_LISTED_PER_KIND]:
        yield f"  {problem}"
    if len(problems) > MAX_LISTED_PER_KIND:
        yield f"  ... and {len(problems) - MAX_LISTED_PER_KIND} more; see --html FILE."
    yield ""


def to_json(result: Inspection, config: Config, train_error: str | None = None) -> dict[str, Any]:
    """Returns the report as JSON values.

    Args:
        result: result of the checks.
        config: settings of the network, for its input size and anchors.
        train_error: error message of `nike train` on this dataset, or None if training can start.
    """
    return {
        "train_error": train_error,
        "counts": {severity: result.count(severity) for severity in SEVERITIES},
        "parts": {
            name: {
                "photos": subset.photos,
                "negatives": subset.negatives,
                "ignored": subset.ignored,
                "classes": {n: {"instances": c.instances, "photos": c.photos} for n, c in subset.classes.items()},
            }
            for name, subset in result.subsets.items()
        },
        "sizes": dict(zip(histogram_names(), result.sizes, strict=True)),
        "network": {"image_size": config.IMAGE_MAX_DIM, "anchor_scales": list(config.RPN_ANCHOR_SCALES)},
        "problems": [
            {
                "severity": problem.severity,
                "code": problem.code,
                "file": printable(problem.file),
                "where": printable(problem.where),
                "message": printable(problem.message),
                "box": None if problem.extent is None else [round(float(v), 1) for v in problem.extent],
            }
            for problem in result.problems
        ],
    }


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike check`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "dataset",
        type=Path,
        metavar="DIR",
        help="dataset folder or annotation file in any format that nike convert reads",
    )
    parser.add_argument(
        "--val",
        type=Path,
        metavar="DIR",
        help="folder of validation images (default: split.json in DIR, else DIR/val, else 20%% of DIR)",
    )
    parser.add_argument(
        "--val-split",
        type=float,
        metavar="FRACTION",
        help="fraction of the images for validation (default: the split of the dataset, else 0.2)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the split (default: 0)")
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="classes; nike,swoosh=nike maps both labels to the class nike (default: the labels in the files)",
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        default=TASKS[0],
        help="task to train: masks, or boxes, which requires only box annotations (default: masks)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="side of the square network input (default: value in --config, else 512)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON or YAML file with the settings used for training"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; '-' prints it instead of the summary")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write an HTML page with an image of each problem")
    parser.add_argument("--allow-outside", action="store_true", help="allow annotations of images outside of DIR")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(os.cpu_count() or 1, 8),
        metavar="N",
        help="threads that read images (default: number of cores, at most 8)",
    )


def _read_config(arguments: argparse.Namespace) -> Config:
    from nike.config import NikeConfig

    config = NikeConfig()
    if arguments.config is not None:
        config = NikeConfig.from_dict(read_config_file(arguments.config), str(arguments.config))
    if arguments.image_size is not None:
        if arguments.image_size < 1:
            raise UserError(f"--image-size: expected a positive number of pixels, got {arguments.image_size}.")
        config = config.copy(IMAGE_MAX_DIM=arguments.image_size, IMAGE_MIN_DIM=arguments.image_size)
    return config


def run_command(arguments: argparse.Namespace) -> int:
    """Checks a dataset and writes the reports.

    Returns:
        1 if there are errors, else 0.

    Raises:
        ValueError: if `nike train` cannot start on this dataset. The reports are written before the error is raised.
    """
    from tqdm import tqdm

    if arguments.workers < 1:
        raise UserError(f"--workers: expected at least 1, got {arguments.workers}.")
    for option, path in (("--json", arguments.json), ("--html", arguments.html)):
        if path and path != "-":
            check_output_file(path, option)
    config = _read_config(arguments)
    records = read_training_records(
        arguments.dataset,
        arguments.labels,
        val=arguments.val,
        val_split=arguments.val_split,
        seed=arguments.seed,
        allow_outside=arguments.allow_outside,
        boxes=arguments.task == "boxes",
    )
    total = sum(len(collection.photos) for collection in records.subsets.values())
    with tqdm(total=total, unit="photo", leave=False, disable=not sys.stderr.isatty()) as bar:
        result = inspect_dataset(records.subsets, records.labels, config, arguments.workers, bar.update)
    if arguments.val is None and arguments.val_split is None:
        result.problems += find_unused_images(arguments.dataset)
    train_lines, train_error = [], None
    try:
        train_lines = [*count_lines(prepare_training_data(records)), ""]
    except UserError as error:
        train_error = error
    report = to_json(result, config, None if train_error is None else str(train_error))
    if arguments.json == "-":
        print(json.dumps(report, indent=2))
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print("\n".join([*train_lines, *summary_lines(result, config, color)]))
        if arguments.json:
            write_json(arguments.json, report)
    if arguments.html:
        from nike.reporting.check_page import write_check

        write_check(arguments.html, result, str(arguments.dataset))
    if train_error is not None:
        raise train_error
    return 1 if result.count(ERROR) else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike check` and `python nike/check.py`."""
    return cli.start("check", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
