"""Which detections are right and which are wrong, photo by photo; confusion, false alarms, the best threshold.

The rules are COCO's at one IoU threshold: best score first, a detection takes the free instance of its class that it
overlaps most; a second detection of an instance is a false positive; what falls on a region to ignore does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrcnn.evaluation import average_precision as ap
from mrcnn.evaluation.coco_numpy import match_detections
from mrcnn.evaluation.records import PhotoRecord

AVERAGES = {
    "ap_11_point": ap.voc_ap_11_point,
    "ap_all_points": ap.voc_ap_all_points,
    "ap_101_point": ap.coco_ap_101_point,
}


@dataclass(frozen=True)
class PhotoOutcome:
    """The verdict on one photo; numbers are positions in the detections and in the ground truth of its record.

    Attributes:
        image_id: of the record.
        true_positives: (detection, instance, IoU).
        false_positives: detections; `duplicates` are among them.
        duplicates: detections that reach the IoU with an instance of their class which a better one has taken.
        false_negatives: instances without a detection.
        ignored: detections on regions to ignore.
    """

    image_id: Any
    true_positives: list[tuple[int, int, float]]
    false_positives: list[int]
    duplicates: list[int]
    false_negatives: list[int]
    ignored: list[int]


def judge_photo(
    record: PhotoRecord, kind: str = "mask", iou_threshold: float = 0.5, min_score: float = 0.0
) -> PhotoOutcome:
    """Sort the detections of one photo into true, false and ignored, and find the instances that were missed.

    Args:
        record: ground truth and detections.
        kind: "mask" or "box": which IoU.
        iou_threshold: a detection is true from this IoU.
        min_score: detections below are left out altogether.
    """
    outcome = PhotoOutcome(record.image_id, [], [], [], [], [])
    order = np.argsort(-record.scores, kind="stable")
    order = order[record.scores[order] >= min_score]
    for class_id in np.union1d(record.gt_class_ids, record.class_ids):
        detections = order[record.class_ids[order] == class_id]
        instances = np.flatnonzero(record.gt_class_ids == class_id)
        crowd = record.gt_crowd[instances]
        overlaps = record.overlaps(kind, detections, instances)
        match = match_detections(overlaps, crowd, crowd, np.array([iou_threshold]))[0]
        for row, (detection, column) in enumerate(zip(detections.tolist(), match.tolist(), strict=True)):
            if column < 0:
                outcome.false_positives.append(detection)
                if (overlaps[row] >= iou_threshold).any():
                    outcome.duplicates.append(detection)
            elif crowd[column]:
                outcome.ignored.append(detection)
            else:
                outcome.true_positives.append((detection, int(instances[column]), float(overlaps[row, column])))
        missed = ~crowd & ~np.isin(np.arange(len(instances)), match)
        outcome.false_negatives.extend(instances[missed].tolist())
    return outcome


def rank_detections(
    records: Sequence[PhotoRecord],
    kind: str = "mask",
    iou_threshold: float = 0.5,
    class_id: int | None = None,
) -> ap.Ranking:
    """All detections of a set in descending score order, judged: what precision-recall curves are made of.

    Args:
        records: one for each photo.
        kind: "mask" or "box".
        iou_threshold: a detection is true from this IoU.
        class_id: only this class; None pools all classes.
    """
    return _rank(records, [judge_photo(record, kind, iou_threshold) for record in records], class_id)


def _rank(records: Sequence[PhotoRecord], outcomes: Sequence[PhotoOutcome], class_id: int | None) -> ap.Ranking:
    def wanted(class_ids: np.ndarray) -> np.ndarray:
        return np.ones(len(class_ids), dtype=bool) if class_id is None else class_ids == class_id

    scores, is_true, num_gt = [np.zeros(0)], [np.zeros(0, dtype=bool)], 0
    for record, outcome in zip(records, outcomes, strict=True):
        true = np.zeros(len(record.scores), dtype=bool)
        true[[detection for detection, _, _ in outcome.true_positives]] = True
        counts = wanted(record.class_ids)
        counts[outcome.ignored] = False
        scores.append(record.scores[counts])
        is_true.append(true[counts])
        num_gt += int(np.count_nonzero(wanted(record.gt_class_ids) & ~record.gt_crowd))
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return ap.Ranking(all_scores[order], np.concatenate(is_true)[order], num_gt)


def confusion_matrix(
    records: Sequence[PhotoRecord],
    num_classes: int,
    kind: str = "mask",
    iou_threshold: float = 0.5,
    min_score: float = 0.5,
) -> np.ndarray:
    """What each instance was taken for.

    Matches within a class come first, so that the diagonal holds the true positives. Detections and instances that are
    left are then paired across classes, best score first; what finds no partner is paired with the background.

    Returns:
        `[C, C]` int: row = true class, column = detected class. Column 0 counts the instances that were missed, row 0
        the false alarms; `[0, 0]` is 0 by definition.
    """
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    for record in records:
        outcome = judge_photo(record, kind, iou_threshold, min_score)
        for _, instance, _ in outcome.true_positives:
            matrix[record.gt_class_ids[instance], record.gt_class_ids[instance]] += 1
        detections = np.array(outcome.false_positives, dtype=np.intp)
        detections = detections[np.argsort(-record.scores[detections], kind="stable")]
        instances = np.array(outcome.false_negatives, dtype=np.intp)
        none = np.zeros(len(instances), dtype=bool)
        overlaps = record.overlaps(kind, detections, instances)
        match = match_detections(overlaps, none, none, np.array([iou_threshold]))[0]
        confused_with = np.append(record.gt_class_ids[instances], 0)[match]  # no match (-1) reads the 0: background
        np.add.at(matrix, (confused_with, record.class_ids[detections]), 1)
        missed = np.delete(instances, match[match >= 0])
        np.add.at(matrix, (record.gt_class_ids[missed], 0), 1)
    return matrix


def false_alarms(records: Sequence[PhotoRecord], min_score: float = 0.5) -> dict[str, float]:
    """Detections on negative photos, those without any ground truth or region to ignore.

    Returns:
        `photos` (negatives), `photos_with_alarm`, `alarms`, and `per_photo` = alarms / photos (0 without negatives).
    """
    counts = [np.count_nonzero(r.scores >= min_score) for r in records if len(r.gt_rles) == 0]
    return {
        "photos": len(counts),
        "photos_with_alarm": int(np.count_nonzero(counts)),
        "alarms": int(sum(counts)),
        "per_photo": float(np.mean(counts)) if counts else 0.0,
    }


def detection_report(
    records: Sequence[PhotoRecord],
    class_names: Sequence[str],
    kind: str = "mask",
    iou_threshold: float = 0.5,
    min_score: float = 0.5,
) -> dict[str, Any]:
    """Everything beside the COCO figures that tells how good a detector is at one IoU threshold; made for JSON.

    Returns:
        `classes`: for each class name `ap_11_point`, `ap_all_points`, `ap_101_point` (-1 without instances),
        `best_f1` and `instances`; `confusion` as nested lists in the order of `class_names`; `false_alarms`.
    """
    outcomes = [judge_photo(record, kind, iou_threshold) for record in records]
    classes = {}
    for class_id, name in enumerate(class_names[1:], start=1):
        ranking = _rank(records, outcomes, class_id)
        classes[name] = {
            key: average(ranking.recalls, ranking.precisions) if ranking.num_gt else -1.0
            for key, average in AVERAGES.items()
        }
        classes[name] |= {"best_f1": ap.best_f1(ranking), "instances": ranking.num_gt}
    return {
        "classes": classes,
        "confusion": confusion_matrix(records, len(class_names), kind, iou_threshold, min_score).tolist(),
        "false_alarms": false_alarms(records, min_score),
    }
