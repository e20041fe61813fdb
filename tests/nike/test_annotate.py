"""`nike annotate`: command line of labelme, and predictions as a starting point."""

import importlib.metadata
import os
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from mrcnn.detections import Detections
from nike import annotate
from nike.datasets.labelme import read_labelme
from nike.datasets.labels import Labels


@pytest.fixture
def opened(monkeypatch):
    """Returns the list of labelme command lines. labelme is not started."""
    calls = []
    monkeypatch.setattr(subprocess, "call", lambda command: calls.append(command) or 0)
    monkeypatch.setattr(annotate, "labelme_version", lambda: "6.3.1")
    monkeypatch.setenv("DISPLAY", ":0")
    return calls


class FakeDetector:
    """Detector that detects a square in images that are not black."""

    class_names = ["BG", "nike", "person"]
    keypoint_names = ["tail"]

    def detect(self, photos):
        for photo in photos:
            count = 2 if photo.any() else 0
            masks = np.zeros((*photo.shape[:2], count), bool)
            masks[10:20, 10:20] = True
            boxes = [[10, 10, 20, 20]] * count
            result = {"rois": boxes, "masks": masks, "class_ids": np.arange(1, count + 1), "scores": np.ones(count)}
            yield Detections.from_result(result)


@pytest.fixture
def detector(monkeypatch):
    """Replaces the network. Returns the options with which the detector was loaded."""
    loaded = []
    monkeypatch.setattr(annotate, "load_chosen_detector", lambda arguments: loaded.append(arguments) or FakeDetector())
    return loaded


def test_command_line_by_version(tmp_path):
    labels = Labels("nike,swoosh=nike")
    new = annotate.labelme_command(tmp_path, labels, (), "6.3.1")
    old = annotate.labelme_command(tmp_path, labels, ["hook", "nike"], "5.5.0")
    for command in (new, old):
        assert command[:4] == [sys.executable, "-m", "labelme", str(tmp_path)]
    assert new[new.index("--labels") + 1] == "nike,swoosh,ignore"
    assert old[old.index("--labels") + 1] == "nike,swoosh,hook,ignore"
    assert new[-2:] == ["--validate-label", "exact"]
    assert old[-4:] == ["--validatelabel", "exact", "--nodata", "--autosave"]


def test_the_installed_labelme_knows_the_options(tmp_path):
    try:
        version = importlib.metadata.version("labelme")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs labelme: pip install labelme")
    command = [*annotate.labelme_command(tmp_path, Labels(), (), version), "--version"]  # parses all options and exits
    env = os.environ | {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0 and version in done.stdout, done.stderr


def test_opens_labelme(folder, opened, capsys):
    folder.labelled("a.jpg", [])
    folder.photo("b.jpg")
    assert annotate.main([str(folder.root)]) == 0
    assert opened[0][3] == str(folder.root)
    assert "1 image without annotations in" in capsys.readouterr().out


def test_predictions_are_written_for_unlabelled_images(folder, opened, detector, shape, capsys):
    done = folder.labelled("done.jpg", [shape()]).read_text()
    folder.photo("deep/shoe.jpg")
    folder.photo("shoe.jpg")
    PIL.Image.new("RGB", (80, 60)).save(folder.root / "empty.jpg")
    (folder.root / "damaged.jpg").write_bytes(b"no photo")
    assert annotate.main([str(folder.root), "--weights", "last", "--min-confidence", "0.3"]) == 1
    for name in ("shoe", "deep/shoe"):
        described = read_labelme(folder.root / f"{name}.json")
        assert described.path == (folder.root / name).with_suffix(".jpg")
        assert [instance.label for instance in described.instances] == ["nike"]  # not the label person
        assert described.draw().sum() == 100
    assert not (folder.root / "empty.json").exists()  # the file would make the image an unchecked negative
    assert (folder.root / "done.json").read_text() == done
    output = capsys.readouterr()
    assert "4 images without annotations in" in output.out and "predictions for 2 images" in output.out
    heading, failure = output.err.splitlines()
    assert heading == "1 of 4 images could not be used:" and "damaged.jpg" in failure
    assert (detector[0].weights, detector[0].min_confidence) == ("last", 0.3)
    assert len(opened) == 1


def test_files_that_appear_during_the_predictions_are_kept(folder, opened, monkeypatch, shape, capsys):
    """Files of the annotator, who may already use labelme, and of an image with the same name."""

    class WhileAnnotating(FakeDetector):
        def detect(self, photos):
            for number, result in enumerate(super().detect(photos)):
                if number == 0:
                    folder.labelled("mine.jpg", [shape("puma")])
                yield result

    for name in ("a.jpg", "mine.jpg", "shoe.jpg", "shoe.png"):
        folder.photo(name)
    monkeypatch.setattr(annotate, "load_chosen_detector", lambda arguments: WhileAnnotating())
    assert annotate.main([str(folder.root), "--weights", "last"]) == 1
    assert [i.label for i in read_labelme(folder.root / "mine.json").instances] == ["puma"]
    assert read_labelme(folder.root / "shoe.json").path.name == "shoe.jpg"
    output = capsys.readouterr()
    assert "predictions for 2 images" in output.out
    assert "mine.jpg: mine.json already exists" in output.err and "shoe.png: shoe.json already exists" in output.err


def test_classes_of_the_weights_are_offered_without_labels_in_use(folder, opened, detector):
    folder.photo("shoe.jpg")
    assert annotate.main([str(folder.root), "--weights", "last"]) == 0
    assert opened[0][opened[0].index("--labels") + 1] == "nike,person,tail,ignore"


def test_labels_of_the_folder_are_offered(folder, opened, shape):
    folder.labelled("a.jpg", [shape("puma")])
    assert annotate.main([str(folder.root)]) == 0
    assert opened[0][opened[0].index("--labels") + 1] == "puma,ignore"


def test_keypoints_of_the_folder_can_be_drawn(folder, opened, shape):
    folder.labelled("a.jpg", [shape(group_id=1), shape("hook", [[10, 10]], "point", group_id=1)])
    assert annotate.main([str(folder.root)]) == 0
    assert opened[0][opened[0].index("--labels") + 1] == "nike,hook,ignore"


def test_no_network_without_weights(folder, opened, detector):
    folder.photo("shoe.jpg")
    assert annotate.main([str(folder.root)]) == 0
    assert not detector and not (folder.root / "shoe.json").exists() and len(opened) == 1


def test_no_display(folder, detector, monkeypatch, capsys):
    folder.photo("shoe.jpg")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert annotate.main([str(folder.root), "--weights", "last", "--no-open"]) == 0
    assert (folder.root / "shoe.json").exists()
    if sys.platform == "linux":
        monkeypatch.setattr(annotate, "labelme_version", lambda: "6.3.1")
        assert annotate.main([str(folder.root)]) == 2
        assert "requires a display" in capsys.readouterr().err


def test_user_errors(folder, opened, detector, monkeypatch, capsys):
    folder.photo("a.jpg")
    assert annotate.main([str(folder.root / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert annotate.main([str(folder.root), "--no-open"]) == 2
    assert "--no-open requires --weights" in capsys.readouterr().err
    monkeypatch.undo()
    assert annotate.main([str(folder.root), "--no-open", "--weights", "gone.h5"]) == 2
    assert "or an existing file, got gone.h5" in capsys.readouterr().err

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert annotate.main([str(folder.root)]) == 2
    assert "labelme is not installed. Install it with: pip install labelme" in capsys.readouterr().err
