"""`nike export`, commands with exported models, and the examples in docs/deploy.md."""

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

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ["openvino", "saved_model"]
if all(importlib.util.find_spec(package) for package in ("onnxruntime", "tf2onnx")):
    FORMATS.append("onnx")
if importlib.util.find_spec("ai_edge_litert"):
    FORMATS.append("litert")
WITHOUT_TENSORFLOW = [f"nike_{name}" for name in FORMATS if name != "saved_model"] + ["nike_openvino/model.xml"]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Returns a folder with the weights of a tiny network, its exported models and an image."""
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


WITHOUT_RAY = """
from nike.cataloguing import pipeline
pipeline.start_ray, pipeline.stop_ray = lambda *address: (1, 0), lambda: None
pipeline.process_shards = lambda shards, make, pool: map(make(pool.cpus), map(int, shards))
"""


def nike(place: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess:
    """Runs a command and prints whether it imported TensorFlow."""
    code = before + "import sys\nfrom nike import cli\ncode = cli.main(sys.argv[1:])\n"
    code += "print('tensorflow' in sys.modules)\nsys.exit(code)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("weights", WITHOUT_TENSORFLOW)
def test_nike_detect_runs_without_tensorflow(place, weights):
    options = ["--weights", weights, "--save", "csv", "--min-confidence", "0.01", "--output", "output"]
    done = nike(place, "detect", "photo.jpg", *options)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "False", done.stderr
    assert len((place / "output" / "detections.csv").read_text().splitlines()) > 1
    shutil.rmtree(place / "output")


def test_other_commands_run_exported_models(place, tmp_path):
    """Only `nike evaluate` imports TensorFlow, which its reports need."""
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
    rng = np.random.default_rng(1)
    (place / "many" / "deep").mkdir(parents=True)
    for name, size in (("a.png", (50, 64)), ("b.jpg", (90, 70)), ("deep/c.png", (64, 64))):
        PIL.Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(place / "many" / name)
    options = ["--weights", "nike_openvino", "--min-confidence", "0.01"]
    catalogue = ["catalogue", "many", "found", "--cpus", "1", "--shard-size", "2"]
    assert nike(place, *catalogue, *options, before=WITHOUT_RAY).stdout.splitlines()[-1] == "False"
    assert nike(place, "detect", "many", *options, "--save", "coco", "--output", "same").returncode == 0
    coco = json.loads((place / "same" / "detections.json").read_text())
    rows = {row["id"]: row for row in table.read_table(place / "found" / "data").to_pylist()}
    assert sorted(rows) == ["a.png", "b.jpg", "deep/c.png"]
    for image in coco["images"]:
        row = rows[image["file_name"].removeprefix("many/")]
        assert row["status"] == "ok" and len(row["model"]) == 64
        expected = [each for each in coco["annotations"] if each["image_id"] == image["id"]]
        assert len(row["detections"]) == len(expected) > 0
        for found, each in zip(row["detections"], expected, strict=True):
            x, y, width, height = each["bbox"]
            assert [found[side] for side in ("x1", "y1", "x2", "y2")] == [x, y, x + width, y + height]
            assert found["rle"] == each["segmentation"]["counts"]
            assert found["score"] == pytest.approx(each["score"], abs=1e-6)


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
    [("--tta", "fixed image size"), ("--device=gpu", "on the CPU"), ("--max-detections=99", "at most 10")],
)
def test_options_that_need_the_original_weights(place, option, message):
    done = nike(place, "detect", "photo.jpg", "--weights", "nike_openvino", option)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_config_and_a_second_export_are_rejected(place, tmp_path):
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
    """The examples run in order, because later examples use the inputs of earlier ones."""
    monkeypatch.chdir(place)
    names: dict = {}
    for example in EXAMPLES:
        if any(name in example and name not in FORMATS for name in ("onnx", "litert")):
            continue
        exec(compile(example, "docs/deploy.md", "exec"), names)
        assert capsys.readouterr().out or "print" not in example
    assert len(EXAMPLES) > len(FORMATS)
