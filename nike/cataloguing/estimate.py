"""`nike catalogue --dry-run`: processes a random sample of the rows and estimates the time and cost of the run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from mrcnn.errors import UserError
from nike.cataloguing.images import Limits
from nike.cataloguing.pipeline import Pool
from nike.cataloguing.report import format_duration
from nike.cataloguing.rows import SCHEMA
from nike.cataloguing.shard import Stages
from nike.cataloguing.simulation import Costs, Layout, simulate
from nike.formatting import short

SAMPLE_SIZE = 100  # number of rows
WARM_UP = 3  # images processed before the measurement, which must not include the compilation of the network
MAX_LISTED_FAILURES = 5  # maximum number of listed failures
SIMULATED_SHARDS = 4  # number of shards for each actor


def sample_rows(tables: Iterable[pa.Table], count: int = SAMPLE_SIZE, seed: int = 0) -> tuple[pa.Table, int]:
    """Returns a uniform random sample of the rows, in input order, and the total number of rows.

    The tables are read once.
    """
    random, rows = np.random.default_rng(seed), 0
    chosen, keys = SCHEMA.empty_table(), np.empty(0)
    for table in tables:
        rows += len(table)
        chosen = pa.concat_tables([chosen, table])
        keys = np.concatenate([keys, random.random(len(table))])
        kept = np.sort(np.argsort(keys)[:count])
        chosen, keys = chosen.take(pa.array(kept)), keys[kept]
    return chosen, rows


def dry_run(
    load: Callable[[int], Any],
    tables: Iterable[pa.Table],
    limits: Limits,
    pool: Pool,
    shard_size: int,
    price: float | None = None,
) -> list[str]:
    """Processes a sample in this process and estimates the time of the whole run.

    Args:
        load: function that takes a number of cores and returns the detector.
        tables: tables of the input.
        limits: limits of the downloads.
        pool: actors of the run. If this machine is too small for them, a cluster with the required cores is assumed.
        shard_size: number of images per shard.
        price: price of all workers per hour, or None.

    Returns:
        The lines of the report.

    Raises:
        ValueError: if the input has no rows.
    """
    sample, rows = sample_rows(tables)
    if not rows:
        raise UserError("the input has no rows.")
    cores = max(os.cpu_count() or 1, (pool.actors or 0) * (pool.cpus or 0))
    pool = pool.fit_to(cores, (pool.actors or 1) * pool.gpus)
    stages = Stages(load(pool.cpus), limits, pool.cpus)
    layout = Layout(pool.actors, cores, limits.threads, pool.cpus, shard_size)
    values = sample.to_pylist()
    stages.run(values[:WARM_UP])
    done, statistics = stages.run(values)
    costs = Costs.measured([statistics], 0 if pool.gpus else pool.cpus)
    images = min(rows, layout.actors * layout.shard_size * SIMULATED_SHARDS)
    prediction = simulate(costs, layout, images)
    seconds = rows / prediction.images_per_second
    busiest = max(prediction.utilization, key=lambda name: prediction.utilization[name])
    return [
        *_describe_sample(done),
        f"per image: {costs.bytes / 1e6:.2f} MB, read {costs.read:.3f} s, decode {costs.decode:.3f} s, "
        f"detect {costs.detect:.3f} s",
        f"{rows:,} images with {pool.actors} actors: {format_duration(seconds)}, "
        f"{prediction.images_per_second:.1f} images/s, {prediction.bytes_per_second / 1e6:.1f} MB/s; "
        f"{busiest} saturate first "
        f"({prediction.utilization[busiest]:.0%} busy)",
        *([] if price is None else [f"cost at {price:g} per hour: {seconds / 3600 * price:,.2f}"]),
    ]


def _describe_sample(done: list[dict[str, Any]]) -> list[str]:
    failures = [row for row in done if row["status"] != "ok"]
    counts = Counter(row["status"] for row in failures)
    reasons = "".join(f", {count} {reason}" for reason, count in counts.most_common())
    found = sum(len(row["detections"]) for row in done)
    first = f"sample of {len(done)} images: {len(done) - len(failures)} ok{reasons}; {found} detections"
    return [first, *(f"  {short(row['id'])}: {row['error']}" for row in failures[:MAX_LISTED_FAILURES])]
