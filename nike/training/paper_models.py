"""Trains the models of the papers for an equal number of steps: `python -m nike.training.paper_models`.

Each row of the table changes one choice of table 2 of the Mask R-CNN paper (He et al. 2017) or of section 3.2 of the
Faster R-CNN paper (Ren et al. 2015). The model of a row is trained by `nike train` with several random seeds, on
synthetic images of three logos and on the sample images, and validated on other images of the same kind. The results of
finished rows are kept in the output folder. An interrupted command continues with the row in which it was stopped. See
docs/models-of-the-papers.md.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcnn.checkpoints.log_dirs import run_folders
from mrcnn.errors import UserError
from nike import cli
from nike.config import NikeConfig
from nike.datasets.nike_dataset import SAMPLE_DATA
from nike.datasets.safe_json import read_json, write_json, write_text
from nike.output_checks import check_output_folder
from nike.synthesis.logo import DEFAULT_LOGO
from nike.synthesize import Settings, synthesize
from nike.training.start_weights import find_start_weights

EPOCHS = 4  # number of epochs, one for each stage of alternating training
LEARNING_RATE = 3e-4  # higher than the default of `nike train`, because the runs are short
WARMUP = 0.05  # warm-up steps of each stage, as a fraction of all steps of a run
METRICS = ("mask_AP", "mask_AP50", "mask_AP75", "box_AP")
VALIDATION_FRACTION = 0.25  # number of synthetic validation images as a fraction of the training images
# Additional logos. With a single class, both mask activations are nearly equivalent.
SHAPES = {
    "star": "M50 0L61 35L98 35L68 57L79 91L50 70L21 91L32 57L2 35L39 35Z",
    "ring": "M50 0A50 50 0 1 0 50 100A50 50 0 1 0 50 0ZM50 25A25 25 0 1 0 50 75A25 25 0 1 0 50 25Z",
}
BASE = {
    "BACKBONE": "resnet50",
    "TOP_DOWN_PYRAMID_SIZE": 128,
    "RPN_CHANNELS": 256,
    "MASK_HEAD_CHANNELS": 128,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 512,
    "TRAIN_ROIS_PER_IMAGE": 32,
    # Features of this project that are not described in the papers are disabled.
    "MASK_REFINEMENT_SIZE": 0,
    "DETECTION_MASK_SCORES": False,
    "DETECTION_BOX_VOTING": 1.0,
}
QUICK = {
    "TOP_DOWN_PYRAMID_SIZE": 16,
    "RPN_CHANNELS": 16,
    "MASK_HEAD_CHANNELS": 16,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 16,
    "TRAIN_ROIS_PER_IMAGE": 8,
}
QUICK_ROWS = ("fpn-softmax", "c4-pool", "random-resnext")
C4 = {"BACKBONE": "resnet50_c4", "MASK_POOL_SIZE": 7, "MASK_SHAPE": [14, 14]}


@dataclass(frozen=True)
class Row:
    """A model of the table.

    Attributes:
        title: first cell of the row.
        settings: changes to BASE.
        options: options of `nike train`.
    """

    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ("--layers=all",)


# Rows by name. The names are also used for the runs. ImageNet weights are not available for ResNeXt, so its row and the
# row for comparison start from random weights.
ROWS = {
    "fpn": Row("ResNet-50-FPN, RoIAlign, sigmoid masks, joint training"),
    "fpn-pool": Row("RoIPool", {"ROI_POOLING": "pool"}),
    "fpn-softmax": Row("softmax masks", {"MASK_ACTIVATION": "softmax"}),
    "fpn-alternating": Row("4-step alternating training", options=("--schedule=alternating",)),
    "c4": Row("ResNet-50-C4", C4),
    "c4-pool": Row("ResNet-50-C4, RoIPool", {**C4, "ROI_POOLING": "pool"}),
    "random": Row("ResNet-50-FPN, random weights", options=("--layers=all", "--weights=none")),
    "random-resnext": Row(
        "ResNeXt-50-FPN, random weights", {"BACKBONE": "resnext50"}, ("--layers=all", "--weights=none")
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.description, add = __doc__, parser.add_argument
    add(
        "--output",
        type=Path,
        default=Path("logs/paper_models"),
        metavar="DIR",
        help="output folder (default: %(default)s)",
    )
    names = ", ".join(ROWS)
    add("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help=f"models (default: all, {names})")
    add("--seeds", type=int, default=3, metavar="N", help="number of random seeds for each row (default: 3)")
    add("--steps", type=int, default=600, metavar="N", help="training steps, a multiple of 4 (default: 600)")
    add("--batch", type=int, default=2, metavar="N", help="images per step (default: 2)")
    add("--images", type=int, default=120, metavar="N", help="synthetic training images of each logo (default: 120)")
    add("--image-size", type=int, default=256, metavar="PIXELS", help="side of the images (default: 256)")
    add("--weights", default="imagenet", metavar="NAME", help="initial weights, see nike train (default: imagenet)")
    add(
        "--quick",
        action="store_true",
        help=f"test the command with 4 steps of a narrow network, rows {', '.join(QUICK_ROWS)}",
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line. Raises UserError for invalid options."""
    parser = cli.parser("nike.training.paper_models", add_arguments)
    arguments = parser.parse_args(argv)
    if arguments.quick:
        parser.set_defaults(rows=QUICK_ROWS, seeds=1, steps=EPOCHS, batch=1, images=4, image_size=64, weights="none")
        arguments = parser.parse_args(argv)
    if arguments.steps < 1 or arguments.steps % EPOCHS:
        raise UserError(f"--steps: expected a multiple of {EPOCHS}, got {arguments.steps}.")
    for name in ("seeds", "batch", "images"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name}: expected at least 1, got {getattr(arguments, name)}.")
    NikeConfig().copy(IMAGE_MIN_DIM=arguments.image_size, IMAGE_MAX_DIM=arguments.image_size).validate()
    check_output_folder(arguments.output, "--output")
    find_start_weights(arguments.weights, arguments.output)
    return arguments


