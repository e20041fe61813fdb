"""Initial weights: settings from the file, and layers that are excluded if the classes differ."""

import string

import h5py
import keras
import pytest

from mrcnn import checkpoints
from mrcnn.config import Config
from nike.training import start_weights
from nike.training.start_weights import BUNDLED_WEIGHTS, bundled_weights, find_start_weights, load_start_weights


def write(path, classes, config=None):
    layers = {"conv1": keras.layers.Dense(3, name="conv1"), "mrcnn_class_logits": keras.layers.Dense(classes)}
    for layer in layers.values():
        layer.build((None, 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.save_weights(layers, path, config=config)
    return path


class FakeModel:
    """Model that records how weights are loaded."""

    def __init__(self, classes, refinement=0):
        self.config = type("Config", (), {"NUM_CLASSES": classes, "MASK_REFINEMENT_SIZE": refinement})
        self.calls = []

    def load_weights(self, path, by_name, exclude):
        self.calls.append((path, exclude))

    def set_log_dir(self):
        self.calls.append("new run")


def test_settings_of_the_file_are_used(tmp_path):
    settings = {"BACKBONE": "mobilenet_v2", "RPN_CHANNELS": 16, "LEARNING_RATE": 3, "IMAGE_MAX_DIM": 64}
    path = write(tmp_path / "some.h5", 2, settings)
    found = find_start_weights(str(path), tmp_path, "nike")
    assert (found.path, found.classes) == (path, 2)
    assert found.settings == {"BACKBONE": "mobilenet_v2", "RPN_CHANNELS": 16}


@pytest.mark.parametrize("blocks, backbone", [(6, "resnet50"), (23, "resnet101")])
def test_the_backbone_of_a_file_without_settings_is_detected(tmp_path, blocks, backbone):
    """Files of the original contain no settings. Stage 4 of a ResNet-101 has 23 blocks."""
    layers = {f"res4{letter}_branch2a": keras.layers.Dense(1) for letter in string.ascii_lowercase[:blocks]}
    layers["mrcnn_class_logits"] = keras.layers.Dense(4)
    for layer in layers.values():
        layer.build((None, 1))
    checkpoints.save_weights(layers, tmp_path / "original.h5")
    found = find_start_weights(str(tmp_path / "original.h5"), tmp_path)
    assert (found.settings, found.classes) == ({"BACKBONE": backbone}, 4)
    (tmp_path / "torchvision.npz").touch()
    assert find_start_weights(str(tmp_path / "torchvision.npz"), tmp_path).settings["BACKBONE"] == "mobilenet_v2"


def test_a_head_with_a_damaged_shape(tmp_path):
    path = write(tmp_path / "some.h5", 2)
    with h5py.File(path, "r+") as file:
        bias = file["mrcnn_class_logits/mrcnn_class_logits/bias:0"].name
        del file[bias]
        file[bias] = 1.0
    assert find_start_weights(str(path), tmp_path).classes is None  # loading the file reports the shapes


@pytest.mark.parametrize("name", ["imagenet", "none"])
def test_heads_without_initial_weights_are_narrow(tmp_path, name):
    settings = find_start_weights(name, tmp_path).settings
    assert settings and all(2 * width <= getattr(Config, setting) for setting, width in settings.items())


def test_heads_are_narrow_for_the_weights_file_of_a_backbone(tmp_path):
    layer = keras.layers.Dense(3, name="conv1")
    layer.build((None, 2))
    checkpoints.save_weights({"conv1": layer}, tmp_path / "backbone.h5")
    assert find_start_weights(str(tmp_path / "backbone.h5"), tmp_path).settings == start_weights.NARROW
    assert find_start_weights(str(write(tmp_path / "whole.h5", 2)), tmp_path).settings == {}


@pytest.mark.parametrize("classes, exclude", [(2, None), (81, checkpoints.HEADS)])
def test_heads_are_excluded_if_the_classes_differ(tmp_path, classes, exclude):
    found = find_start_weights(str(write(tmp_path / "some.h5", classes)), tmp_path, "nike")
    model = FakeModel(2)
    text = load_start_weights(model, found)
    assert model.calls == [(found.path, exclude), "new run"]
    assert ("without the heads (80 instead of 1 classes)" in text) == (classes == 81)


def test_a_model_with_mask_refinement_loads_files_without_it(tmp_path):
    found = find_start_weights(str(write(tmp_path / "some.h5", 81)), tmp_path, "nike")
    model = FakeModel(2, refinement=112)
    load_start_weights(model, found)
    assert model.calls[0] == (found.path, [*checkpoints.HEADS, start_weights.REFINEMENT_LAYERS])


def test_last_and_best_choose_the_newest_run_of_the_name_or_of_any(tmp_path):
    write(tmp_path / "nike20260101T0000" / "mask_rcnn_nike_0007.h5", 2)
    newest = write(tmp_path / "nike20260102T0000" / "mask_rcnn_nike_0001.h5", 2)
    best = write(tmp_path / "nike20260102T0000" / "mask_rcnn_nike_best.h5", 2)
    puma = write(tmp_path / "a-puma20260103T0000" / "mask_rcnn_a-puma_0003.h5", 2)
    assert find_start_weights("last", tmp_path, "nike").path == newest
    assert find_start_weights("best", tmp_path, "nike").path == best
    assert find_start_weights("last", tmp_path).path == puma
    with pytest.raises(FileNotFoundError, match="a-puma20260103T0000: no mask_rcnn_.*_best.h5.*Use 'last'"):
        find_start_weights("best", tmp_path)
    message = r"no checkpoint of a run 'shoes' .*Only runs with this name were searched.* named a-puma, nike\."
    for name in ("last", "best"):
        with pytest.raises(FileNotFoundError, match=message):
            find_start_weights(name, tmp_path, "shoes")
    with pytest.raises(FileNotFoundError, match="no checkpoint of any run"):
        find_start_weights("best", tmp_path / "nowhere")


def test_missing_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "find_weights", lambda names: None)
    monkeypatch.setattr(start_weights, "PACKAGE_FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"--weights=nike: {BUNDLED_WEIGHTS} not found in weights/ or"):
        find_start_weights("nike", tmp_path, "nike")
    with pytest.raises(
        FileNotFoundError,
        match="expected coco, imagenet, nike, last, best, none, hf://owner/name or an existing file, got typo",
    ):
        find_start_weights("typo", tmp_path, "nike")


def test_weights_of_the_repository_take_precedence_over_the_package(tmp_path, monkeypatch):
    packaged = write(tmp_path / BUNDLED_WEIGHTS, 2)
    monkeypatch.setattr(start_weights, "PACKAGE_FOLDER", tmp_path)
    assert bundled_weights() != packaged
    monkeypatch.setattr(checkpoints, "find_weights", lambda names: None)
    assert bundled_weights() == packaged


def test_none_means_random_weights():
    assert load_start_weights(FakeModel(2), find_start_weights("none", None, "nike")) == "random"
