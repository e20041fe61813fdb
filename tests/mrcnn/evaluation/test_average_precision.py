"""Curves and averages against numbers worked out by hand."""

import numpy as np
import pytest

from mrcnn.evaluation import Ranking, best_f1, coco_ap_101_point, voc_ap_11_point, voc_ap_all_points

# Five instances; true, true, three false, two true, two false, true.
TEN = Ranking(np.linspace(0.95, 0.5, 10), np.array([1, 1, 0, 0, 0, 1, 1, 0, 0, 1], dtype=bool), 5)


def test_curve_of_ten_detections():
    np.testing.assert_allclose(TEN.recalls, [0.2, 0.4, 0.4, 0.4, 0.4, 0.6, 0.8, 0.8, 0.8, 1.0])
    np.testing.assert_allclose(TEN.precisions, [1, 1, 2 / 3, 1 / 2, 2 / 5, 1 / 2, 4 / 7, 1 / 2, 4 / 9, 1 / 2])


def test_averages_of_ten_detections():
    curve = TEN.recalls, TEN.precisions
    # Envelope: 1 up to recall 0.4, 4/7 up to 0.8, 1/2 up to 1.
    assert voc_ap_11_point(*curve) == pytest.approx((5 * 1 + 4 * 4 / 7 + 2 * 1 / 2) / 11)
    assert voc_ap_all_points(*curve) == pytest.approx(0.4 * 1 + 0.4 * 4 / 7 + 0.2 * 1 / 2)
    assert coco_ap_101_point(*curve) == pytest.approx((41 * 1 + 40 * 4 / 7 + 20 * 1 / 2) / 101)


def test_eleven_points_count_a_recall_of_three_tenths_as_reached():
    # In floating point 3/10 < linspace(0, 1, 11)[3].
    ranking = Ranking(np.array([0.9, 0.8, 0.7]), np.ones(3, dtype=bool), 10)
    assert voc_ap_11_point(ranking.recalls, ranking.precisions) == pytest.approx(4 / 11)


@pytest.mark.parametrize("average", [voc_ap_11_point, voc_ap_all_points, coco_ap_101_point])
def test_no_detections_average_to_zero(average):
    nothing = Ranking(np.zeros(0), np.zeros(0, dtype=bool), 3)
    assert average(nothing.recalls, nothing.precisions) == 0.0


def test_best_f1_by_hand():
    # Keeping k detections with t true: F1 = 2t / (k + 5); 7 detections give 8/12, all ten 10/15: the first wins.
    assert best_f1(TEN) == pytest.approx({"threshold": TEN.scores[6], "f1": 2 / 3, "precision": 4 / 7, "recall": 0.8})


def test_best_f1_cannot_split_equal_scores():
    # Cutting after the first would give F1 = 1, but no threshold separates it from the second.
    ranking = Ranking(np.array([0.5, 0.5]), np.array([True, False]), 1)
    assert best_f1(ranking) == pytest.approx({"threshold": 0.5, "f1": 2 / 3, "precision": 0.5, "recall": 1.0})


def test_best_f1_without_true_detections():
    ranking = Ranking(np.array([0.9]), np.array([False]), 2)
    assert best_f1(ranking) == {"threshold": 1.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}
