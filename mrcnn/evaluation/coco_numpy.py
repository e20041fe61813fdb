"""The COCO detection metric in NumPy: matching with regions to ignore, then precision at 101 recalls.

Letters: T IoU thresholds, R recalls, K classes, A area ranges, M limits of detections per photo, N detections,
G instances.
Source: COCO detection evaluation (cocodataset.org); pycocotools gives the same arrays.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mrcnn.evaluation.average_precision import COCO_RECALLS, interpolated_precisions
from mrcnn.evaluation.records import PhotoRecord

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
MAX_DETECTIONS = (1, 10, 100)


def match_detections(
    overlaps: np.ndarray, gt_ignore: np.ndarray, gt_crowd: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Give each detection in turn the free instance that it overlaps most, at every IoU threshold at once.

    Instances that count come first; only a detection that reaches none of them may fall on one to be ignored. A crowd
    stays free for any number of detections.

    Args:
        overlaps: `[N, G]` IoU, detections in descending score order.
        gt_ignore: `[G]` bool, instances that neither count as found nor as missed (crowds are among them).
        gt_crowd: `[G]` bool.
        thresholds: `[T]` IoU.

    Returns:
        `[T, N]` int, the instance of each detection or -1.
    """
    num_thresholds, (num_detections, num_gt) = len(thresholds), overlaps.shape
    match = np.full((num_thresholds, num_detections), -1)
    if num_gt == 0:
        return match
    floors = np.minimum(thresholds, 1 - 1e-10)[:, None]  # a perfect overlap must pass threshold 1
    taken = np.zeros((num_thresholds, num_gt), dtype=bool)
    for row, overlap in enumerate(overlaps):
        allowed = (~taken | gt_crowd) & (overlap >= floors)  # [T, G]
        counting = allowed & ~gt_ignore
        allowed = np.where(counting.any(axis=1, keepdims=True), counting, allowed)
        # Of equal overlaps the last one wins, as in pycocotools.
        best = num_gt - 1 - np.argmax(np.where(allowed, overlap, -1.0)[:, ::-1], axis=1)  # [T]
        hit = np.flatnonzero(allowed.any(axis=1))
        match[hit, row] = best[hit]
        taken[hit, best[hit]] = True
    return match


def coco_curves(records: Sequence[PhotoRecord], num_classes: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of a set of photos, as pycocotools' `COCOeval.accumulate` lays them out.

    Args:
        records: one for each photo.
        num_classes: C, background included; K = C - 1.
        kind: "mask" or "box".

    Returns:
        `precision [T, R, K, A, M]` and `recall [T, K, A, M]`, -1 where a class has no instance of that size.
    """
    shape = (num_classes - 1, len(AREA_RANGES), len(MAX_DETECTIONS))
    precision = np.full((len(IOU_THRESHOLDS), len(COCO_RECALLS), *shape), -1.0)
    recall = np.full((len(IOU_THRESHOLDS), *shape), -1.0)
    for k in range(num_classes - 1):
        photos = [_class_photo(record, k + 1, kind) for record in records]
        for a, area_range in enumerate(AREA_RANGES.values()):
            judged = [_judge(photo, area_range) for photo in photos]
            for m, limit in enumerate(MAX_DETECTIONS):
                curves = _accumulate(judged, limit)
                if curves is not None:
                    precision[:, :, k, a, m], recall[:, k, a, m] = curves
    return precision, recall


class _ClassPhoto(NamedTuple):
    """One class on one photo; detections in descending score order."""

    scores: np.ndarray  # [N]
    areas: np.ndarray  # [N]
    overlaps: np.ndarray  # [N, G]
    gt_areas: np.ndarray  # [G]
    gt_crowd: np.ndarray  # [G]


class _Judged(NamedTuple):
    """The same in one area range. A detection that is neither true nor false is ignored."""

    scores: np.ndarray  # [N]
    true: np.ndarray  # [T, N]
    false: np.ndarray  # [T, N]
    num_gt: int


def _class_photo(record: PhotoRecord, class_id: int, kind: str) -> _ClassPhoto:
    detections = np.flatnonzero(record.class_ids == class_id)
    best_first = np.argsort(-record.scores[detections], kind="stable")
    detections = detections[best_first[: MAX_DETECTIONS[-1]]]
    instances = np.flatnonzero(record.gt_class_ids == class_id)
    return _ClassPhoto(
        scores=record.scores[detections],
        areas=record.areas[detections],
        overlaps=record.overlaps(kind, detections, instances),
        gt_areas=record.gt_areas[instances],
        gt_crowd=record.gt_crowd[instances],
    )


def _judge(photo: _ClassPhoto, area_range: tuple[float, float]) -> _Judged:
    counts = ~photo.gt_crowd & _inside(photo.gt_areas, area_range)  # [G]
    match = match_detections(photo.overlaps, ~counts, photo.gt_crowd, IOU_THRESHOLDS)  # [T, N]
    true = np.append(counts, False)[match]  # -1, no match, reads the False at the end
    false = (match < 0) & _inside(photo.areas, area_range)
    return _Judged(photo.scores, true, false, np.count_nonzero(counts))


def _inside(areas: np.ndarray, area_range: tuple[float, float]) -> np.ndarray:
    return (areas >= area_range[0]) & (areas <= area_range[1])


def _accumulate(judged: list[_Judged], limit: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Precision `[T, R]` and recall `[T]` with at most `limit` detections per photo; None if there is no instance."""
    num_gt = sum(photo.num_gt for photo in judged)
    if num_gt == 0:
        return None
    order = np.argsort(-np.concatenate([photo.scores[:limit] for photo in judged]), kind="stable")
    true = np.concatenate([photo.true[:, :limit] for photo in judged], axis=1)[:, order].cumsum(axis=1)
    false = np.concatenate([photo.false[:, :limit] for photo in judged], axis=1)[:, order].cumsum(axis=1)
    recalls = true / num_gt
    precisions = true / np.maximum(true + false, 1)  # ignored detections may come first: 0/0
    curves = [interpolated_precisions(r, p, COCO_RECALLS) for r, p in zip(recalls, precisions, strict=True)]
    return np.stack(curves), true.max(axis=1, initial=0) / num_gt
