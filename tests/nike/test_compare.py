"""`nike compare`: changes derived by hand, images of the runs, and the HTML page."""

import json

import numpy as np
import PIL.Image
import pytest

from nike import compare
from nike.datasets.labelme import read_folder
from nike.detection.detector import Detector
from nike.reporting.comparison import describe_change
from nike.training.run_split import write_run_photos

RED, GREEN, BLUE = (230, 20, 20), (30, 160, 60), (20, 20, 230)


class Finder:
    """Detector of red spots. With weights B it also detects blue spots."""

    def __init__(self, red_finder, name):
        self.finder, self.name = red_finder(), name
        self.config = self.finder.config

    def detect_stream(self, images, on_error="raise"):
        for image in images:
            if self.name == "b":
                image = np.where((image[..., 2:] > 180), np.array(RED, np.uint8), image)
            yield self.finder.detect_one(image)


@pytest.fixture
def weights(tmp_path):
    """Returns two run folders, each with a placeholder for the weights file."""
    for name in ("a", "b"):
        (tmp_path / "logs" / name).mkdir(parents=True)
        (tmp_path / "logs" / name / "mask_rcnn_nike_best.h5").touch()
    return tmp_path / "logs"


@pytest.fixture
def command(monkeypatch, red_finder, capsys, weights):
    """Returns the function `command(*options)`, which returns (exit code, stdout, stderr).

    The weights detect colored spots.
    """

    def run(*arguments, names=(("BG", "nike"), ("BG", "nike"))):
        classes = dict(zip("ab", names, strict=True))

        def load(path, min_confidence):
            name = path.parent.name
            return Detector(Finder(red_finder, name), classes[name], path=path)

        monkeypatch.setattr(compare, "load_detector", load)
        monkeypatch.setattr(compare, "read_settings", lambda path: (None, list(classes[path.parent.name])))
        code = compare.main(["a", "b", "--logs", str(weights), *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def add(folder, shape, name, labelled=(), spots=()):
    """Writes an image with spots (color, box) and instances (boxes y1, x1, y2, x2)."""
    shapes = [shape("nike", [[x1, y1], [x2 - 1, y1], [x2 - 1, y2 - 1], [x1, y2 - 1]]) for y1, x1, y2, x2 in labelled]
    folder.labelled(name, shapes, height=100, width=100)
    pixels = np.full((100, 100, 3), GREEN, np.uint8)
    for color, (y1, x1, y2, x2) in spots:
        pixels[y1:y2, x1:x2] = color
    PIL.Image.fromarray(pixels).save(folder.root / name)


@pytest.fixture
def dataset(folder, shape):
    """Returns a dataset. B gains and loses one instance and adds a false positive. One image has equal results."""
    box = (10, 10, 40, 90)
    add(folder, shape, "equal.png", [box], [(RED, box)])
    add(folder, shape, "gained.png", [box, (60, 10, 90, 90)], [(RED, box), (BLUE, (60, 10, 90, 90))])
    add(folder, shape, "false.png", [], [(BLUE, box)])
    # B also detects the blue half of the image. The IoU falls below 0.5, and the instance is lost.
    add(folder, shape, "lost.png", [box], [(RED, box), (BLUE, (40, 0, 100, 100))])
    return folder.root


def test_changes_derived_by_hand(command, dataset):
    code, out, err = command("--dataset", dataset, "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["counts"] == {"photos": 4, "instances": 4}
    assert found["images"] == {"better": 1, "worse": 2, "equal": 1}
    assert [(p["file"], p["change"], p["lost"], p["gained"], p["false"]) for p in found["photos"]] == [
        ("lost.png", -2, 1, 0, [0, 1]),
        ("false.png", -1, 0, 0, [0, 1]),
        ("equal.png", 0, 0, 0, [0, 0]),
        ("gained.png", 1, 0, 1, [0, 0]),
    ]
    metrics = found["metrics"]
    assert metrics["missed instances"] == [1, 1] and metrics["false positives"] == [0, 2]
    assert metrics["precision"] == [1, pytest.approx(3 / 5)] and metrics["recall"] == [0.75, 0.75]
    assert metrics["mask AP"][0] == pytest.approx(76 / 101)  # precision 1 up to recall 0.75
    low, high = found["mask_AP_interval"]
    assert low < metrics["mask AP"][1] - metrics["mask AP"][0] < high


def test_the_table_shows_the_worst_change_first(command, dataset):
    out = command("--dataset", dataset)[1]
    lines = out[out.index("A         ") :].splitlines()
    assert lines[0].endswith("a/mask_rcnn_nike_best.h5") and lines[1].endswith("b/mask_rcnn_nike_best.h5")
    assert lines[4].split() == ["A", "B", "B", "-", "A"]
    assert ["false", "positives", "0", "2", "+2"] in [line.split() for line in lines]
    assert "At score 0.5 and mask IoU 0.5: B is better on 1 image, worse on 2, equal on 1" in lines
    assert lines[-6:] == [
        "B is worse (2), largest change first",
        "  lost.png: 1 lost, false positives 0 -> 1",
        "  false.png: false positives 0 -> 1",
        "",
        "B is better (1), largest change first",
        "  gained.png: 1 gained",
    ]


def test_description_of_mask_changes():
    photo = {"lost": 0, "gained": 0, "false": [1, 1], "ious": [[0.8, 0.7], [0.9, 0.9], [0.6, 0.75]]}
    assert describe_change(photo) == "IoU 0.80 -> 0.70, 0.60 -> 0.75"
    assert describe_change(photo | {"ious": []}) == "equal"


def test_images_are_those_of_the_run_and_training_images_are_named(command, dataset, weights):
    photos = {photo.file: photo for photo in read_folder(dataset).photos}
    for name, val in (("a", ["lost.png", "equal.png"]), ("b", ["equal.png"])):
        train = [photo for file, photo in photos.items() if file not in val]
        write_run_photos(weights / name, {"nike": "nike"}, train, [photos[file] for file in val])
    code, out, _ = command("--dataset", dataset)
    assert code == 0 and f"split       2 validation images of the run in {dataset}" in out
    assert "warning     B was trained on 1 of 2 images" in out and "A was trained" not in out


def test_user_errors(command, dataset, weights, capsys):
    def error(*arguments, **options):
        code, out, err = command(*arguments, **options)
        assert code == 2 and out == "" and len(err.splitlines()) == 1
        return err

    assert "nowhere: no such folder" in error("--dataset", "nowhere")
    assert "--threshold: expected a number from 0 to 1, got 2" in error("--threshold", 2)
    assert "--html: expected the name of a file" in error("--html", weights)
    names = (("BG", "nike"), ("BG", "puma", "adidas"))
    assert "same classes, got nike in A and puma, adidas in B" in error("--dataset", dataset, names=names)
    assert compare.main(["a", "a", "--logs", str(weights)]) == 2
    assert "expected two weights files, got" in capsys.readouterr().err
    assert compare.main(["a", "missing", "--logs", str(weights)]) == 2
    assert "or an existing file, got missing" in capsys.readouterr().err


def test_the_page_shows_ground_truth_and_both_detections(command, dataset, tmp_path):
    path = tmp_path / "comparison.html"
    assert command("--dataset", dataset, "--html", path)[0] == 0
    text = path.read_text(encoding="utf-8")
    assert text.count("<img") == 3 * 3  # three pictures of each image with different results
    order = [text.index(f"<b>{name}.png</b>") for name in ("lost", "false", "gained")]
    assert order == sorted(order) and "<b>equal.png</b>" not in text
    assert "<script" not in text and "http" not in text


def test_an_unreadable_image_is_reported_once(command, dataset, folder, shape):
    add(folder, shape, "cut.png", [(10, 10, 40, 90)])
    data = (dataset / "cut.png").read_bytes()
    (dataset / "cut.png").write_bytes(data[: len(data) // 2])
    code, out, err = command("--dataset", dataset)
    assert code == 1 and "(1 problem)" in err and err.count("cannot be decoded") == 1 and ": 4 images" in out
