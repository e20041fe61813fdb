"""Only the messages of the cost estimator are dropped from stderr."""

import os
import subprocess
import sys

import pytest

from mrcnn.inference.cost_warnings import without_cost_warnings

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
    with without_cost_warnings():
        os.write(2, b"first\nW0 Error in PredictCost() for the op\nlast\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "first\nlast\nafter\n"


def test_lines_are_kept_after_an_error(capfd):
    try:
        with without_cost_warnings():
            os.write(2, b"before\n")
            raise ValueError
    except ValueError:
        pass
    assert capfd.readouterr().err == "before\n"


@pytest.mark.parametrize("script", [DETECT, TRAIN], ids=["detection", "training"])
def test_a_script_prints_no_message_of_the_cost_estimator(script, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    paths = os.pathsep.join(path for path in sys.path if path)
    environment["PYTHONPATH"] = paths
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "PredictCost" not in done.stderr
