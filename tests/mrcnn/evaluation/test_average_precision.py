"""Precision-recall curves and average precision against values calculated by hand."""

import numpy as np
import pytest

from mrcnn.evaluation import (
    Ranking,
    best_f1,
    coco_ap_101_point,
    threshold_below,
    voc_ap_11_point,
    voc_ap_all_points,
)

# Ten detections of five instances in order of score: true, true, three false, two true, two false, true.
TEN = Ranking(np.linspace(0.95, 0.5, 10), np.array([1, 1, 0, 0, 0, 1, 1, 0, 0, 1], dtype=bool), 5)


def test_curve_of_ten_detections():
    np.testing.assert_allclose(TEN.recalls, [0.2, 0.4, 0.4, 0.4, 0.4, 0.6, 0.8, 0.8, 0.8, 1.0])
    np.testing.assert_allclose(TEN.precisions, [1, 1, 2 / 3, 1 / 2, 2 / 5, 1 / 2, 4 / 7, 1 / 2, 4 / 9, 1 / 2])


def test_averages_of_ten_detections():
    curve = TEN.recalls, TEN.precisions
    # The envelope is 1 up to recall 0.4, 4/7 up to 0.8 and 1/2 up to 1.
    assert voc_ap_11_point(*curve) == pytest.approx((5 * 1 + 4 * 4 / 7 + 2 * 1 / 2) / 11)
    assert voc_ap_all_points(*curve) == pytest.approx(0.4 * 1 + 0.4 * 4 / 7 + 0.2 * 1 / 2)
    assert coco_ap_101_point(*curve) == pytest.approx((41 * 1 + 40 * 4 / 7 + 20 * 1 / 2) / 101)


def test_11_point_ap_tolerates_floating_point_error_in_recall():
    # In floating point 3/10 < linspace(0, 1, 11)[3].
    ranking = Ranking(np.array([0.9, 0.8, 0.7]), np.ones(3, dtype=bool), 10)
    assert voc_ap_11_point(ranking.recalls, ranking.precisions) == pytest.approx(4 / 11)


@pytest.mark.parametrize("average", [voc_ap_11_point, voc_ap_all_points, coco_ap_101_point])
def test_ap_is_zero_without_detections(average):
    empty = Ranking(np.zeros(0), np.zeros(0, dtype=bool), 3)
    assert average(empty.recalls, empty.precisions) == 0.0


def test_best_f1():
    # F1 of k detections with t true positives is 2t / (k + 5). It is 8/12 for k = 7, equal to 10/15 for all ten.
    assert best_f1(TEN) == pytest.approx({"threshold": TEN.scores[6], "f1": 2 / 3, "precision": 4 / 7, "recall": 0.8})


def test_best_f1_does_not_split_equal_scores():
    # The first detection alone has F1 = 1, but no threshold separates it from the second.
    ranking = Ranking(np.array([0.5, 0.5]), np.array([True, False]), 1)
    assert best_f1(ranking) == pytest.approx({"threshold": 0.5, "f1": 2 / 3, "precision": 0.5, "recall": 1.0})


def test_best_f1_without_true_positives():
    ranking = Ranking(np.array([0.9]), np.array([False]), 2)
    assert best_f1(ranking) == {"threshold": 1.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}


def test_threshold_in_the_middle_of_two_scores():
    # The odds are 1 and 1/9, and their geometric mean is 1/3.
    ranking = Ranking(np.array([1.0, 0.5, 0.1]), np.array([True, True, False]), num_gt=2)
    assert threshold_below(ranking, 0.5) == pytest.approx(0.25)
    assert 0 < threshold_below(ranking, 0.1) < 0.1 < 0.5 < threshold_below(ranking, 1.0) < 1
