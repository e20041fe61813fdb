"""Confidence interval of the difference in AP of two models on the same images."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from mrcnn.errors import UserError
from mrcnn.evaluation.coco import match_images
from mrcnn.evaluation.records import ImageRecord

RESAMPLES = 500
CONFIDENCE = 0.95


def ap_difference_interval(
    before: Sequence[ImageRecord],
    after: Sequence[ImageRecord],
    num_classes: int,
    kind: str = "mask",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Computes the 95% confidence interval of AP(after) - AP(before), COCO AP, with the paired bootstrap.

    Each sample of images is drawn with replacement and used for both models (Efron & Tibshirani 1993, section 13.3).
    The interval consists of percentiles of the resampled differences. It reflects the sampling of images, not the
    variation between training runs.

    Args:
        before, after: records of both models, of the same images in the same order.
        num_classes: number of classes including background.
        kind: "mask" or "box", the type of IoU.
        resamples: number of bootstrap samples.
        seed: random seed.

    Returns:
        Lower and upper limits; (0, 0) if no image has an instance.

    Raises:
        ValueError: if the images differ.
    """
    if [record.image_id for record in before] != [record.image_id for record in after]:
        raise UserError("ap_difference_interval: expected records of the same images in the same order.")
    rng, count = np.random.default_rng(seed), len(before)
    samples = [np.arange(count), *(rng.integers(count, size=count) for _ in range(resamples))]
    scores = [_resampled_ap(records, num_classes, kind, samples) for records in (before, after)]
    differences = (scores[1] - scores[0])[1:]
    differences = differences[~np.isnan(differences)]
    if not differences.size:
        return 0.0, 0.0
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _resampled_ap(
    records: Sequence[ImageRecord], num_classes: int, kind: str, samples: Sequence[np.ndarray]
) -> np.ndarray:
    """Returns the AP on each sample of images, NaN for samples without instances. Images are matched only once."""
    scores = []
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = match_images(records, num_classes, kind, ap_only=True)
        matches = np.array(evaluation.evalImgs, dtype=object).reshape(num_classes - 1, len(records))
        for sample in samples:
            evaluation.evalImgs = matches[:, sample].ravel().tolist()
            evaluation.accumulate()
            precision = evaluation.eval["precision"]
            scores.append(precision[precision > -1].mean() if (precision > -1).any() else np.nan)
    return np.array(scores)
