"""The benchmark of the runtimes on a tiny network."""

import json

import numpy as np
import pytest

from nike.detection import runtimes
from random_model import random_model

pytestmark = pytest.mark.slow


def test_the_table_has_a_row_for_each_format(tmp_path, monkeypatch, capsys):
    pytest.importorskip("openvino")
    monkeypatch.setattr(runtimes, "PHOTO_SIZE", (64, 50))
    monkeypatch.setattr(runtimes, "COMMAND_ROUNDS", 1)
    model = random_model()
    model.save_weights(tmp_path / "tiny.h5", metadata={"class_names": model.class_names})
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    model.export(tmp_path / "exports" / "openvino", "openvino", [image])
    files = ["--weights", str(tmp_path / "tiny.h5"), "--exports", str(tmp_path / "exports")]
    options = ["--formats", "openvino", "--rounds", "1", "--json", str(tmp_path / "figures.json")]
    assert runtimes.main([*files, *options]) == 0
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert [row["format"] for row in rows] == ["tensorflow float32", "tensorflow bfloat16", "openvino"]
    assert all(value > 0 for row in rows for key, value in row.items() if key != "format")
    assert rows[2]["memory_megabytes"] < rows[0]["memory_megabytes"] == rows[1]["memory_megabytes"]
    assert rows[0]["detect_seconds"] != rows[1]["detect_seconds"]
    assert capsys.readouterr().out.count("\n| `") == 3


def test_a_model_of_other_weights_is_not_reused(tmp_path, monkeypatch, capsys):
    model = random_model()
    model.save_weights(tmp_path / "tiny.h5", metadata={"class_names": model.class_names})
    metadata = {"weights": runtimes.weights_hash(tmp_path / "tiny.h5")}
    monkeypatch.setattr(runtimes, "read_metadata", lambda folder: metadata)
    (tmp_path / "onnx").mkdir()
    assert list(runtimes.export_all(str(tmp_path / "tiny.h5"), tmp_path, ["onnx"])) == ["tensorflow", "onnx"]
    metadata["weights"] = "0" * 64
    arguments = ["--weights", str(tmp_path / "tiny.h5"), "--exports", str(tmp_path), "--formats", "onnx"]
    assert runtimes.main(arguments) == 2
    assert f"error: {tmp_path / 'onnx'}: exported from weights other than" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--weights", "nosuch.h5"), ("--rounds", "0"), ("--json", "{file}/a.json"), ("--exports", "{file}")],
)
def test_user_errors_are_reported_before_the_benchmark(tmp_path, monkeypatch, capsys, option, value):
    monkeypatch.setattr(runtimes, "measure_formats", lambda *arguments: pytest.fail("measured"))
    (tmp_path / "file").touch()
    value = value.format(file=tmp_path / "file")
    assert runtimes.main([option, value, "--formats", "onnx"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {option}: ") and error.count("\n") == 1


def test_a_command_that_dies_without_a_message(tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "LAUNCHER", "import sys; sys.exit(7)")
    with pytest.raises(ValueError, match="failed: exit code 7"):
        runtimes.run_command(tmp_path, tmp_path, tmp_path)


def test_a_format_that_cannot_be_exported_is_left_out(tmp_path, capsys):
    (tmp_path / "broken.h5").write_bytes(b"")
    found = runtimes.export_all(str(tmp_path / "broken.h5"), tmp_path, ["openvino"])
    assert list(found) == ["tensorflow"] and capsys.readouterr().err.startswith("openvino: error: ")
