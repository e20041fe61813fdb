"""NumPy targets: samples of the original for the same seed, and values derived by hand."""

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.matterport.targets_numpy import build_detection_targets, build_rpn_targets
from mrcnn.ops.anchors import compute_backbone_shapes, generate_pyramid_anchors
from mrcnn.ops.random_rois import generate_random_rois
from tiny_config import TinyConfig

CONFIG = Config().copy(IMAGE_MIN_DIM=256, IMAGE_MAX_DIM=256, NUM_CLASSES=7)


@pytest.fixture
def config():
    return CONFIG.copy()


@pytest.fixture(scope="module")
def anchors():
    config = CONFIG
    shapes = compute_backbone_shapes(config, config.IMAGE_SHAPE)
    strides = config.BACKBONE_STRIDES
    return generate_pyramid_anchors(config.RPN_ANCHOR_SCALES, config.RPN_ANCHOR_RATIOS, shapes, strides, 1)


class TestRpnTargets:
    @pytest.mark.parametrize("case", ["default", "nosub", "crowd", "small"])
    def test_same_sample_as_the_original(self, golden, anchors, config, case):
        arrays = golden("targets.npz")
        config.RPN_TRAIN_ANCHORS_PER_IMAGE = int(arrays[f"rpn_{case}__n_train_anchors"])
        np.random.seed(17)
        class_ids, boxes = arrays[f"rpn_{case}__in_gt_class_ids"], arrays[f"rpn_{case}__in_gt_boxes"]
        match, bbox = build_rpn_targets(config.IMAGE_SHAPE, anchors, class_ids, boxes, config)
        np.testing.assert_array_equal(match, arrays[f"rpn_{case}__out_match"])
        expected = arrays[f"rpn_{case}__out_bbox_f64"]
        np.testing.assert_allclose(bbox[: len(expected)], expected, atol=1e-12)
        assert not bbox[len(expected) :].any()

    # Five anchors of 10 x 10 pixels at columns 0, 2, 5, 20 and 40.
    ANCHORS = np.array([[0, x, 10, x + 10] for x in (0, 2, 5, 20, 40)], np.float64)

    def run(self, class_ids, boxes, anchor_count=8):
        config = Config()
        config.RPN_TRAIN_ANCHORS_PER_IMAGE = anchor_count
        boxes = np.array(boxes, np.int32).reshape(-1, 4)
        return build_rpn_targets((64, 64, 3), self.ANCHORS, np.array(class_ids, int), boxes, config)

    def test_rules_by_hand(self):
        # The IoU with the box at columns 0-10 is 1, 8/12, 5/15, 0, 0.
        match, bbox = self.run([1], [[0, 0, 10, 10]])
        np.testing.assert_array_equal(match, [1, 0, 0, -1, -1])
        assert not bbox.any()  # the positive anchor equals the box

    def test_the_anchor_with_the_highest_iou_is_positive(self):
        # Only anchor 3 overlaps the box at columns 24-30, with IoU 60/100.
        match, bbox = self.run([1], [[0, 24, 10, 30]])
        np.testing.assert_array_equal(match, [-1, -1, -1, 1, -1])
        # The centre moves from 25 to 27 at a width of 10, divided by 0.1. log(6/10) is divided by 0.2.
        np.testing.assert_allclose(bbox[0], [0, 2, 0, np.log(0.6) / 0.2])

    def test_all_tied_anchors_are_positive(self):
        # Anchors 0, 1 and 2 contain the box at columns 5-10, with IoU 50/100.
        match, _ = self.run([1], [[0, 5, 10, 10]])
        np.testing.assert_array_equal(match, [1, 1, 1, -1, -1])

    def test_deltas_are_to_the_object_with_the_highest_iou(self):
        # Anchor 0 is tied for object A (columns 5-10), but overlaps object B (columns 0-9) more.
        match, bbox = self.run([1, 1], [[0, 5, 10, 10], [0, 0, 10, 9]])
        assert match[0] == match[1] == match[2] == 1
        np.testing.assert_allclose(bbox[0], [0, -0.5, 0, np.log(0.9) / 0.2])

    def test_anchors_on_ignore_regions_are_neutral(self):
        match, _ = self.run([1, -1], [[0, 0, 10, 10], [0, 22, 10, 60]])
        np.testing.assert_array_equal(match, [1, 0, 0, 0, 0])

    @pytest.mark.parametrize(
        "class_ids, boxes",
        [([], []), ([-1], [[30, 0, 40, 10]]), ([1], [[5, 5, 5, 9]]), ([1], [[10, 0, 0, 10]])],
        ids=["no rows", "only an ignore region", "box without area", "box upside down"],
    )
    def test_all_anchors_are_negative_without_objects(self, class_ids, boxes):
        match, bbox = self.run(class_ids, boxes)
        np.testing.assert_array_equal(match, [-1] * 5)
        assert bbox.shape == (8, 4) and not bbox.any()

    def test_object_without_overlapping_anchors_has_no_effect(self):
        match, _ = self.run([1, 1], [[0, 0, 10, 10], [50, 50, 60, 60]])
        np.testing.assert_array_equal(match, [1, 0, 0, -1, -1])

    def test_at_most_half_are_positive(self):
        match, bbox = self.run([1], [[0, 5, 10, 10]], anchor_count=2)
        assert np.count_nonzero(match == 1) == 1 and np.count_nonzero(match == -1) == 1
        assert bbox.shape == (2, 4)


