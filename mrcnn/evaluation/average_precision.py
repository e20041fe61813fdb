"""Precision-recall curves and average precision: VOC 11-point, all-point and COCO 101-point."""

from dataclasses import dataclass

import numpy as np

COCO_RECALLS = np.linspace(0, 1, 101)
VOC_RECALLS = np.linspace(0, 1, 11)
SCORE_EPSILON = 0.001  # scores are clipped to [epsilon, 1 - epsilon] before their log odds are computed


@dataclass(frozen=True)
class Ranking:
    """The detections of a dataset in descending score order, classified as true or false positives.

    Attributes:
        scores: `[N]` float, descending.
        is_true: `[N]` bool, True for a true positive.
        num_gt: number of ground-truth instances.
    """

    scores: np.ndarray
    is_true: np.ndarray
    num_gt: int

    @property
    def recalls(self) -> np.ndarray:
        """`[N]` recall at each detection; NaN if there is no ground truth."""
        return np.cumsum(self.is_true) / (self.num_gt or np.nan)

    @property
    def precisions(self) -> np.ndarray:
        """`[N]` precision at each detection."""
        return np.cumsum(self.is_true) / np.arange(1, len(self.is_true) + 1)


def precision_envelope(precisions: np.ndarray) -> np.ndarray:
    """Returns the highest precision at the same or a higher recall, for each entry of `precisions [N]`."""
    return np.maximum.accumulate(precisions[::-1])[::-1]


def interpolated_precisions(recalls: np.ndarray, precisions: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Samples the precision envelope at given recall levels.

    Args:
        recalls: `[N]` float, ascending.
        precisions: `[N]` float.
        at: `[R]` float, recall levels.

    Returns:
        `[R]` float, 0 above the highest recall in `recalls`.
    """
    envelope = np.append(precision_envelope(precisions), 0.0)
    return envelope[np.searchsorted(recalls, at, side="left")]


def voc_ap_11_point(recalls: np.ndarray, precisions: np.ndarray) -> float:
    """Returns the mean envelope precision at recall 0, 0.1, ..., 1.

    Source: Everingham et al. 2010 (VOC 2007), section 4.2.
    """
    # A recall of 3/10 must reach level 0.3 despite floating-point error.
    return float(interpolated_precisions(recalls, precisions, VOC_RECALLS - 1e-12).mean())


def voc_ap_all_points(recalls: np.ndarray, precisions: np.ndarray) -> float:
    """Returns the exact area under the precision envelope. Source: VOC 2010 development kit."""
    return float(np.sum(np.diff(recalls, prepend=0.0) * precision_envelope(precisions)))


def coco_ap_101_point(recalls: np.ndarray, precisions: np.ndarray) -> float:
    """Returns the mean envelope precision at recall 0, 0.01, ..., 1. Source: COCO detection evaluation."""
    return float(interpolated_precisions(recalls, precisions, COCO_RECALLS).mean())


def best_f1(ranking: Ranking) -> dict[str, float]:
    """Finds the score threshold with the highest F1.

    Returns:
        A dict with `threshold` (detections with score >= threshold are kept), `f1`, `precision` and `recall`. Without
        any true positive the threshold is 1 and the other values are 0.
    """
    if not ranking.is_true.any():
        return {"threshold": 1.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}
    precisions, recalls = ranking.precisions, ranking.recalls
    # F1 = 2PR/(P+R) = 2TP / (kept detections + ground truth), which avoids 0/0.
    kept = np.arange(1, len(ranking.scores) + 1)
    f1 = 2 * np.cumsum(ranking.is_true) / (kept + ranking.num_gt)
    # A threshold cannot separate equal scores, so only the last detection of each group is a candidate.
    f1[:-1][ranking.scores[:-1] == ranking.scores[1:]] = -1.0
    best = int(np.argmax(f1))
    return {
        "threshold": float(ranking.scores[best]),
        "f1": float(f1[best]),
        "precision": float(precisions[best]),
        "recall": float(recalls[best]),
    }


def threshold_below(ranking: Ranking, score: float) -> float:
    """Returns the midpoint in log odds between a score and the next lower score.

    Rounding errors in scores do not move them across this threshold.

    Args:
        ranking: the detections.
        score: float, the lowest score to keep, such as the `threshold` of `best_f1`.
    """
    lower = max(ranking.scores[ranking.scores < score], default=0.0)
    pair = np.clip(np.array([lower, score], dtype=np.float64), SCORE_EPSILON, 1 - SCORE_EPSILON)
    log_odds = np.log(pair / (1 - pair)).mean()
    return float(1 / (1 + np.exp(-log_odds)))
