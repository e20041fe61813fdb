"""Options of train(): what is refused, and in which words."""

import pytest

from mrcnn.training import TrainOptions


def test_defaults_equal_the_original():
    options = TrainOptions.from_dict({})
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
        TrainOptions.from_dict(option)


def test_unknown_option_suggests_the_nearest():
    with pytest.raises(TypeError, match="no option 'patient'; did you mean 'patience'"):
        TrainOptions.from_dict({"patient": 3})
