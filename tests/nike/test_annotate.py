"""nike annotate: the right command line for labelme, and predictions that become nobody's ground truth by accident."""

import importlib.metadata
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from nike import annotate
from nike.annotations import read_labelme
from nike.labelme_json import write_detections
from nike.labels import Labels


@pytest.fixture
def opened(monkeypatch):
    """labelme is not started; the command lines that would have been."""
    calls = []
    monkeypatch.setattr(subprocess, "call", lambda command: calls.append(command) or 0)
    monkeypatch.setattr(annotate, "labelme_version", lambda: "6.3.1")
    monkeypatch.setenv("DISPLAY", ":0")
    return calls


@pytest.fixture
def detector(monkeypatch):
    """Stands for nike.detect: finds a square on photos whose name begins with "shoe"."""
    module = types.ModuleType("nike.detect")
    module.calls = []

    def main(argv):
        module.calls.append(argv)
        output = argv[argv.index("--output") + 1]
        for i, photo in enumerate(argv[: argv.index("--weights")]):
            name = os.path.basename(photo)
            masks = np.zeros((60, 80, int(name.startswith("shoe"))), bool)
            masks[10:20, 10:20] = True
            found = {"masks": masks, "class_ids": np.ones(masks.shape[2], int), "scores": np.ones(masks.shape[2])}
            write_detections(photo, found, ["BG", "nike"], os.path.join(output, f"{i}.json"))
        return 0

    module.main = main
    monkeypatch.setitem(sys.modules, "nike.detect", module)
    monkeypatch.setattr("nike.detect", module, raising=False)
    return module


def test_command_line_by_version(tmp_path):
    labels = Labels("nike,swoosh=nike")
    new = annotate.labelme_command(tmp_path, labels, "6.3.1")
    old = annotate.labelme_command(tmp_path, labels, "5.5.0")
    for command in (new, old):
        assert command[:4] == [sys.executable, "-m", "labelme", str(tmp_path)]
        assert command[command.index("--labels") + 1] == "nike,swoosh,ignore"
    assert new[-2:] == ["--validate-label", "exact"]
    assert old[-4:] == ["--validatelabel", "exact", "--nodata", "--autosave"]


def test_the_installed_labelme_knows_the_options(tmp_path):
    try:
        version = importlib.metadata.version("labelme")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs labelme: pip install labelme")
    command = [*annotate.labelme_command(tmp_path, Labels(), version), "--version"]  # parses all, prints, ends
    env = os.environ | {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0 and version in done.stdout, done.stderr


def test_opens_labelme(folder, opened, capsys):
    folder.labelled("a.jpg", [])
    folder.photo("b.jpg")
    assert annotate.main([str(folder.root)]) == 0
    assert opened[0][3] == str(folder.root)
    assert "1 photo in" in capsys.readouterr().out


def test_predictions_as_a_start(folder, opened, detector, shape, capsys):
    done = folder.labelled("shoe_done.jpg", [shape()]).read_text()
    folder.photo("deep/shoe.jpg")
    folder.photo("shoe.jpg")
    folder.photo("empty.jpg")
    assert annotate.main([str(folder.root), "--weights", "last"]) == 0
    for name in ("shoe", "deep/shoe"):
        described = read_labelme(folder.root / f"{name}.json")
        assert described.path == (folder.root / name).with_suffix(".jpg")
        assert described.draw().sum() == 100
    assert not (folder.root / "empty.json").exists()  # it would be a negative that nobody has looked at
    assert (folder.root / "shoe_done.json").read_text() == done
    assert not any("shoe_done" in argument for argument in detector.calls[0])
    assert "2 photos with predicted outlines" in capsys.readouterr().out
    assert len(opened) == 1


def test_only_wanted_labels_are_adopted(folder, shape):
    path = folder.labelled("a.jpg", [shape("nike"), shape("person")])
    elsewhere = path.rename(folder.root.parent / "a.json")
    document = json.loads(elsewhere.read_text()) | {"imagePath": str(folder.root / "a.jpg")}
    elsewhere.write_text(json.dumps(document))
    assert annotate.adopt([elsewhere], Labels()) == 1
    assert [i.label for i in read_labelme(path).instances] == ["nike"]
    assert annotate.adopt([elsewhere], Labels()) == 0  # never over a file that is there


def test_without_display(folder, detector, monkeypatch, capsys):
    folder.photo("shoe.jpg")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert annotate.main([str(folder.root), "--weights", "last", "--no-open"]) == 0
    assert (folder.root / "shoe.json").exists()
    if sys.platform == "linux":
        monkeypatch.setattr(annotate, "labelme_version", lambda: "6.3.1")
        assert annotate.main([str(folder.root)]) == 2
        assert "needs a display" in capsys.readouterr().err


def test_mistakes_are_explained(folder, opened, detector, monkeypatch, capsys):
    folder.photo("a.jpg")
    assert annotate.main([str(folder.root / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert annotate.main([str(folder.root), "--no-open"]) == 2
    assert "nothing to do" in capsys.readouterr().err
    detector.main = lambda argv: 2
    assert annotate.main([str(folder.root), "--weights", "gone.h5"]) == 2
    assert "could not be made" in capsys.readouterr().err
    monkeypatch.undo()

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert annotate.main([str(folder.root)]) == 2
    assert "labelme is not installed. Install it: pip install labelme" in capsys.readouterr().err
