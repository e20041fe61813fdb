"""Written labelme files, read by this package and by labelme."""

import numpy as np
import pytest

from mrcnn.detections import Detections
from mrcnn.detections.labelme import detections_to_shapes
from mrcnn.ops.masks import extract_bboxes
from mrcnn.ops.polygons import iou
from nike.datasets.labelme import masks_to_shapes, read_labelme, write_detections, write_labelme


def masks() -> np.ndarray:
    """Returns a blob, a blob in two parts, a ring and an empty mask, bool `[60, 80, 4]`."""
    y, x = np.mgrid[:60, :80]
    stack = np.zeros((60, 80, 4), bool)
    stack[:, :, 0] = (x - 20) ** 2 + 3 * (y - 20) ** 2 < 150
    stack[:, :, 1] = (abs(x - 50) < 8) & (abs(y - 20) < 6) | (abs(x - 70) < 5) & (abs(y - 30) < 9)
    stack[:, :, 2] = abs((x - 30) ** 2 + (y - 45) ** 2 - 80) < 60
    return stack


def test_round_trip(folder):
    folder.photo("a.jpg")
    stack = masks()
    shapes = masks_to_shapes(["nike", "nike", "ignore", "nike"], stack)
    write_labelme(folder.root / "a.json", "a.jpg", 60, 80, shapes)
    photo = read_labelme(folder.root / "a.json")
    assert [i.label for i in photo.instances] == ["nike", "nike", "ignore"]
    assert [len(i.pieces) for i in photo.instances] == [1, 2, 1]
    assert photo.instances[2].pieces[0].kind == "mask"  # a ring has a hole
    assert not photo.problems
    for i in range(3):
        assert iou(photo.draw()[:, :, i], stack[:, :, i]) >= 0.99