def prepare(arguments: argparse.Namespace) -> Path:
    """Writes the images if they do not exist. Returns the folder of the dataset.

    Raises:
        UserError: if the output folder contains results of different options.
    """
    names = ("steps", "batch", "images", "image_size", "weights", "quick")
    options = {name: getattr(arguments, name) for name in names}
    file, data = arguments.output / "options.json", arguments.output / "data"
    if file.is_file() and (before := read_json(file)) != options:
        raise UserError(f"{file}: the folder contains results of different options: {before}. Choose another --output.")
    write_json(file, options)
    if data.is_dir():
        return data
    with tempfile.TemporaryDirectory(dir=arguments.output) as temporary:
        logos = {"nike": DEFAULT_LOGO}
        for name, path in SHAPES.items():
            logos[name] = Path(temporary, f"{name}.svg")
            write_text(logos[name], f'<svg xmlns="http://www.w3.org/2000/svg"><path d="{path}"/></svg>')
        validation = max(1, round(VALIDATION_FRACTION * arguments.images))
        for part, first_seed, count in (("train", 100, arguments.images), ("val", 200, validation)):
            folder, side = Path(temporary, "data", part), arguments.image_size
            shutil.copytree(SAMPLE_DATA / part, folder)
            for seed, (name, logo) in enumerate(logos.items(), start=first_seed):
                written = list(synthesize(Settings(folder, seed, side, side, label=name, logo=logo), count))
                print(f"{len(written)} images of {name} for {part}", flush=True)
        Path(temporary, "data").replace(data)
    return data


def train(name: str, seed: int, data: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Trains one row with one seed, or continues its interrupted run. Returns the validation metrics.

    Raises:
        UserError: if training fails. The message contains the last line of its output.
    """
    row, logs, run = ROWS[name], arguments.output / "runs", f"{name}-{seed}"
    config, log = arguments.output / "settings" / f"{name}.json", logs / f"{run}.log"
    write_json(config, BASE | row.settings | (QUICK if arguments.quick else {}))
    logs.mkdir(exist_ok=True)
    command = [f"--resume={folder}" for folder in run_folders(logs, run) if any(folder.glob("training_*.state"))][:1]
    command = command or [
        *(f"--dataset={data}", f"--config={config}", f"--logs={logs}", f"--name={run}", f"--seed={seed}"),
        *(f"--epochs={EPOCHS}", f"--steps={arguments.steps // EPOCHS}", f"--batch={arguments.batch}"),
        *(f"--image-size={arguments.image_size}", f"--weights={arguments.weights}", "--augment=light", "--ema=0"),
        *(f"--lr={LEARNING_RATE}", f"--warmup={int(WARMUP * arguments.steps)}"),
        *(f"--validate-every={EPOCHS}", "--validation-photos=0", "--keep=1", *row.options),
    ]
    if code := run_training(command, log):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [f"exit code {code}"]
        raise UserError(f"{log}: {lines[-1]}")
    with open(run_folders(logs, run)[0] / "history.csv", encoding="utf-8", newline="") as file:
        *_, last = csv.DictReader(file)
    return {metric: float(last[f"val_{metric}"]) for metric in METRICS}


def run_training(options: list[str], log: Path) -> int:
    """Runs `nike train` and appends its output to a file. Returns the exit code.

    Both processes receive Ctrl-C. This process does not kill `nike train`, which then saves its state.
    """
    command = [sys.executable, "-m", "nike", "train", *options]
    with open(log, "a", encoding="utf-8") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        return process.wait()


def markdown_table(results: dict[str, list[dict[str, float]]]) -> str:
    """Returns the mean and standard deviation of each row over its seeds as a Markdown table."""
    lines = ["| Model | Mask AP | AP50 | AP75 | Box AP |", "|---|---|---|---|---|"]
    for name, runs in results.items():
        cells = [format_mean([run[metric] for run in runs]) for metric in METRICS]
        lines.append(f"| {ROWS[name].title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def format_mean(values: Sequence[float]) -> str:
    """Returns the mean and, for several values, the sample standard deviation."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


def run_command(arguments: argparse.Namespace) -> None:
    """Trains all unfinished rows with each seed in turn, and prints the table."""
    data = prepare(arguments)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.rows}
    for seed in range(arguments.seeds):
        for name in arguments.rows:
            file = arguments.output / "results" / f"{name}-{seed}.json"
            if not file.is_file():
                write_json(file, train(name, seed, data, arguments))
            results[name].append(read_json(file))
            print(f"{name}, seed {seed}: mask AP {results[name][-1]['mask_AP']:.3f}", flush=True)
    text = markdown_table(results)
    write_text(arguments.output / "table.md", text + "\n")
    print(f"\n{text}")


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m nike.training.paper_models`. For the exit codes see `nike.cli.run`."""
    return cli.run(lambda: run_command(parse(argv)), argv)


if __name__ == "__main__":
    sys.exit(main())
