"""An asyncio interface to the detector, which decodes images, queues them, and encodes the results."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from mrcnn.detections import Detections
from nike.serving.images import UnusableImageError, decode_image
from nike.serving.limits import Limits
from nike.serving.metrics import Metrics
from nike.serving.results import filter_by_score
from nike.serving.worker import DetectionWorker, ImageDetector

CODEC_THREADS = 2  # more threads would slow down the model
Result = TypeVar("Result")


class Service:
    """A detector with a request queue.

    Args:
        detector: see `nike.detection.detector`. Its `min_confidence` is the lowest threshold that requests can choose.
        limits: limits of the server.
        default_confidence: score threshold of requests without one.
        metrics: metrics to update.

    Attributes:
        name: name of the model in messages and for annotation tools.
    """

    name = "nike"

    def __init__(self, detector: ImageDetector, limits: Limits, default_confidence: float, metrics: Metrics):
        self.limits, self.metrics = limits, metrics
        self.class_names = list(detector.class_names)
        self.lowest_confidence = float(detector.min_confidence)
        self.default_confidence = max(default_confidence, self.lowest_confidence)
        self._worker = DetectionWorker(detector, limits.batch, limits.wait, metrics.observe_batch)
        self._codec = ThreadPoolExecutor(CODEC_THREADS, "codec")
        # Limits the number of decoded images. The images of other accepted requests stay compressed.
        self._decoded = asyncio.Semaphore(limits.max_decoded)

    @property
    def is_ready(self) -> bool:
        """Whether images are accepted."""
        return self._worker.is_ready

    async def detect(
        self,
        read: Callable[[], bytes],
        encode: Callable[[np.ndarray, Detections], Result],
        min_confidence: float | None = None,
    ) -> Result:
        """Detects objects in one image.

        Args:
            read: function that returns the content of the image file. It runs in a thread.
            encode: function that takes the image (uint8 RGB `[H, W, 3]`) and its detections and returns the response.
                It runs in a thread.
            min_confidence: score threshold, or None for the default.

        Raises:
            UnusableImageError: if the image cannot be used.
        """
        threshold = self.default_confidence if min_confidence is None else min_confidence
        async with self._decoded:
            image = await self._in_thread(lambda: decode_image(read(), self.limits.pixels))
            result = await asyncio.wrap_future(self._worker.submit(image))
            if result.error is not None:
                raise UnusableImageError(result.error)
            result = filter_by_score(result, threshold)
            for class_id, count in Counter(result.class_ids.tolist()).items():
                self.metrics.detections.labels(self.class_names[class_id]).inc(count)
            return await self._in_thread(lambda: encode(image, result))

    def _in_thread(self, function: Callable[[], Result]) -> asyncio.Future[Result] | Any:
        return asyncio.get_running_loop().run_in_executor(self._codec, function)

    async def close(self) -> None:
        """Processes the accepted images and stops all threads."""
        await asyncio.to_thread(self._worker.close)
        self._codec.shutdown()
