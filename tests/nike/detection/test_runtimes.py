"""The benchmark of the runtimes on a tiny network."""

import json

import numpy as np
import pytest

from nike.detection import runtimes
from random_model import random_model


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
    assert [row["format"] for row in rows] == ["tensorflow", "openvino"]
    assert all(value > 0 for row in rows for key, value in row.items() if key != "format")
    assert rows[1]["memory_megabytes"] < rows[0]["memory_megabytes"]
    assert capsys.readouterr().out.count("\n| `") == 2


def test_a_format_that_cannot_be_exported_is_left_out(tmp_path, capsys):
    (tmp_path / "broken.h5").write_bytes(b"")
    found = runtimes.export_all(str(tmp_path / "broken.h5"), tmp_path, ["openvino"])
    assert list(found) == ["tensorflow"] and capsys.readouterr().err.startswith("openvino: error: ")
