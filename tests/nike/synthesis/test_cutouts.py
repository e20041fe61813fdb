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


def test_cutout_has_the_shape_and_colors_of_its_instance(tmp_path):
    (logo,) = load_cutouts(dataset(tmp_path, [("nike", RED, None), ("other", RED, None)]))
    low, high = logo.outlines[0].min(axis=0), logo.outlines[0].max(axis=0)
    np.testing.assert_allclose(high - low, (1, 50 / 80), atol=0.01)
    for x, y, color in ((0, 0, (250, 0, 0)), (0.49, 0.3, (250, 0, 0)), (0.53, 0, (200, 200, 200))):
        u, v = np.array((x, y)) * logo.scale + logo.centre
        assert tuple(logo.texture[int(v), int(u)]) == color


def test_polygons_of_one_group_form_one_cutout(tmp_path):
    left, right = [(40, 30), (70, 30), (70, 79), (40, 79)], [(90, 30), (119, 30), (119, 79), (90, 79)]
    logos = load_cutouts(dataset(tmp_path, [("nike", left, 4), ("nike", right, 4)]))
    assert len(logos) == 1 and len(logos[0].outlines) == 2


@pytest.mark.parametrize(
    "shapes", [[], [("ignore", RED, None)], [("nike", [(1, 1), (9, 1), (9, 9)], None)]], ids=["none", "ignored", "tiny"]
)
def test_dataset_without_usable_instances_raises(tmp_path, shapes):
    with pytest.raises(ValueError, match="no instance labelled 'nike' of at least 32 px"):
        load_cutouts(dataset(tmp_path, shapes))


def test_validation_photos_are_not_cut(tmp_path):
    """Cutouts of validation photos would bias the validation metrics."""
    dataset(tmp_path, [("nike", RED, None)])
    (tmp_path / "split.json").write_text('{"val": ["a"]}')
    with pytest.raises(ValueError, match="no instance"):
        load_cutouts(tmp_path)


def test_missing_dataset_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load_cutouts(tmp_path / "nowhere")
