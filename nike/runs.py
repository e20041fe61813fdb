"""`nike runs`: lists training runs with their best AP, data and options."""

from __future__ import annotations

import argparse
import csv
import json
import math
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from nike import cli
from nike.datasets.safe_json import read_json
from nike.formatting import align_columns, printable, short
from nike.training.run_split import read_run_photos

HISTORY, COMMAND = "history.csv", "run.json"  # in the log folder of a run
MAX_HISTORY_BYTES = 50_000_000
DESCRIPTION = """\
List training runs, oldest first, with the best validation AP and its epoch, the number of images
and the options of each run."""
EPILOG = """\
examples:
  nike runs
  nike runs --logs experiments --sort AP
  nike runs --json"""


@dataclass(frozen=True)
class RunSummary:
    """A training run.

    Attributes:
        name: name of the log folder.
        epochs: number of finished epochs.
        best_epoch: epoch with the best mask AP (box AP for a run without masks), or None if the run was not validated.
        mask_AP: validation mask AP of the best epoch, or None for a run without masks.
        box_AP: validation box AP of the best epoch.
        train: number of training images, or None if not recorded.
        val: number of validation images, or None if not recorded.
        options: command line of the run.
    """

    name: str
    epochs: int
    best_epoch: int | None
    mask_AP: float | None
    box_AP: float | None
    train: int | None
    val: int | None
    options: list[str]


def find_runs(logs: Path) -> list[RunSummary]:
    """Returns the runs in a folder, sorted by the time of their last change.

    Raises:
        FileNotFoundError: if the folder does not exist or contains no run.
    """
    folders = {file.parent for name in (COMMAND, HISTORY) for file in logs.glob(f"*/{name}")}
    if not folders:
        raise FileNotFoundError(f"{logs}: no runs found. Start one with nike train, or pass their folder with --logs.")
    return [summarize(folder) for folder in sorted(folders, key=_last_modified)]


def _last_modified(folder: Path) -> float:
    history = folder / HISTORY
    return (history if history.exists() else folder / COMMAND).stat().st_mtime


def summarize(folder: Path) -> RunSummary:
    """Returns the summary of the run in a log folder. Unreadable files are ignored."""
    rows = read_history(folder / HISTORY)
    kind = "val_mask_AP" if any("val_mask_AP" in row for row in rows) else "val_box_AP"
    validated = [row for row in rows if math.isfinite(row.get(kind, math.nan))]
    best = max(validated, key=lambda row: row[kind], default={})
    try:
        photos = read_run_photos(folder / HISTORY)
        record = read_json(folder / COMMAND)
        options = [str(word) for word in record["argv"]]
    except (OSError, ValueError, KeyError, TypeError):
        photos, options = None, []
    return RunSummary(
        folder.name,
        int(max((row["epoch"] for row in rows), default=0)),
        int(best["epoch"]) if best else None,
        best.get("val_mask_AP"),
        best.get("val_box_AP"),
        len(photos.train) if photos else None,
        len(photos.val) if photos else None,
        options,
    )


def read_history(path: Path) -> list[dict[str, float]]:
    """Returns the rows of `history.csv` that have an epoch, as numbers by column name.

    Values that are not numbers are omitted. The list is empty if the file does not exist yet.
    """
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            text = file.read(MAX_HISTORY_BYTES)
    except FileNotFoundError:  # the run was interrupted in its first epoch
        return []
    rows = []
    for row in csv.DictReader(text.splitlines()):
        numbers = {}
        for name, value in row.items():
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError):
                continue
        if math.isfinite(numbers.get("epoch", math.nan)):
            rows.append(numbers)
    return rows


def table_lines(runs: list[RunSummary]) -> list[str]:
    """Returns the runs as lines of a text table."""
    rows = [["run", "epochs", "best", "mask AP", "box AP", "train", "val"]]
    for run in runs:
        values = [run.epochs, run.best_epoch, run.mask_AP, run.box_AP, run.train, run.val]
        cells = ["-" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in values]
        rows.append([printable(run.name), *cells])
    lines = list(align_columns(rows))
    options = ["options", *(short(shlex.join(run.options)).strip("'\"") for run in runs)]
    return [f"{line}  {text}".rstrip() for line, text in zip(lines, options, strict=True)]


def _best_ap(run: RunSummary) -> float:
    ap = run.box_AP if run.mask_AP is None else run.mask_AP
    return -1.0 if ap is None else ap


# --- command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike runs`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "--logs", type=Path, default=Path("logs"), metavar="DIR", help="folder of the runs (default: logs)"
    )
    parser.add_argument("--sort", choices=("time", "AP"), default="time", help="order of the runs (default: time)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run_command(arguments: argparse.Namespace) -> int:
    """Prints the runs."""
    runs = find_runs(arguments.logs)
    if arguments.sort == "AP":
        runs.sort(key=_best_ap)
    if arguments.json:
        print(json.dumps([asdict(run) for run in runs], indent=2))
    else:
        print("\n".join(table_lines(runs)))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike runs` and `python nike/runs.py`."""
    return cli.start("runs", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
