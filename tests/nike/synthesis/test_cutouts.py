"""Cutting real marks out of a labelled dataset."""

import json

import numpy as np
import pytest
from PIL import Image

from nike.synthesis.cutouts import load_cutouts


def dataset(folder, shapes, size=(120, 160)):
    pixels = np.full((*size, 3), 200, np.uint8)
    pixels[30:80, 40:120] = (250, 0, 0)
    Image.fromarray(pixels).save(folder / "a.png")
    entries = [
        {"label": label, "points": points, "shape_type": "polygon", "group_id": group, "flags": {}}
        for label, points, group in shapes
    ]
    document = {"version": "5.5.0", "flags": {}, "shapes": entries, "imagePath": "a.png", "imageData": None}
    document |= {"imageHeight": size[0], "imageWidth": size[1]}
    (folder / "a.json").write_text(json.dumps(document))
    return folder


RED = [(40, 30), (119, 30), (119, 79), (40, 79)]


def test_a_cutout_has_the_shape_and_the_colours_of_its_instance(tmp_path):
    (mark,) = load_cutouts(dataset(tmp_path, [("nike", RED, None), ("other", RED, None)]))
    low, high = mark.outlines[0].min(axis=0), mark.outlines[0].max(axis=0)
    np.testing.assert_allclose(high - low, (1, 50 / 80), atol=0.01)
    for x, y, colour in ((0, 0, (250, 0, 0)), (0.49, 0.3, (250, 0, 0)), (0.53, 0, (200, 200, 200))):
        u, v, w = mark.to_texture @ (x, y, 1)
        assert tuple(mark.texture[int(v / w), int(u / w)]) == colour


def test_pieces_of_one_instance_stay_together(tmp_path):
    left, right = [(40, 30), (70, 30), (70, 79), (40, 79)], [(90, 30), (119, 30), (119, 79), (90, 79)]
    marks = load_cutouts(dataset(tmp_path, [("nike", left, 4), ("nike", right, 4)]))
    assert len(marks) == 1 and len(marks[0].outlines) == 2


@pytest.mark.parametrize(
    "shapes", [[], [("ignore", RED, None)], [("nike", [(1, 1), (9, 1), (9, 9)], None)]], ids=["none", "ignored", "tiny"]
)
def test_a_dataset_without_anything_to_cut_is_named(tmp_path, shapes):
    with pytest.raises(ValueError, match="no instance labelled 'nike' of at least 32 px"):
        load_cutouts(dataset(tmp_path, shapes))


def test_a_missing_dataset_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load_cutouts(tmp_path / "nowhere")
