"""Limits on the size, duration and number of requests."""

from __future__ import annotations

from dataclasses import dataclass

from mrcnn.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes:
        queue: maximum number of requests in progress, from the first byte of the body to the response. Further requests
            get status 503.
        batch: maximum batch size.
        wait: maximum time to wait for a full batch, in seconds.
        bytes: maximum size of a request body.
        pixels: maximum number of pixels of an image.
        seconds: timeout of a request. The status is 408 if the body was not yet received, else 503.

    Raises:
        ValueError: if a limit is not positive.
    """

    queue: int = 64
    batch: int = 1
    wait: float = 0.005
    bytes: int = 32 << 20
    pixels: int = 64_000_000
    seconds: float = 60.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value > 0 or (name == "wait" and value == 0)):
                raise UserError(f"--{OPTIONS[name]}: expected a positive number, got {value:g}.")

    @property
    def max_decoded(self) -> int:
        """Maximum number of decoded images: the current batch, the next batch and one more image."""
        return 2 * self.batch + 1


OPTIONS = {
    "queue": "queue",
    "batch": "batch",
    "wait": "max-wait",
    "bytes": "max-megabytes",
    "pixels": "max-megapixels",
    "seconds": "timeout",
}
