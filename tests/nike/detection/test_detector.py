"""Detector: settings and class names of the weights, tiles and test-time augmentation."""

import argparse

import keras
import numpy as np
import pytest

from mrcnn.model import MaskRCNN
from nike.detection.options import add_detector_arguments, load_chosen_detector
from tiny_config import TinyConfig

NAMES = ["BG", "nike", "adidas"]
pytestmark = pytest.mark.usefixtures("float32")  # results are compared with float32


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Returns a weights file of a tiny random network with settings and class names, and the network."""

    folder = tmp_path_factory.mktemp("weights")
    model = MaskRCNN("inference", TinyConfig(), folder)
    kernel, _ = model.named_layers()["mrcnn_class_logits"].get_weights()
    # All detections are adidas.
    model.named_layers()["mrcnn_class_logits"].set_weights([kernel, np.array([-9, -9, 0])])
    model.save_weights(folder / "tiny.h5", metadata={"class_names": NAMES})
    return folder / "tiny.h5", model


def options(*arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_detector_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def test_a_weights_file_needs_no_other_options(weights, capsys, rng):
    path, model = weights
    detector = load_chosen_detector(options("--weights", path))
    assert detector.class_names == NAMES and detector.model.config.BATCH_SIZE == 1
    assert capsys.readouterr().out == ""  # stdout is for results
    photos = [rng.integers(0, 255, shape, dtype=np.uint8) for shape in ((50, 60, 3), (90, 40, 3))]
    for result, expected in zip(detector.detect(iter(photos)), model.detect(photos), strict=True):
        assert len(expected["scores"]) > 0
        for name in ("rois", "class_ids", "scores"):
            np.testing.assert_allclose(result[name], expected[name], atol=1e-5)
        # Rounding differs between batches of 1 and 2, which changes pixels near the threshold.
        assert np.mean(result["masks"] != expected["masks"]) < 1e-3


def test_the_faster_precision_is_used_and_reported(weights, monkeypatch, capsys):
    policy = keras.config.dtype_policy()
    monkeypatch.setattr("mrcnn.training.devices.choose_precision", lambda: (True, "measured 2.00x"))
    layers = load_chosen_detector(options("--weights", weights[0])).model.named_layers()
    assert layers["fpn_p2"].compute_dtype == "bfloat16"
    assert layers["fpn_p2"].variable_dtype == "float32"
    assert keras.config.dtype_policy() == policy
    assert "threads), mixed_bfloat16 (measured 2.00x)\n" in capsys.readouterr().err


def test_tta_with_tiles_and_thresholds(weights, rng):
    detector = load_chosen_detector(
        options("--weights", weights[0], "--tta", "--tiles", 2, "--max-detections", 3, "--classes", "adidas")
    )
    (result,) = detector.detect([rng.integers(0, 255, (100, 120, 3), dtype=np.uint8)])
    assert result["masks"].shape[:2] == (100, 120) and 1 <= len(result["scores"]) <= 3
    assert set(result["class_ids"]) == {2}
    # The first scale is that of the network, and the second scale is larger.
    plain, larger = detector.augmented
    photo = rng.integers(0, 255, (50, 60, 3), dtype=np.uint8)
    expected = detector.model.detect([photo])[0]
    assert np.array_equal(next(iter(plain(iter([photo]))))["scores"], expected["scores"])
    assert not np.array_equal(next(iter(larger(iter([photo]))))["scores"], expected["scores"])


@pytest.mark.parametrize("ways", [["--tiles", "2"], ["--tta"], ["--tta", "--tiles", "2"]])
def test_an_unusable_image_is_skipped_in_every_mode(weights, rng, ways):
    detector = load_chosen_detector(options("--weights", weights[0], *ways))
    good = rng.integers(0, 255, (50, 60, 3), dtype=np.uint8)
    first, bad, last = detector.detect([good, np.full((50, 60, 3), np.nan), good])
    assert "NaN" in bad["error"] and len(bad["scores"]) == 0
    assert len(first["scores"]) and np.array_equal(first["scores"], last["scores"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--min-confidence", "1.5"], "--min-confidence: expected a number from 0 to 1, got 1.5"),
        (["--max-detections", "0"], "--max-detections: expected 1 or more"),
        (["--batch", "0"], "--batch: expected 1 or more"),
        (["--weights", "no.h5"], "expected nike, coco, last, best, hf://owner/name or an existing file, got .*no.h5"),
        (["--weights", "last", "--logs", "nowhere"], "no checkpoint of any run"),
        (["--weights", "best", "--logs", "nowhere", "--name", "shoes"], "no checkpoint of a run 'shoes'"),
    ],
)
def test_user_errors(arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_chosen_detector(options(*arguments))
