"""Precision-recall curves and the three ways to average them: VOC 11-point, all-point, COCO 101-point. NumPy only."""

from dataclasses import dataclass

import numpy as np

COCO_RECALLS = np.linspace(0, 1, 101)
VOC_RECALLS = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Ranking:
    """The detections of a whole set in descending score order, each judged true or false.

    Attributes:
        scores: `[N]`.
        is_true: `[N]` bool.
        num_gt: ground-truth instances that could be found.
    """

    scores: np.ndarray
    is_true: np.ndarray
    num_gt: int

    @property
    def recalls(self) -> np.ndarray:
        """`[N]` recall after each detection; NaN if there is nothing to find."""
        return np.cumsum(self.is_true) / (self.num_gt or np.nan)

    @property
    def precisions(self) -> np.ndarray:
        """`[N]` precision after each detection."""
        return np.cumsum(self.is_true) / np.arange(1, len(self.is_true) + 1)


def precision_envelope(precisions: np.ndarray) -> np.ndarray:
    """The best precision at this recall or any higher one, for each entry of `precisions [N]`."""
    return np.maximum.accumulate(precisions[::-1])[::-1]


def interpolated_precisions(recalls: np.ndarray, precisions: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Envelope of the curve read at the recalls `at`; 0 beyond the highest recall reached.

    Args:
        recalls: `[N]` rising.
        precisions: `[N]`.
        at: `[R]` recalls.

    Returns:
        `[R]` precisions.
    """
    envelope = np.append(precision_envelope(precisions), 0.0)
    return envelope[np.searchsorted(recalls, at, side="left")]


def voc_ap_11_point(recalls: np.ndarray, precisions: np.ndarray) -> float:
    """Mean envelope precision at recalls 0, 0.1, ..., 1. Source: Everingham et al. 2010 (VOC 2007), section 4.2."""
    # Recalls such as 3/10 must count as reaching 0.3, whatever their last bit.
    return float(interpolated_precisions(recalls, precisions, VOC_RECALLS - 1e-12).mean())


def voc_ap_all_points(recalls: np.ndarray, precisions: np.ndarray) -> float:
    """Exact area under the envelope. Source: VOC 2010 development kit."""
    return float(np.sum(np.diff(recalls, prepend=0.0) * precision_envelope(precisions)))


def coco_ap_101_point(recalls: np.ndarray, precisions: np.ndarray) -> float:
    """Mean envelope precision at recalls 0, 0.01, ..., 1. Source: COCO detection evaluation."""
    return float(interpolated_precisions(recalls, precisions, COCO_RECALLS).mean())


def best_f1(ranking: Ranking) -> dict[str, float]:
    """The score threshold with the highest F1.

    Returns:
        `threshold` (keep detections with score >= threshold), `f1`, `precision`, `recall`. Without any true detection
        all but the threshold are 0 and the threshold is 1.
    """
    if not ranking.is_true.any():
        return {"threshold": 1.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}
    precisions, recalls = ranking.precisions, ranking.recalls
    # F1 = 2PR/(P+R) = 2TP / (detections kept + ground truth): no 0/0.
    kept = np.arange(1, len(ranking.scores) + 1)
    f1 = 2 * np.cumsum(ranking.is_true) / (kept + ranking.num_gt)
    # A threshold cannot separate equal scores: only the last of each group is a possible end.
    f1[:-1][ranking.scores[:-1] == ranking.scores[1:]] = -1.0
    best = int(np.argmax(f1))
    return {
        "threshold": float(ranking.scores[best]),
        "f1": float(f1[best]),
        "precision": float(precisions[best]),
        "recall": float(recalls[best]),
    }
