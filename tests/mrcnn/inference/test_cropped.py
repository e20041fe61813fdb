"""Detections with masks cut to their boxes: nothing is lost on the way there and back."""

import numpy as np

from mrcnn.inference.cropped import Detection, crop_detections, part_in, shared_pixels, to_result, vote


def found(box):
    return Detection(box, np.ones((box[2] - box[0], box[3] - box[1]), bool), 1, 0.8)


def test_cropping_and_pasting_are_inverse(rng):
    masks = np.zeros((30, 40, 2), bool)
    masks[3:10, 5:20, 0] = rng.random((7, 15)) > 0.5
    masks[20:30, 0:40, 1] = True
    result = {
        "rois": np.array([[3, 5, 10, 20], [20, 0, 30, 40]], np.int32),
        "class_ids": np.array([2, 1], np.int32),
        "scores": np.array([0.9, 0.8], np.float32),
        "masks": masks,
    }
    again = to_result(crop_detections(result), 30, 40)
    for name, array in result.items():
        assert np.array_equal(again[name], array) and again[name].dtype == array.dtype
    moved = crop_detections(result, y=100, x=7)
    assert moved[0].box == (103, 12, 110, 27)
    assert not np.shares_memory(moved[0].mask, masks)


def test_boxes_without_area_are_dropped():
    result = {
        "rois": np.array([[5, 5, 5, 9], [-4, -4, 0, 3], [28, 38, 33, 44]]),
        "class_ids": np.ones(3, int),
        "scores": np.ones(3),
        "masks": np.ones((30, 40, 3), bool),
    }
    assert [d.box for d in crop_detections(result)] == [(28, 38, 30, 40)]


def test_parts_and_shared_pixels():
    a, b = found((0, 0, 10, 10)), found((5, 5, 20, 20))
    assert shared_pixels(a, b) == 25
    assert part_in(a, (5, 8, 100, 100)).shape == (5, 2)
    assert part_in(a, (50, 50, 60, 60)).size == 0
    assert shared_pixels(a, found((10, 0, 12, 10))) == 0  # half-open: they only touch


def test_vote_without_majority_is_the_union():
    union = vote([found((0, 0, 2, 2)), found((0, 4, 2, 6))], [1.0, 1.0], majority=0.0)
    assert union.box == (0, 0, 2, 6)
    assert union.mask.any(axis=0).tolist() == [True, True, False, False, True, True]
