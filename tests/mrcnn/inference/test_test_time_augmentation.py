"""Test-time augmentation: mirrored views, and votes on masks, boxes and scores."""

import numpy as np
import pytest

from mrcnn.detections import Detection
from mrcnn.inference.test_time_augmentation import detect_augmented, fuse, mirror
from mrcnn.ops.masks import sample_mask

SHAPE = (60, 80)


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
    assert [d.score for d in fuse([[one], [two]], SHAPE)] == pytest.approx([0.7])
    assert [d.score for d in fuse([[one], []], SHAPE)] == pytest.approx([0.45])
    assert [d.score for d in fuse([[one], [two], [], []], SHAPE)] == pytest.approx([0.35])


def test_boxes_are_averaged_by_score_and_masks_by_majority():
    views = [[found((0, 0, 10, 20), 0.9)], [found((0, 2, 10, 20), 0.6)], [found((0, 2, 10, 23), 0.5)]]
    (fused,) = fuse(views, SHAPE)
    assert fused.box == (0, 1, 10, 21)  # (0*.9 + 2*.6 + 2*.5) / 2 = 1.1; (20*.9 + 20*.6 + 23*.5) / 2 = 20.75
    # The votes are 2.0 in total: 0.9 in columns 1..2, all of them in 2..20, and 0.5 in 20..21.
    assert fused.mask.shape == (10, 20)
    assert fused.mask.any(axis=0).tolist() == [False] + [True] * 18 + [False]


def test_different_objects_and_classes_are_not_merged():
    here, there = found((0, 0, 10, 10)), found((30, 30, 40, 40))
    other_class = found((0, 0, 10, 10), class_id=2)
    fused = fuse([[here, there], [other_class]], SHAPE)
    assert sorted((d.box, d.class_id) for d in fused) == [
        ((0, 0, 10, 10), 1),
        ((0, 0, 10, 10), 2),
        ((30, 30, 40, 40), 1),
    ]


def test_a_view_votes_once_per_object():
    twice = [found((0, 0, 10, 10), 0.8), found((0, 1, 10, 11), 0.6)]
    fused = fuse([twice, [found((0, 0, 10, 10), 0.8)]], SHAPE)
    assert sorted(d.score for d in fused) == pytest.approx([0.3, 0.8])


class TestProbabilities:
    """Mask probabilities of mask refinement."""

    @staticmethod
    def refined(probabilities, frame, score):
        """A detection with the mask of its probabilities."""
        probabilities = np.float32(probabilities)
        box, mask = sample_mask(probabilities, frame, SHAPE)
        return Detection(box, mask, 1, score, probabilities=probabilities, frame=frame)

    def test_averages_with_the_scores_as_weights(self):
        # Cells of 4 pixels. The second frame is one cell further right.
        first = self.refined(np.full((2, 3), 0.9), (8.0, 8.0, 16.0, 20.0), 0.6)
        second = self.refined(np.full((2, 3), 0.7), (8.0, 12.0, 16.0, 24.0), 0.3)
        (fused,) = fuse([[first], [second], []], SHAPE)
        # Union: 2 x 4 cells. Weights: 2/3 and 1/3. Outside its frame, a member counts as 0.
        expected = [0.9 * 2 / 3, 0.9 * 2 / 3 + 0.7 / 3, 0.9 * 2 / 3 + 0.7 / 3, 0.7 / 3]
        np.testing.assert_allclose(fused.probabilities, [expected] * 2, rtol=1e-6)
        assert fused.frame == (8, 8, 16, 24)
        assert fused.box == (8, 8, 16, 20)  # 0.5 is crossed at x = 20.2, between the cell centres 18 and 22
        assert fused.mask.all()
        assert fused.score == pytest.approx(0.3)

    def test_a_mirrored_view_of_the_same_object(self, rng):
        first = self.refined(rng.random((5, 6)) + 0.3, (10.5, 20.0, 18.0, 35.25), 0.8)
        again = mirror(mirror(first, 80), 80)
        assert again.frame == first.frame
        np.testing.assert_array_equal(again.probabilities, first.probabilities)
        (fused,) = fuse([[first], [again]], SHAPE)
        np.testing.assert_allclose(fused.probabilities, first.probabilities, rtol=1e-5)

    def test_small_parts_of_the_mean_are_dropped(self):
        """The only common cells outside the object have a mean of 0.5 and make up 1/24 of the object's area."""
        first, second = np.zeros((2, 10, 10))
        first[1:5, 1:7] = second[1:5, 1:7] = 1
        first[9, 9], second[9, 9] = 1, 0.1
        frame = (8.0, 8.0, 18.0, 18.0)
        (fused,) = fuse([[self.refined(first, frame, 0.6)], [self.refined(second, frame, 0.6)]], SHAPE)
        assert fused.probabilities[9, 9] == 0
        assert fused.box == (9, 9, 13, 15)

    def test_contours_have_sub_pixel_precision(self, red_finder):
        image = np.zeros((40, 50, 3), np.uint8)
        image[5:25, 8:32] = (230, 20, 20)
        finder = red_finder(refined=True)
        result = detect_augmented([finder.detect_stream], image)
        assert len(result) == 1 and result.is_sub_pixel(0)
        assert result["rois"].tolist() == [[5, 8, 25, 32]]

    def test_one_member_without_probabilities(self):
        """Weights without mask refinement: a majority vote."""
        first = self.refined(np.ones((4, 4)), (8.0, 8.0, 16.0, 16.0), 0.8)
        (fused,) = fuse([[first], [found((8, 8, 16, 16))]], SHAPE)
        assert fused.probabilities is None and fused.frame is None
        assert fused.box == (8, 8, 16, 16)
