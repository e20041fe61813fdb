"""`nike catalogue`: runs detection on millions of images and writes the results to Parquet files."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

from mrcnn.errors import UserError
from nike import cli  # imported first to suppress TensorFlow's messages
from nike.detection.options import add_detector_arguments, find_chosen_weights

DESCRIPTION = """\
Run detection on images from tables of URLs or paths, folders or tar files, on one machine or a Ray cluster. The results
are written to OUTPUT/data/*.parquet, one row per image. Requires: pip install 'nike-mrcnn[catalogue]'
"""
EPILOG = """\
columns of the output:
  id, location     id and URL or path of the image
  width, height    size of the upright image in pixels
  detections       list of {class, score, x1, y1, x2, y2, rle}; rle contains the counts of a COCO run-length encoding
  status, error    ok, or the type of failure (missing, refused, timeout, ...) with an error message
  model            SHA-256 of the weights
  seconds          processing time of the image

Repeat the command to continue an interrupted run. Finished Parquet files are kept.

examples:
  nike catalogue products.parquet found                     columns id and url
  nike catalogue products.csv found --id-column sku --url-column image --limit 1000
  nike catalogue photos found --actors 2 --cpus 4           images of a folder
  nike catalogue products.parquet found --dry-run --price 2.5
  nike catalogue products.parquet /shared/found --address auto --actors 8 --gpus 1 --batch 16

Exit code: 0 run complete (the status column marks images that could not be used); 2 invalid options or input.
"""
RESULT_OPTIONS = ("min_confidence", "classes", "max_detections", "tiles", "tile_overlap", "tta")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `nike catalogue`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="tables (Parquet, CSV or JSON lines), folders of images, or tar files",
    )
    parser.add_argument(
        "output", type=Path, metavar="OUTPUT", help="output folder; on a cluster, a folder of a shared file system"
    )
    rows = parser.add_argument_group("rows")
    rows.add_argument("--id-column", metavar="NAME", help="column with unique image ids (default: id or image_id)")
    rows.add_argument(
        "--url-column",
        metavar="NAME",
        help="column with URLs, or with paths relative to the table (default: url, image_url, path, ...)",
    )
    rows.add_argument("--limit", type=int, metavar="N", help="maximum number of rows (default: all)")
    rows.add_argument(
        "--shard-size",
        type=int,
        default=500,
        metavar="N",
        help="images per Parquet file; an interrupted run continues with the first unfinished file (default: 500)",
    )
    workers = parser.add_argument_group("workers")
    workers.add_argument(
        "--actors",
        type=int,
        metavar="N",
        help="worker processes (default: one per 4 cores, or as many as the GPUs allow)",
    )
    workers.add_argument(
        "--cpus", type=int, metavar="N", help="cores per worker (default: an equal share of all cores)"
    )
    workers.add_argument("--gpus", type=float, default=0.0, metavar="FLOAT", help="GPUs per worker (default: 0)")
    workers.add_argument("--address", help="address of a Ray cluster, such as auto (default: this machine)")
    workers.add_argument(
        "--dry-run",
        action="store_true",
        help="process 100 random rows and estimate the total time; no output is written",
    )
    workers.add_argument(
        "--price", type=float, metavar="FLOAT", help="hourly price of all workers together, for --dry-run"
    )
    downloads = parser.add_argument_group("downloads")
    downloads.add_argument(
        "--downloads", type=int, default=16, metavar="N", help="simultaneous downloads per worker (default: 16)"
    )
    downloads.add_argument(
        "--per-host", type=int, default=8, metavar="N", help="simultaneous downloads per worker and host (default: 8)"
    )
    downloads.add_argument(
        "--attempts", type=int, default=3, metavar="N", help="maximum number of attempts per download (default: 3)"
    )
    downloads.add_argument(
        "--timeout", type=float, default=30, metavar="S", help="timeout of an attempt in seconds (default: 30)"
    )
    downloads.add_argument(
        "--max-megabytes", type=int, default=64, metavar="N", help="maximum size of an image file in MiB (default: 64)"
    )
    downloads.add_argument(
        "--allow-private", action="store_true", help="allow downloads from private networks and this machine"
    )
    add_detector_arguments(parser)


def _check_options(arguments: argparse.Namespace) -> None:
    names = ("limit", "shard_size", "actors", "cpus", "downloads", "per_host", "attempts", "max_megabytes", "timeout")
    for name in names:
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name.replace('_', '-')}: expected a number above 0, got {value:g}.")
    if not 0 <= arguments.gpus < 1e3:
        raise UserError(f"--gpus: expected 0 or more, got {arguments.gpus:g}.")
    if arguments.output.is_file():
        raise UserError(f"OUTPUT: expected a folder, got the file {arguments.output}.")


def result_settings(arguments: argparse.Namespace, inputs: list[Path], weights: Path) -> dict[str, Any]:
    """Returns the settings that determine the results. A run can only be continued with the same settings."""
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
    """Starts or continues a run. Returns the exit code."""
    _check_options(arguments)
    try:
        from nike.cataloguing import estimate, pipeline, run
        from nike.cataloguing.images import Limits
        from nike.cataloguing.plan import limit_rows
        from nike.cataloguing.rows import find_inputs, read_rows
    except ImportError as error:
        message = f"nike catalogue requires {error.name}. Install it with: pip install 'nike-mrcnn[catalogue]'"
        raise UserError(message) from None
    inputs = find_inputs(arguments.inputs)
    # Workers on other machines have a different working directory.
    arguments.weights = str(find_chosen_weights(arguments).absolute())
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
        return limit_rows(read_rows(inputs, arguments.id_column, arguments.url_column), arguments.limit)

    def show(line: str) -> None:
        print(line, flush=True)

    load = functools.partial(run.load_with_threads, arguments)
    if arguments.dry_run:
        for line in estimate.dry_run(load, tables(), limits, pool, arguments.shard_size, arguments.price):
            show(line)
        return 0
    settings = result_settings(arguments, inputs, Path(arguments.weights))
    with run.lock_output(output):
        plan = run.open_or_create_plan(output, tables, arguments.shard_size, settings)
        show(f"{plan.rows:,} images in {plan.shards:,} shards")
        options = {"address": arguments.address, "verbose": arguments.debug}
        try:
            report = run.process_all(output, plan, load, limits, pool, show, **options)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("Interrupted. Repeat the command to continue.") from None
    show(f"{report.final_line()}. Written: {arguments.output / 'data'}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `nike catalogue` and `python nike/catalogue.py`."""
    return cli.start("catalogue", add_arguments, run_command, argv)


if __name__ == "__main__":
    sys.exit(main())
