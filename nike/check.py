"""`nike check`: looks a dataset over before anyone trains on it, and says what is wrong and where."""

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
from nike import cli
from nike.datasets.inspection import Inspection, histogram_names, inspect_dataset, part_rows
from nike.datasets.nike_dataset import SUBSETS, has_subset_folders
from nike.datasets.photos import find_files
from nike.datasets.records import ERROR, NOTE, SEVERITIES, WARNING, Problem
from nike.datasets.safe_json import write_json
from nike.datasets.settings import read_settings_file
from nike.datasets.split import SPLIT_FILE
from nike.text import aligned, plural, printable
from nike.training.data import count_lines, prepare_training_data, read_training_parts

SHOWN_PER_KIND = 5  # problems of one kind in the terminal; --json and --html have all of them
BAR_WIDTH = 40
DESCRIPTION = """\
Looks for mistakes in a dataset before you train on it: photos that cannot be read,
outlines that cannot be used, misspelt labels, objects too small or too large for the
network, photos that occur twice or both in training and in validation. Reads and splits
the photos as `nike train` does; fails with its message where it would fail."""
EPILOG = """\
examples:
  nike check my_photos
  nike check my_photos --html check.html         a page that shows each problem
  nike check train_photos --val val_photos --labels nike,swoosh=nike

Exit code: 0 no errors; 1 there are errors; 2 could not check, or nike train could not start with these photos."""
COLOURS = {ERROR: "\033[31m", WARNING: "\033[33m", NOTE: "\033[36m"}


def unused(folder: Path) -> list[Problem]:
    """Photos beside train/ and val/, which neither part takes, counted by folder."""
    if (folder / SPLIT_FILE).is_file() or not has_subset_folders(folder):
        return []
    counts = Counter(path.relative_to(folder).parent.parts[:1] for path in find_files(folder))
    return [
        Problem(
            place[0] if place else ".",
            "unused",
            f"{plural(count, 'photo')} in neither train/ nor val/.",
            severity=WARNING,
        )
        for place, count in counts.items()
        if not place or place[0] not in SUBSETS
    ]


# --- output ---


def summary_lines(result: Inspection, config: Config, colour: bool = False) -> Iterator[str]:
    """The report for a terminal, line by line."""
    yield from aligned(part_rows(result))
    yield ""
    scales = f"{min(config.RPN_ANCHOR_SCALES)} to {max(config.RPN_ANCHOR_SCALES)}"
    yield f"Instances by size at the network's {config.IMAGE_MAX_DIM} pixels (anchors {scales}):"
    yield from _histogram(result.sizes)
    yield ""
    for severity, code, problems in result.kinds():
        yield from _kind(severity, code, problems, colour)
    counts = [plural(result.count(severity), severity) for severity in SEVERITIES]
    yield ", ".join(counts) + "."


def _histogram(sizes: list[int]) -> Iterator[str]:
    unit = max(max(sizes) / BAR_WIDTH, 1)
    for name, count in zip(histogram_names(), sizes, strict=True):
        bar = "#" * max(round(count / unit), count > 0)
        yield f"  {name:>9}  {count:>6}  {bar}".rstrip()


def _kind(severity: str, code: str, problems: list[Problem], colour: bool) -> Iterator[str]:
    heading = f"{severity}: {code} ({len(problems)})"
    yield f"{COLOURS[severity]}{heading}\033[0m" if colour else heading
    for problem in problems[:SHOWN_PER_KIND]:
        yield f"  {problem}"
    if len(problems) > SHOWN_PER_KIND:
        yield f"  ... and {len(problems) - SHOWN_PER_KIND} more; --html FILE shows all of them."
    yield ""


def to_json(result: Inspection, config: Config, train_error: str | None = None) -> dict[str, Any]:
    """The report as JSON values: `counts`, `parts`, `sizes`, why training would fail, and every problem."""
    return {
        "train_error": train_error,
        "counts": {severity: result.count(severity) for severity in SEVERITIES},
        "parts": {
            name: {
                "photos": part.photos,
                "negatives": part.negatives,
                "ignored": part.ignored,
                "classes": {n: {"instances": c.instances, "photos": c.photos} for n, c in part.classes.items()},
            }
            for name, part in result.parts.items()
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
        "dataset", type=Path, metavar="DIR", help="folder of photos with labelme files; or a COCO or VIA file"
    )
    parser.add_argument(
        "--val",
        type=Path,
        metavar="DIR",
        help="folder of the photos to validate on (default: as split.json in DIR says, or DIR/val, or a fifth of DIR)",
    )
    parser.add_argument(
        "--val-split", type=float, metavar="FRACTION", help="fraction of the photos to validate on, such as 0.2"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the split (default: 0)")
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="classes; 'nike,swoosh=nike' makes two labels one class (default: the labels in the files)",
    )
    parser.add_argument(
        "--image-size", type=int, metavar="PIXELS", help="side of the network's input (default: as --config, or 512)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON or YAML: the settings that you are going to train with"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; '-' prints it instead of the summary")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a web page with a picture of each problem")
    parser.add_argument(
        "--allow-outside", action="store_true", help="annotations may name photos that lie outside of DIR"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=min(os.cpu_count() or 1, 8),
        metavar="N",
        help="photos read at the same time (default: one a core, at most 8)",
    )


def _config(arguments: argparse.Namespace) -> Config:
    from nike.config import NikeConfig

    config = NikeConfig()
    if arguments.config is not None:
        config = NikeConfig.from_dict(read_settings_file(arguments.config), str(arguments.config))
    if arguments.image_size is not None:
        if arguments.image_size < 1:
            raise ValueError(f"--image-size: expected a number of pixels, got {arguments.image_size}.")
        config = config.copy(IMAGE_MAX_DIM=arguments.image_size, IMAGE_MIN_DIM=arguments.image_size)
    return config


def run_command(arguments: argparse.Namespace) -> int:
    """Checks a dataset and reports; returns 1 if there are errors, else 0. Raises what `nike train` would raise."""
    from tqdm import tqdm

    config = _config(arguments)
    parts = read_training_parts(
        arguments.dataset,
        arguments.labels,
        val=arguments.val,
        val_split=arguments.val_split,
        seed=arguments.seed,
        allow_outside=arguments.allow_outside,
    )
    total = sum(len(collection.photos) for collection in parts.parts.values())
    with tqdm(total=total, unit="photo", leave=False, disable=not sys.stderr.isatty()) as bar:
        result = inspect_dataset(parts.parts, parts.labels, config, max(arguments.workers, 1), bar.update)
    if arguments.val is None and arguments.val_split is None:
        result.problems += unused(arguments.dataset)
    train_lines, train_error = [], None
    try:
        train_lines = [*count_lines(prepare_training_data(parts)), ""]
    except ValueError as error:
        train_error = error
    report = to_json(result, config, None if train_error is None else str(train_error))
    if arguments.json == "-":
        print(json.dumps(report, indent=2))
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print("\n".join([*train_lines, *summary_lines(result, config, colour)]))
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
