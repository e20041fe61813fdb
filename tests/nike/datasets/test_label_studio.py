"""Reading of tasks as Label Studio exports them ("JSON"), with the different tags for regions on images."""

import json

import numpy as np
import pytest

from nike.datasets.label_studio import read_label_studio
from nike.datasets.label_studio_rle import encode

HEIGHT, WIDTH = 40, 80
SHAPES = {  # geometry that covers the left half of the image, and the expected number of pixels
    "polygon": ({"points": [[0, 0], [50, 0], [50, 100], [0, 100]], "closed": True}, 1600),
    "rectangle": ({"x": 0, "y": 0, "width": 50, "height": 100, "rotation": 0}, 1600),
    "brush": ({"format": "rle", "rle": encode(np.arange(WIDTH) < np.full((HEIGHT, 1), WIDTH // 2))}, 1600),
    "ellipse": ({"x": 25, "y": 50, "radiusX": 25, "radiusY": 50, "rotation": 0}, np.pi * 400),  # a circle of radius 20
}


def region(kind: str, value: dict, number: int = 1) -> dict:
    common = {"id": f"r{number}", "from_name": "tag", "to_name": "image", "original_width": WIDTH}
    return common | {"original_height": HEIGHT, "image_rotation": 0, "type": kind, "value": value}


def read(folder, regions: list):
    """Reads a task with the given regions and returns its image."""
    folder.photo("1a2b3c4d-shoe.jpg", HEIGHT, WIDTH)
    task = {"id": 7, "data": {"image": "/data/upload/1/1a2b3c4d-shoe.jpg"}, "annotations": [{"result": regions}]}
    (folder.root / "project.json").write_text(json.dumps([task]))
    (photo,) = read_label_studio(folder.root, "swoosh").photos
    return photo


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_with_labels(folder, kind):
    value, area = SHAPES[kind]
    photo = read(folder, [region(f"{kind}labels", value | {f"{kind}labels": ["nike"]})])
    assert [instance.label for instance in photo.instances] == ["nike"] and not photo.problems
    assert np.count_nonzero(photo.draw()) == pytest.approx(area, rel=0.03)


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_without_labels(folder, kind):
    """The tags <Polygon>, <Rectangle>, <Brush> and <Ellipse>, for projects with one class."""
    value, area = SHAPES[kind]
    photo = read(folder, [region(kind, value)])
    assert [instance.label for instance in photo.instances] == ["swoosh"] and not photo.problems
    assert np.count_nonzero(photo.draw()) == pytest.approx(area, rel=0.03)


@pytest.mark.parametrize("kind", SHAPES)
def test_entries_of_a_shape(folder, kind):
    """Labels of the tag <Labels>, and choices and texts per region, repeat the geometry of their shape."""
    value = SHAPES[kind][0]
    entries = {kind: {}, "labels": {"labels": ["nike"]}, "choices": {"choices": ["worn"]}, "textarea": {"text": ["x"]}}
    photo = read(folder, [region(type_, value | more) for type_, more in entries.items()])
    assert [instance.label for instance in photo.instances] == ["nike"] and not photo.problems


def test_relations_and_answers_about_the_image_are_not_shapes(folder):
    value = SHAPES["polygon"][0] | {"polygonlabels": ["nike"]}
    relation = {"from_id": "r1", "to_id": "r2", "type": "relation", "direction": "right"}
    answer = {"id": "a", "from_name": "quality", "to_name": "image", "type": "choices", "value": {"choices": ["good"]}}
    photo = read(folder, [region("polygonlabels", value), region("polygonlabels", value, 2), relation, answer])
    assert len(photo.instances) == 2 and not photo.num_unusable


@pytest.mark.parametrize("kind", ["bitmask", "bitmasklabels", "vector", "vectorlabels"])
def test_an_image_with_an_unsupported_shape_is_not_a_negative(folder, kind):
    photo = read(folder, [region(kind, {kind: ["nike"]})])
    assert photo.num_unusable == 1 and not photo.is_negative
    assert kind in str(photo.problems[0])
