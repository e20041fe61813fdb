"""Epochs and steps for a time budget, derived by hand."""

import argparse

import pytest

from nike.training import time_budget
from nike.training.time_budget import Speed, parse_time, plan_epochs

SPEED = Speed(step=2, validation=0.5, epoch=4, start=30)


@pytest.fixture(autouse=True)
def no_margin(monkeypatch):
    monkeypatch.setattr(time_budget, "MARGIN", 0)


def planned(seconds, is_fixed=False, **changes):
    options = dict(stages=2, steps=50, is_fixed=is_fixed, min_steps=20, photos=12) | changes
    return plan_epochs(SPEED, seconds, **options)


def test_a_large_budget():
    """60 s for the start of two stages; an epoch takes 50 x 2 + 12 x 0.5 + 4 = 110 s, so 10 fit. 50 s remain."""
    assert planned(60 + 10 * 110 + 50) == (10, 52)  # (1150 / 10 - 10) / 2 = 52.5
    assert planned(60 + 10 * 110 + 50, is_fixed=True) == (10, 50)


def test_epochs_become_shorter_in_a_small_budget():
    assert planned(60 + 6 * 60) == (6, 25)  # 60 s an epoch, 10 s of them without steps
    assert planned(60 + 2 * 50 + 10) == (2, 22)  # at least 20 steps: 50 s an epoch
    assert planned(60 + 2 * 110, is_fixed=True) == (2, 50)


def test_no_epoch_fits():
    with pytest.raises(ValueError, match="--time: 10 s too short for an epoch of 20 steps with validation"):
        planned(60 + 40)
    with pytest.raises(ValueError, match="--time: 70 s too short for an epoch of 50 steps"):
        planned(60 + 40, is_fixed=True)


def test_a_part_of_the_time_is_left_free(monkeypatch):
    monkeypatch.setattr(time_budget, "MARGIN", 0.5)
    assert planned(2 * (60 + 10 * 110)) == (10, 50)


@pytest.mark.parametrize("text, seconds", [("2h", 7200), ("30m", 1800), ("90s", 90), ("1h30m", 5400), ("0.5h", 1800)])
def test_durations(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "0h", "-1h", "1.2.3h", "30m1h", "1d", "nan s"])
def test_other_durations(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a duration such as 2h, 30m, 90s or 1h30m"):
        parse_time(text)
