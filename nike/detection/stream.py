"""Pictures in, each with what was found on it out: a few in memory at a time; bad ones are reported and passed over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from mrcnn.detections import Detections
from nike.detection.detector import Detector


class Pictured(Protocol):
    """Anything with a picture, or with the reason why there is none."""

    image: np.ndarray | None
    error: str

    @property
    def title(self) -> str:
        """What messages call it."""
        ...


Item = TypeVar("Item", bound=Pictured)


def detect_stream(
    detector: Detector, pictures: Iterable[Item], on_failure: Callable[[str], None]
) -> Iterator[tuple[Item, Detections]]:
    """Pairs pictures with what was found on them.

    Args:
        detector: see `nike.detection.detector`.
        pictures: may be endless; read only as far as needed.
        on_failure: gets the message for each picture that could not be read or looked at.
    """
    shown: deque[Item] = deque()

    def images():
        for picture in pictures:
            if picture.image is None:
                on_failure(picture.error)
            else:
                shown.append(picture)
                yield picture.image

    for result in detector.detect(images()):
        picture = shown.popleft()
        if "error" in result:
            on_failure(f"{picture.title}: {result['error']}")
        else:
            yield picture, result
