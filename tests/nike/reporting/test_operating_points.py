"""Operating points, mask quality and the confidence interval of a fraction, with values derived by hand."""

import numpy as np
import pytest

from mrcnn.evaluation.average_precision import Ranking
from nike.reporting.operating_points import mask_quality, operating_points, wilson_interval


def ranking(is_true, num_gt):
    scores = np.linspace(0.9, 0.1, len(is_true))
    return Ranking(scores=scores, is_true=np.array(is_true, bool), num_gt=num_gt)


def test_lowest_threshold_that_keeps_the_precision():
    # The precision is 1, 1, 2/3, 3/4, 3/5 at the scores 0.9, 0.7, 0.5, 0.3, 0.1.
    points = operating_points(ranking([1, 1, 0, 1, 0], 4), (0.95, 0.7))
    assert [point["precision"] for point in points] == [0.7, 0.95]
    assert [point["threshold"] for point in points] == pytest.approx([0.3, 0.7])
    assert [point["recall"] for point in points] == pytest.approx([0.75, 0.5])


def test_detections_with_an_equal_score_are_kept_together():
    """At a threshold of 0.5, both detections with this score are kept, which lowers the precision from 1 to 2/3."""
    ties = Ranking(scores=np.array([0.9, 0.5, 0.5]), is_true=np.array([True, True, False]), num_gt=2)
    assert operating_points(ties, [0.9]) == [{"precision": 0.9, "threshold": 0.9, "recall": 0.5}]


@pytest.mark.parametrize(("is_true", "num_gt"), [([0, 1], 1), ([], 3), ([0], 0)])
def test_precision_that_is_not_reached(is_true, num_gt):
    assert operating_points(ranking(is_true, num_gt), [0.9]) == [{"precision": 0.9, "threshold": -1.0, "recall": -1.0}]


def test_mask_quality():
    assert mask_quality([0.6, 0.9, 0.95, 0.7]) == {"median_iou": pytest.approx(0.8), "accurate": 0.5}
    assert mask_quality([]) == {"median_iou": -1.0, "accurate": -1.0}


def test_wilson_interval():
    # The first three intervals are from Newcombe 1998, table I. Without images, the interval is 0 to 1.
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 0) == (0, 1)
