"""The progress bar and the lines of training in a terminal and in a log file."""

import io
import re
import sys

import pytest

from mrcnn.training.display import EpochDisplay


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(monkeypatch, bar, **logs):
    """Returns the output of two epochs of three steps."""
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    display = EpochDisplay(steps=3, epochs=30, bar=bar)
    for epoch in (3, 4):
        display.on_epoch_begin(epoch)
        for step in range(3):
            display.on_train_batch_end(step, {"loss": 1.5 - step / 4, "mrcnn_class_loss": 0.1})
        display.on_epoch_end(epoch, {"loss": 1.23456, "mrcnn_class_loss": 0.1, "val_mask_AP": 7.8e-4, **logs})
    display.close()
    return sys.stdout.getvalue()


def test_a_line_per_epoch_in_a_log_file(monkeypatch):
    assert run(monkeypatch, False) == "Epoch 4/30: loss 1.235\nEpoch 5/30: loss 1.235\n"
    printed = run(monkeypatch, False, val_loss=2.0, seconds_per_step=0.517)
    assert printed.splitlines()[0] == "Epoch 4/30: loss 1.235, validation loss 2.000, 0.52 s a step"


def test_the_bar_stays_on_one_line_and_is_erased(monkeypatch):
    printed = run(monkeypatch, True)
    assert printed.count("\n") == 2  # one line per epoch
    first, second, _ = printed.split("\n")
    frames = first.split("\r")
    assert re.match(r"Epoch 4/30: +0%.* 0/3 ", frames[1]) and max(map(len, frames)) <= 80
    assert frames[-1] == "Epoch 4/30: loss 1.235" and not frames[-2].strip()
    assert second.startswith("\rEpoch 5/30")


@pytest.mark.parametrize("bar", [True, False])
def test_an_interrupted_epoch_leaves_no_bar(monkeypatch, bar):
    monkeypatch.setattr(sys, "stdout", Terminal())
    display = EpochDisplay(steps=3, epochs=1, bar=bar)
    display.on_epoch_begin(0)
    display.on_train_batch_end(0, {"loss": 1.0})
    display.close()
    assert not sys.stdout.getvalue().split("\r")[-1].strip()
