"""Only the messages of TensorFlow's cost estimator are removed from stderr."""

import os
import subprocess
import sys
import time

import pytest

from mrcnn.inference.cost_warnings import suppress_cost_warnings

DETECT = """
import numpy as np
from mrcnn.model import MaskRCNN
from tiny_config import TinyConfig

MaskRCNN("inference", TinyConfig(), "logs").detect([np.zeros((64, 64, 3), np.uint8)])
"""
TRAIN = """
from mrcnn.model import MaskRCNN
from tiny_training import Squares, TrainingConfig

class OneStep(TrainingConfig):
    STEPS_PER_EPOCH = VALIDATION_STEPS = 1

MaskRCNN("training", OneStep(), "logs").train(Squares(), Squares(), learning_rate=0.001, epochs=1, layers="all")
"""


def test_other_lines_are_kept(capfd):
    with suppress_cost_warnings():
        os.write(2, b"first\nW0 Error in PredictCost() for the op\nlast\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "first\nlast\nafter\n"


def test_lines_are_kept_after_an_error(capfd):
    try:
        with suppress_cost_warnings():
            os.write(2, b"before\n")
            raise ValueError
    except ValueError:
        pass
    assert capfd.readouterr().err == "before\n"


def test_lines_are_passed_on_at_once(capfd):
    with suppress_cost_warnings():
        os.write(2, b"waiting\n")
        deadline = time.monotonic() + 5
        while not (seen := capfd.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert seen == "waiting\n"


def test_a_process_that_outlives_the_block_does_not_delay_it(capfd):
    started = time.monotonic()
    with suppress_cost_warnings():
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
    assert time.monotonic() - started < 10
    process.kill()
    process.wait()


@pytest.mark.parametrize("script", [DETECT, TRAIN], ids=["detection", "training"])
def test_a_script_prints_no_message_of_the_cost_estimator(script, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    paths = os.pathsep.join(path for path in sys.path if path)
    environment["PYTHONPATH"] = paths
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "PredictCost" not in done.stderr
