"""Processes shards with Ray Data, in a pool of actors on this machine or on a cluster.

Ray Data distributes the shards, restarts failed actors and retries their shards. Only shard numbers and statistics are
transferred. Images stay in the actor that processes their shard.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mrcnn.errors import UserError
from nike.quiet import quiet_stderr

# Disables the usage statistics that Ray sends by default.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

MAX_BLOCKS = 10_000  # maximum number of blocks in Ray Data; with more shards, a block contains several
OBJECT_STORE_BYTES = 100 << 20  # size of the object store in local runs; small, because it contains only numbers
CORES_PER_ACTOR = 4  # default; more threads hardly speed up the processing of individual images

Process = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Pool:
    """Number and size of the actors.

    Attributes:
        actors: number of actors, or None for one per CORES_PER_ACTOR cores, or as many as the GPUs allow.
        cpus: cores per actor, or None for an equal share of all cores.
        gpus: GPUs per actor, possibly fractional.
    """

    actors: int | None = None
    cpus: int | None = None
    gpus: float = 0.0

    def fit_to(self, cpus: float, gpus: float) -> Pool:
        """Returns a copy in which None is replaced with the default values for a machine or cluster.

        Args:
            cpus: number of cores of the machine or cluster.
            gpus: number of GPUs of the machine or cluster.

        Raises:
            ValueError: if no actor fits.
        """
        actors, cpus_per_actor = self.actors, self.cpus
        if actors is None:
            actors = int(gpus / self.gpus) if self.gpus else int(cpus // (cpus_per_actor or min(CORES_PER_ACTOR, cpus)))
        if cpus_per_actor is None:
            cpus_per_actor = max(1, int(cpus // max(actors, 1)))
        if actors < 1 or actors * cpus_per_actor > cpus or actors * self.gpus > gpus:
            raise UserError(
                f"--actors {actors} with {cpus_per_actor} CPUs and {self.gpus:g} GPUs each do not fit into "
                f"{cpus:g} CPUs and {gpus:g} GPUs. Choose fewer actors, or pass --cpus and --gpus."
            )
        return Pool(actors, cpus_per_actor, self.gpus)


class _Actor:
    """A Ray actor. It calls `make` once, so the network is loaded once for all shards.

    Errors that the user can correct are returned as text, because Ray wraps exceptions and loses their causes.
    """

    def __init__(self, make: Callable[[int], Process], cpus: int):
        self._make = functools.cache(lambda: make(cpus))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"result": [json.dumps(self._process(int(shard))) for shard in batch["item"]]}

    def _process(self, shard: int) -> dict[str, Any]:
        try:
            return {"statistics": self._make()(shard)}
        except (UserError, OSError, MemoryError) as error:
            return {"error": str(error) or type(error).__name__}


def start_ray(address: str | None, verbose: bool = False) -> tuple[float, float]:
    """Connects to a cluster, or starts Ray on this machine.

    Args:
        address: address of a cluster ("auto", "host:port" or "ray://..."), or None for this machine.
        verbose: whether to show messages of the workers.

    Returns:
        The number of CPUs and the number of GPUs.

    Raises:
        ValueError: if Ray is not installed or does not start, or the cluster is not reachable.
    """
    if not verbose:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("nike catalogue requires Ray. Install it with: pip install 'nike-mrcnn[catalogue]'") from None
    logging.getLogger("ray.data").setLevel(logging.INFO if verbose else logging.ERROR)
    local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    for last in (bool(address), True):  # a local start is tried twice; busy machines may exceed Ray's timeout of 30 s
        try:
            with contextlib.nullcontext() if verbose else quiet_stderr():
                ray.init(
                    address or "local",
                    logging_level="WARNING" if verbose else "FATAL",
                    log_to_driver=verbose,
                    **({} if address else local),
                )
            break
        except Exception as error:  # Ray raises a plain Exception
            ray.shutdown()
            if last:
                reason = f"--address {address}: no Ray cluster is reachable there" if address else "Ray does not start"
                raise UserError(f"{reason} ({(str(error) or type(error).__name__).splitlines()[0]}).") from None
    found = ray.cluster_resources()
    return found.get("CPU", 0.0), found.get("GPU", 0.0)


def stop_ray() -> None:
    """Stops the workers, and Ray if it was started by `start_ray`."""
    import ray

    ray.shutdown()


def process_shards(shards: Sequence[int], make: Callable[[int], Process], pool: Pool) -> Iterator[dict[str, Any]]:
    """Processes shards in any order.

    Args:
        shards: numbers of the shards.
        make: function that takes a number of cores and returns the function that processes a shard. It is called in
            the actors.
        pool: number and size of the actors, without None (see `Pool.fit_to`).

    Yields:
        The result of the function for each shard.

    Raises:
        UserError: if `make` or the function raises UserError, OSError or MemoryError.
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
    for row in done.iter_rows():
        result = json.loads(row["result"])
        if "error" in result:
            raise UserError(result["error"])
        yield result["statistics"]
