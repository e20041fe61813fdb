"""Detection metrics: matching, average precision (per image, VOC, COCO), confusion matrix and false positives."""

from mrcnn.evaluation.average_precision import (
    Ranking,
    best_f1,
    coco_ap_101_point,
    interpolated_precisions,
    precision_envelope,
    threshold_below,
    voc_ap_11_point,
    voc_ap_all_points,
)
from mrcnn.evaluation.bootstrap import ap_difference_interval
from mrcnn.evaluation.coco import CocoEvaluator, coco_curves, coco_metrics
from mrcnn.evaluation.matching import compute_ap, compute_ap_range, compute_matches, compute_recall, match_detections
from mrcnn.evaluation.outcomes import (
    ImageOutcome,
    confusion_matrix,
    detection_report,
    evaluate_image,
    false_positives_on_negatives,
    rank_detections,
)
from mrcnn.evaluation.records import ImageRecord, encode_masks, kinds_of, make_record

__all__ = [
    "CocoEvaluator",
    "ImageOutcome",
    "ImageRecord",
    "Ranking",
    "ap_difference_interval",
    "best_f1",
    "coco_ap_101_point",
    "coco_curves",
    "coco_metrics",
    "compute_ap",
    "compute_ap_range",
    "compute_matches",
    "compute_recall",
    "confusion_matrix",
    "detection_report",
    "encode_masks",
    "evaluate_image",
    "false_positives_on_negatives",
    "interpolated_precisions",
    "kinds_of",
    "make_record",
    "match_detections",
    "precision_envelope",
    "rank_detections",
    "threshold_below",
    "voc_ap_11_point",
    "voc_ap_all_points",
]
