"""`nike catalogue`: detects logos on millions of images and writes one row for each into Parquet files."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

from nike import cli  # first: it quiets TensorFlow
from nike.detection.detector import add_detector_arguments, chosen_weights

DESCRIPTION = """\
Detects logos on the images of a table of URLs or paths, a folder, or tar files, on one machine or a Ray cluster, and
writes OUTPUT/data/*.parquet with one row for each image. Needs: pip install 'nike-mrcnn[catalogue]'
"""
EPILOG = """\
columns of the output:
  id, location     of the image
  width, height    pixels of the upright image
  detections       list of {class, score, x1, y1, x2, y2, rle}; rle: counts of a COCO run-length mask
  status, error    ok; or missing, refused, timeout, undecodable, crashed, ... and a message
  model            SHA-256 of the weights
  seconds          spent on this image

A run that was stopped or killed continues when the command is repeated. No image is lost or done twice.

examples:
  nike catalogue products.parquet found                     columns id and url
  nike catalogue products.csv found --id-column sku --url-column image --limit 1000
  nike catalogue photos found --actors 2 --cpus 4           a folder
  nike catalogue products.parquet found --dry-run --price 2.5
  nike catalogue products.parquet /shared/found --address auto --actors 8 --gpus 1 --batch 16

Exit code: 0 complete, images that could not be used have a status; 2 a mistake in the command or the input.
"""
RESULT_OPTIONS = ("min_confidence", "classes", "max_detections", "tiles", "tile_overlap", "tta")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike catalogue`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="Parquet, CSV or JSON lines (.jsonl), a folder, or tar files"
    )
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="folder for the results, on a shared file system")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--id-column", metavar="NAME", help="unique id of an image (default: id or image_id)")
    rows.add_argument(
        "--url-column", metavar="NAME", help="URL, or path relative to the table (default: url, image_url, path, ...)"
    )
    rows.add_argument("--limit", type=int, metavar="N", help="only the first N rows (default: all)")
    rows.add_argument(
        "--shard-size",
        type=int,
        default=500,
        metavar="N",
        help="images of a Parquet file, the unit of resuming (default: 500)",
    )
    workers = parser.add_argument_group("workers")
    workers.add_argument("--actors", type=int, metavar="N", help="processes with a network each (default: as fit)")
    workers.add_argument("--cpus", type=int, metavar="N", help="cores of an actor (default: 4, or all)")
    workers.add_argument("--gpus", type=float, default=0.0, metavar="X", help="GPUs of an actor (default: 0)")
    workers.add_argument("--address", help="of a Ray cluster, such as auto (default: this machine)")
    workers.add_argument("--dry-run", action="store_true", help="try 100 random rows, estimate the time, write nothing")
    workers.add_argument("--price", type=float, metavar="X", help="of an hour of all workers, for --dry-run")
    downloads = parser.add_argument_group("downloads")
    downloads.add_argument(
        "--downloads", type=int, default=16, metavar="N", help="at the same time, of an actor (default: 16)"
    )
    downloads.add_argument("--per-host", type=int, default=8, metavar="N", help="of them from one host (default: 8)")
    downloads.add_argument("--attempts", type=int, default=3, metavar="N", help="at a download (default: 3)")
    downloads.add_argument("--timeout", type=float, default=30, metavar="S", help="seconds of an attempt (default: 30)")
    downloads.add_argument("--max-megabytes", type=int, default=64, metavar="N", help="of a file (default: 64)")
    downloads.add_argument(
        "--allow-private", action="store_true", help="also download from private networks and this machine"
    )
    add_detector_arguments(parser)


def _check(arguments: argparse.Namespace) -> None:
    names = ("limit", "shard_size", "actors", "cpus", "downloads", "per_host", "attempts", "max_megabytes", "timeout")
    for name in names:
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            raise ValueError(f"--{name.replace('_', '-')}: expected a number above 0, got {value:g}.")
    if not 0 <= arguments.gpus < 1e3:
        raise ValueError(f"--gpus: expected a number from 0, got {arguments.gpus:g}.")
    if arguments.output.is_file():
        raise ValueError(f"OUTPUT: {arguments.output} is a file. Give a folder.")


def settings_of(arguments: argparse.Namespace, inputs: list[Path], weights: Path) -> dict[str, Any]:
    """What results depend on; a run is continued only with the same."""
    from nike.cataloguing.run import file_sha256

    stats = [(path, path.stat()) for path in inputs]
    files = [[str(path), *((stat.st_size, stat.st_mtime_ns) if path.is_file() else ())] for path, stat in stats]
    config = None if arguments.config is None else file_sha256(arguments.config)
    return {
        "input": files,
        "id column": arguments.id_column,
        "URL column": arguments.url_column,
        "limit": arguments.limit,
        "shard size": arguments.shard_size,
        "model": file_sha256(weights),
        "config": config,
        "options": {name: getattr(arguments, name) for name in RESULT_OPTIONS},
    }


def run_command(arguments: argparse.Namespace) -> int:
    """Runs or continues; returns the exit code."""
    _check(arguments)
    try:
        from nike.cataloguing import estimate, pipeline, run
        from nike.cataloguing.images import Limits
        from nike.cataloguing.plan import limited
        from nike.cataloguing.rows import find_inputs, read_rows
    except ImportError as error:
        message = f"nike catalogue needs {error.name}. Install it: pip install 'nike-mrcnn[catalogue]'"
        raise ValueError(message) from None
    inputs = find_inputs(arguments.inputs)
    # Workers on other machines have another working directory.
    arguments.weights = str(chosen_weights(arguments).absolute())
    arguments.config = arguments.config and arguments.config.absolute()
    output = arguments.output.absolute()
    limits = Limits(
        arguments.downloads,
        arguments.per_host,
        arguments.attempts,
        arguments.timeout,
        arguments.max_megabytes << 20,
        arguments.allow_private,
    )
    pool = pipeline.Pool(arguments.actors, arguments.cpus, arguments.gpus)

    def tables():
        return limited(read_rows(inputs, arguments.id_column, arguments.url_column), arguments.limit)

    def show(line: str) -> None:
        print(line, flush=True)

    load = functools.partial(run.load_with_threads, arguments)
    if arguments.dry_run:
        for line in estimate.dry_run(load, tables(), limits, pool, arguments.shard_size, arguments.price):
            show(line)
        return 0
    settings = settings_of(arguments, inputs, Path(arguments.weights))
    with run.only_run(output):
        plan = run.new_or_same_plan(output, tables, arguments.shard_size, settings)
        show(f"{plan.rows:,} images in {plan.shards:,} shards")
        options = {"address": arguments.address, "verbose": arguments.debug}
        report = run.process_all(output, plan, load, limits, pool, show, **options)
    show(f"{report.last_line()}. Written: {arguments.output / 'data'}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike catalogue` and `python nike/catalogue.py`."""
    return cli.start("catalogue", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
