"""The thread that runs the model on batches of images."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Protocol

import numpy as np

from mrcnn.detections import Detections


class ImageDetector(Protocol):
    """The part of the interface of `nike.detection.detector.Detector` that is used here."""

    class_names: list[str]
    min_confidence: float

    def detect(self, photos: Iterable[np.ndarray]) -> Iterator[Detections]:
        """Yields the detections of each image, in order, with `error` for an image that cannot be used."""
        ...


class DetectionWorker:
    """Runs a detector in a separate thread.

    The thread forms batches of up to `batch` submitted images and waits at most `wait` seconds for a full batch.

    Args:
        detector: detector, used only in this thread.
        batch: maximum batch size.
        wait: maximum time to wait for a full batch, in seconds.
        on_batch: called after each batch with the number of images and the duration in seconds.
    """

    def __init__(
        self,
        detector: ImageDetector,
        batch: int = 1,
        wait: float = 0.0,
        on_batch: Callable[[int, float], None] = lambda images, seconds: None,
    ):
        self._detector, self._batch, self._wait, self._on_batch = detector, batch, wait, on_batch
        self._queue: queue.SimpleQueue[tuple[np.ndarray, Future] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="detection", daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether images are accepted."""
        return self._thread.is_alive() and not self._closed

    def submit(self, image: np.ndarray) -> Future[Detections]:
        """Queues an image.

        Args:
            image: uint8 `[H, W, 3]`.

        Returns:
            A future for the detections of the image. It can be cancelled until its batch starts.

        Raises:
            RuntimeError: if the worker is closed.
        """
        if not self.is_ready:
            raise RuntimeError("the detection worker is closed")
        future: Future[Detections] = Future()
        self._queue.put((image, future))
        return future

    def close(self) -> None:
        """Processes the submitted images, then stops the thread."""
        self._closed = True
        self._queue.put(None)
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
            del batch  # otherwise the images stay in memory until the next batch

    def _collect(self) -> tuple[list[tuple[np.ndarray, Future]], bool]:
        """Returns the next batch, and whether more batches can follow."""
        batch: list[tuple[np.ndarray, Future]] = []
        deadline = float("inf")
        while len(batch) < self._batch:
            try:
                # The first image of a batch is awaited without a timeout. Queued images are taken without waiting.
                item = self._queue.get(timeout=max(0.0, deadline - time.monotonic()) if batch else None)
            except queue.Empty:
                break
            if item is None:
                return batch, False
            batch.append(item)
            if len(batch) == 1:
                deadline = time.monotonic() + self._wait
        return batch, True

    def _resolve(self, batch: list[tuple[np.ndarray, Future]]) -> None:
        """Sets the results of a batch. If the batch fails, its images are processed one by one."""
        try:
            results = list(self._detector.detect([image for image, _ in batch]))
        except Exception as error:  # for example out of memory; the thread must continue after any exception
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for item in batch:
                self._resolve([item])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
