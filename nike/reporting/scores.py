"""How good a detector is, as one dict of plain values: what `nike evaluate` prints, writes as JSON and draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrcnn.evaluation import CocoEvaluator, ImageOutcome, ImageRecord, detection_report, evaluate_image, rank_detections
from mrcnn.evaluation.average_precision import Ranking, precision_envelope
from mrcnn.evaluation.records import KINDS

IOU = 0.5  # from which a detection is true
CURVE_IOUS = (0.5, 0.75)
CURVE_POINTS = 400  # of a curve at most: a page shows no more
BINS = 20


def score(evaluator: CocoEvaluator, threshold: float) -> dict[str, Any]:
    """All figures of the photos in an evaluator.

    Args:
        evaluator: with at least one photo.
        threshold: detections from this score on count for confusion, false alarms and the verdicts on photos. AP and
            curves take all detections.

    Returns:
        Plain values, made for JSON:
        "counts": photos, negatives, instances, ignored, detections;
        "mask", "box": COCO figures, -1 where undefined (see `CocoEvaluator.summarize`);
        "voc": by kind and class: AP at IoU 0.5 in three averages, and the best threshold by F1;
        "at_threshold": true, false, duplicates, missed, precision, recall, confusion, false_alarms;
        "curves": by kind and IoU: recall, precision (of all classes together), envelope; "f1": by threshold;
        "histograms": IoU of true detections, scores of true and false ones;
        "photos": one for each, the worst first: file, true, false, duplicates, missed, ignored, ious, badness.
    """
    records, names = evaluator.records, evaluator.class_names
    summary = evaluator.summarize()
    outcomes = [evaluate_image(record, "mask", IOU, threshold) for record in records]
    reports = {kind: detection_report(records, names, kind, IOU, threshold) for kind in KINDS}
    ranking = rank_detections(records, "mask", IOU)
    return {
        "classes": names,
        "threshold": threshold,
        "counts": {
            "photos": len(records),
            "negatives": reports["mask"]["false_alarms"]["photos"],
            **{name: summary[name] for name in ("instances", "ignored", "detections")},
        },
        **{kind: summary[kind] for kind in KINDS},
        "voc": {kind: reports[kind]["classes"] for kind in KINDS},
        "at_threshold": _totals(outcomes) | {name: reports["mask"][name] for name in ("confusion", "false_alarms")},
        "curves": {
            kind: {f"{iou:.2f}": _curve(rank_detections(records, kind, iou)) for iou in CURVE_IOUS} for kind in KINDS
        },
        "f1": _f1_curve(ranking),
        "histograms": _histograms(ranking, outcomes),
        "photos": sorted(map(_verdict, outcomes), key=lambda photo: -photo["badness"]),
    }


def _totals(outcomes: Sequence[ImageOutcome]) -> dict[str, float]:
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
    }


def _verdict(outcome: ImageOutcome) -> dict[str, Any]:
    """A photo's figures; its badness is one for each instance missed or seen where none is, plus what outlines lack."""
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
        "badness": round(wrong + sum(1 - iou for iou in ious), 4),
    }


def _curve(ranking: Ranking) -> dict[str, list[float]]:
    if not ranking.num_gt:
        return {"recall": [], "precision": [], "envelope": []}
    kept = _thin(len(ranking.scores))
    curves = {"recall": ranking.recalls, "precision": ranking.precisions}
    curves["envelope"] = precision_envelope(ranking.precisions)
    return {name: np.round(values[kept], 5).tolist() for name, values in curves.items()}


def _f1_curve(ranking: Ranking) -> dict[str, list[float]]:
    """F1, precision and recall where everything from a score on is kept, scores descending."""
    kept = _thin(len(ranking.scores)) if ranking.num_gt else np.zeros(0, dtype=int)
    true = np.cumsum(ranking.is_true)[kept]
    curves = {
        "threshold": ranking.scores[kept],
        "f1": 2 * true / (kept + 1 + ranking.num_gt),
        "precision": true / (kept + 1),
        "recall": true / max(ranking.num_gt, 1),
    }
    return {name: np.round(values, 5).tolist() for name, values in curves.items()}


def _thin(count: int) -> np.ndarray:
    """Positions of at most CURVE_POINTS of `count` points, first and last among them."""
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
    """The detections as a list of COCO results that name their photo.

    Args:
        records: `image_id` is the photo's path inside the dataset.
        folder: the dataset's own folder, for photos that lie directly in it.
        names: class names, background first.

    Returns:
        {"file": "FOLDER/NAME", "score", "segmentation": RLE, "bbox": [x, y, width, height], "category"} each.
    """
    results = []
    for record in records:
        file = "/".join([folder, *str(record.image_id).split("/")][-2:])
        for i, (y1, x1, y2, x2) in enumerate(record.boxes.tolist()):
            counts = record.rles[i]["counts"]
            results.append(
                {
                    "file": file,
                    "score": float(record.scores[i]),
                    "segmentation": {
                        "size": [record.height, record.width],
                        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
                    },
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "category": names[record.class_ids[i]],
                }
            )
    return results
