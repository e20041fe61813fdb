"""The confidence interval of a difference in AP."""

import numpy as np
import pytest

from mrcnn.evaluation import CocoEvaluator, ap_difference_interval
from mrcnn.evaluation.bootstrap import _resampled_ap

TRUTH = np.zeros((20, 20, 1), bool)
TRUTH[2:12, 2:12] = True


def records(found):
    """Returns records of images with one instance each, which is detected exactly (True) or not at all (False)."""
    evaluator = CocoEvaluator(["BG", "nike"])
    for number, is_found in enumerate(found):
        masks = TRUTH[..., : int(is_found)]
        result = {"class_ids": np.ones(int(is_found), int), "scores": np.full(int(is_found), 0.9), "masks": masks}
        evaluator.add(number, np.array([1]), TRUTH, result | {"rois": None})
    return evaluator


def test_ap_of_the_images_themselves_is_that_of_the_evaluator():
    evaluator = records([True, True, True, False])
    summary = evaluator.summarize()["mask"]["AP"]
    assert summary == pytest.approx(76 / 101)  # precision 1 at recalls 0 to 0.75
    samples = [np.arange(4), np.array([0, 0, 0, 3]), np.array([3, 3, 3, 3])]
    assert _resampled_ap(evaluator.records, 2, "mask", samples) == pytest.approx([76 / 101, 76 / 101, 0])


def test_equal_models_have_no_difference():
    same = records([True, False, True]).records
    assert ap_difference_interval(same, same, 2, resamples=20) == (0, 0)


def test_the_interval_contains_the_difference_and_narrows_with_more_images():
    widths = []
    for repeats in (4, 40):
        before = records([True, False, False, True] * repeats).records
        after = records([True, True, False, True] * repeats).records  # a quarter of the images improves
        low, high = ap_difference_interval(before, after, 2, resamples=100)
        assert 0 <= low < 0.25 < high <= 1
        widths.append(high - low)
    # The standard error of a fraction of 0.25 is sqrt(0.25 * 0.75 / n): 0.108 for 16 images, 0.034 for 160.
    assert widths[0] == pytest.approx(3.92 * 0.108, rel=0.35) and widths[1] == pytest.approx(3.92 * 0.034, rel=0.35)


def test_images_without_instances_and_different_images():
    evaluator = CocoEvaluator(["BG", "nike"])
    empty = {"class_ids": [], "scores": [], "masks": TRUTH[..., :0], "rois": np.zeros((0, 4))}
    evaluator.add("a", [], TRUTH[..., :0], empty)
    assert ap_difference_interval(evaluator.records, evaluator.records, 2, resamples=3) == (0, 0)
    with pytest.raises(ValueError, match="same images in the same order"):
        ap_difference_interval(evaluator.records, [], 2)
