"""nike pack: scores moved as on paper, a file that carries everything, mistakes before anything is written."""

import numpy as np
import pytest

from mrcnn import checkpoints
from nike import pack
from nike.dataset import SAMPLE_DATA
from nike.detection.detector import Detector, load_model, read_settings
from nike.training.start_weights import SHIPPED


def softmax(logits):
    exponential = np.exp(logits)
    return exponential / exponential.sum()


class TestShiftScores:
    @pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
    def test_the_threshold_becomes_one_half(self, threshold):
        logits = np.log([1 - threshold, threshold])  # a detection with the threshold as score
        shifted = logits + pack.shift_scores(np.zeros(2), ["BG", "nike"], {"nike": threshold})
        np.testing.assert_allclose(softmax(shifted), 0.5)

    def test_each_class_its_own(self):
        names = ["BG", "nike", "adidas", "puma"]
        bias = np.array([0.1, 0.2, 0.3, 0.4])
        shifted = pack.shift_scores(bias, names, {"nike": 0.5, "puma": 0.75})
        np.testing.assert_allclose(shifted, [0.1, 0.2, 0.3, 0.4 - np.log(3)])
        np.testing.assert_array_equal(bias, [0.1, 0.2, 0.3, 0.4])

    @pytest.mark.parametrize("threshold, limit", [(0.0, 0.01), (1.0, 0.99)])
    def test_never_without_bounds(self, threshold, limit):
        shifted = pack.shift_scores(np.zeros(2), ["BG", "nike"], {"nike": threshold})
        np.testing.assert_allclose(shifted[1], -np.log(limit / (1 - limit)))


def test_a_packed_file_is_used_as_it_is(tmp_path, capsys):
    output = tmp_path / "mine.h5"
    arguments = ["--weights", "nike", "--output", output, "--image-size", "320", "--calibrate", SAMPLE_DATA]
    assert pack.main([str(argument) for argument in arguments]) == 0
    out = capsys.readouterr().out
    assert "nike: what had a score of 0." in out and f"{output.stat().st_size:,} bytes" in out

    shipped, packed = (checkpoints.read_checkpoint(path) for path in (checkpoints.find_weights(SHIPPED), output))
    assert packed.config["IMAGE_MAX_DIM"] == packed.config["IMAGE_MIN_DIM"] == 320
    same = ("BACKBONE", "DETECTION_MIN_CONFIDENCE", "DETECTION_ANY_FOREGROUND", "NAME")
    assert {name: packed.config[name] for name in same} == {name: shipped.config[name] for name in same}
    assert packed.metadata["class_names"] == ["BG", "nike"]
    assert output.stat().st_size < 1.01 * checkpoints.find_weights(SHIPPED).stat().st_size

    # What is best on these photos is 0.5 now.
    config, names = read_settings(output)
    detector = Detector(load_model(output, config.copy(DETECTION_MIN_CONFIDENCE=0.01)), names)
    thresholds = pack.best_thresholds(detector, SAMPLE_DATA, None, failures := [])
    assert thresholds["nike"] == pytest.approx(0.5, abs=0.01) and not failures


class TestMistakes:
    @pytest.mark.parametrize(
        "arguments, message",
        [
            (["--output", "mine.keras"], "ends in .h5"),
            (["--output", "there.h5"], "there.h5 is there already"),
            (["--output", "a.h5", "--calibrate", "nowhere"], "--calibrate: nowhere: no such folder"),
            (["--output", "a.h5", "--weights", "nike", "--image-size", "100"], "IMAGE_M"),
            (["--output", "a.h5", "--weights", "none.h5"], "none.h5 is no file"),
            (["--output", "a.h5", "--logs", "logs"], "logs"),
        ],
    )
    def test_one_line_and_no_file(self, tmp_path, monkeypatch, capsys, arguments, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "there.h5").write_bytes(b"mine")
        assert pack.main(arguments) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and err.startswith("error: ") and message in err
        assert [path.name for path in tmp_path.iterdir()] == ["there.h5"]
        assert (tmp_path / "there.h5").read_bytes() == b"mine"
