"""The one thread that owns the model: collects images into batches and resolves a future for each."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Protocol

import numpy as np

from mrcnn.detections import Detections


class DetectsImages(Protocol):
    """What the worker needs of `nike.detection.detector.Detector`."""

    class_names: list[str]
    min_confidence: float

    def detect(self, photos: Iterable[np.ndarray]) -> Iterator[Detections]:
        """Detections of each image, in order; with `error` for an image that cannot be used."""
        ...


class DetectionWorker:
    """Runs a detector in its own thread.

    The thread takes whatever has been submitted, up to `batch` images, and waits at most `wait` seconds for more.

    Args:
        detector: used by this thread only.
        batch: images in one call of the detector at most.
        wait: seconds to wait for a batch to fill.
        on_batch: called after each batch with the number of images and the seconds that it took.
    """

    def __init__(
        self,
        detector: DetectsImages,
        batch: int = 1,
        wait: float = 0.0,
        on_batch: Callable[[int, float], None] = lambda images, seconds: None,
    ):
        self._detector, self._batch, self._wait, self._on_batch = detector, batch, wait, on_batch
        self._waiting: queue.SimpleQueue[tuple[np.ndarray, Future] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="detection", daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether images are still accepted."""
        return self._thread.is_alive() and not self._closed

    def submit(self, image: np.ndarray) -> Future[Detections]:
        """Queues an image.

        Args:
            image: uint8 `[H, W, 3]`.

        Returns:
            A future of its detections. It can be cancelled until its batch starts.

        Raises:
            RuntimeError: the worker is closed.
        """
        if not self.is_ready:
            raise RuntimeError("the detection worker is closed")
        future: Future[Detections] = Future()
        self._waiting.put((image, future))
        return future

    def close(self) -> None:
        """Finishes what was submitted, then ends the thread."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._collect()
            batch = [(image, future) for image, future in batch if future.set_running_or_notify_cancel()]
            if batch:
                start = time.perf_counter()
                self._resolve(batch)
                self._on_batch(len(batch), time.perf_counter() - start)
            del batch  # or the images would stay in memory until the next ones arrive

    def _collect(self) -> tuple[list[tuple[np.ndarray, Future]], bool]:
        """The next batch, and whether more can follow."""
        batch: list[tuple[np.ndarray, Future]] = []
        deadline = float("inf")
        while len(batch) < self._batch:
            try:
                # An empty batch waits for ever; a full second of work may have queued up, which costs no waiting.
                item = self._waiting.get(timeout=max(0.0, deadline - time.monotonic()) if batch else None)
            except queue.Empty:
                break
            if item is None:
                return batch, False
            batch.append(item)
            if len(batch) == 1:
                deadline = time.monotonic() + self._wait
        return batch, True

    def _resolve(self, batch: list[tuple[np.ndarray, Future]]) -> None:
        """Sets the results of a batch. If it fails as a whole, its images are tried one by one."""
        try:
            results = list(self._detector.detect([image for image, _ in batch]))
        except Exception as error:  # out of memory, say: the thread must survive whatever the model raises
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for item in batch:
                self._resolve([item])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
