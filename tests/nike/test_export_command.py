"""`nike export`, the commands on its folders, and the examples of docs/deploy.md."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mrcnn.export import read_metadata, verify
from nike import export
from random_model import random_model

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ["openvino", "saved_model"]
if all(importlib.util.find_spec(package) for package in ("onnxruntime", "tf2onnx")):
    FORMATS.append("onnx")
WITHOUT_TENSORFLOW = [f"nike_{name}" for name in FORMATS if name != "saved_model"]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the weights of a tiny network, its exported models and a photo."""
    pytest.importorskip("openvino")
    place = tmp_path_factory.mktemp("place")
    model, rng = random_model(), np.random.default_rng(0)
    model.save_weights(place / "tiny.h5", metadata={"class_names": model.class_names})
    (place / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.png"):
        PIL.Image.fromarray(rng.integers(0, 256, (50, 64, 3), dtype=np.uint8)).save(place / name)
    for name in FORMATS:
        options = ["--format", name, "--output", str(place / f"nike_{name}"), "--verify", str(place / "photos")]
        assert export.main(["--weights", str(place / "tiny.h5"), *options]) == 0
    return place


def nike(place: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Runs a command, and prints whether it imported TensorFlow."""
    code = "import sys\nfrom nike import cli\ncode = cli.main(sys.argv[1:])\n"
    code += "print('tensorflow' in sys.modules)\nsys.exit(code)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("weights", WITHOUT_TENSORFLOW)
def test_nike_detect_runs_without_tensorflow(place, weights):
    options = ["--weights", weights, "--save", "csv", "--min-confidence", "0.01", "--output", f"output_{weights}"]
    done = nike(place, "detect", "photo.jpg", *options)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "False", done.stderr
    assert len((place / f"output_{weights}" / "detections.csv").read_text().splitlines()) > 1


def test_other_commands_run_exported_models(place, tmp_path):
    """Without TensorFlow, except for `nike evaluate`, whose reports need it."""
    options = ["--weights", "nike_openvino", "--min-confidence", "0.01"]
    done = nike(place, "splash", "--image", "photo.jpg", "--output", str(tmp_path / "splash.png"), *options)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "False", done.stderr
    with PIL.Image.open(tmp_path / "splash.png") as image:
        assert image.size == (64, 50)
    shutil.copytree(place / "photos", tmp_path / "photos")
    done = nike(place, "annotate", str(tmp_path / "photos"), "--no-open", *options)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "False", done.stderr
    assert json.loads((tmp_path / "photos" / "a.json").read_text())["shapes"]
    done = nike(place, "evaluate", "--dataset", str(tmp_path / "photos"), "--weights", "nike_openvino")
    assert done.returncode == 0 and "AP50" in done.stdout, done.stderr


def test_the_image_size_of_an_export(place, tmp_path):
    options = [
        "--weights",
        str(place / "tiny.h5"),
        "--verify",
        str(place / "photos"),
        "--output",
        str(tmp_path / "big"),
    ]
    assert export.main([*options, "--image-size", "128"]) == 0
    assert read_metadata(tmp_path / "big")["signature"]["inputs"]["images"]["shape"] == ["B", 128, 128, 3]
    done = nike(place, "export", *options, "--image-size", "100")
    assert done.returncode == 2 and "multiple of 64 from 64 to 4096, got 100" in done.stderr


def test_nike_catalogue_runs_openvino_without_tensorflow(place):
    pytest.importorskip("pyarrow")
    arguments = ["catalogue", "photos", "none", "--weights", "nike_openvino", "--cpus", "1", "--dry-run"]
    done = nike(place, *arguments)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "False", done.stderr
    assert "sample of 1 images: 1 ok" in done.stdout


def test_nike_catalogue_gives_the_detections_of_nike_detect(place):
    table = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("ray", reason="pip install -e '.[catalogue]' brings it")
    options = ["--weights", "nike_openvino", "--min-confidence", "0.01"]
    assert nike(place, "catalogue", "photos", "found", "--cpus", "1", *options).returncode == 0
    (row,) = table.read_table(place / "found" / "data").to_pylist()
    assert nike(place, "detect", "photos/a.png", *options, "--save", "csv", "--output", "same").returncode == 0
    lines = (place / "same" / "detections.csv").read_text().splitlines()[1:]
    assert row["status"] == "ok" and len(row["model"]) == 64
    scores = [float(line.split(",")[4]) for line in lines]
    assert [found["score"] for found in row["detections"]] == pytest.approx(scores, abs=1e-4) and scores


def test_nike_serve_runs_openvino_without_tensorflow(place):
    pytest.importorskip("fastapi", reason="pip install -e '.[serve,test]' brings FastAPI")
    code = """if True:
        import argparse, pathlib, sys
        from fastapi.testclient import TestClient
        from nike import serve
        from nike.serving.app import create_app
        parser = argparse.ArgumentParser()
        serve.add_arguments(parser)
        detector, threshold = serve.load(parser.parse_args(["--weights", "nike_openvino"]))
        with TestClient(create_app(detector, default_confidence=threshold)) as client:
            url = "/v1/detect?min_confidence=0.1"
            answer = client.post(url, content=pathlib.Path("photo.jpg").read_bytes())
        print(answer.status_code, answer.json()["width"], "tensorflow" in sys.modules)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["200", "64", "False"], done.stderr


@pytest.mark.parametrize(
    "option, message",
    [("--tta", "one image size"), ("--device=gpu", "on the CPU"), ("--max-detections=99", "at most 10")],
)
def test_options_that_need_the_original_weights(place, option, message):
    done = nike(place, "detect", "photo.jpg", "--weights", "nike_openvino", option)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_config_and_a_second_export_are_refused(place, tmp_path):
    (tmp_path / "changes.json").write_text('{"IMAGE_MAX_DIM": 128}')
    done = nike(place, "evaluate", "--weights", "nike_openvino", "--config", str(tmp_path / "changes.json"))
    assert done.returncode == 2 and "settings of the exported model" in done.stderr
    done = nike(place, "export", "--weights", "nike_openvino")
    assert done.returncode == 2 and "is an exported model" in done.stderr


def test_the_metadata_have_the_verification(place):
    metadata = json.loads((place / "nike_openvino" / "metadata.json").read_text())
    assert metadata["verification"]["images"] == 1 and metadata["verification"]["detections"] > 0
    assert metadata["class_names"] == ["BG", "a", "b"] and metadata["config"]["DETECTION_ANY_FOREGROUND"] is True


def test_a_failed_verification_exits_with_1(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(verify.TOLERANCES, "saved_model", verify.Tolerance(score=-1.0))
    options = ["--format", "saved_model", "--output", str(tmp_path / "out"), "--verify", str(place / "photos")]
    assert export.main(["--weights", str(place / "tiny.h5"), *options]) == 1
    assert "differs from the Keras model" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_examples_run(place, monkeypatch, capsys):
    """In order, because they share the inputs."""
    monkeypatch.chdir(place)
    names: dict = {}
    for example in EXAMPLES:
        if "onnx" in example and "onnx" not in FORMATS:
            continue
        exec(compile(example, "docs/deploy.md", "exec"), names)
        assert capsys.readouterr().out or "print" not in example
    assert len(EXAMPLES) > len(FORMATS)
