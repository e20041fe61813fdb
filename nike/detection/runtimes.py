"""Benchmark of the runtimes: `python -m nike.detection.runtimes --exports DIR` prints a Markdown table.

It exports the weights to every format whose packages are installed. For each format, it measures the size of the files,
the time and peak memory of the command `nike detect` on one image, and the median time of `model.detect`. TensorFlow is
measured in float32 and in bfloat16; `nike detect` uses the faster of the two. The formats are measured alternately, so
that other programs affect all formats equally. The exported models are kept in DIR.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mrcnn.errors import UserError
from mrcnn.export.metadata import FORMATS, read_metadata
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.datasets import photos
from nike.datasets.nike_dataset import SAMPLE_DATA
from nike.datasets.safe_json import write_json
from nike.detection.detector import load_detector
from nike.detection.weights import resolve_weights
from nike.export import megabytes
from nike.output_checks import check_output_file, check_output_folder

ORIGINAL = "tensorflow"
PRECISIONS = {"float32": "off", "bfloat16": "on"}  # values of `precision` for TensorFlow
PHOTO_SIZE = (1280, 1600)  # width and height in pixels
MIN_CONFIDENCE = 0.5
COMMAND_ROUNDS = 3
# A small process starts the command, because the reported peak memory includes the memory of the starting process.
LAUNCHER = """if True:
    import resource, subprocess, sys, time
    start = time.perf_counter()
    code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    sys.exit(code)
"""


def export_all(weights: str, folder: Path, formats: list[str]) -> dict[str, Path]:
    """Exports weights to the formats. Existing models are reused, and formats with missing packages are skipped.

    Returns:
        Paths by name: the weights file of the original, and the folders of the exported models.

    Raises:
        UserError: if an existing model was exported from different weights.
    """
    found = {ORIGINAL: resolve_weights(weights)}
    existing = [folder / name for name in formats if (folder / name).exists()]
    expected = weights_hash(found[ORIGINAL]) if existing else None
    for output in existing:
        if read_metadata(output).get("weights") != expected:
            raise UserError(
                f"{output}: exported from weights other than {weights}. Choose another folder or delete it."
            )
    for name in formats:
        output = folder / name
        if not output.exists():
            command = ["export", "--weights", str(found[ORIGINAL]), "--format", name, "--output", str(output)]
            done = subprocess.run([sys.executable, "-m", "nike", *command], capture_output=True, text=True)
            if done.returncode:
                print(f"{name}: {error_line(done)}", file=sys.stderr)
                continue
        found[name] = output
    return found


def weights_hash(path: Path) -> str:
    """Returns the SHA-256 of the weights in a file, as in the metadata of exported models."""
    from mrcnn.export.graph import ExportGraph

    return ExportGraph(load_detector(path).model).weights_hash


def error_line(failed: subprocess.CompletedProcess) -> str:
    """Returns the last line of the error output of a process, or its exit code if there is no output."""
    return (failed.stderr.strip().splitlines() or [f"exit code {failed.returncode}"])[-1]


def run_command(path: Path, photo: Path, output: Path) -> tuple[float, float]:
    """Runs `nike detect` on one image. Returns its time in seconds and its peak memory in MB."""
    options = ["--weights", str(path), "--output", str(output), "--min-confidence", str(MIN_CONFIDENCE)]
    command = [sys.executable, "-m", "nike", "detect", str(photo), *options]
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"nike detect --weights {path} failed: {error_line(done)}")
    seconds, kibibytes = done.stdout.split()
    return float(seconds), int(kibibytes) * 1024 / 1e6


def time_alternately(functions: dict[str, Callable[[int], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Calls the functions in turn, each with the number of the round.

    Returns:
        A dict from the name of each function to its median wall time and its median CPU time, summed over all threads,
        in seconds.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for number in range(rounds):
        for name, function in functions.items():
            start, used = time.perf_counter(), time.process_time()
            function(number)
            times[name].append((time.perf_counter() - start, time.process_time() - used))
    return {name: tuple(map(statistics.median, zip(*pairs, strict=True))) for name, pairs in times.items()}


def measure_formats(weights: dict[str, Path], images: list[Path], rounds: int) -> list[dict]:
    """Returns the measurements of each exported format, and of TensorFlow in each precision."""
    pixels = [np.asarray(Image.open(path).convert("RGB").resize(PHOTO_SIZE)) for path in images]
    rows = {f"{ORIGINAL} {name}": (ORIGINAL, precision) for name, precision in PRECISIONS.items()}
    rows |= {name: (name, "auto") for name in weights if name != ORIGINAL}
    models = {
        row: load_detector(weights[name], min_confidence=MIN_CONFIDENCE, precision=precision).model
        for row, (name, precision) in rows.items()
    }
    original = next(iter(models.values()))
    # Without detections, `nike detect` runs again with a lower threshold.
    photo = next((pixel for pixel in pixels if len(original.detect([pixel])[0])), pixels[0])
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder, "photo.jpg"), Path(folder, "out")
        Image.fromarray(photo).save(file)
        runs = [
            {name: run_command(path, file, output) for name, path in weights.items()} for _ in range(COMMAND_ROUNDS)
        ]
    functions = {
        row: lambda number, model=model: model.detect([pixels[number % len(pixels)]]) for row, model in models.items()
    }
    time_alternately(functions, 2)  # the first calls are slower
    seconds = time_alternately(functions, rounds)
    return [
        {
            "format": row,
            "megabytes": megabytes(weights[name]),
            "command_seconds": statistics.median(run[name][0] for run in runs),
            "memory_megabytes": statistics.median(run[name][1] for run in runs),
            "detect_seconds": seconds[row][0],
            "processor_seconds": seconds[row][1],
        }
        for row, (name, _) in rows.items()
    ]


def markdown_table(figures: list[dict]) -> str:
    """Returns the results as a Markdown table."""
    lines = [
        "| Format | Size | `nike detect` | Memory | `model.detect` | Processor time |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row['format']}` | {row['megabytes']:.1f} MB | {row['command_seconds']:.1f} s | "
        f"{row['memory_megabytes']:.0f} MB | {row['detect_seconds']:.3f} s | {row['processor_seconds']:.3f} s |"
        for row in figures
    ]
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.description = __doc__
    parser.add_argument("--weights", default="nike", help="weights to export (default: nike)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="formats (default: all)")
    parser.add_argument(
        "--exports", type=Path, metavar="DIR", help="folder for the exported models (default: a temporary folder)"
    )
    parser.add_argument("--rounds", type=int, default=12, metavar="N", help="calls of model.detect (default: 12)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")


def run_benchmark(arguments: argparse.Namespace) -> None:
    """Runs the benchmark and prints its table."""
    if arguments.rounds < 1:
        raise UserError(f"--rounds: expected at least 1, got {arguments.rounds}.")
    if arguments.json:
        check_output_file(arguments.json, "--json")
    if arguments.exports:
        check_output_folder(arguments.exports, "--exports")
    images = list(photos.find_files(SAMPLE_DATA))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.exports or Path(temporary)
        figures = measure_formats(export_all(arguments.weights, folder, arguments.formats), images, arguments.rounds)
    print(markdown_table(figures))
    if arguments.json:
        write_json(arguments.json, figures)


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m nike.detection.runtimes`. For the exit codes see `nike.cli.run`."""
    return cli.start("nike.detection.runtimes", add_arguments, run_benchmark, argv)


if __name__ == "__main__":
    sys.exit(main())
