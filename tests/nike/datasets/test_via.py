"""VIA files: versions 1 and 2, all shapes, and all fields that may contain labels."""

import numpy as np
import pytest

from nike.datasets.shapes import Shape
from nike.datasets.via import is_via, read_via

POLYGON = {"name": "polygon", "all_points_x": [10, 40, 30], "all_points_y": [10, 12, 40]}


def region(shape=POLYGON, **attributes) -> dict:
    return {"shape_attributes": shape, "region_attributes": attributes}


def via(folder, regions, name="a.jpg") -> dict:
    folder.photo(name)
    return {name + "123": {"filename": name, "size": 123, "regions": regions, "file_attributes": {}}}


def read(folder, regions, **options):
    return read_via(folder.json("via_region_data.json", via(folder, regions)), **options)


@pytest.mark.parametrize("regions", [[region()], {"0": region()}], ids=["VIA 2", "VIA 1, as the balloon sample"])
def test_reads_both_versions(folder, regions):
    (photo,) = read(folder, regions, default_label="balloon").photos
    assert photo.instances[0].label == "balloon"
    expected = Shape("polygon", np.array([[10, 10], [40, 12], [30, 40]], float)).draw(60, 80)
    np.testing.assert_array_equal(photo.draw()[:, :, 0], expected)


def test_reads_a_saved_project(folder):
    path = folder.json("project.json", {"_via_settings": {}, "_via_img_metadata": via(folder, [region(label="nike")])})
    assert read_via(path).photos[0].instances[0].label == "nike"


def test_shapes(folder):
    rect = {"name": "rect", "x": 5, "y": 6, "width": 10, "height": 4}
    circle = {"name": "circle", "cx": 40, "cy": 30, "r": 5}
    ellipse = {"name": "ellipse", "cx": 40, "cy": 30, "rx": 20, "ry": 4, "theta": np.pi / 2}
    (photo,) = read(folder, [region(rect), region(circle), region(ellipse)]).photos
    masks = photo.draw()
    assert masks[6:11, 5:16, 0].all() and masks[:, :, 0].sum() == 5 * 11
    assert abs(masks[:, :, 1].sum() - np.pi * 25) < 20
    assert abs(masks[:, :, 2].sum() - np.pi * 80) < 40
    assert masks[12:48, 40, 2].all() and not masks[30, 50, 2]  # the image is rotated upright


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({"label": "nike"}, "nike"),
        ({"kind": "nike"}, "nike"),
        ({"name": "nike", "color": "red"}, "nike"),
        ({}, "object"),
    ],
)
def test_labels(folder, attributes, label):
    assert read(folder, [region(**attributes)]).photos[0].instances[0].label == label


def test_checkboxes(folder):
    (photo,) = read(folder, [region(class_={"x": 1}, label={"adidas": False, "nike": True})]).photos
    assert photo.instances[0].label == "nike"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (5, "expected a region with shape_attributes"),
        (region({"name": "rect", "x": 1, "y": 1, "width": -5, "height": 4}), "no area"),
        (region({"name": "rect", "x": "1", "y": 1, "width": 5, "height": 4}), "x must be a number"),
        (region({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1]}), "equal length"),
        (region({"name": "polyline", "all_points_x": [1, 2, 3], "all_points_y": [1, 2, 1]}), "no area"),
        (region({"name": "point", "cx": 1, "cy": 1}), "a point has no area"),
        (region({"name": "spiral"}), "unknown shape_type"),
        (region(a="x", b="y"), "ambiguous region attributes ['a', 'b']"),
    ],
)
def test_problems_are_reported(folder, wrong, message):
    (photo,) = read(folder, [region(), wrong]).photos
    assert photo.num_unusable == 1 and message in str(photo.problems[0]) and "regions[1]" in str(photo.problems[0])


def test_images_without_regions_are_not_negatives(folder):
    collection = read(folder, [])
    assert not collection.photos and [path.name for path in collection.unlabelled] == ["a.jpg"]


def test_paths_outside_the_dataset_and_other_formats_are_rejected(folder, tmp_path):
    folder.photo("a.jpg").rename(tmp_path / "a.jpg")
    path = folder.json("v.json", {"x": {"filename": "../a.jpg", "regions": [region()]}})
    assert "outside the dataset" in str(read_via(path).problems[0])
    for value in ([], {}, {"x": 1}, {"shapes": []}, None):
        assert not is_via(value)
        with pytest.raises(ValueError, match="expected VIA JSON"):
            read_via(folder.json("v.json", value))
