"""The score threshold that training stores in the best weights."""

from types import SimpleNamespace

import numpy as np
import pytest

from mrcnn.checkpoints import read_checkpoint, save_weights
from mrcnn.training.progress import Progress
from nike.config import NikeConfig
from nike.training.score_threshold import store_threshold


@pytest.fixture
def weights(tmp_path):
    layer = SimpleNamespace(name="conv1", weights=[], get_weights=list)
    return save_weights({"conv1": layer}, tmp_path / "best.h5", NikeConfig(), {"epoch": 2})


def finished(*rows, **settings):
    progress = Progress.from_rows(len(rows), [{"epoch": epoch} | row for epoch, row in enumerate(rows, 1)])
    return SimpleNamespace(
        config=NikeConfig().copy(**settings),
        run=SimpleNamespace(progress=progress),
        keras_model=SimpleNamespace(distribute_strategy=SimpleNamespace(cluster_resolver=None)),
    )


def stored(path):
    with read_checkpoint(path) as checkpoint:
        return checkpoint.config["DETECTION_MIN_CONFIDENCE"]


ROWS = (
    {"val_mask_AP": 0.2, "val_threshold": 0.1, "val_F1": 0.4},
    {"val_mask_AP": 0.3, "val_threshold": 0.23456, "val_F1": 0.61},
    {"val_mask_AP": 0.1, "val_threshold": 0.9, "val_F1": 0.5},
)


def test_the_threshold_of_the_best_epoch_is_stored(weights):
    lines = store_threshold(finished(*ROWS), weights)
    assert lines == [
        "threshold   0.235 has the highest F1 on the validation images (0.610); stored in the best weights"
    ]
    assert stored(weights) == 0.2346


def test_a_threshold_of_the_config_is_kept(weights):
    lines = store_threshold(finished(*ROWS, DETECTION_MIN_CONFIDENCE=0.8), weights)
    assert lines == ["threshold   0.8 of --config; 0.235 has the highest F1 on the validation images (0.610)"]
    assert stored(weights) == 0.5


def test_without_a_true_positive(weights):
    lines = store_threshold(finished({"val_mask_AP": 0.0}), weights)
    assert lines == ["threshold   0.5, not calibrated: no true positive on the validation images"]
    assert stored(weights) == 0.5


def test_without_validation(weights):
    assert store_threshold(finished({"loss": np.float32(1)}), weights) == []
