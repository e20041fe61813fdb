"""`nike pack`: calibration of scores, content of the file, and errors before anything is written."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from mrcnn import checkpoints
from mrcnn.errors import UserError
from mrcnn.evaluation import detection_report
from mrcnn.evaluation.average_precision import Ranking
from nike import pack
from nike.config import NikeConfig
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import SAMPLE_DATA
from nike.detection.detector import Detector
from nike.detection.weights import load_keras_model, read_settings
from nike.evaluate import evaluate
from nike.reporting.selection import load_photos
from nike.training.start_weights import BUNDLED_WEIGHTS

pytestmark = pytest.mark.usefixtures("float32")  # scores are compared with float32


class TestThreshold:
    @pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
    @pytest.mark.parametrize("classes", [2, 4])
    def test_moves_the_threshold_to_one_half(self, threshold, classes):
        """The odds of each class against the background are divided by those of the threshold."""
        layer = keras.layers.Dense(classes, name=pack.SCORE_LAYER)
        layer.build((None, 3))
        before = np.random.default_rng(0).normal(size=classes).astype(np.float32)
        layer.bias.assign(before)
        pack.shift_threshold({layer.name: layer}, threshold)
        odds = [np.exp(bias[1:] - bias[0]) for bias in (before, layer.bias.numpy())]
        np.testing.assert_allclose(odds[1], odds[0] * (1 - threshold) / threshold, rtol=1e-5)

    def test_for_a_precision(self):
        """The precision along the ranking is 1, 1, 2/3, 3/4, 3/5. The fourth score is the lowest with at least 0.7."""
        ranking = Ranking(np.array([0.9, 0.8, 0.7, 0.5, 0.1]), np.array([1, 1, 0, 1, 0], bool), num_gt=4)
        threshold, recall = pack.threshold_for_precision(ranking, 0.7)
        assert (threshold, recall) == (pytest.approx(0.25), 0.75)
        threshold, recall = pack.threshold_for_precision(ranking, 0.76)
        assert 0.7 < threshold < 0.8 and recall == 0.5

    def test_an_impossible_precision_is_an_error(self):
        ranking = Ranking(np.array([0.9, 0.8]), np.array([False, True]), num_gt=4)
        with pytest.raises(UserError, match="no score threshold reaches 0.9 .* the highest precision is 0.500"):
            pack.threshold_for_precision(ranking, 0.9)


class TestIterations:
    """Metrics measured in each iteration, and the final shift of the scores in log odds."""

    @staticmethod
    def moved(monkeypatch, *iterations):
        layer = keras.layers.Dense(2, name=pack.SCORE_LAYER)
        layer.build((None, 3))
        model = SimpleNamespace(named_layers=lambda: {layer.name: layer})
        measured = [pack.Calibration(threshold, best, f1, 1.0, 1.0, 3, 3) for threshold, best, f1 in iterations]
        waiting = iter(measured)
        monkeypatch.setattr(pack, "find_threshold", lambda *arguments, **options: next(waiting))
        before, found = pack.calibrate(model, ["BG", "nike"], Path("photos"), None, [])
        assert before == iterations[0][0]
        return float(layer.bias.numpy()[0]), measured.index(found), len(list(waiting))

    def test_stops_when_the_target_threshold_is_as_good_as_the_best(self, monkeypatch):
        assert self.moved(monkeypatch, (0.4, 0.801, 0.8), (0.5, 1, 1)) == (0, 0, 1)
        odds, number, left = self.moved(monkeypatch, (0.8, 0.9, 0.7), (0.6, 0.9, 0.896), (0.5, 1, 1))
        assert (odds, number, left) == (pytest.approx(np.log(4)), 1, 1)

    def test_keeps_the_converged_of_two_equal_iterations(self, monkeypatch):
        """Iterations 2 and 3 have F1 0.8. Iteration 3 has no better threshold. The shift is log 4 + log 1.5."""
        odds, number, left = self.moved(monkeypatch, (0.8, 0.9, 0.7), (0.6, 0.9, 0.8), (0.5, 0.8, 0.8))
        assert (odds, number, left) == (pytest.approx(np.log(4) + np.log(1.5), rel=1e-5), 2, 0)

    def test_keeps_the_best_iteration_without_convergence(self, monkeypatch):
        worse = [(0.6, 0.9, 0.6)] * (pack.MAX_ITERATIONS - 2)
        odds, number, left = self.moved(monkeypatch, (0.8, 0.9, 0.7), (0.75, 0.9, 0.65), (0.6, 0.9, 0.8), *worse)
        assert (odds, number, left) == (pytest.approx(np.log(4) + np.log(3), rel=1e-5), 2, 0)


def test_without_calibration_scores_and_threshold_stay(tmp_path):
    output, settings = tmp_path / "mine.h5", tmp_path / "settings.json"
    settings.write_text('{"DETECTION_MIN_CONFIDENCE": 0.7}')
    assert pack.main(["--weights", "nike", "--output", str(output), "--config", str(settings)]) == 0
    before, after = (checkpoints.read_checkpoint(path) for path in (checkpoints.find_weights(BUNDLED_WEIGHTS), output))
    assert after.config["DETECTION_MIN_CONFIDENCE"] == 0.7
    for name, layer in before.layers.items():
        for weight, value in layer.weights.items():
            np.testing.assert_array_equal(after.layers[name].weights[weight][()], value[()], err_msg=f"{name} {weight}")


@pytest.mark.parametrize("mask_scores, voting", [(False, 1.0), (True, 0.5)])
def test_a_packed_file_needs_no_settings(tmp_path, capsys, monkeypatch, mask_scores, voting):
    output, changes = tmp_path / "mine.h5", tmp_path / "changes.json"
    changes.write_text(json.dumps({"DETECTION_MASK_SCORES": mask_scores, "DETECTION_BOX_VOTING": voting}))

    def load_too_sure(*arguments):
        model = load_keras_model(*arguments)
        pack.shift_threshold(
            model.named_layers(), 0.02
        )  # raises all scores; with mask scores, one shift is not sufficient
        return model

    monkeypatch.setattr(pack, "load_keras_model", load_too_sure)
    arguments = ["--weights", "nike", "--output", output, "--image-size", "320", "--calibrate", SAMPLE_DATA]
    arguments += ["--config", changes]
    assert pack.main([str(argument) for argument in arguments]) == 0
    out = capsys.readouterr().out
    assert f"{output.stat().st_size:,} bytes" in out and "did not converge" not in out
    looks = 1 + out.count("repeating detection")
    assert looks > 2 if mask_scores else looks == 2
    before, f1 = map(float, re.search(r"best threshold before: (0\.\d+); now at 0\.5: F1 (0\.\d+)", out).groups())
    assert before > 0.6

    shipped, packed = (
        checkpoints.read_checkpoint(path) for path in (checkpoints.find_weights(BUNDLED_WEIGHTS), output)
    )
    assert packed.config["IMAGE_MAX_DIM"] == packed.config["IMAGE_MIN_DIM"] == 320
    same = ("BACKBONE", "DETECTION_ANY_FOREGROUND", "IMAGES_PER_GPU", "NAME")
    assert {name: packed.config[name] for name in same} == {name: shipped.config[name] for name in same}
    assert output.stat().st_size < 1.01 * checkpoints.find_weights(BUNDLED_WEIGHTS).stat().st_size

    # On these images no threshold is better than 0.5 now, and `nike detect` uses 0.5. Rounding may cost a detection.
    config, names = read_settings(output)
    assert config.DETECTION_MIN_CONFIDENCE == 0.5
    settings = dict(DETECTION_MIN_CONFIDENCE=0.01, DETECTION_ANY_FOREGROUND=True)
    detector = Detector(load_keras_model(output, config.copy(**settings)), names)
    evaluator = evaluate(detector, load_photos(SAMPLE_DATA, None, Labels())[0], pytest.fail, lambda line: None)
    report = detection_report(evaluator.records, names, min_score=0.5)
    best = report["classes"]["nike"]["best_f1"]
    (_, false_positives), (missed, found) = report["confusion"]
    assert 2 * found / (2 * found + missed + false_positives) == pytest.approx(f1, abs=0.02)
    assert f1 == pytest.approx(best["f1"], abs=0.02)


class TestImpossibleCalibration:
    """Nothing is written, and the error contains the reason."""

    @pytest.fixture
    def command(self, monkeypatch, tmp_path, capsys, red_finder):
        finder = red_finder()

        def run(folder, *more):
            finder.named_layers = dict
            finder.config = NikeConfig()
            monkeypatch.setattr(pack, "load_keras_model", lambda path, config: finder)
            code = pack.main(
                ["--weights", "nike", "--output", str(tmp_path / "a.h5"), "--calibrate", str(folder), *more]
            )
            assert not (tmp_path / "a.h5").exists()
            return code, capsys.readouterr().err

        return run

    def test_no_detections(self, command, folder, shape):
        folder.labelled("a.png", [shape()], seed=None)
        code, err = command(folder.root)
        assert code == 2 and "no true positives (1 instance)" in err

    def test_no_usable_image(self, command, folder, shape):
        folder.labelled("a.png", [shape()])
        photo = folder.root / "a.png"
        photo.write_bytes(photo.read_bytes()[:200])  # the size can be read, but the pixels cannot
        code, err = command(folder.root)
        assert code == 2 and "no image could be used" in err and "a.png" in err


class TestUserErrors:
    @pytest.mark.parametrize(
        "arguments, message",
        [
            (["--output", "mine.keras"], "ends in .h5"),
            (["--output", "there.h5"], "there.h5 already exists"),
            (["--output", "no/a.h5"], "--output: no: no such folder"),
            (["--output", "a.h5", "--calibrate", "nowhere"], "--calibrate: nowhere: no such file or folder"),
            (["--output", "a.h5", "--split", "val"], "--split requires --calibrate"),
            (["--output", "a.h5", "--target-precision", "0.9"], "--target-precision requires --calibrate"),
            (
                ["--output", "a.h5", "--calibrate", ".", "--target-precision", "95"],
                "--target-precision: expected a number above 0 and at most 1, got 95",
            ),
            (["--output", "a.h5", "--image-size", "100"], "--image-size: expected a multiple of 64"),
            (["--output", "a.h5", "--image-size", "65536"], "--image-size: expected a multiple of 64"),
            (["--output", "a.h5", "--weights", "none.h5"], "or an existing file, got none.h5"),
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
