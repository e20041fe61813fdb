"""Processes one shard: reads, decodes and runs detection in parallel, then writes the results.

    rows ── read, several threads ── decode, several threads ── detect, this thread ── one Parquet file

Each stage is at most a few images ahead of the next, so memory use does not depend on the size of the shard.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mrcnn.detections import Detections
from mrcnn.inference.prefetch import prefetch_map
from nike.cataloguing import results
from nike.cataloguing.images import Image, Limits, Reader, decode
from nike.cataloguing.journal import Journal
from nike.cataloguing.plan import Plan


class DetectorProtocol(Protocol):
    """The part of the interface of `nike.detection.detector.Detector` that is used here."""

    class_names: Sequence[str]

    def detect(self, photos: Iterable[np.ndarray]) -> Iterator[Detections]:
        """Yields the detections of each image, in order."""
        ...


Done = tuple[Image, dict[str, Any]]  # an image and its row of the output


class Stages:
    """The stages of the processing: reading, decoding and detection.

    Args:
        detector: see `DetectorProtocol`.
        limits: limits of the downloads.
        decoders: number of decoding threads.
        model: SHA-256 of the weights for the output, or None.
    """

    def __init__(self, detector: DetectorProtocol, limits: Limits, decoders: int = 1, model: str | None = None):
        self.detector, self._threads, self._decoders, self._model = detector, limits.threads, decoders, model
        self._reader = Reader(limits)

    def run(self, values: Iterable[dict], journal: Journal | None = None) -> tuple[list[dict], dict[str, Any]]:
        """Processes rows.

        Args:
            values: rows with the columns of `rows.SCHEMA`.
            journal: journal of the shard, or None.

        Returns:
            The rows with the columns of `results.SCHEMA`, in order, and a dict of statistics: "rows", "detections",
            "status" (counts by status), "bytes", "read_seconds" and "decode_seconds" (sums over images),
            "detect_seconds" and "wait_seconds" (time of detection and time waiting for images), and "seconds" (total).
        """
        clock, start = DetectionTimer(), time.monotonic()
        if journal is not None and journal.is_careful:
            done = list(self._one_by_one(enumerate(values), journal, clock))
        else:
            read = prefetch_map(self._reader.read, enumerate(values), self._threads)
            done = list(self._detect(prefetch_map(decode, read, self._decoders), clock))
        seconds = {**clock.seconds, "seconds": time.monotonic() - start}
        return [row for _, row in done], _totals(done) | seconds

    def _one_by_one(self, rows: Iterable[tuple[int, dict]], journal: Journal, clock: DetectionTimer) -> Iterator[Done]:
        for number, values in rows:
            if number in journal.crashed:
                image = Image(number, values["id"], values["location"])
                image.fail("crashed", "skipped, because the process was killed twice while processing this image.")
            else:
                journal.record_row(number)
                image = decode(self._reader.read((number, values)))
            yield from self._detect([image], clock)

    def _detect(self, images: Iterable[Image], clock: DetectionTimer) -> Iterator[Done]:
        """Yields the rows of the output in order. Failed images bypass the detector."""
        pending: deque[Image] = deque()  # images in the detector and failed images, in order

        def pixels() -> Iterator[np.ndarray]:
            for image in clock.time_waiting(iter(images)):
                pending.append(image)
                if image.pixels is not None:
                    yield image.pixels

        def failed() -> Iterator[Done]:
            while pending and pending[0].pixels is None:
                image = pending.popleft()
                yield image, self._row(image, None, 0.0)

        for result in clock.time_detection(self.detector.detect(pixels())):
            yield from failed()
            image = pending.popleft()
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
    """Processes shards of a plan and writes their files.

    Args:
        output: output folder.
        plan: plan of the run.
        stages: stages of the processing.
    """

    def __init__(self, output: Path, plan: Plan, stages: Stages):
        self.output, self.plan, self.stages = output, plan, stages

    def process(self, shard: int) -> dict[str, Any]:
        """Processes a shard if it is not done. Returns its number and its statistics; see `Stages.run`."""
        if results.shard_path(self.output, shard).is_file():  # written by an attempt that was killed afterwards
            return results.read_statistics(self.output, shard)
        journal = Journal(self.output, shard)
        rows, statistics = self.stages.run(self.plan.read(shard), journal)
        journal.finish_rows()
        results.commit(self.output, shard, rows, {"shard": shard, **statistics})
        journal.delete()
        return {"shard": shard, **statistics}


class DetectionTimer:
    """Measures the time of detection and the time waiting for images separately.

    Attributes:
        last: detection time of the last result in seconds.
    """

    def __init__(self) -> None:
        self.last, self._detect, self._wait = 0.0, 0.0, 0.0

    @property
    def seconds(self) -> dict[str, float]:
        """The total times so far, in seconds."""
        return {"detect_seconds": self._detect, "wait_seconds": self._wait}

    def time_waiting(self, images: Iterator[Image]) -> Iterator[Image]:
        """Yields the given images and measures the time until they are available."""
        while True:
            start = time.monotonic()
            image = next(images, None)
            self._wait += time.monotonic() - start
            if image is None:
                return
            yield image

    def time_detection(self, results: Iterator[Detections]) -> Iterator[Detections]:
        """Yields the results of a detector whose images come from `time_waiting`, and measures the detection time."""
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
