"""How good are the detections? Matching, average precision (per photo, VOC, COCO), confusion, false alarms."""

from mrcnn.evaluation.average_precision import (
    Ranking,
    best_f1,
    coco_ap_101_point,
    interpolated_precisions,
    precision_envelope,
    voc_ap_11_point,
    voc_ap_all_points,
)
from mrcnn.evaluation.coco import CocoEvaluator, coco_figures, pycocotools_curves
from mrcnn.evaluation.coco_numpy import coco_curves, match_detections
from mrcnn.evaluation.matching import compute_ap, compute_ap_range, compute_matches, compute_recall
from mrcnn.evaluation.outcomes import (
    PhotoOutcome,
    confusion_matrix,
    detection_report,
    false_alarms,
    judge_photo,
    rank_detections,
)
from mrcnn.evaluation.records import PhotoRecord, encode_masks, make_record

__all__ = [
    "CocoEvaluator",
    "PhotoOutcome",
    "PhotoRecord",
    "Ranking",
    "best_f1",
    "coco_ap_101_point",
    "coco_curves",
    "coco_figures",
    "compute_ap",
    "compute_ap_range",
    "compute_matches",
    "compute_recall",
    "confusion_matrix",
    "detection_report",
    "encode_masks",
    "false_alarms",
    "interpolated_precisions",
    "judge_photo",
    "make_record",
    "match_detections",
    "precision_envelope",
    "pycocotools_curves",
    "rank_detections",
    "voc_ap_11_point",
    "voc_ap_all_points",
]
