"""The code blocks of docs/extending.md run and have the documented results."""

import re
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
BACKBONE, OUTPUT, FORMAT = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(code: str) -> dict:
    names: dict = {}
    exec(compile(code, "docs/extending.md", "exec"), names)
    return names


def test_backbone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = run(BACKBONE)["model"]
    (result,) = model.detect([np.zeros((100, 120, 3), np.uint8)])
    assert result.image_shape == (100, 120)
    assert model.keras_model.get_layer("tiny_5").output.shape[-1] == 32


def test_output_format(tmp_path, monkeypatch):
    from nike.detection import output_formats

    monkeypatch.setattr(output_formats, "WRITERS", dict(output_formats.WRITERS))
    run(OUTPUT)
    with ExitStack() as stack:
        writer = output_formats.WRITERS["counts"](tmp_path / "counts", ["BG", "nike"], stack)
        writer.write(SimpleNamespace(source=SimpleNamespace(name="shoe.jpg")), [1, 2])
    assert (tmp_path / "counts.txt").read_text() == "shoe.jpg 2\n"


def test_dataset_format(tmp_path):
    file = tmp_path / "boxes.csv"
    file.write_text("shoe.jpg,40,60,nike,10,5,20,15\nshoe.jpg,40,60,nike,30,5,40,15\n")
    (photo,) = run(FORMAT)["read_boxes_csv"](file).photos
    masks = photo.draw()
    assert masks.shape == (40, 60, 2) and photo.instances[1].where == "line 2"
    assert masks[5:16, 10:21, 0].all() and masks[:, :, 0].sum() == 11 * 11  # the mask includes the outline
