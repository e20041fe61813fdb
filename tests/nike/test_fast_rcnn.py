"""`nike train` with the Fast R-CNN recipe on synthetic images, followed by `nike evaluate`, `detect` and `export`."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import yaml

from mrcnn.checkpoints import read_checkpoint
from nike import detect, evaluate, export, train
from nike.config import NikeConfig
from nike.datasets import selective_search as module
from nike.datasets.selective_search import MODES

pytestmark = pytest.mark.slow

RECIPE = Path(train.__file__).parent / "recipes" / "fast_rcnn.yaml"
TINY = {
    "BACKBONE": "mobilenet_v2",
    "IMAGE_MIN_DIM": 64,
    "IMAGE_MAX_DIM": 64,
    "TOP_DOWN_PYRAMID_SIZE": 16,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 32,
    "POST_NMS_ROIS_TRAINING": 50,
    "POST_NMS_ROIS_INFERENCE": 50,
    "TRAIN_ROIS_PER_IMAGE": 16,
}


@pytest.fixture
def searches(monkeypatch):
    """Replaces Selective Search by a grid of boxes. Returns the list of calls."""
    calls = []

    def search(image, mode):
        calls.append(mode)
        y, x = np.mgrid[0:60:15, 0:80:20].reshape(2, -1)
        return np.float32(np.stack([y, x, y + 30, x + 40], axis=1))

    monkeypatch.setattr(module, "selective_search", search)
    monkeypatch.setattr(module, "cv2", SimpleNamespace(ximgproc=SimpleNamespace(segmentation=None)))
    return calls


@pytest.fixture(autouse=True)
def policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def start(folder, shape, tmp_path):
    """Returns the function `start(*options)`, which trains for two steps on six images."""
    for i in range(6):
        folder.labelled(f"{i}.png", [shape(points=((10, 10), (60, 10), (60, 40), (10, 40)))], seed=i)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(yaml.safe_load(RECIPE.read_text()) | TINY))
    options = ["--weights=none", "--steps=2", "--batch=1", "--mixed-precision=off", f"--config={settings}"]
    folders = [f"--dataset={folder.root}", f"--logs={tmp_path / 'logs'}"]
    return lambda *more: train.main(["--task=boxes", *options, *folders, *more])


def test_the_recipe_is_valid():
    settings = yaml.safe_load(RECIPE.read_text())
    NikeConfig.from_dict(settings).validate()
    assert settings["PROPOSALS"] in MODES


def test_train_evaluate_detect_export(start, searches, folder, tmp_path, capsys):
    assert start("--epochs=1", "--augment=medium") == 0
    printed = capsys.readouterr().out
    assert "proposals   selective_search_fast, cached in .proposals" in printed and "boxes only" in printed
    assert len(list((folder.root / ".proposals").glob("*.npy"))) == 6 and set(searches) == {"selective_search_fast"}
    (weights,) = (tmp_path / "logs").glob("*/mask_rcnn_nike_0001.h5")
    with read_checkpoint(weights) as checkpoint:
        assert checkpoint.config["PROPOSALS"] == "selective_search_fast"
        assert not any("rpn" in name for name in checkpoint.layers)
    searches.clear()
    common = [f"--weights={weights}", "--min-confidence=0"]
    assert evaluate.main([*common, f"--dataset={folder.root}", "--split=val"]) == 0
    assert searches == []  # the validation images were cached
    photo, output = str(folder.root / "0.png"), str(tmp_path / "found")
    assert detect.main([*common, photo, f"--output={output}", "--save=csv", "--tiles=2"]) == 0
    assert len(searches) > 1  # proposals of the image and its tiles are not cached
    capsys.readouterr()
    assert export.main([f"--weights={weights}", "--format=saved_model", f"--output={tmp_path / 'out'}"]) == 2
    assert "the network has no RPN (PROPOSALS = 'selective_search_fast')" in capsys.readouterr().err


def test_without_the_package_the_error_precedes_building_the_network(start, capsys):
    if hasattr(getattr(module.cv2, "ximgproc", None), "segmentation"):
        pytest.skip("opencv-contrib-python is installed")
    assert start() == 2
    assert "Selective Search requires opencv-contrib-python" in capsys.readouterr().err


def test_alternating_stages_need_an_rpn(start, searches, capsys):
    assert start("--schedule=alternating", "--epochs=4") == 2
    assert "losses: the network has no RPN" in capsys.readouterr().err
