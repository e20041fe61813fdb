"""Times measured in a trial, and epochs and steps for a time budget, derived by hand."""

import argparse
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from nike.config import NikeConfig
from nike.training import time_budget
from nike.training.stages import ALTERNATING, StageSpec, min_epochs, plan_given_stages, plan_stages
from nike.training.time_budget import Speed, parse_time, plan_epochs

SPEEDS = {
    "heads": Speed(step=1, validation=0.5, epoch=4, start=20),
    "3+": Speed(step=2, validation=0.5, epoch=4, start=30),
}


@pytest.fixture(autouse=True)
def no_margin(monkeypatch):
    monkeypatch.setattr(time_budget, "MARGIN", 0)


def planned(seconds, layers="3+", is_fixed=False, schedule="heads-first", **changes):
    """Plans a run of one stage of `layers`, or with None the stages of `schedule`."""
    options = dict(
        plan=partial(plan_stages, learning_rate=1e-3, layers=layers, schedule=schedule),
        steps=50,
        is_fixed=is_fixed,
        min_epochs=min_epochs([], layers, schedule),
        min_steps=20,
        photos=12,
        every=1,
    )
    return plan_epochs(SPEEDS, seconds, **options | changes)


def test_a_large_budget():
    """The start takes 30 s and an epoch 50 x 2 + 12 x 0.5 + 4 = 110 s, so 10 epochs fit. 50 s remain."""
    assert planned(30 + 10 * 110 + 50) == (10, 52)  # (1150 / 10 - 10) / 2 = 52.5
    assert planned(30 + 10 * 110 + 50, is_fixed=True) == (10, 50)


def test_each_stage_has_its_own_speed():
    """The starts take 20 + 30 s. Of 12 epochs, the heads are trained for two, which take 50 + 10 s instead of 110 s."""
    assert planned(50 + 2 * 60 + 10 * 110, layers=None) == (12, 50)
    assert planned(50 + 2 * 60 + 10 * 110 + 22, layers=None) == (12, 51)  # one more step takes 2 x 1 + 10 x 2 s
    assert planned(50 + 2 * 60 + 10 * 110 - 1, layers=None, is_fixed=True) == (11, 50)


def test_the_last_epoch_of_each_stage_is_validated():
    """A validation takes 6 s. Epochs 5 and 10 are validated, and the last ones of the stages, 2 and 12."""
    seconds = 50 + 2 * (50 + 4) + 10 * (100 + 4) + 4 * 6
    assert planned(seconds, layers=None, is_fixed=True, every=5) == (12, 50)
    assert planned(seconds - 1, layers=None, is_fixed=True, every=5) == (11, 50)
    assert planned(30 + 10 * (100 + 4), is_fixed=True, every=0) == (10, 50)


def test_epochs_become_shorter_in_a_small_budget():
    assert planned(30 + 6 * 60) == (6, 25)  # 60 s per epoch, including 10 s that are not steps
    assert planned(30 + 2 * 50 + 10) == (2, 22)  # at least 20 steps, or 50 s per epoch
    assert planned(30 + 2 * 110, is_fixed=True) == (2, 50)


def test_no_epoch_fits():
    with pytest.raises(ValueError, match="--time: 10 s too short for 1 epoch of 20 steps with validation"):
        planned(30 + 40)
    with pytest.raises(ValueError, match="--time: 70 s too short for 1 epoch of 50 steps"):
        planned(30 + 40, is_fixed=True)


def test_a_schedule_with_a_minimum_of_epochs(monkeypatch):
    """Each of the four stages takes 30 s to start and 20 x 2 + 10 s for an epoch."""
    for _, layers, _ in ALTERNATING:
        monkeypatch.setitem(SPEEDS, layers, SPEEDS["3+"])
    assert planned(4 * 80, layers=None, schedule="alternating") == (4, 20)
    with pytest.raises(ValueError, match="--time: 1 s too short for 4 epochs of 20 steps"):
        planned(4 * 80 - 1, layers=None, schedule="alternating")


def test_a_part_of_the_time_is_reserved(monkeypatch):
    monkeypatch.setattr(time_budget, "MARGIN", 0.5)
    assert planned(2 * (30 + 10 * 110)) == (10, 50)


class Model:
    """Network with one weight, which any training step changes."""

    def __init__(self, logs):
        self.config, self.logs, self.weight = NikeConfig(), logs, 1
        self.keras_model, self.run = self, "none"

    def get_weights(self):
        return self.weight

    def set_weights(self, weight):
        self.weight = weight

    def set_log_dir(self):
        self.log_dir = self.logs / "run"


@pytest.mark.parametrize("photos, per_image", [(100, 0.5), (2, 1.0)])
def test_times_of_a_trial(tmp_path, monkeypatch, photos, per_image):
    """The first epoch takes 60 s including compilation. The second epoch takes 5 steps of 2 s, 2 s, and 4 s."""
    clock = [0.0]
    monkeypatch.setattr(time_budget.time, "perf_counter", lambda: clock[0])
    model = Model(tmp_path / "logs")

    def train(custom_callbacks, validation_photos, verbose):
        (timer,) = custom_callbacks
        assert model.config.STEPS_PER_EPOCH == 5 and Path(model.log_dir).parent == model.logs
        for epoch, end in enumerate((60, 76)):
            timer.on_epoch_begin(epoch, {})
            clock[0] = end
            timer.on_epoch_end(epoch, {})
        model.weight, clock[0] = 2, 77
        return SimpleNamespace(rows=[{}, {"seconds_per_step": 2, "validation_seconds": 2.0}])

    speed = time_budget.measure_speed(model, train, photos, model.logs)
    assert speed == Speed(step=2, validation=per_image, epoch=4, start=77 - 2 * 16)
    assert (model.weight, model.config.STEPS_PER_EPOCH, model.run) == (1, NikeConfig.STEPS_PER_EPOCH, None)
    assert model.log_dir == model.logs / "run" and not list(model.logs.iterdir())


def test_each_layer_set_is_measured_once():
    stages = plan_given_stages([StageSpec(layers, 1) for layers in ("heads", "4+", "all", "heads", "all")], None, 0.1)
    measured = []

    def measure(stage, is_validated):
        measured.append((stage.layers, is_validated))
        return Speed(step=len(measured), validation=is_validated, epoch=len(measured), start=10)

    assert time_budget.measure_stages(stages, measure, has_validation=True) == {
        "all": Speed(step=1, validation=True, epoch=1, start=10),
        "heads": Speed(step=2, validation=True, epoch=1, start=10),
        "4+": Speed(step=3, validation=True, epoch=1, start=10),
    }
    assert measured == [("all", True), ("heads", False), ("4+", False)]


def test_a_very_long_budget():
    assert planned(30 + 1e9 * 110, is_fixed=True) == (10**9, 50)


@pytest.mark.parametrize("text, seconds", [("2h", 7200), ("30m", 1800), ("90s", 90), ("1h30m", 5400), ("0.5h", 1800)])
def test_durations(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "0h", "-1h", "1.2.3h", "30m1h", "1d", "nan s"])
def test_other_durations(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a duration such as 2h, 30m, 90s or 1h30m"):
        parse_time(text)
