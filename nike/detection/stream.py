"""Streaming detection: pairs images with their detections and skips images that cannot be used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from mrcnn.detections import Detections
from nike.detection.detector import Detector


class HasImage(Protocol):
    """An object with an image, or with an error message if the image could not be read."""

    image: np.ndarray | None
    error: str

    @property
    def title(self) -> str:
        """Name of the image in messages."""
        ...


Item = TypeVar("Item", bound=HasImage)


def detect_pictures(
    detector: Detector, pictures: Iterable[Item], on_failure: Callable[[str], None]
) -> Iterator[tuple[Item, Detections]]:
    """Runs detection on a stream of images. Only a few images are in memory at a time.

    Args:
        detector: see `nike.detection.detector`.
        pictures: images. The iterable is read lazily and may be infinite.
        on_failure: called with a message for each image that cannot be read or used.

    Yields:
        Each usable item with its detections, in order.
    """
    pending: deque[Item] = deque()

    def images():
        for picture in pictures:
            if picture.image is None:
                on_failure(picture.error)
            else:
                pending.append(picture)
                yield picture.image

    for result in detector.detect(images()):
        picture = pending.popleft()
        if "error" in result:
            on_failure(f"{picture.title}: {result['error']}")
        else:
            yield picture, result
