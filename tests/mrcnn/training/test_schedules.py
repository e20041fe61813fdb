"""Learning rate schedules, derived by hand."""

import keras
import numpy as np
import pytest

from mrcnn.training.schedules import Schedule


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_warm_up_rises_linearly_from_the_first_step():
    schedule = Schedule(1.0, 100, warmup_steps=4)
    np.testing.assert_allclose(rates(schedule, [0, 1, 2, 3, 4, 99]), [0.25, 0.5, 0.75, 1, 1, 1])


def test_cosine_decays_to_one_percent():
    schedule = Schedule(2.0, 100, "cosine")
    np.testing.assert_allclose(rates(schedule, [0, 50, 100, 500]), [2, 2 * 0.505, 0.02, 0.02], rtol=1e-6)


def test_step_schedule_divides_by_ten_twice():
    schedule = Schedule(0.5, 100, "step")
    np.testing.assert_allclose(rates(schedule, [66, 67, 88, 89]), [0.5, 0.05, 0.05, 0.005], rtol=1e-6)


def test_config_round_trip():
    schedule = Schedule(0.3, 50, "cosine", 7)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert copy.get_config() == schedule.get_config()
    assert rates(copy, [3, 20]) == rates(schedule, [3, 20])


def test_unknown_kind():
    with pytest.raises(ValueError, match="expected one of constant, cosine, step, got 'cos'"):
        Schedule(1.0, 10, "cos")
