"""Overlap and majority vote of detections, for views of one image that are merged. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from mrcnn.detections import Box, Detection, Detections

# Maps images to their detections one by one, as `MaskRCNN.detect_stream` does.
Detect = Callable[[Iterable[np.ndarray]], Iterable[Detections]]


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
    """One detection whose mask is where the weights of the masks that agree reach a fraction of all weights.

    Args:
        detections: of one object, at least one; class and score of the result are those of the first.
        weights: one for each, above 0.
        majority: fraction of the sum of weights, 0..1; 0 gives the union.

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
