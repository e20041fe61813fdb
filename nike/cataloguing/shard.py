"""Processes one shard: reads, decodes and detects in parallel, then commits.

    rows ── read, several threads ── decode, several threads ── detect, this thread ── one Parquet file

Each stage runs at most a few images ahead of the next, so memory depends neither on the shard nor on the input.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mrcnn.detections import Detections
from nike.cataloguing import results
from nike.cataloguing.images import Image, Limits, Reader, decode
from nike.cataloguing.journal import Journal
from nike.cataloguing.plan import Plan
from nike.detection.background import prefetch_map


class Detects(Protocol):
    """What is used of `nike.detection.detector.Detector`."""

    class_names: Sequence[str]

    def detect(self, photos: Iterable[np.ndarray]) -> Iterator[Detections]:
        """The detections of each photo, in order."""
        ...


Done = tuple[Image, dict[str, Any]]  # an image and its row of the output


class Stages:
    """Reads, decodes and detects.

    Args:
        detector: finds logos.
        limits: of downloads.
        decoders: images that are decoded at the same time.
        model: SHA-256 of the weights, for the rows; None if there are none.
    """

    def __init__(self, detector: Detects, limits: Limits, decoders: int = 1, model: str | None = None):
        self.detector, self._threads, self._decoders, self._model = detector, limits.threads, decoders, model
        self._reader = Reader(limits)

    def run(self, values: Iterable[dict], journal: Journal | None = None) -> tuple[list[dict], dict[str, Any]]:
        """Rows of `results.SCHEMA` for rows of `rows.SCHEMA`, in order, and statistics.

        The statistics: "rows", "detections", "status" (a dict of counts), "bytes", "read_seconds" and "decode_seconds"
        (sums over images), "detect_seconds" and "wait_seconds" (in the network, and for images), "seconds".

        Args:
            values: the rows.
            journal: of attempts at these rows; None for rows without earlier attempts.
        """
        clock, start = Clock(), time.monotonic()
        if journal is not None and journal.is_careful:
            done = list(self._one_by_one(enumerate(values), journal, clock))
        else:
            read = prefetch_map(self._reader.read, enumerate(values), self._threads)
            done = list(self._detect(prefetch_map(decode, read, self._decoders), clock))
        seconds = {**clock.seconds, "seconds": time.monotonic() - start}
        return [row for _, row in done], _totals(done) | seconds

    def _one_by_one(self, rows: Iterable[tuple[int, dict]], journal: Journal, clock: Clock) -> Iterator[Done]:
        for number, values in rows:
            if number in journal.crashed:
                image = Image(number, values["id"], values["location"])
                image.fail("crashed", "the process was killed twice while it worked on this image; it is skipped.")
            else:
                journal.note(number)
                image = decode(self._reader.read((number, values)))
            yield from self._detect([image], clock)

    def _detect(self, images: Iterable[Image], clock: Clock) -> Iterator[Done]:
        """Rows of the output, in order; those of failed images are taken past the detector."""
        waiting: deque[Image] = deque()  # given to the detector, or failed behind one that was

        def pixels() -> Iterator[np.ndarray]:
            for image in clock.waiting(iter(images)):
                waiting.append(image)
                if image.pixels is not None:
                    yield image.pixels

        def failed() -> Iterator[Done]:
            while waiting and waiting[0].pixels is None:
                image = waiting.popleft()
                yield image, self._row(image, None, 0.0)

        for result in clock.working(self.detector.detect(pixels())):
            yield from failed()
            image = waiting.popleft()
            if result.error is not None:
                image.fail("failed", result.error)
            yield image, self._row(image, result, clock.last)
            image.pixels = None
        yield from failed()

    def _row(self, image: Image, result: Detections | None, seconds: float) -> dict[str, Any]:
        height, width = (None, None) if image.pixels is None else image.pixels.shape[:2]
        found = []
        if result is not None and image.pixels is not None:
            found = results.detection_rows(result, self.detector.class_names)
        return {
            "id": image.id,
            "location": image.location,
            "width": width,
            "height": height,
            "detections": found,
            "status": image.status,
            "error": image.error,
            "model": self._model,
            "seconds": image.read_seconds + image.decode_seconds + seconds,
        }


class ShardProcessor:
    """Turns shards of a plan into committed files.

    Args:
        output: the output folder, which holds the plan.
        plan: the plan.
        stages: what to do with the images.
    """

    def __init__(self, output: Path, plan: Plan, stages: Stages):
        self.output, self.plan, self.stages = output, plan, stages

    def process(self, shard: int) -> dict[str, Any]:
        """Commits a shard unless that is done already; returns its number and its statistics, see `Stages.run`."""
        if results.shard_path(self.output, shard).is_file():  # by an attempt that was killed after its commit
            return results.statistics_of(self.output, shard)
        journal = Journal(self.output, shard)
        rows, statistics = self.stages.run(self.plan.read(shard), journal)
        journal.finish_rows()
        results.commit(self.output, shard, rows, {"shard": shard, **statistics})
        journal.delete()
        return {"shard": shard, **statistics}


class Clock:
    """Tells the time spent in the detector from that spent waiting for its images.

    Attributes:
        last: seconds of the detector for the last result.
    """

    def __init__(self) -> None:
        self.last, self._detect, self._wait = 0.0, 0.0, 0.0

    @property
    def seconds(self) -> dict[str, float]:
        """Sums so far."""
        return {"detect_seconds": self._detect, "wait_seconds": self._wait}

    def waiting(self, images: Iterator[Image]) -> Iterator[Image]:
        """The same images."""
        while True:
            start = time.monotonic()
            image = next(images, None)
            self._wait += time.monotonic() - start
            if image is None:
                return
            yield image

    def working(self, results: Iterator[Detections]) -> Iterator[Detections]:
        """The same results, computed by a detector that reads from `waiting`."""
        while True:
            start, waited = time.monotonic(), self._wait
            result = next(results, None)
            self.last = max(0.0, time.monotonic() - start - (self._wait - waited))
            self._detect += self.last
            if result is None:
                return
            yield result


def _totals(done: Sequence[Done]) -> dict[str, Any]:
    return {
        "rows": len(done),
        "detections": sum(len(row["detections"]) for _, row in done),
        "status": dict(Counter(row["status"] for _, row in done)),
        "bytes": sum(image.bytes for image, _ in done),
        "read_seconds": sum(image.read_seconds for image, _ in done),
        "decode_seconds": sum(image.decode_seconds for image, _ in done),
    }
