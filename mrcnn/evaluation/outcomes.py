"""True and false positives per image, the confusion matrix, and false positives on negative images.

Detections are matched by the COCO rules at one IoU threshold. In descending score order, each detection is matched to
the unmatched instance of its class with the highest IoU. A second detection of an instance is a false positive. A
detection that matches an ignored region is excluded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrcnn.evaluation import average_precision as ap
from mrcnn.evaluation.matching import match_detections
from mrcnn.evaluation.records import ImageRecord

AVERAGES = {
    "ap_11_point": ap.voc_ap_11_point,
    "ap_all_points": ap.voc_ap_all_points,
    "ap_101_point": ap.coco_ap_101_point,
}


@dataclass(frozen=True)
class ImageOutcome:
    """Match result of one image. Detections and instances are given as indices into the image's `ImageRecord`.

    Attributes:
        image_id: id of the record.
        true_positives: list of (detection, instance, IoU).
        false_positives: list of detections, including `duplicates`.
        duplicates: list of detections whose instance is matched by a detection with a higher score.
        false_negatives: list of instances without a detection.
        ignored: list of detections that match an ignored region.
    """

    image_id: Any
    true_positives: list[tuple[int, int, float]]
    false_positives: list[int]
    duplicates: list[int]
    false_negatives: list[int]
    ignored: list[int]


def evaluate_image(
    record: ImageRecord, kind: str = "mask", iou_threshold: float = 0.5, min_score: float = 0.0
) -> ImageOutcome:
    """Classifies the detections of one image as true positive, false positive or ignored.

    Args:
        record: `ImageRecord`, ground truth and detections.
        kind: "mask" or "box", the type of IoU.
        iou_threshold: float, minimum IoU of a true positive.
        min_score: float, detections with a lower score are excluded.
    """
    outcome = ImageOutcome(record.image_id, [], [], [], [], [])
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
    records: Sequence[ImageRecord],
    kind: str = "mask",
    iou_threshold: float = 0.5,
    class_id: int | None = None,
) -> ap.Ranking:
    """Ranks all detections of a dataset by score, for precision-recall curves.

    Args:
        records: list of `ImageRecord`, one per image.
        kind: "mask" or "box", the type of IoU.
        iou_threshold: float, minimum IoU of a true positive.
        class_id: int, a single class; None pools all classes.
    """
    return _rank_outcomes(records, [evaluate_image(record, kind, iou_threshold) for record in records], class_id)


def _rank_outcomes(
    records: Sequence[ImageRecord], outcomes: Sequence[ImageOutcome], class_id: int | None
) -> ap.Ranking:
    def is_selected(class_ids: np.ndarray) -> np.ndarray:
        return np.ones(len(class_ids), dtype=bool) if class_id is None else class_ids == class_id

    scores, is_true, num_gt = [np.zeros(0)], [np.zeros(0, dtype=bool)], 0
    for record, outcome in zip(records, outcomes, strict=True):
        true = np.zeros(len(record.scores), dtype=bool)
        true[[detection for detection, _, _ in outcome.true_positives]] = True
        kept = is_selected(record.class_ids)
        kept[outcome.ignored] = False
        scores.append(record.scores[kept])
        is_true.append(true[kept])
        num_gt += int(np.count_nonzero(is_selected(record.gt_class_ids) & ~record.gt_crowd))
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return ap.Ranking(all_scores[order], np.concatenate(is_true)[order], num_gt)


def confusion_matrix(
    records: Sequence[ImageRecord],
    num_classes: int,
    kind: str = "mask",
    iou_threshold: float = 0.5,
    min_score: float = 0.5,
) -> np.ndarray:
    """Computes the confusion matrix of a dataset.

    Detections are matched within their class first, so the diagonal contains the true positives. The remaining
    detections and instances are then matched across classes in descending score order. Detections and instances without
    a match are paired with the background.

    Returns:
        `[C, C]` int, rows are true classes, columns are detected classes. Column 0 counts false negatives, row 0
        false positives. `[0, 0]` is 0.
    """
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    for record in records:
        outcome = evaluate_image(record, kind, iou_threshold, min_score)
        for _, instance, _ in outcome.true_positives:
            matrix[record.gt_class_ids[instance], record.gt_class_ids[instance]] += 1
        detections = np.array(outcome.false_positives, dtype=np.intp)
        detections = detections[np.argsort(-record.scores[detections], kind="stable")]
        instances = np.array(outcome.false_negatives, dtype=np.intp)
        none = np.zeros(len(instances), dtype=bool)
        overlaps = record.overlaps(kind, detections, instances)
        match = match_detections(overlaps, none, none, np.array([iou_threshold]))[0]
        confused_with = np.append(record.gt_class_ids[instances], 0)[match]  # -1 selects the appended 0, the background
        np.add.at(matrix, (confused_with, record.class_ids[detections]), 1)
        missed = np.delete(instances, match[match >= 0])
        np.add.at(matrix, (record.gt_class_ids[missed], 0), 1)
    return matrix


def false_positives_on_negatives(records: Sequence[ImageRecord], min_score: float = 0.5) -> dict[str, float]:
    """Counts detections on negative images, which have no ground truth and no ignored region.

    Returns:
        A dict with `images` (number of negative images), `images_with_detections`, `detections` (their total number)
        and `per_image` (mean detections per negative image, 0 if there are none).
    """
    counts = [np.count_nonzero(r.scores >= min_score) for r in records if len(r.gt_rles) == 0]
    return {
        "images": len(counts),
        "images_with_detections": int(np.count_nonzero(counts)),
        "detections": int(sum(counts)),
        "per_image": float(np.mean(counts)) if counts else 0.0,
    }


def detection_report(
    records: Sequence[ImageRecord],
    class_names: Sequence[str],
    kind: str = "mask",
    iou_threshold: float = 0.5,
    min_score: float = 0.5,
) -> dict[str, Any]:
    """Computes the metrics at one IoU threshold as a JSON-serializable dict.

    Returns:
        A dict with `classes` (for each class name `ap_11_point`, `ap_all_points`, `ap_101_point`, -1 without
        instances, `best_f1` and `instances`), `confusion` (nested lists in the order of `class_names`) and
        `negative_images` (see `false_positives_on_negatives`).
    """
    outcomes = [evaluate_image(record, kind, iou_threshold) for record in records]
    classes = {}
    for class_id, name in enumerate(class_names[1:], start=1):
        ranking = _rank_outcomes(records, outcomes, class_id)
        classes[name] = {
            key: average(ranking.recalls, ranking.precisions) if ranking.num_gt else -1.0
            for key, average in AVERAGES.items()
        }
        classes[name] |= {"best_f1": ap.best_f1(ranking), "instances": ranking.num_gt}
    return {
        "classes": classes,
        "confusion": confusion_matrix(records, len(class_names), kind, iou_threshold, min_score).tolist(),
        "negative_images": false_positives_on_negatives(records, min_score),
    }
