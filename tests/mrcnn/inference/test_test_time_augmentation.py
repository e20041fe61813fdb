"""Test-time augmentation: mirrored views, and votes on masks, boxes and scores."""

import numpy as np
import pytest

from mrcnn.detections import Detection
from mrcnn.inference.test_time_augmentation import detect_augmented, fuse, mirror


def found(box, score=0.8, class_id=1, mask=None):
    mask = np.ones((box[2] - box[0], box[3] - box[1]), bool) if mask is None else mask
    return Detection(box, mask, class_id, score)


def test_detections_of_mirrored_views_are_mirrored_back(red_finder):
    image = np.zeros((40, 50, 3), np.uint8)
    image[5:25, 8:12] = image[20:25, 8:30] = (230, 20, 20)  # an L differs from its mirror image
    finder = red_finder()
    result = detect_augmented([finder.detect_stream], image)
    assert result["rois"].tolist() == [[5, 8, 25, 30]]
    assert (result["masks"][:, :, 0] == (image[..., 0] > 0)).all()
    assert result["scores"][0] == pytest.approx(finder.detect_one(image)["scores"][0])
    assert finder.shapes[:2] == [(40, 50, 3)] * 2


def test_mirroring_twice_is_the_identity(rng):
    detection = found((2, 3, 9, 17), mask=rng.random((7, 14)) > 0.5)
    again = mirror(mirror(detection, 40), 40)
    assert again.box == detection.box and (again.mask == detection.mask).all()
    assert mirror(detection, 40).box == (2, 23, 9, 37)


def test_score_is_the_mean_over_all_views():
    one, two = found((0, 0, 10, 10), 0.9), found((0, 0, 10, 10), 0.5)
    assert [d.score for d in fuse([[one], [two]])] == pytest.approx([0.7])
    assert [d.score for d in fuse([[one], []])] == pytest.approx([0.45])
    assert [d.score for d in fuse([[one], [two], [], []])] == pytest.approx([0.35])


def test_boxes_are_averaged_by_score_and_masks_by_majority():
    views = [[found((0, 0, 10, 20), 0.9)], [found((0, 2, 10, 20), 0.6)], [found((0, 2, 10, 23), 0.5)]]
    (fused,) = fuse(views)
    assert fused.box == (0, 1, 10, 21)  # (0*.9 + 2*.6 + 2*.5) / 2 = 1.1; (20*.9 + 20*.6 + 23*.5) / 2 = 20.75
    # The votes are 2.0 in total: 0.9 in columns 1..2, all of them in 2..20, and 0.5 in 20..21.
    assert fused.mask.shape == (10, 20)
    assert fused.mask.any(axis=0).tolist() == [False] + [True] * 18 + [False]


def test_different_objects_and_classes_are_not_merged():
    here, there = found((0, 0, 10, 10)), found((30, 30, 40, 40))
    other_class = found((0, 0, 10, 10), class_id=2)
    fused = fuse([[here, there], [other_class]])
    assert sorted((d.box, d.class_id) for d in fused) == [
        ((0, 0, 10, 10), 1),
        ((0, 0, 10, 10), 2),
        ((30, 30, 40, 40), 1),
    ]


def test_a_view_votes_once_per_object():
    twice = [found((0, 0, 10, 10), 0.8), found((0, 1, 10, 11), 0.6)]
    fused = fuse([twice, [found((0, 0, 10, 10), 0.8)]])
    assert sorted(d.score for d in fused) == pytest.approx([0.3, 0.8])
