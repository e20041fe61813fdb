"""The score threshold selected by validation, and unusable validation images."""

from types import SimpleNamespace

import numpy as np
import pytest

import tiny_training
from mrcnn.errors import UserError
from mrcnn.evaluation import make_record
from mrcnn.training.validation import MIN_CONFIDENCE, Validator, operating_point


def record(*scores_and_hits):
    """Returns the record of an image with one object and detections with the given scores, which cover it or not."""
    mask = np.zeros((8, 8, 1), bool)
    mask[2:6, 2:6] = True
    scores = np.array([score for score, _ in scores_and_hits], np.float32)
    masks = np.concatenate([mask if hit else ~mask for _, hit in scores_and_hits], axis=2)
    boxes = np.array([[2, 2, 6, 6] if hit else [0, 0, 8, 8] for _, hit in scores_and_hits], np.int32)
    result = {"rois": boxes, "class_ids": np.ones(len(scores), np.int32), "scores": scores, "masks": masks}
    return make_record(0, np.array([1]), mask, result, 2)


def test_threshold_with_the_highest_f1():
    """F1 of the first one, two and three detections is 2/3, 1 and 4/5. The odds of 0.8 and 0.2 are 4 and 1/4."""
    point = operating_point([record((0.9, True), (0.2, False)), record((0.8, True))])
    assert point == {"threshold": pytest.approx(0.5), "F1": 1.0}


def test_the_threshold_is_not_lower_than_that_of_the_validation():
    assert operating_point([record((0.06, True))]) == {"threshold": MIN_CONFIDENCE, "F1": 1.0}


def test_no_true_positive():
    assert operating_point([record((0.9, False))]) == {}


class NothingFound:
    """Predictor that detects nothing."""

    mask_padding = None

    def __init__(self, network, config):
        self.config = config

    def __call__(self, images, metas):
        return np.zeros((len(images), 1, 6), np.float32), np.zeros((len(images), 0, 28, 28)), [None] * len(images)


@pytest.mark.parametrize(
    ("shape", "class_id", "message"),
    [((7, 9), 1, r"square_1.*masks \(7, 9, 1\)"), ((64, 64), 5, "square_1.*class id 5 is not one of")],
)
def test_an_image_with_invalid_masks_is_listed(monkeypatch, shape, class_id, message):
    """An error in validation would end the training after its first epoch."""

    class OneWrong(tiny_training.Squares):
        def load_mask(self, image_id):
            return (np.ones((*shape, 1), bool), np.array([class_id])) if image_id == 1 else super().load_mask(image_id)

    monkeypatch.setattr("mrcnn.training.validation.Predictor", NothingFound)
    builder = SimpleNamespace(inference=lambda config: None)
    validator = Validator(SimpleNamespace(config=tiny_training.TrainingConfig(), builder=builder), OneWrong(3))
    assert validator()["images"] == 2 and list(validator.unreadable) == [1]
    with pytest.raises(UserError, match=message):
        raise UserError(validator.unreadable[1])
    validator.unreadable, validator.strict = {}, True
    with pytest.raises(UserError, match=message):
        validator()
