"""Metrics of `nike evaluate` as a JSON-serializable dict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrcnn.evaluation import (
    CocoEvaluator,
    ImageOutcome,
    ImageRecord,
    coco_curves,
    coco_metrics,
    detection_report,
    evaluate_image,
    kinds_of,
    rank_detections,
)
from mrcnn.evaluation.average_precision import Ranking, precision_envelope
from nike.reporting.operating_points import PRECISIONS, mask_quality, operating_points, wilson_interval

IOU = 0.5  # minimum IoU of a true positive
CURVE_IOUS = (0.5, 0.75)
CURVE_POINTS = 400  # maximum number of points of a curve
BINS = 20  # number of bins of each histogram


def score(evaluator: CocoEvaluator, threshold: float, precisions: Sequence[float] = PRECISIONS) -> dict[str, Any]:
    """Computes all metrics of an evaluator.

    Args:
        evaluator: `CocoEvaluator` with at least one photo.
        threshold: float, score threshold for the confusion matrix, the false positives and the results of each photo.
            AP and curves use all detections.
        precisions: minimum precisions of the operating points.

    Returns:
        A JSON-serializable dict:
        "counts": photos, negatives, instances, ignored, detections;
        "kind": IoU type of the matches below: "mask", or "box" for detections without masks;
        "mask", "box": COCO metrics, -1 if undefined (see `CocoEvaluator.summarize`); "mask" only with masks;
        "keypoints": COCO metrics by object keypoint similarity; only with keypoints;
        "boundary": COCO metrics with boundary IoU (see `mrcnn.evaluation.boundary`); only with masks;
        "voc": variants of AP at IoU 0.5 and the threshold with the best F1, by IoU type and class;
        "at_threshold": true, false, duplicates, missed, precision, recall, median_iou, accurate (fraction of true
            positives with IoU >= 0.9), confusion, negative_images (with the 95% interval of the fraction of images);
        "operating_points": threshold and recall at IoU 0.5 for each minimum precision;
        "curves": recall, precision (of all classes pooled) and envelope, by IoU type and IoU;
        "f1": F1, precision and recall by threshold;
        "histograms": IoU of true positives, scores of true and false positives;
        "photos": list of file, true, false, duplicates, missed, ignored, ious and error_score, highest error first.
    """
    records, names = evaluator.records, evaluator.class_names
    summary, kinds = evaluator.summarize(), kinds_of(records)
    main = kinds[0]
    outcomes = [evaluate_image(record, main, IOU, threshold) for record in records]
    reports = {kind: detection_report(records, names, kind, IOU, threshold) for kind in kinds}
    ranking = rank_detections(records, main, IOU)
    negatives = reports[main]["negative_images"]
    negatives |= {"interval_95": wilson_interval(negatives["images_with_detections"], negatives["images"])}
    return {
        "classes": names,
        "threshold": threshold,
        "kind": main,
        "counts": {
            "photos": len(records),
            "negatives": negatives["images"],
            **{name: summary[name] for name in ("instances", "ignored", "detections")},
        },
        **{kind: summary[kind] for kind in (*kinds, "keypoints") if kind in summary},
        **({"boundary": coco_metrics(*coco_curves(records, len(names), "boundary"))} if "mask" in kinds else {}),
        "voc": {kind: reports[kind]["classes"] for kind in kinds},
        "at_threshold": totals(outcomes) | {"confusion": reports[main]["confusion"], "negative_images": negatives},
        "operating_points": operating_points(ranking, precisions),
        "curves": {
            kind: {f"{iou:.2f}": _curve(rank_detections(records, kind, iou)) for iou in CURVE_IOUS} for kind in kinds
        },
        "f1": _f1_curve(ranking),
        "histograms": _histograms(ranking, outcomes),
        "photos": sorted(map(photo_scores, outcomes), key=lambda photo: -photo["error_score"]),
    }


def totals(outcomes: Sequence[ImageOutcome]) -> dict[str, float]:
    """Returns the total counts, precision and recall (-1 if undefined), and the mask quality (see `mask_quality`)."""
    true = sum(len(outcome.true_positives) for outcome in outcomes)
    false = sum(len(outcome.false_positives) for outcome in outcomes)
    missed = sum(len(outcome.false_negatives) for outcome in outcomes)
    return {
        "true": true,
        "false": false,
        "duplicates": sum(len(outcome.duplicates) for outcome in outcomes),
        "missed": missed,
        "precision": true / (true + false) if true + false else -1.0,
        "recall": true / (true + missed) if true + missed else -1.0,
        **mask_quality([iou for outcome in outcomes for _, _, iou in outcome.true_positives]),
    }


def photo_scores(outcome: ImageOutcome) -> dict[str, Any]:
    """Returns the scores of a photo.

    The error score is the number of false positives and false negatives plus the sum of 1 - IoU of the true positives.
    """
    ious = [round(iou, 4) for _, _, iou in outcome.true_positives]
    wrong = len(outcome.false_negatives) + len(outcome.false_positives)
    return {
        "file": outcome.image_id,
        "true": len(ious),
        "false": len(outcome.false_positives),
        "duplicates": len(outcome.duplicates),
        "missed": len(outcome.false_negatives),
        "ignored": len(outcome.ignored),
        "ious": ious,
        "error_score": round(wrong + sum(1 - iou for iou in ious), 4),
    }


def _curve(ranking: Ranking) -> dict[str, list[float]]:
    if not ranking.num_gt:
        return {"recall": [], "precision": [], "envelope": []}
    kept = _select_points(len(ranking.scores))
    curves = {"recall": ranking.recalls, "precision": ranking.precisions}
    curves["envelope"] = precision_envelope(ranking.precisions)
    return {name: np.round(values[kept], 5).tolist() for name, values in curves.items()}


def _f1_curve(ranking: Ranking) -> dict[str, list[float]]:
    """Returns F1, precision and recall by score threshold, in descending order."""
    kept = _select_points(len(ranking.scores)) if ranking.num_gt else np.zeros(0, dtype=int)
    true = np.cumsum(ranking.is_true)[kept]
    curves = {
        "threshold": ranking.scores[kept],
        "f1": 2 * true / (kept + 1 + ranking.num_gt),
        "precision": true / (kept + 1),
        "recall": true / max(ranking.num_gt, 1),
    }
    return {name: np.round(values, 5).tolist() for name, values in curves.items()}


def _select_points(count: int) -> np.ndarray:
    """Returns the indices of at most CURVE_POINTS of `count` points, including the first and the last."""
    return np.unique(np.linspace(0, count - 1, min(count, CURVE_POINTS)).round().astype(int))


def _histograms(ranking: Ranking, outcomes: Sequence[ImageOutcome]) -> dict[str, Any]:
    edges = np.linspace(0, 1, BINS + 1)
    ious = [iou for outcome in outcomes for _, _, iou in outcome.true_positives]
    return {
        "edges": edges.round(4).tolist(),
        "iou": np.histogram(ious, edges)[0].tolist(),
        "score_true": np.histogram(ranking.scores[ranking.is_true], edges)[0].tolist(),
        "score_false": np.histogram(ranking.scores[~ranking.is_true], edges)[0].tolist(),
    }


def coco_results(records: Sequence[ImageRecord], folder: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Converts detections to a list of COCO results with file names.

    Args:
        records: list of `ImageRecord` whose `image_id` is the path of the photo relative to the dataset folder.
        folder: str, name of the dataset folder, for photos that are directly in it.
        names: list of class names, background first.

    Returns:
        List of {"file": "FOLDER/NAME", "score", "segmentation": RLE, "bbox": [x, y, width, height], "category"}.
        Detections without masks have no "segmentation".
    """
    results = []
    for record in records:
        file = "/".join([folder, *str(record.image_id).split("/")][-2:])
        for i, (y1, x1, y2, x2) in enumerate(record.boxes.tolist()):
            results.append(
                {
                    "file": file,
                    "score": float(record.scores[i]),
                    **({"segmentation": record.rles[i]} if record.has_masks else {}),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "category": names[record.class_ids[i]],
                }
            )
    return results
