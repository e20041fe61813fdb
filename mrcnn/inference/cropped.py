"""Detections whose masks are cut to their boxes: some kilobytes each on a photo of any size. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Box = tuple[int, int, int, int]
# Looks at pictures one by one and yields a result for each, as `MaskRCNN.detect` does for a generator.
Detect = Callable[[Iterable[np.ndarray]], Iterable[dict]]


@dataclass(frozen=True, eq=False)
class Detection:
    """One detected instance.

    Attributes:
        box: (y1, x1, y2, x2) pixels of the photo, half-open, not empty.
        mask: bool `[y2 - y1, x2 - x1]`.
        class_id: 1 or above.
        score: 0..1.
    """

    box: Box
    mask: np.ndarray
    class_id: int
    score: float


def crop_detections(result: Mapping[str, Any], y: int = 0, x: int = 0) -> list[Detection]:
    """The detections of one result of `detect()` that have a box with an area.

    Args:
        result: "rois" `[N, 4]`, "class_ids" `[N]`, "scores" `[N]`, "masks" bool `[H, W, N]`. What a mask covers
            outside its box is lost.
        y, x: where the picture that was looked at lies in the photo, pixels.
    """
    detections = []
    height, width = result["masks"].shape[:2]
    for i, roi in enumerate(result["rois"]):
        y1, x1, y2, x2 = np.clip(roi, 0, (height, width, height, width)).tolist()
        if y1 < y2 and x1 < x2:
            mask = result["masks"][y1:y2, x1:x2, i].copy()  # a view would keep the whole photo's masks in memory
            box = (y1 + y, x1 + x, y2 + y, x2 + x)
            detections.append(Detection(box, mask, int(result["class_ids"][i]), float(result["scores"][i])))
    return detections


def to_result(detections: Sequence[Detection], height: int, width: int) -> dict[str, np.ndarray]:
    """What `detect()` returns for a photo of this size, best score first.

    The operating system only hands out the memory that the masks cover.
    """
    detections = sorted(detections, key=lambda detection: -detection.score)
    masks = np.zeros((len(detections), height, width), dtype=bool)
    for full, detection in zip(masks, detections, strict=True):
        y1, x1, y2, x2 = detection.box
        full[y1:y2, x1:x2] = detection.mask
    return {
        "rois": np.array([detection.box for detection in detections], dtype=np.int32).reshape(-1, 4),
        "class_ids": np.array([detection.class_id for detection in detections], dtype=np.int32),
        "scores": np.array([detection.score for detection in detections], dtype=np.float32),
        "masks": masks.transpose(1, 2, 0),
    }


def intersect(a: Box, b: Box) -> Box | None:
    """The part that two boxes share; None if there is none."""
    y1, x1, y2, x2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (y1, x1, y2, x2) if y1 < y2 and x1 < x2 else None


def part_in(detection: Detection, region: Box) -> np.ndarray:
    """The part of a detection's mask inside a region, bool `[h, w]`: of the size of what region and box share."""
    y, x = detection.box[:2]
    y1, x1, y2, x2 = intersect(detection.box, region) or (y, x, y, x)
    return detection.mask[y1 - y : y2 - y, x1 - x : x2 - x]


def shared_pixels(a: Detection, b: Detection) -> int:
    """How many pixels two masks share."""
    region = intersect(a.box, b.box)
    return int(np.count_nonzero(part_in(a, region) & part_in(b, region))) if region else 0


def vote(detections: Sequence[Detection], weights: Sequence[float], majority: float) -> Detection:
    """One detection whose mask is where the weights of the masks that agree reach a share of all weights.

    Args:
        detections: of one object, at least one; class and score of the result are those of the first.
        weights: one for each, above 0.
        majority: share of the sum of weights, 0..1; 0 gives the union.

    Returns:
        A detection whose box holds all boxes.
    """
    corners = np.array([detection.box for detection in detections])
    top, left = corners[:, :2].min(axis=0).tolist()
    bottom, right = corners[:, 2:].max(axis=0).tolist()
    votes = np.zeros((bottom - top, right - left), dtype=np.float32)
    for detection, weight in zip(detections, weights, strict=True):
        y1, x1, y2, x2 = detection.box
        votes[y1 - top : y2 - top, x1 - left : x2 - left] += detection.mask * np.float32(weight)
    enough = (majority - 1e-6) * sum(weights)  # sums of equal weights differ in their last bits
    return replace(detections[0], box=(top, left, bottom, right), mask=(votes > 0) & (votes >= enough))
