"""Comparison of an exported model with the original Keras model.

Shape notation: B images, D detections, M mask side, J keypoints, Q side of a keypoint map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrcnn.errors import UserError
from mrcnn.inference.processing import preprocess
from mrcnn.ops.boxes import compute_overlaps
from mrcnn.ops.polygons import iou

MIN_MATCH_IOU = 0.5  # minimum IoU of two detections of one object


@dataclass(frozen=True)
class Tolerance:
    """The largest differences that `check` accepts for a format.

    Attributes:
        threshold: minimum score of the detections that are compared.
        margin: range below the threshold in which detections are also computed, so that all counterparts are found.
        box: largest difference between box coordinates, in pixels of the preprocessed image.
        score: largest difference between scores, 0..1.
        mask_iou: smallest IoU of the two masks of a detection.
        keypoint: largest difference between probabilities in a keypoint map, 0..1.
        unmatched: largest fraction of detections without a counterpart.
    """

    threshold: float = 0.1
    margin: float = 0.005
    box: float = 0.5
    score: float = 1e-3
    mask_iou: float = 0.995
    keypoint: float = 1e-3
    unmatched: float = 0.0


# These tolerances are only tight enough to detect a broken model. The quality of a quantized model is measured by AP.
TOLERANCES = {
    "openvino-int8": Tolerance(
        threshold=0.5, margin=0.3, box=16.0, score=0.3, mask_iou=0.5, keypoint=1.0, unmatched=0.2
    )
}


def tolerance(format: str) -> Tolerance:
    """Returns the tolerance of a format."""
    return TOLERANCES.get(format, Tolerance())


class VerificationError(UserError):
    """Raised if the outputs of an exported model differ from the outputs of the Keras model."""


def compare(images: Iterable, reference: Callable, exported: Callable, threshold: float) -> dict[str, Any]:
    """Runs two predictors on images and compares their detections.

    Args:
        images: arrays or paths.
        reference: predictor of the Keras network, with a score threshold below `threshold`; see `Tolerance.margin`.
        exported: predictor of the exported network, with the same score threshold as `reference`.
        threshold: score below which a detection without a counterpart is ignored.

    Returns:
        `images`, `detections` (compared), `unmatched`, `box` (largest difference in pixels), `score` (largest
        difference), `mask_iou` (lowest IoU of masks, None if there are no masks), `keypoint` (largest difference
        between probabilities in a keypoint map, None if there are no keypoints).

    Raises:
        VerificationError: if an output of the exported predictor is NaN or infinite, or if no detection was found.
    """
    config = reference.config
    boxes, scores, ious, keypoints, count, unmatched = [], [], [], [], 0, 0
    for number, image in enumerate(images):
        count += 1
        item = preprocess(image, config, number)
        side = item.image.shape[0] - 1
        (a, masks_a, maps_a), (b, masks_b, maps_b) = (
            [rows[0] for rows in predict(item.image[None], item.meta[None])] for predict in (reference, exported)
        )
        if not all(
            np.isfinite(rows[: _count_detections(b)]).all() for rows in (b, masks_b, maps_b) if rows is not None
        ):
            raise VerificationError("the exported model returns NaN or infinite values. Nothing was written.")
        matches = _match(a, b)
        unmatched += sum(a[i, 5] >= threshold for i in set(range(_count_detections(a))) - set(matches))
        unmatched += sum(b[j, 5] >= threshold for j in set(range(_count_detections(b))) - set(matches.values()))
        for i, j in matches.items():
            boxes.append(float(np.abs(a[i, :4] - b[j, :4]).max() * side))
            scores.append(float(abs(a[i, 5] - b[j, 5])))
            if masks_a is not None:
                ious.append(iou(masks_a[i] >= 0.5, masks_b[j] >= 0.5))
            if maps_a is not None:
                keypoints.append(float(np.abs(_cell_probabilities(maps_a[i]) - _cell_probabilities(maps_b[j])).max()))
    if not boxes and not unmatched:
        raise VerificationError(
            f"nothing to compare: no detection with a score of {threshold:g} or more on {count} images. Verify on "
            "images with objects. Nothing was written."
        )
    return {
        "images": count,
        "detections": len(boxes),
        "unmatched": int(unmatched),
        "box": max(boxes, default=0.0),
        "score": max(scores, default=0.0),
        "mask_iou": min(ious, default=None),
        "keypoint": max(keypoints, default=None),
    }


def check(table: dict[str, Any], format: str) -> None:
    """Raises VerificationError if the differences found by `compare` are too large for a format."""
    allowed = tolerance(format)
    iou = 1.0 if table["mask_iou"] is None else table["mask_iou"]
    good = table["box"] <= allowed.box and table["score"] <= allowed.score and iou >= allowed.mask_iou
    good = good and (table["keypoint"] or 0.0) <= allowed.keypoint
    if not good or table["unmatched"] > allowed.unmatched * table["detections"]:
        raise VerificationError(
            f"the exported model differs from the Keras model: {summary(table)}. Allowed: box {allowed.box} px, score "
            f"{allowed.score}, mask IoU {allowed.mask_iou}, keypoint {allowed.keypoint}, {allowed.unmatched:.0%} "
            "unmatched. Nothing was written."
        )


def summary(table: dict[str, Any]) -> str:
    """Returns the result of `compare` as one line."""
    iou = "-" if table["mask_iou"] is None else f"{table['mask_iou']:.4f}"
    keypoint = "" if table["keypoint"] is None else f", of a keypoint's probability {table['keypoint']:.2g}"
    return (
        f"{table['images']} images, {table['detections']} detections, {table['unmatched']} unmatched, largest "
        f"difference of a box {table['box']:.2g} px, of a score {table['score']:.2g}{keypoint}, lowest mask IoU {iou}"
    )


def _cell_probabilities(maps: np.ndarray) -> np.ndarray:
    """Returns the softmax over the cells of each keypoint map, `[Q*Q, J]` for `maps [Q, Q, J]`."""
    cells = maps.reshape(-1, maps.shape[-1])
    odds = np.exp(cells - cells.max(axis=0))
    return odds / odds.sum(axis=0)


def _count_detections(rows: np.ndarray) -> int:
    return int(np.count_nonzero(rows[:, 4]))


def _match(a: np.ndarray, b: np.ndarray) -> dict[int, int]:
    """Matches each row of `a [D, 6]` to the unmatched row of `b [D, 6]` with the same class and the highest IoU."""
    from mrcnn.evaluation.matching import match_overlaps  # imports pycocotools, which inference does not need

    a, b = a[: _count_detections(a)], b[: _count_detections(b)]
    with np.errstate(invalid="ignore"):
        overlaps = compute_overlaps(a[:, :4], b[:, :4])
    distances = np.abs(a[:, None, :4] - b[None, :, :4]).max(axis=2)
    overlaps = np.where(np.isnan(overlaps), 1 - distances, overlaps)  # the IoU of two zero-area boxes is NaN
    rows = match_overlaps(overlaps, b[:, 4], a[:, 4], MIN_MATCH_IOU)[1]
    return {i: int(j) for i, j in enumerate(rows) if j >= 0}
