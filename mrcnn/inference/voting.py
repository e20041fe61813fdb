"""Mask IoU and majority voting for detections from several views of an image, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from mrcnn.detections import Box, Detection, Detections

# Maps a stream of images to their detections, like `MaskRCNN.detect_stream`.
Detect = Callable[[Iterable[np.ndarray]], Iterable[Detections]]


def intersect(a: Box, b: Box) -> Box | None:
    """Returns the intersection of two boxes, or None if it is empty."""
    y1, x1, y2, x2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (y1, x1, y2, x2) if y1 < y2 and x1 < x2 else None


def crop_mask(detection: Detection, region: Box) -> np.ndarray:
    """Crops the mask of a detection to the intersection of its box and a region.

    Args:
        detection: the detection.
        region: (y1, x1, y2, x2) in pixels of the image.

    Returns:
        bool `[h, w]`, with the size of the intersection, `[0, 0]` if it is empty.
    """
    y, x = detection.box[:2]
    y1, x1, y2, x2 = intersect(detection.box, region) or (y, x, y, x)
    return detection.mask[y1 - y : y2 - y, x1 - x : x2 - x]


def shared_pixels(a: Detection, b: Detection) -> int:
    """Returns the number of pixels in the intersection of two masks."""
    region = intersect(a.box, b.box)
    return int(np.count_nonzero(crop_mask(a, region) & crop_mask(b, region))) if region else 0


def mask_iou(a: Detection, b: Detection) -> float:
    """Returns the IoU of two masks; 0 if both are empty."""
    shared = shared_pixels(a, b)
    return shared / max(np.count_nonzero(a.mask) + np.count_nonzero(b.mask) - shared, 1)


def vote(detections: Sequence[Detection], weights: Sequence[float], majority: float) -> Detection:
    """Merges detections of one object by a weighted majority vote of their masks.

    Args:
        detections: at least one detection. The result has the class and the score of the first detection.
        weights: weight of each detection, above 0.
        majority: fraction of the total weight that is required for a pixel, 0 to 1. With 0, the result is the union.

    Returns:
        A detection whose box contains all boxes.
    """
    corners = np.array([detection.box for detection in detections])
    top, left = corners[:, :2].min(axis=0).tolist()
    bottom, right = corners[:, 2:].max(axis=0).tolist()
    votes = np.zeros((bottom - top, right - left), dtype=np.float32)
    for detection, weight in zip(detections, weights, strict=True):
        y1, x1, y2, x2 = detection.box
        votes[y1 - top : y2 - top, x1 - left : x2 - left] += detection.mask * np.float32(weight)
    enough = (majority - 1e-6) * sum(weights)  # tolerates rounding errors
    mask = (votes > 0) & (votes >= enough)
    return replace(detections[0], box=(top, left, bottom, right), mask=mask, probabilities=None, frame=None)
