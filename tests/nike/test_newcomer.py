"""The first hour of a newcomer: own photos as the camera named them, own labels, no option but the folder."""

import json
import re

import keras
import pytest
from PIL import Image, ImageDraw

from nike import check, detect, evaluate, train

from .test_train import TINY

COLOURS = {"adidas": (250, 250, 250), "puma": (250, 60, 60)}


@pytest.fixture
def photos(folder, shape):
    """IMG_000 to IMG_011 with a light (adidas) or a red (puma) quadrilateral; their folder."""
    points = [[20, 20], [60, 15], [50, 45], [25, 40]]
    for number in range(12):
        label = ("adidas", "puma")[number % 2]
        name = f"IMG_{number:03}.png"
        folder.labelled(name, [shape(label, points)], seed=number)
        with Image.open(folder.root / name) as image:
            ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=COLOURS[label])
            image.save(folder.root / name)
    return folder.root


@pytest.fixture(autouse=True)
def policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def test_check_train_evaluate_detect(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    said = [
        "labels      in the files: adidas (6), puma (6)",
        "training    10 images (0 without logos): 5 adidas, 5 puma",
        "validation  2 images (0 without logos): 1 adidas, 1 puma",
    ]
    assert check.main([str(photos)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[:3] == said and "no errors, no warnings" in printed

    tiny = ["--config=tiny.json", "--weights=none", "--epochs=1", "--steps=2", "--mixed-precision=off"]
    assert train.main(["--dataset", str(photos), *tiny]) == 0
    printed = capsys.readouterr().out
    assert all(line in printed.splitlines() for line in said)
    (run,) = (tmp_path / "logs").iterdir()
    record = json.loads((run / "photos.json").read_text())
    assert (len(record["train"]), len(record["val"])) == (10, 2)
    assert record["labels"] == {"adidas": "adidas", "puma": "puma"}

    (weights,) = run.glob("mask_rcnn_nike_0001.h5")
    assert evaluate.main(["--weights", str(weights), "--dataset", str(photos), "--json=scores.json"]) == 0
    printed = capsys.readouterr().out
    assert f"split       2 validation images of the run in {photos}\n" in printed
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["split"], scores["counts"]["photos"], scores["counts"]["instances"]) == ("val", 2, 2)
    assert {photo["file"] for photo in scores["photos"]} == {name for name, _ in record["val"]}

    photo = photos / record["val"][0][0]
    assert detect.main(["--weights", str(weights), str(photo), "--min-confidence=0"]) == 0
    found = re.search(rf"{photo.name}: (.*) \(", capsys.readouterr().out)[1]
    assert set(re.findall("[a-z]+", found)) <= {"adidas", "puma"}
