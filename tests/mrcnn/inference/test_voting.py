"""Overlap and votes of masks, derived by hand."""

import numpy as np

from mrcnn.detections import Detection
from mrcnn.inference.voting import crop_mask, shared_pixels, vote


def found(box):
    return Detection(box, np.ones((box[2] - box[0], box[3] - box[1]), bool), 1, 0.8)


def test_parts_and_shared_pixels():
    a, b = found((0, 0, 10, 10)), found((5, 5, 20, 20))
    assert shared_pixels(a, b) == 25
    assert crop_mask(a, (5, 8, 100, 100)).shape == (5, 2)
    assert crop_mask(a, (50, 50, 60, 60)).size == 0
    assert shared_pixels(a, found((10, 0, 12, 10))) == 0  # half-open boxes that only touch


def test_vote_without_majority_is_the_union():
    union = vote([found((0, 0, 2, 2)), found((0, 4, 2, 6))], [1.0, 1.0], majority=0.0)
    assert union.box == (0, 0, 2, 6)
    assert union.mask.any(axis=0).tolist() == [True, True, False, False, True, True]
