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
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import SUBSETS, has_own_split, read_subset
from nike.datasets.photos import find_files
from nike.datasets.records import ERROR, NOTE, SEVERITIES, WARNING, Collection, Problem
from nike.datasets.safe_json import write_json
from nike.datasets.settings import read_settings_file
from nike.datasets.split import SPLIT_FILE
from nike.text import aligned, plural, printable

SHOWN_PER_KIND = 5  # problems of one kind in the terminal; --json and --html have all of them
BAR_WIDTH = 40
DESCRIPTION = """\
Looks for mistakes in a dataset before you train on it: photos that cannot be read,
outlines that cannot be used, misspelt labels, objects too small or too large for the
network, photos that occur twice or both in training and in validation."""
EPILOG = """\
examples:
  nike check my_photos
  nike check my_photos --html check.html         a page that shows each problem
  nike check train_photos --val val_photos --labels nike,swoosh=nike

Exit code: 0 no errors; 1 there are errors; 2 could not check."""
COLOURS = {ERROR: "\033[31m", WARNING: "\033[33m", NOTE: "\033[36m"}


def read_parts(folder: Path, val: Path | None, labels: Labels, allow_outside: bool = False) -> dict[str, Collection]:
    """The parts of a dataset by name: "train" and "val" if they can be told apart, else "all".

    Args:
        folder: the dataset.
        val: a separate validation dataset; then `folder` is for training as a whole.
        labels, allow_outside: see `NikeDataset.load_nike`.

    Raises:
        FileNotFoundError, ValueError: a folder or file cannot be read at all.
    """
    if val is not None:
        sources = {"train": folder, "val": val}
        return {name: read_subset(source, None, labels, allow_outside) for name, source in sources.items()}
    if has_own_split(folder):
        parts = {name: read_subset(folder, name, labels, allow_outside) for name in SUBSETS}
        parts["train"].problems += _unused(folder)
        return parts
    return {"all": read_subset(folder, None, labels, allow_outside)}


def _unused(folder: Path) -> list[Problem]:
    """Photos beside train/ and val/, which neither part takes, counted by folder."""
    if (folder / SPLIT_FILE).is_file():
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


def to_json(result: Inspection, config: Config) -> dict[str, Any]:
    """The report as JSON values: `counts`, `parts`, `sizes` and every problem."""
    return {
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
        help="folder of the photos to validate on (default: those that split.json in DIR names, or DIR/val)",
    )
    parser.add_argument(
        "--labels",
        default="nike",
        metavar="NAMES",
        help="labels that are classes; 'nike,swoosh=nike' makes two labels one class (default: nike)",
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
    """Checks a dataset and reports; returns 1 if there are errors, else 0."""
    from tqdm import tqdm

    config, labels = _config(arguments), Labels(arguments.labels)
    parts = read_parts(arguments.dataset, arguments.val, labels, arguments.allow_outside)
    total = sum(len(collection.photos) for collection in parts.values())
    with tqdm(total=total, unit="photo", leave=False, disable=not sys.stderr.isatty()) as bar:
        result = inspect_dataset(parts, labels, config, max(arguments.workers, 1), bar.update)
    report = to_json(result, config)
    if arguments.json == "-":
        print(json.dumps(report, indent=2))
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print("\n".join(summary_lines(result, config, colour)))
        if arguments.json:
            write_json(arguments.json, report)
    if arguments.html:
        from nike.reporting.check_page import write_check

        write_check(arguments.html, result, str(arguments.dataset))
    return 1 if result.count(ERROR) else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike check` and `python nike/check.py`."""
    return cli.start("check", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
