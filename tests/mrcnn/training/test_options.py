"""Options of train(): defaults and rejected values."""

import dataclasses
import inspect

import pytest

from mrcnn import MaskRCNN
from mrcnn.training import TrainOptions


def test_train_takes_each_option_as_a_keyword():
    parameters = inspect.signature(MaskRCNN.train).parameters.values()
    keywords = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert keywords == dataclasses.asdict(TrainOptions())


def test_defaults_equal_the_original():
    options = TrainOptions()
    assert (options.optimizer, options.schedule, options.average, options.accumulate) == ("sgd", "constant", 0, 1)


@pytest.mark.parametrize(
    "option, message",
    [
        ({"optimizer": "adam"}, "optimizer: expected one of sgd, adamw, got 'adam'"),
        ({"losses": "mask"}, "losses: expected one of all, rpn, mrcnn, got 'mask'"),
        ({"average": 1.0}, "average: expected 0"),
        ({"accumulate": 0}, "accumulate: expected at least 1"),
        ({"validation_photos": -1}, "validation_photos: expected 0 .all. or more, got -1"),
        ({"patience": -1}, "patience: expected 0 or more, got -1"),
    ],
)
def test_invalid_values(option, message):
    with pytest.raises(ValueError, match=message):
        TrainOptions(**option)
