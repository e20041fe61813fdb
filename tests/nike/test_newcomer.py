"""A typical first use: images with file names of a camera, own labels, and the dataset folder as the only option."""

import json
import os
import re
import shlex
import signal
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from mrcnn import checkpoints
from nike import check, cli, detect, evaluate, pack, train

from .test_train import TINY

COLORS = {"adidas": (250, 250, 250), "puma": (250, 60, 60)}


@pytest.fixture
def photos(folder, shape):
    """Writes a folder with IMG_000 to IMG_011, each with a light (adidas) or a red (puma) quadrilateral."""
    points = [[20, 20], [60, 15], [50, 45], [25, 40]]
    for number in range(12):
        label = ("adidas", "puma")[number % 2]
        name = f"IMG_{number:03}.png"
        folder.labelled(name, [shape(label, points)], seed=number)
        with Image.open(folder.root / name) as image:
            ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=COLORS[label])
            image.save(folder.root / name)
    return folder.root


@pytest.fixture(autouse=True)
def eager():
    """Executes functions eagerly, because tracing takes longer than these few steps. Restores the dtype policy."""
    before = keras.config.dtype_policy()
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    keras.config.set_dtype_policy(before)


class PressCtrlC(keras.callbacks.Callback):
    """Simulates Ctrl-C after the first step."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")  # the input pipeline stays a graph
def test_check_train_interrupt_resume_detect_evaluate_pack(photos, tmp_path, monkeypatch, capsys):
    """Follows the section on your own logo in the README. Additional options only make the run short."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    said = [
        "labels      in the files: adidas (6), puma (6)",
        "training    10 images (0 without logos): 5 adidas, 5 puma",
        "validation  2 images (0 without logos): 1 adidas, 1 puma",
    ]
    readme = Path(__file__).resolve().parents[2].joinpath("README.md").read_text(encoding="utf-8")
    assert " ".join(said[0].split()) in readme
    assert check.main([str(photos)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[:3] == said and "no errors, no warnings" in printed

    tiny = ["--config=tiny.json", "--weights=none", "--epochs=1", "--steps=3", "--mixed-precision=off"]
    fit = keras.Model.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", lambda *a, callbacks, **o: fit(*a, callbacks=[PressCtrlC(), *callbacks], **o))
        assert train.main(["--dataset", str(photos), *tiny]) == 130
    output = capsys.readouterr()
    assert all(line in output.out.splitlines() for line in said)
    (run,) = (tmp_path / "logs").iterdir()
    assert not list(run.glob("*.h5"))  # the epoch is not complete
    command = re.search("Continue with: nike (.*)", output.err)[1]
    assert command == f"train --resume {run.relative_to(tmp_path)}"

    assert cli.main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    assert "epoch 0, step 1" in printed
    record = json.loads((run / "photos.json").read_text())
    assert (len(record["train"]), len(record["val"])) == (10, 2)
    assert record["labels"] == {"adidas": "adidas", "puma": "puma"}

    photo = photos / record["val"][0][0]
    assert f"nike detect --weights {run.relative_to(tmp_path)}/mask_rcnn_nike_best.h5 {photos}" in printed
    assert detect.main(["--weights=best", str(photo), "--min-confidence=0"]) == 0
    found = re.search(rf"{photo.name}: (.*) \(", capsys.readouterr().out)[1]
    assert set(re.findall("[a-z]+", found)) <= {"adidas", "puma"}
    assert (tmp_path / "output" / "overlay" / f"{photo.stem}.jpg").is_file()

    assert evaluate.main(["--weights=best", "--dataset", str(photos), "--json=scores.json", "--html=page.html"]) == 0
    printed = capsys.readouterr().out
    assert f"split       2 validation images of the run in {photos}\n" in printed
    assert "(no negatives)" in printed and "negative images" not in printed  # no rate is printed without negatives
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["split"], scores["counts"]["photos"], scores["counts"]["instances"]) == ("val", 2, 2)
    assert {image["file"] for image in scores["photos"]} == {name for name, _ in record["val"]}
    assert (tmp_path / "page.html").is_file()

    assert pack.main(["--weights=best", "--output=my_logo.h5"]) == 0
    with checkpoints.read_checkpoint(tmp_path / "my_logo.h5") as packed:
        assert packed.metadata["class_names"] == ["BG", "adidas", "puma"]
