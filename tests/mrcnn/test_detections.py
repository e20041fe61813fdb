"""`Detections` compared with arrays derived by hand."""

import copy

import numpy as np
import pytest

from mrcnn.detections import Detection, Detections


@pytest.fixture
def detections():
    crops = [np.array([[True, False, True]]), np.array([[True], [True]])]
    return Detections([[1, 0, 2, 3], [0, 2, 2, 3]], [1, 2], [0.9, 0.5], crops, (3, 4, 3))


def test_masks_are_pasted_into_the_image(detections):
    expected = np.zeros((3, 4, 2), bool)
    expected[1, 0, 0] = expected[1, 2, 0] = expected[0, 2, 1] = expected[1, 2, 1] = True
    np.testing.assert_array_equal(detections["masks"], expected)
    np.testing.assert_array_equal(detections.full_mask(1), expected[:, :, 1])
    assert detections.masks is detections["masks"]
    assert all(detections.masks[:, :, i].flags.c_contiguous for i in range(2))
    nothing = detections[:0].masks
    assert nothing.shape == (3, 4, 0) and nothing.dtype == bool


def test_keys_of_the_original(detections):
    assert set(dict(detections)) == {"rois", "class_ids", "scores", "masks"} == set(detections.keys())
    assert detections["rois"].dtype == detections["class_ids"].dtype == np.int32
    assert detections["scores"].dtype == np.float32
    assert "rois" in detections and "error" not in detections and detections.get("error") is None
    with pytest.raises(KeyError, match="boxes"):
        detections["boxes"]


def test_keys_can_be_assigned_and_deleted(detections):
    """Scripts for the original filter and convert results in place. Attributes and methods are not affected."""
    masks = detections["masks"]
    detections["rois"] = np.delete(detections["rois"], 0, axis=0)
    detections["masks"] = np.delete(masks, 0, axis=-1)
    detections["class_ids"], detections["scores"] = detections["class_ids"][1:], detections["scores"][1:].tolist()
    detections["class_names"] = ["swoosh"]
    assert detections["rois"].tolist() == [[0, 2, 2, 3]] and detections["scores"] == [0.5]
    assert detections.get("class_names") == ["swoosh"] and "class_names" in detections
    assert len(detections) == 2 and detections.class_ids.tolist() == [1, 2] and detections.masks is masks
    only = Detections.from_result(detections)  # works like a copy of a dict
    assert only.class_ids.tolist() == [2] and only["masks"][:, :, 0].sum() == 2
    assert detections.pop("masks").shape == (3, 4, 1) and detections.pop("masks", None) is None
    del detections["class_ids"]
    detections.update({"scores": 1}, image="a.jpg")
    expected = {"rois": [[0, 2, 2, 3]], "scores": 1, "class_names": ["swoosh"], "image": "a.jpg"}
    assert {**dict(detections), "rois": detections["rois"].tolist()} == expected
    assert copy.deepcopy(detections).keys() == tuple(expected)
    with pytest.raises(KeyError, match="masks"):
        detections["masks"]
    with pytest.raises(TypeError, match="keys must be strings such as 'rois'"):
        detections[0] = None


def test_indexing_equals_numpy(detections):
    assert [item.score for item in detections] == pytest.approx([0.9, 0.5])
    assert isinstance(detections[1], Detection) and detections[1].box == (0, 2, 2, 3) and detections[-1].class_id == 2
    assert len(detections[detections.scores > 0.6]) == 1 and len(detections[:0]) == 0
    assert detections[[1, 0]].class_ids.tolist() == [2, 1]
    with pytest.raises(IndexError):
        detections[2]


def test_result_dict_round_trip(detections):
    again = Detections.from_result(dict(detections))
    for key, array in detections.items():
        np.testing.assert_array_equal(again[key], array)


def test_boxes_of_a_result_dict_are_clipped_to_the_image():
    masks = np.ones((2, 2, 2), bool)
    result = {"rois": [[-1, 0, 5, 1], [0, 2, 2, 3]], "class_ids": [1, 1], "scores": [0.5, 0.4], "masks": masks}
    assert Detections.from_result(result).boxes.tolist() == [[0, 0, 2, 1]]


def test_edited_masks_are_kept(detections):
    """Some scripts edit `result["masks"]` in place."""
    detections["masks"][:, :, 0] = False
    assert not detections.full_mask(0).any() and not detections[:1].masks.any() and not detections[0].mask.any()


def test_indices_and_keys_of_other_types(detections):
    assert detections[np.array(1)].class_id == 2 and detections[-1].class_id == 2
    assert np.ones(2) not in detections and 0 not in detections


def test_boxes_outside_the_image():
    with pytest.raises(ValueError, match="inside the image"):
        Detections([[0, 0, 3, 1]], [1], [0.5], [np.ones((3, 1), bool)], (2, 2))


def test_failed_image():
    failed = Detections.failed(ValueError("no photo"))
    assert failed["error"] == "no photo" and len(failed) == 0 and failed["masks"].shape == (0, 0, 0)


def test_order_by_score():
    mask = np.ones((1, 1), bool)
    weak, strong = Detection((0, 0, 1, 1), mask, 1, 0.2), Detection((1, 1, 2, 2), mask, 2, 0.8)
    assert Detections.from_instances([weak, strong], (2, 2)).class_ids.tolist() == [2, 1]


@pytest.mark.parametrize("crops", [[], [np.ones((1, 2), bool)]])
def test_crops_of_the_wrong_size(crops):
    with pytest.raises(ValueError, match="one crop of the box's size"):
        Detections([[0, 0, 1, 1]], [1], [0.5], crops, (2, 2))