def test_labelme_reads_the_file(folder, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    label_file = pytest.importorskip(
        "labelme._label_file", reason="needs labelme 6: pip install labelme", exc_type=ImportError
    )
    folder.photo("a.jpg")
    shapes = masks_to_shapes(["nike"] * 4, masks())
    write_labelme(folder.root / "a.json", "a.jpg", 60, 80, shapes)
    data = label_file.read_label_file(str(folder.root / "a.json"))
    assert data.image_path == "a.jpg"
    assert [s["shape_type"] for s in data.shapes] == ["polygon", "polygon", "polygon", "mask"]
    from labelme.utils import shapes_to_label

    _, instances = shapes_to_label((60, 80), data.shapes, {"nike": 1})
    ours = read_labelme(folder.root / "a.json").draw()
    for i in range(3):
        painted = ours[:, :, i] & ~ours[:, :, i + 1 :].any(axis=2)
        np.testing.assert_array_equal(instances == i + 1, painted)


def test_keypoints_of_detections_are_read_again(folder):
    photo = folder.photo("a.jpg")
    stack = masks()[:, :, :2]  # the second object has two parts
    points = np.array([[[20, 20, 0.9], [25.5, 21.25, 0.8]], [[50, 20, 0.7], [70, 30, 0.6]]])
    boxes = extract_bboxes(stack)
    crops = [stack[y1:y2, x1:x2, i] for i, (y1, x1, y2, x2) in enumerate(boxes)]
    result = Detections(boxes, [1, 1], [0.9, 0.8], crops, (60, 80), keypoints=points)
    result.keypoint_names = ["hook", "tail"]
    instances = read_labelme(write_detections(photo, result, ["BG", "nike"])).instances
    assert [len(instance.pieces) for instance in instances] == [1, 2]
    for instance, expected in zip(instances, points, strict=True):
        assert instance.keypoints == {
            name: (*point[:2], 2) for name, point in zip(["hook", "tail"], expected, strict=True)
        }
    shapes = detections_to_shapes(result[:1], ["nike"])
    assert [(shape["label"], shape["group_id"]) for shape in shapes] == [("nike", 1), ("hook", 1), ("tail", 1)]


def test_keypoints_without_names_are_numbered():
    result = Detections([[0, 0, 4, 4]], [1], [0.9], None, (8, 8), keypoints=np.ones((1, 2, 3)))
    shapes = detections_to_shapes(result, ["nike"])
    assert [shape["label"] for shape in shapes] == ["nike", "keypoint 0", "keypoint 1"]


def test_write_detections(folder):
    photo = folder.photo("a.jpg")
    mask = masks()[:, :, :1]
    found = {"rois": extract_bboxes(mask), "masks": mask, "class_ids": [1], "scores": [0.876]}
    result = Detections.from_result(found)
    path = write_detections(photo, result, ["BG", "nike"])
    assert path == photo.with_suffix(".json")
    described = read_labelme(path)
    assert described.instances[0].label == "nike"
    assert iou(described.draw()[:, :, 0], masks()[:, :, 0]) >= 0.99
    assert "score 0.876" in path.read_text()


def test_image_without_detections_is_a_negative(folder):
    photo = folder.photo("a.jpg")
    assert read_labelme(write_detections(photo, Detections([], [], [], [], (60, 80)), ["BG", "nike"])).is_negative


def refined(probabilities, frame, shape=(60, 80)):
    """Returns detections of one object with mask refinement."""
    from mrcnn.ops.masks import sample_mask

    box, crop = sample_mask(probabilities, frame, shape)
    detections = Detections([box], [1], [0.9], [crop], shape)
    detections.probabilities, detections.frames = [probabilities], np.array([frame], float)
    return detections


def disc(size=56, radius=20.0):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return 1 / (1 + np.exp(2 * (np.hypot(y, x) - radius)))


class TestSubPixelContours:
    def test_disc_has_few_points_near_its_edge(self):
        # The cells have 0.5 pixels. The object is a disc of radius 10 pixels around (x, y) = (34.25, 24.25).
        shapes = detections_to_shapes(refined(disc(), (10.25, 20.25, 38.25, 48.25)), ["nike"])
        assert [shape["shape_type"] for shape in shapes] == ["polygon"]
        points = np.array(shapes[0]["points"])
        assert 8 <= len(points) <= 60
        np.testing.assert_allclose(np.hypot(*(points - (34.25, 24.25)).T), 10, atol=0.1)

    def test_many_points_are_simplified_to_60(self):
        y, x = np.mgrid[:112, :112] - 55.5
        angle, distance = np.arctan2(y, x), np.hypot(y, x)
        star = (distance < 40 + 10 * np.cos(40 * angle)).astype(float)
        shapes = detections_to_shapes(refined(star, (0, 0, 1120, 1120), (1120, 1120)), ["nike"])
        assert max(len(shape["points"]) for shape in shapes) <= 60

    def test_specks_are_dropped_and_parts_are_grouped(self):
        probabilities = np.zeros((56, 56))
        probabilities[5:25, 5:50] = probabilities[30:50, 5:50] = 1
        probabilities[53, 53] = 1
        shapes = detections_to_shapes(refined(probabilities, (2, 2, 58, 58)), ["nike"])
        assert len(shapes) == 2
        assert {shape["group_id"] for shape in shapes} == {1}

    def test_a_hole_is_kept_as_a_mask(self):
        probabilities = disc() - disc(radius=8.0)
        shapes = detections_to_shapes(refined(probabilities, (2, 2, 58, 58)), ["nike"])
        assert [shape["shape_type"] for shape in shapes] == ["mask"]

    def test_contour_stays_inside_the_image(self):
        shapes = detections_to_shapes(refined(np.ones((8, 8)), (-20, -20, 100, 100)), ["nike"])
        points = np.array(shapes[0]["points"])
        assert (points.min(0) == 0).all()
        assert points.max(0).tolist() == [80, 60]

    def test_edited_masks_are_written_as_edited(self):
        detections = refined(disc(), (10, 20, 38, 48))
        detections.masks[:] = False
        detections.masks[5:15, 5:15] = True
        points = np.array(detections_to_shapes(detections, ["nike"])[0]["points"])
        assert points.max() <= 15
