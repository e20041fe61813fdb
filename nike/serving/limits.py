"""What the server accepts: sizes, times and how many requests at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes:
        queue: requests that may be in progress at once, from the first byte of the body to the response. One more is
            answered with 503.
        batch: images in one step of the model at most.
        wait: seconds that the model waits for a batch to fill.
        bytes: of a request body.
        pixels: of an image.
        seconds: for a whole request; one that takes longer is answered with 408 while its body is read, else with 503.

    Raises:
        ValueError: a limit is not positive.
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
                raise ValueError(f"--{OPTIONS[name]}: expected a positive number, got {value:g}.")

    @property
    def decoded(self) -> int:
        """Images that may be decoded at once: two batches, so that the next one is ready when the model is."""
        return 2 * self.batch + 1


OPTIONS = {
    "queue": "queue",
    "batch": "batch",
    "wait": "max-wait",
    "bytes": "max-megabytes",
    "pixels": "max-megapixels",
    "seconds": "timeout",
}
