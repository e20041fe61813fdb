"""The `Detection` class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Detection:
    """One detected object.

    Attributes:
        box: (y1, x1, y2, x2) in pixels of the image, half-open, not empty.
        mask: bool `[y2 - y1, x2 - x1]`, the mask inside the box; True everywhere if there are no masks.
        class_id: class id, 1 or above.
        score: score in 0..1.
        keypoints: float32 `[J, 3]` (x, y, score), or None; see `Detections`.
        probabilities: float `[Q, Q]`, the predicted mask probabilities inside `frame`, or None; see `Detections`.
        frame: box of `probabilities`, (y1, x1, y2, x2) float pixels of the image, or None.
    """

    box: Box
    mask: np.ndarray
    class_id: int
    score: float
    keypoints: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    frame: tuple[float, float, float, float] | None = None
