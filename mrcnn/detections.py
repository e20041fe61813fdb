"""`Detections`: the objects found in one image, with masks kept as crops. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Box = tuple[int, int, int, int]
KEYS = ("rois", "class_ids", "scores", "masks")  # of the original's result dict


@dataclass(frozen=True, eq=False)
class Detection:
    """One detected object.

    Attributes:
        box: (y1, x1, y2, x2) pixels of the image, half-open, not empty.
        mask: bool `[y2 - y1, x2 - x1]`, the mask inside the box.
        class_id: 1 or above.
        score: 0..1.
    """

    box: Box
    mask: np.ndarray
    class_id: int
    score: float


class Detections:
    """The objects detected in one image, highest score first.

    The keys of the original's result dict work as they do there: `detections["rois"]`, `["class_ids"]`, `["scores"]`,
    `["masks"]`, and `["error"]` where there is one. Masks are stored as crops and pasted into an array of the image's
    size at the first access to `masks`.

    Args:
        boxes: int `[N, 4]` (y1, x1, y2, x2) pixels of the image, half-open, inside the image.
        class_ids: int `[N]`, 1 or above.
        scores: float `[N]`, 0..1.
        crops: N bool arrays `[y2 - y1, x2 - x1]`, each mask inside its box.
        image_shape: (H, W) of the image; further items are ignored.
        error: why the image could not be processed, or None.

    Attributes:
        boxes: int32 `[N, 4]`.
        class_ids: int32 `[N]`.
        scores: float32 `[N]`.
        crops: list of N bool arrays.
        image_shape: (H, W).
        error: str or None.

    Raises:
        ValueError: the arguments differ in length, or a crop does not have the size of its box.
    """

    def __init__(
        self,
        boxes: np.ndarray,
        class_ids: np.ndarray,
        scores: np.ndarray,
        crops: Iterable[np.ndarray],
        image_shape: Sequence[int],
        error: str | None = None,
    ):
        self.boxes = np.asarray(boxes, dtype=np.int32).reshape(-1, 4)
        self.class_ids = np.asarray(class_ids, dtype=np.int32).reshape(-1)
        self.scores = np.asarray(scores, dtype=np.float32).reshape(-1)
        self.crops = list(crops)
        self.image_shape = (int(image_shape[0]), int(image_shape[1]))
        self.error = error
        lengths = {len(self.boxes), len(self.class_ids), len(self.scores), len(self.crops)}
        sizes = self.boxes[:, 2:] - self.boxes[:, :2]
        if len(lengths) > 1 or any(crop.shape != tuple(size) for crop, size in zip(self.crops, sizes, strict=True)):
            raise ValueError(
                f"Detections: expected one class id, one score and one crop of the box's size for each of "
                f"{len(self.boxes)} boxes, got {len(self.class_ids)} class ids, {len(self.scores)} scores and crops of "
                f"shapes {[crop.shape for crop in self.crops]}."
            )
        if (self.boxes < 0).any() or (self.boxes[:, 2:] > self.image_shape).any():
            raise ValueError(
                f"Detections: expected boxes inside the image {self.image_shape}, got {self.boxes.tolist()}."
            )

    @classmethod
    def from_instances(cls, instances: Iterable[Detection], image_shape: Sequence[int]) -> Detections:
        """Detections in order of descending score."""
        ordered = sorted(instances, key=lambda instance: -instance.score)
        return cls(
            [instance.box for instance in ordered],
            [instance.class_id for instance in ordered],
            [instance.score for instance in ordered],
            [instance.mask for instance in ordered],
            image_shape,
        )

    @classmethod
    def from_result(cls, result: Mapping[str, Any] | Detections) -> Detections:
        """The original's result dict as `Detections`.

        Args:
            result: "rois" `[N, 4]`, "class_ids" `[N]`, "scores" `[N]`, "masks" bool `[H, W, N]`. Boxes are clipped to
                the image and empty ones dropped; what a mask covers outside its box is lost.
        """
        if isinstance(result, Detections):
            return result
        height, width = result["masks"].shape[:2]
        boxes = np.clip(np.asarray(result["rois"]).reshape(-1, 4), 0, (height, width, height, width))
        keep = np.flatnonzero((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3]))
        crops = [result["masks"][y1:y2, x1:x2, i].copy() for i in keep for y1, x1, y2, x2 in [boxes[i]]]
        class_ids, scores = np.asarray(result["class_ids"])[keep], np.asarray(result["scores"])[keep]
        return cls(boxes[keep], class_ids, scores, crops, (height, width), result.get("error"))

    @classmethod
    def failed(cls, error: Exception | str) -> Detections:
        """No detections, for an image that could not be processed."""
        return cls(np.zeros((0, 4)), [], [], [], (0, 0), str(error))

    @cached_property
    def masks(self) -> np.ndarray:
        """bool `[H, W, N]`, pasted at the first access. A transposed view: each mask is contiguous in memory."""
        masks = np.zeros((len(self), *self.image_shape), dtype=bool)
        for full, (y1, x1, y2, x2), crop in zip(masks, self.boxes, self.crops, strict=True):
            full[y1:y2, x1:x2] = crop
        return masks.transpose(1, 2, 0)

    def full_mask(self, index: int) -> np.ndarray:
        """One mask in an array of the image's size, bool `[H, W]`."""
        if "masks" in self.__dict__:  # scripts edit the pasted masks
            return self.masks[:, :, index]
        mask = np.zeros(self.image_shape, dtype=bool)
        y1, x1, y2, x2 = self.boxes[index]
        mask[y1:y2, x1:x2] = self.crops[index]
        return mask

    def _crop(self, index: int) -> np.ndarray:
        y1, x1, y2, x2 = self.boxes[index]
        return self.masks[y1:y2, x1:x2, index] if "masks" in self.__dict__ else self.crops[index]

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detection]:
        for i, (box, class_id, score) in enumerate(zip(self.boxes, self.class_ids, self.scores, strict=True)):
            yield Detection(tuple(box.tolist()), self._crop(i), int(class_id), float(score))

    def __getitem__(self, key: str | int | slice | np.ndarray) -> Any:
        """An array by the original's key, a `Detection` by number, or the chosen `Detections`.

        Args:
            key: one of `keys()`; a number; a slice; or bool `[N]` or int `[n]`, as NumPy indexes rows.
        """
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(key)
            return self.boxes if key == "rois" else getattr(self, key)
        rows = np.arange(len(self))[key]
        if rows.ndim == 0:
            return next(iter(self[rows[None]]))
        crops = [self._crop(row) for row in rows]
        return Detections(
            self.boxes[rows], self.class_ids[rows], self.scores[rows], crops, self.image_shape, self.error
        )

    def __setitem__(self, key: object, value: object) -> None:
        raise TypeError("Detections cannot be assigned to. Make a dict first: result = dict(result).")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self.keys()

    def keys(self) -> tuple[str, ...]:
        """The keys of the original's result dict, and "error" for an image that could not be processed."""
        return KEYS if self.error is None else (*KEYS, "error")

    def values(self) -> list:
        """The arrays of `keys()`."""
        return [self[key] for key in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of `keys()` and `values()`."""
        return [(key, self[key]) for key in self.keys()]

    def get(self, key: str, default: Any = None) -> Any:
        """The array of a key, or `default` for a key that is not there."""
        return self[key] if key in self.keys() else default

    def __repr__(self) -> str:
        height, width = self.image_shape
        problem = "" if self.error is None else f", error={self.error!r}"
        return f"Detections({len(self)} objects, image {height} x {width}{problem})"
