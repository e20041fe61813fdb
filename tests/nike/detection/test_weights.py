"""Weights by name, their settings and their class names."""

import argparse

import keras
import numpy as np
import pytest

from mrcnn.checkpoints import read_checkpoint, save_weights
from mrcnn.network import flatten_layers
from nike.detection.options import add_detector_arguments, find_chosen_weights
from nike.detection.weights import load_keras_model, read_settings, resolve_weights
from nike.training.start_weights import bundled_weights


def options(*arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_detector_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def test_error_without_the_bundled_weights_names_the_fix(monkeypatch):
    monkeypatch.setattr("mrcnn.checkpoints.find_weights", lambda name: None)
    with pytest.raises(FileNotFoundError, match="Reinstall the package or pass the path") as caught:
        resolve_weights("nike")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--weights", "last"], "puma20260101T1200/mask_rcnn_puma_0001.h5"),
        (["--weights", "best"], "puma20260101T1200/mask_rcnn_puma_best.h5"),
        (["--weights", "last", "--name", "Nike"], "nike20250101T1200/mask_rcnn_nike_0003.h5"),
        (["--weights", "best", "--name", "nike"], "nike20250101T1200/mask_rcnn_nike_best.h5"),
    ],
)
def test_last_and_best_choose_the_newest_run_of_the_name_or_of_any(tmp_path, capsys, arguments, expected):
    runs = {"nike20240101T1200": ["0007"], "nike20250101T1200": ["0003", "0002", "best"]}
    for run, labels in {**runs, "puma20260101T1200": ["0001", "best"]}.items():
        (tmp_path / run).mkdir()
        for label in labels:
            (tmp_path / run / f"mask_rcnn_{run[:4]}_{label}.h5").touch()
    assert find_chosen_weights(options(*arguments, "--logs", tmp_path)) == tmp_path / expected
    assert expected in capsys.readouterr().err  # the user did not specify a file


@pytest.mark.parametrize("classes, names", [(81, ("BG", "person", "toothbrush")), (2, ("BG", "nike", "nike"))])
def test_files_without_settings(tmp_path, classes, names):
    """COCO weights of the original are recognised by their 81 classes. Other weights need a settings file."""
    head = keras.layers.Dense(classes, name="mrcnn_class_logits")
    head.build((None, 4))
    save_weights({head.name: head}, tmp_path / "a.h5")
    settings = None
    if classes != 81:
        with pytest.raises(ValueError, match=r"a\.h5: no Config stored in this file.*--config FILE"):
            read_settings(tmp_path / "a.h5")
        settings = tmp_path / "settings.json"
        settings.write_text('{"BACKBONE": "resnet50", "IMAGE_MAX_DIM": 512}')
    config, class_names = read_settings(tmp_path / "a.h5", settings)
    assert config.NUM_CLASSES == classes == len(class_names)
    assert (class_names[0], class_names[1], class_names[-1]) == names
    assert {config.BACKBONE, config.IMAGE_MAX_DIM} == ({"resnet101", 1024} if classes == 81 else {"resnet50", 512})


@pytest.mark.parametrize("settings", [{}, {"MASK_HEAD": False}], ids=["coarse masks", "boxes only"])
def test_layers_of_disabled_branches_are_skipped(settings):
    config, _ = read_settings(bundled_weights())
    config = config.copy(MASK_REFINEMENT_SIZE=0, DETECTION_MASK_SCORES=False, **settings)
    model = load_keras_model(bundled_weights(), config)
    with read_checkpoint(bundled_weights()) as checkpoint:
        stored = checkpoint.layers["mrcnn_class_logits"].weights["bias"][:]
    loaded = {layer.name: layer for layer in flatten_layers(model.keras_model)}
    np.testing.assert_array_equal(loaded["mrcnn_class_logits"].bias, stored)
    assert not any(name.startswith("mrcnn_refine") for name in loaded)
