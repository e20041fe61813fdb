"""In-memory cache of decoded and resized training images."""

import dataclasses
import threading
from collections.abc import Callable

import numpy as np

from mrcnn.data.example import Example
from mrcnn.ops.masks import extract_bboxes


class ExampleCache:
    """Cache of examples by image id, up to a memory budget.

    Examples are never evicted, because a least-recently-used policy never hits if every epoch visits all images once.

    Args:
        budget: maximum size of images and masks in bytes. 0 disables the cache.
    """

    def __init__(self, budget: int):
        self.budget = budget
        self.used = 0
        self._kept: dict[int, PackedExample] = {}
        self._lock = threading.Lock()

    def get(self, image_id: int, prepare: Callable[[], Example]) -> Example:
        """Returns the cached example of an image, or computes it with `prepare`. Thread-safe."""
        kept = self._kept.get(image_id)
        if kept is not None:
            return kept.unpack()
        example = prepare()
        if self.used + example.image.nbytes <= self.budget:  # checked first, because packing is slow
            packed = PackedExample(example)
            with self._lock:
                if image_id not in self._kept and self.used + packed.nbytes <= self.budget:
                    self._kept[image_id] = packed
                    self.used += packed.nbytes
        return example


class PackedExample:
    """An example whose masks are cropped to their boxes and packed to one bit per pixel."""

    def __init__(self, example: Example):
        self._boxes = extract_bboxes(example.masks)
        self._bits = [
            np.packbits(example.masks[y1:y2, x1:x2, i]) for i, (y1, x1, y2, x2) in enumerate(self._boxes.tolist())
        ]
        self._example = dataclasses.replace(example, masks=None)
        self.nbytes = example.image.nbytes + sum(bits.nbytes for bits in self._bits)

    def unpack(self) -> Example:
        """Returns the example. Its image is shared and must not be modified."""
        masks = np.zeros((len(self._bits), *self._example.image.shape[:2]), dtype=bool)
        for mask, bits, (y1, x1, y2, x2) in zip(masks, self._bits, self._boxes.tolist(), strict=True):
            shape = y2 - y1, x2 - x1
            mask[y1:y2, x1:x2] = np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape)
        return dataclasses.replace(self._example, masks=masks.transpose(1, 2, 0))
