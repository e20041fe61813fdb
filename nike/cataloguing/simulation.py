"""Predicts the throughput of a run from the costs of its stages by simulating its threads.

The simulation follows `shard.Stages`. An actor has several download threads, several decoding threads and one detection
thread, and the number of images between two stages is limited as in `shard.Stages`. The cores of a machine are assigned
to its actors in the order of their requests. The network bandwidth is unlimited; `Prediction.bytes_per_second` is the
required bandwidth.

    from nike.cataloguing.simulation import Costs, Layout, simulate
    simulate(Costs(read=0.2, decode=0.02, detect=0.15), Layout(actors=8, cores=32), images=20_000)
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Costs:
    """Costs of an image and of a shard, in seconds.

    Attributes:
        read: time to download an image, which uses no core.
        decode: time to decode an image on one core.
        detect: time to detect the objects in an image.
        detect_cores: number of cores used by the detection, 0 on a GPU.
        bytes: size of the file in bytes.
        shard: overhead of a shard for reading its plan and writing its file.
    """

    read: float
    decode: float
    detect: float
    detect_cores: int = 1
    bytes: float = 0.0
    shard: float = 0.0

    @classmethod
    def measured(cls, statistics: Iterable[Mapping[str, Any]], detect_cores: int = 1) -> Costs:
        """Returns the mean costs from the statistics of shards; see `shard.Stages.run`."""
        statistics = list(statistics)
        total = {
            key: sum(each[key] for each in statistics)
            for key in ("rows", "bytes", "read_seconds", "decode_seconds", "detect_seconds")
        }
        rows = max(1, total["rows"])
        return cls(
            total["read_seconds"] / rows,
            total["decode_seconds"] / rows,
            total["detect_seconds"] / rows,
            detect_cores,
            total["bytes"] / rows,
        )


@dataclass(frozen=True)
class Layout:
    """A machine and its actors.

    Attributes:
        actors: number of actors.
        cores: number of cores of the machine.
        threads: number of download threads per actor.
        decoders: number of decoding threads per actor.
        shard_size: number of images per shard.
    """

    actors: int
    cores: int
    threads: int = 16
    decoders: int = 1
    shard_size: int = 500


@dataclass(frozen=True)
class Prediction:
    """Predicted throughput of a run.

    Attributes:
        images_per_second: mean throughput.
        bytes_per_second: required network bandwidth.
        utilization: fraction of the time in which "downloads" (threads), "decoders" (threads), "detectors" (actors)
            and "cores" are busy. The resource with the highest value saturates first.
    """

    images_per_second: float
    bytes_per_second: float
    utilization: dict[str, float]


def simulate(costs: Costs, layout: Layout, images: int) -> Prediction:
    """Simulates a run.

    Args:
        costs: costs of the stages.
        layout: machine and actors.
        images: number of images. A few shards per actor are sufficient.
    """
    simulator = _Simulator(layout.cores)
    sizes = [min(layout.shard_size, images - start) for start in range(0, images, layout.shard_size)]
    shards = iter(sizes)  # each shard is taken by the next free actor
    pools = []
    for _ in range(layout.actors):
        reads, decodes = _Resource(layout.threads), _Resource(layout.decoders)
        pools.append((reads, decodes))
        simulator.run(_actor(simulator, costs, layout, shards, reads, decodes))
    simulator.finish()
    seconds = simulator.now or 1.0
    rate = images / seconds
    utilization = {
        "downloads": sum(reads.busy for reads, _ in pools) / (seconds * layout.actors * layout.threads),
        "decoders": sum(decodes.busy for _, decodes in pools) / (seconds * layout.actors * layout.decoders),
        "detectors": images * costs.detect / (seconds * layout.actors),
        "cores": simulator.cores.busy / (seconds * layout.cores),
    }
    return Prediction(rate, rate * costs.bytes, utilization)


def _actor(
    simulator: _Simulator, costs: Costs, layout: Layout, shards: Iterable[int], reads: _Resource, decodes: _Resource
) -> Generator[_Job, None, None]:
    """Simulates the main thread of an actor. Yields each job for which the thread waits."""
    detect_cores = min(costs.detect_cores, layout.cores)
    for size in shards:
        yield simulator.job(costs.shard, cores=1)
        reading: deque[_Job] = deque()
        decoding: deque[_Job] = deque()
        left = size
        while True:  # like two nested calls of `prefetch_map`
            while len(decoding) <= layout.decoders and (left or reading):
                while len(reading) <= layout.threads and left:
                    reading.append(simulator.job(costs.read, reads))
                    left -= 1
                yield reading.popleft()
                decoding.append(simulator.job(costs.decode, decodes, cores=1))
            if not decoding:
                break
            yield decoding.popleft()
            yield simulator.job(costs.detect, cores=detect_cores)


class _Job:
    """A job with a duration. At most one thread waits for its end."""

    def __init__(self) -> None:
        self.is_done = False
        self.then: Callable[[], None] | None = None

    def end(self) -> None:
        self.is_done = True
        if self.then is not None:
            self.then()


class _Resource:
    """A resource with a limited capacity and a first-in, first-out queue."""

    def __init__(self, count: int):
        self.free, self.busy = count, 0.0
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()

    def take(self, count: int, use: Callable[[], None]) -> None:
        self._queue.append((count, use))
        self._serve()

    def give(self, count: int, seconds: float) -> None:
        self.free += count
        self.busy += count * seconds
        self._serve()

    def _serve(self) -> None:
        while self._queue and self._queue[0][0] <= self.free:
            count, use = self._queue.popleft()
            self.free -= count
            use()


class _Simulator:
    """Discrete-event simulation of the cores of a machine."""

    def __init__(self, cores: int):
        self.now = 0.0
        self.cores = _Resource(cores)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def job(self, seconds: float, resource: _Resource | None = None, cores: int = 0) -> _Job:
        """Starts a job that waits for a unit of `resource`, then for cores, and occupies both."""
        job = _Job()
        resource = resource or _Resource(1)

        def start() -> None:
            begun = self.now

            def end() -> None:
                self.cores.give(cores, self.now - begun)
                resource.give(1, self.now - begun)
                job.end()

            heapq.heappush(self._events, (self.now + seconds, next(self._numbers), end))

        resource.take(1, lambda: self.cores.take(cores, start))
        return job

    def run(self, thread: Generator[_Job, None, None]) -> None:
        """Runs a thread until it waits for an unfinished job, and resumes it when the job ends."""
        for job in thread:
            if not job.is_done:
                job.then = lambda: self.run(thread)
                return

    def finish(self) -> None:
        """Runs until all jobs are done."""
        while self._events:
            self.now, _, end = heapq.heappop(self._events)
            end()
