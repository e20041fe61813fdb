"""The score threshold that a validation chooses."""

import numpy as np
import pytest

from mrcnn.evaluation import make_record
from mrcnn.training.validation import MIN_CONFIDENCE, operating_point


def record(*scores_and_hits):
    """An image with one object and detections that do or do not cover it, with scores."""
    mask = np.zeros((8, 8, 1), bool)
    mask[2:6, 2:6] = True
    scores = np.array([score for score, _ in scores_and_hits], np.float32)
    masks = np.concatenate([mask if hit else ~mask for _, hit in scores_and_hits], axis=2)
    boxes = np.array([[2, 2, 6, 6] if hit else [0, 0, 8, 8] for _, hit in scores_and_hits], np.int32)
    result = {"rois": boxes, "class_ids": np.ones(len(scores), np.int32), "scores": scores, "masks": masks}
    return make_record(0, np.array([1]), mask, result, 2)


def test_threshold_with_the_highest_f1():
    """F1 is 2/3, 1 and 4/5 for one, two and three detections. The odds of 0.8 and 0.2 are 4 and 1/4."""
    point = operating_point([record((0.9, True), (0.2, False)), record((0.8, True))])
    assert point == {"threshold": pytest.approx(0.5), "F1": 1.0}


def test_the_threshold_is_not_lower_than_that_of_the_validation():
    assert operating_point([record((0.06, True))]) == {"threshold": MIN_CONFIDENCE, "F1": 1.0}


def test_no_true_positive():
    assert operating_point([record((0.9, False))]) == {}
