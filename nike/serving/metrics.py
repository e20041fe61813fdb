"""Prometheus metrics of the server, with a separate registry for each application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
BATCHES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The metrics at `/metrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("nike_requests", "Requests by path and status", ["path", "status"], **self._options)
        self.seconds = Histogram(
            "nike_request_seconds", "Time to the response", ["path"], buckets=SECONDS, **self._options
        )
        self.in_progress = Gauge(
            "nike_requests_in_progress", "Accepted requests without a response yet", **self._options
        )
        self.batch_images = Histogram("nike_batch_images", "Images in a batch", buckets=BATCHES, **self._options)
        self.batch_seconds = Histogram(
            "nike_batch_seconds", "Processing time of a batch", buckets=SECONDS, **self._options
        )
        self.detections = Counter("nike_detections", "Detections returned, by class", ["class"], **self._options)

    @property
    def _options(self) -> dict[str, CollectorRegistry]:
        return {"registry": self.registry}

    def observe_batch(self, images: int, seconds: float) -> None:
        """Records a batch."""
        self.batch_images.observe(images)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Returns all metrics in the Prometheus text format."""
        return generate_latest(self.registry)
