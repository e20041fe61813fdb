"""Metrics for choosing a score threshold, and the mask quality of the detections above it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mrcnn.evaluation.average_precision import Ranking

PRECISIONS = (0.9, 0.95, 0.99)
ACCURATE_IOU = 0.9  # masks with a higher IoU rarely require correction


def operating_points(ranking: Ranking, precisions: Iterable[float] = PRECISIONS) -> list[dict[str, float]]:
    """Returns the lowest score threshold for each minimum precision.

    Args:
        ranking: detections of all classes, in descending order of score.
        precisions: minimum precisions, 0..1.

    Returns:
        List of {"precision": minimum, "threshold": score, "recall": recall at the threshold}, ascending. The threshold
        and the recall are -1 if no threshold reaches the precision.
    """
    points = []
    is_last = np.append(np.diff(ranking.scores) < 0, True)[: len(ranking.scores)]  # last detection of each score
    for precision in sorted(set(precisions)):
        reached = np.flatnonzero((ranking.precisions >= precision) & is_last) if ranking.num_gt else []
        last = reached[-1] if len(reached) else None
        points.append(
            {
                "precision": float(precision),
                "threshold": -1.0 if last is None else float(ranking.scores[last]),
                "recall": -1.0 if last is None else float(ranking.recalls[last]),
            }
        )
    return points


def mask_quality(ious: Sequence[float]) -> dict[str, float]:
    """Returns the median IoU of true positives and the fraction with IoU >= 0.9, or -1 without true positives."""
    if not len(ious):
        return {"median_iou": -1.0, "accurate": -1.0}
    return {"median_iou": float(np.median(ious)), "accurate": float(np.mean(np.asarray(ious) >= ACCURATE_IOU))}


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Returns the 95% confidence interval of a fraction, or (0, 1) for a total of 0.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    if not total:
        return 0.0, 1.0
    from scipy.stats import binomtest  # slow to import

    low, high = binomtest(count, total).proportion_ci(confidence_level=0.95, method="wilson")
    return float(low), float(high)