class TestDetectionTargets:
    def test_same_sample_as_the_original(self, golden, config):
        arrays = golden("targets.npz")
        masks = np.unpackbits(arrays["bdt__in_mini_packed"]).reshape(56, 56, 4).astype(bool)
        np.random.seed(6)
        inputs = arrays["bdt__in_rois"], arrays["bdt__in_ids"], arrays["bdt__in_boxes"], masks
        rois, class_ids, bboxes, masks = build_detection_targets(*inputs, config)
        np.testing.assert_array_equal(rois, arrays["bdt__out_rois"])
        np.testing.assert_array_equal(class_ids, arrays["bdt__out_ids"])
        rows = np.arange(200)
        np.testing.assert_allclose(bboxes[rows, class_ids], arrays["bdt__out_bboxes_of_class"], atol=1e-6)
        expected = np.unpackbits(arrays["bdt__out_masks_of_class"]).reshape(200, 28, 28).astype(bool)
        np.testing.assert_array_equal(masks[rows, :, :, class_ids] > 0, expected)

    @staticmethod
    def inputs():
        """Returns an object of class 2 with a full upper half, and as RoIs its box, half of it and a distant box."""
        mask = np.zeros((64, 64, 1), bool)
        mask[8:16, 8:24] = True
        rois = np.array([[8, 8, 24, 24], [8, 8, 16, 24], [40, 40, 60, 60]])
        return rois, np.array([2]), np.array([[8, 8, 24, 24]]), mask

    def config(self, rois, **changes):
        sampling = dict(TRAIN_ROIS_PER_IMAGE=rois, ROI_POSITIVE_RATIO=0.5, MASK_SHAPE=(4, 4), USE_MINI_MASK=False)
        return TinyConfig().copy(**sampling | changes)

    def test_by_hand(self):
        rois, class_ids, boxes, mask = self.inputs()
        # The IoUs are 1, 0.5 (neither positive nor negative) and 0. The only negative is repeated.
        out_rois, out_ids, bboxes, masks = build_detection_targets(rois, class_ids, boxes, mask, self.config(4))
        np.testing.assert_array_equal(out_rois, rois[[0, 2, 2, 2]])
        np.testing.assert_array_equal(out_ids, [2, 0, 0, 0])
        assert bboxes.shape == (4, 3, 4) and not bboxes.any()
        np.testing.assert_array_equal(masks[0, :, :, 2], [[1] * 4, [1] * 4, [0] * 4, [0] * 4])
        assert masks.shape == (4, 4, 4, 3) and masks.sum() == 8

    def test_mini_masks_cover_their_boxes(self):
        rois, class_ids, boxes, _ = self.inputs()
        mini = np.zeros((56, 56, 1), bool)
        mini[:28] = True
        masks = build_detection_targets(rois, class_ids, boxes, mini, self.config(4, USE_MINI_MASK=True))[3]
        np.testing.assert_array_equal(masks[0, :, :, 2], [[1] * 4, [1] * 4, [0] * 4, [0] * 4])

    def test_errors_of_missing_candidates(self):
        rois, class_ids, boxes, mask = self.inputs()
        with pytest.raises(ValueError, match="at least one RoI"):
            build_detection_targets(rois[:0], class_ids, boxes, mask, self.config(4))
        with pytest.raises(ValueError, match="at least one object"):
            build_detection_targets(rois, -class_ids, boxes, mask, self.config(4))
        with pytest.raises(ValueError, match="RoIs with IoU below 0.5 for 2 negatives"):
            build_detection_targets(rois[[0, 0, 1]], class_ids, boxes, mask, self.config(4))


class TestRandomRois:
    BOXES = np.array([[10, 10, 60, 50], [40, 70, 120, 110]])

    def test_same_as_the_original(self, golden):
        np.random.seed(3)
        rois = generate_random_rois((128, 128, 3), 50, np.array([1, 1]), self.BOXES)
        np.testing.assert_array_equal(rois, golden("utils.npz")["generate_random_rois__out_0"])

    def test_rois_are_inside_the_image_and_have_an_area(self):
        rois = generate_random_rois((128, 100, 3), 1000, np.array([1, 1]), self.BOXES)
        assert rois.shape == (1000, 4) and rois.dtype == np.int32
        assert (rois[:, 2:] > rois[:, :2]).all()
        assert rois.min() >= 0 and (rois[:, 2:] < [128, 100]).all()
        near_first = rois[:450]  # 0.9 * 1000 / 2 near the first box
        assert near_first[:, 2].max() < 110 and near_first[:, 3].max() < 90
        near_second = rois[450:900]
        assert near_second[:, 2].max() > 100 and near_second[:, 1].min() >= 30

    @pytest.mark.parametrize("boxes", [np.zeros((0, 4), int), np.tile([[0, 0, 1, 1]], (100, 1))])
    def test_no_boxes_and_more_boxes_than_rois(self, boxes):
        rois = generate_random_rois((8, 8), 5, np.ones(len(boxes)), boxes)
        assert rois.shape == (5, 4) and (rois[:, 2:] > rois[:, :2]).all()

    @pytest.mark.parametrize("shape, box", [((8, 8), [3, 3, 3, 3]), ((8, 8), [50, 50, 60, 60]), ((1, 8), [0, 0, 1, 4])])
    def test_too_small_for_random_boxes(self, shape, box):
        with pytest.raises(ValueError, match="too small for random boxes"):
            generate_random_rois(shape, 5, np.array([1]), np.array([box]))
