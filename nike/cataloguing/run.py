"""Runs `nike catalogue`: creates or opens the plan, processes the remaining shards and writes the summary."""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mrcnn.atomic import replacing
from mrcnn.checkpoints.hub import sha256_of
from mrcnn.errors import UserError
from mrcnn.export import is_export
from mrcnn.export.metadata import FILE as METADATA
from nike.cataloguing import pipeline, results
from nike.cataloguing.images import Limits
from nike.cataloguing.plan import FOLDER, Plan, open_plan, write_plan
from nike.cataloguing.report import Report
from nike.cataloguing.shard import ShardProcessor, Stages
from nike.formatting import printable, short

Show = Callable[[str], None]


@contextmanager
def lock_output(output: Path) -> Iterator[None]:
    """Locks the output folder against a second run. The lock is released when the process ends.

    Raises:
        ValueError: if another run is using this folder.
    """
    output.mkdir(parents=True, exist_ok=True)
    with open(output / ".lock", "w") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            pass
        else:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{printable(output)}: another run of nike catalogue is using this folder.") from None
        yield


def open_or_create_plan(
    output: Path, tables: Callable[[], Iterable[pa.Table]], shard_size: int, settings: Mapping[str, Any]
) -> Plan:
    """Opens the plan of the folder, or writes a new one.

    Raises:
        ValueError: if the folder contains other files, or the plan of a run with different settings.
    """
    plan = open_plan(output)
    if plan is None:
        if other_files := [path.name for path in output.iterdir() if path.name not in (FOLDER, ".lock")]:
            raise UserError(
                f"{printable(output)}: contains other files ({short(other_files[0])}). Choose an empty folder."
            )
        return write_plan(output, tables(), shard_size, settings)
    for name in {**plan.settings, **settings}:
        before, now = plan.settings.get(name), settings.get(name)
        if before != now:
            raise UserError(
                f"{printable(output)}: the run was started with {name} {short(before)}, got {short(now)}. "
                "Use the same input and options to continue, or another output folder."
            )
    return plan


def file_sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file.

    For an exported model, this is the SHA-256 of its metadata file, which contains the hashes of the other files.
    """
    return sha256_of(path / METADATA if is_export(path) else path)


def make_processor(
    output: Path, load: Callable[[int], Any], limits: Limits, decoders: int | None, cpus: int
) -> pipeline.Process:
    """Loads the detector and returns the function that processes a shard. It is called in the actors.

    Args:
        output: output folder with a plan.
        load: function that takes a number of cores and returns the detector.
        limits: limits of the downloads.
        decoders: number of decoding threads, or None for one per core.
        cpus: number of cores of the actor.

    Raises:
        ValueError: if the folder contains no plan, for example on a node without the shared file system.
    """
    plan = open_plan(output)
    if plan is None:
        raise UserError(f"{printable(output)}: no plan found on this node. All nodes must share the file system.")
    stages = Stages(load(cpus), limits, decoders or cpus, plan.settings.get("model"))
    return ShardProcessor(output, plan, stages).process


def load_with_threads(arguments: argparse.Namespace, cpus: int) -> Any:
    """Builds the detector for the options and limits its runtime to a number of cores."""
    from nike.detection.options import load_chosen_detector

    # TensorFlow reads the TF_ variables when it is imported, and OpenVINO's backend reads OMP_NUM_THREADS.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(cpus)
    os.environ["TF_NUM_INTEROP_THREADS"] = str(min(2, cpus))
    return load_chosen_detector(arguments)


def process_all(
    output: Path,
    plan: Plan,
    load: Callable[[int], Any],
    limits: Limits,
    pool: pipeline.Pool,
    show: Show,
    *,
    decoders: int | None = None,
    address: str | None = None,
    verbose: bool = False,
) -> Report:
    """Processes the remaining shards and writes `summary.json`.

    Args:
        output: output folder.
        plan: plan of the run.
        load: see `make_processor`. It is sent to the actors.
        limits: limits of the downloads.
        pool: number and size of the actors.
        show: function that prints a line.
        decoders: number of decoding threads per actor, or None for one per core.
        address: address of a Ray cluster, or None for this machine.
        verbose: whether to show messages of the workers.

    Returns:
        The totals of all shards.
    """
    done = results.find_committed(output, plan.shards)
    report = Report(plan.rows, show)
    for shard in np.flatnonzero(done):
        report.add(results.read_statistics(output, int(shard)), is_new=False)
    todo = np.flatnonzero(~done)
    if len(todo):
        if len(todo) < plan.shards:
            show(f"{plan.shards - len(todo):,} of {plan.shards:,} shards are already done")
        pool = pool.fit_to(*pipeline.start_ray(address, verbose))
        show(f"{len(todo):,} shards, {pool.actors} actors with {pool.cpus} cores and {pool.gpus:g} GPUs each")
        make = functools.partial(make_processor, output, load, limits, decoders)
        try:
            for statistics in pipeline.process_shards(todo, make, pool):
                report.add(statistics)
        finally:
            pipeline.stop_ray()
    if not results.find_committed(output, plan.shards).all():
        raise UserError(f"{printable(output)}: shards are missing after the run. Run the command again.")
    with replacing(output / "summary.json", durable=True) as temporary:
        temporary.write_text(json.dumps({"shards": plan.shards, **report.summary()}, indent=1))
    return report
