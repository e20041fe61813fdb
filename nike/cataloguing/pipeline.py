"""Runs a function on shards with Ray Data: a pool of actors on this machine or on a cluster.

Ray Data hands out the shards, restarts actors that die and gives their shard to another attempt. Only numbers of shards
and statistics pass through it; images stay in the actor that works on their shard.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nike.quiet import quiet_stderr

# Without it Ray reports usage statistics to its authors.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

MAX_BLOCKS = 10_000  # of Ray Data; a block is a few shards where there are more
OBJECT_STORE_BYTES = 100 << 20  # of local runs; it holds numbers only
CORES_PER_ACTOR = 4  # where the user does not say; more threads gain little on an image at a time

Process = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Pool:
    """The actors.

    Attributes:
        actors: number of actors; None: as many as fit.
        cpus: cores of each; None: CORES_PER_ACTOR, or all cores divided by `actors`.
        gpus: GPUs of each, also fractions.
    """

    actors: int | None = None
    cpus: int | None = None
    gpus: float = 0.0

    def fitted(self, cpus: float, gpus: float) -> Pool:
        """The same with numbers in place of None.

        Args:
            cpus: cores of the machine or the cluster.
            gpus: its GPUs.

        Raises:
            ValueError: not even one actor fits.
        """
        actors, own = self.actors, self.cpus
        if actors is None:
            actors = int(gpus / self.gpus) if self.gpus else int(cpus // (own or min(CORES_PER_ACTOR, cpus)))
        if own is None:
            own = max(1, int(cpus // max(actors, 1)))
        if actors < 1 or actors * own > cpus or actors * self.gpus > gpus:
            raise ValueError(
                f"--actors {actors} with {own} CPUs and {self.gpus:g} GPUs each do not fit into {cpus:g} CPUs and "
                f"{gpus:g} GPUs. Choose fewer, or pass --cpus and --gpus."
            )
        return Pool(actors, own, self.gpus)


class _Actor:
    """Lives in a worker process of Ray. `make` is called there, so the network is loaded once for all shards."""

    def __init__(self, make: Callable[[int], Process], cpus: int):
        self._process = make(cpus)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"statistics": [json.dumps(self._process(int(shard))) for shard in batch["item"]]}


def start_ray(address: str | None, verbose: bool = False) -> tuple[float, float]:
    """Connects to a cluster, or starts Ray on this machine; returns the number of its CPUs and GPUs.

    Args:
        address: "auto", "host:port" or "ray://..."; None for this machine.
        verbose: shows messages of the workers.

    Raises:
        ValueError: Ray is not installed, or the cluster is not reachable.
    """
    if not verbose:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ValueError("nike catalogue requires Ray. Install it with: pip install 'nike-mrcnn[catalogue]'") from None
    logging.getLogger("ray.data").setLevel(logging.INFO if verbose else logging.ERROR)
    local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        with contextlib.nullcontext() if verbose else quiet_stderr():
            ray.init(
                address or "local",
                logging_level="WARNING" if verbose else "FATAL",
                log_to_driver=verbose,
                **({} if address else local),
            )
    except (ConnectionError, RuntimeError) as error:
        raise ValueError(f"--address {address}: no Ray cluster is reachable there ({error}).") from None
    found = ray.cluster_resources()
    return found.get("CPU", 0.0), found.get("GPU", 0.0)


def stop_ray() -> None:
    """Ends the workers, and Ray where `start_ray` started it."""
    import ray

    ray.shutdown()


def process_shards(shards: Sequence[int], make: Callable[[int], Process], pool: Pool) -> Iterator[dict[str, Any]]:
    """Processes shards in any order.

    Args:
        shards: their numbers.
        make: of a number of cores, the function that processes a shard; it is sent to the actors, and called there.
        pool: with numbers, see `Pool.fitted`.

    Yields:
        What the function returns for each shard.

    Raises:
        OSError, ValueError, MemoryError: as the function did.
    """
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    data = ray.data.from_items([int(shard) for shard in shards], override_num_blocks=min(len(shards), MAX_BLOCKS))
    done = data.map_batches(
        _Actor,
        fn_constructor_args=(make, pool.cpus),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=pool.actors),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
    )
    try:
        for row in done.iter_rows():
            yield json.loads(row["statistics"])
    except ray.exceptions.RayError as error:
        raise _cause(error) from None


def _cause(error: BaseException) -> BaseException:
    """The exception that a worker raised, without Ray's wrappers."""
    while isinstance(inner := getattr(error, "cause", None), BaseException):
        error = inner
    return error
