"""Exact resume: an interrupted run ends with exactly the same weights as an uninterrupted run."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from mrcnn.training import resume, saved_state

pytestmark = pytest.mark.slow

PROGRAM = pathlib.Path(__file__).parents[2] / "helpers" / "tiny_training.py"
EPOCHS = 4


class Crash(Exception):
    """Simulates a killed process, which cannot clean up."""


class CrashAfter(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Crash


def train(tiny, logs, crash_after=None, resumed=False, **options):
    """Runs the two stages of `tiny_training.main`. Returns the final weights and the losses."""
    model = tiny.build(logs)
    if resumed:
        resume(model)
    callbacks = [CrashAfter(crash_after)] if crash_after else []
    common = dict(custom_callbacks=callbacks, verbose=0, seed=3, **options)
    train_data, val = tiny.Squares(7), tiny.Squares(2, seed=1)
    model.train(train_data, None, 0.02, 2, "heads", **common)
    progress = model.train(train_data, val, 0.02, EPOCHS, "all", schedule="cosine", average=0.9, **common)
    losses = [[row["loss"], row.get("val_mask_AP", -1)] for row in progress.rows]
    return {variable.path: variable.numpy() for variable in model.keras_model.weights} | {"losses": np.array(losses)}


@pytest.fixture(scope="module")
def uninterrupted(tiny, tmp_path_factory):
    return train(tiny, tmp_path_factory.mktemp("logs"))


def assert_same(result, expected):
    assert set(result) == set(expected)
    different = [name for name in expected if not np.array_equal(result[name], expected[name])]
    assert not different


def test_after_a_crash_within_an_epoch(tiny, uninterrupted, tmp_path):
    with pytest.raises(Crash):
        train(tiny, tmp_path, crash_after=11, save_minutes=1e-9)
    assert_same(train(tiny, tmp_path, resumed=True), uninterrupted)


def test_after_a_crash_between_weights_and_state(tiny, uninterrupted, tmp_path, monkeypatch):
    real, calls = saved_state.write_state, []

    def crash_at_the_third(*arguments):
        calls.append(arguments)
        if len(calls) == 4:  # epochs 1 and 2, the end of the first stage, epoch 3
            raise Crash
        real(*arguments)

    monkeypatch.setattr(saved_state, "write_state", crash_at_the_third)
    with pytest.raises(Crash):
        train(tiny, tmp_path, save_minutes=0)
    folder = next(tmp_path.iterdir())
    assert (folder / "mask_rcnn_tiny_0003.h5").exists() and not (folder / "training_tiny_0003.state").exists()
    monkeypatch.undo()
    assert_same(train(tiny, tmp_path, resumed=True), uninterrupted)


def test_a_run_cannot_be_resumed_with_other_settings(tiny, tmp_path):
    with pytest.raises(Crash):
        train(tiny, tmp_path, crash_after=2, save_minutes=1e-9)
    model = tiny.build(tmp_path, WEIGHT_DECAY=0.5)
    with pytest.raises(ValueError, match=r"has different settings \(WEIGHT_DECAY: 0.0001 -> 0.5\)"):
        resume(model)
    resume(
        tiny.build(tmp_path, DETECTION_BOX_VOTING=0.5, DETECTION_MASK_SCORES=True)
    )  # detection settings do not affect training
    model = tiny.build(tmp_path)
    resume(model)
    with pytest.raises(ValueError, match=r"different settings \(learning_rate: 0.02 -> 0.1\). Resume with its"):
        model.train(tiny.Squares(7), None, 0.1, 2, "heads", verbose=0, seed=3)
    with pytest.raises(ValueError, match=r"the training images differ from those of the run \(7 -> 8 images"):
        model.train(tiny.Squares(8), None, 0.02, 2, "heads", verbose=0, seed=3)


def test_sigkill(uninterrupted, tmp_path):
    """The process is killed twice at random times, probably during a write, because the run saves after every step."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    logs, result = tmp_path / "logs", tmp_path / "result.npz"
    command = [sys.executable, str(PROGRAM), str(logs), str(result), "save_minutes=1e-9"]
    generator = random.Random(5)
    for attempt, steps in enumerate((5, 4)):
        (logs / "steps").unlink(missing_ok=True)
        process = subprocess.Popen([*command, *(["resume"] if attempt else [])], env=environment)
        deadline = time.monotonic() + 500
        while process.poll() is None and time.monotonic() < deadline:
            done = (logs / "steps").read_text() if (logs / "steps").exists() else ""
            if done and int(done) >= steps:
                time.sleep(generator.uniform(0, 0.03))
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    subprocess.run([*command, "resume"], env=environment, check=True)
    with np.load(result) as arrays:
        assert_same({name.replace(":", "/"): arrays[name] for name in arrays.files}, uninterrupted)
