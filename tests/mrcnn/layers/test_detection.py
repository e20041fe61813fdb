"""DetectionLayer: reference arrays of the original and values derived by hand."""

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.layers.detection import DetectionLayer, score_by_masks

WINDOW_META = np.zeros((1, 12 + 3), np.float32)
WINDOW_META[0, 4:11] = [101, 101, 3, 0, 0, 101, 101]


@pytest.mark.parametrize(("confidence", "count"), [("0", 100), ("0.7", 100), ("0.7", 10), ("0.999999", 20)])
def test_equals_the_original(golden, confidence, count):
    arrays = golden("losses.npz")
    settings = dict(DETECTION_MIN_CONFIDENCE=float(confidence), DETECTION_MAX_INSTANCES=count)
    layer = DetectionLayer(Config().copy(**settings))
    outputs = layer(
        [arrays[f"detection__in_{name}"].astype(np.float32) for name in ("rois", "probs", "deltas", "meta")]
    )
    for ours, theirs in zip(np.asarray(outputs), arrays[f"detection_conf{confidence}_max{count}__out"], strict=True):
        # The original also classifies padding, which gives detections of area zero.
        ours, theirs = ((d[(d[:, 2] > d[:, 0]) & (d[:, 3] > d[:, 1])]) for d in (ours, theirs))
        assert len(theirs) > 0 or confidence == "0.999999"
        assert len(theirs) <= len(ours)
        np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=2e-6)


def detect(rois, probs, deltas=None, **settings):
    """Returns the detections of one image without padding rows."""
    rois, probs = np.array([rois], np.float32), np.array([probs], np.float32)
    deltas = np.zeros((*probs.shape, 4), np.float32) if deltas is None else deltas
    options = dict(bbox_std_dev=[0.1, 0.1, 0.2, 0.2], min_confidence=0.5, max_instances=5, nms_threshold=0.3)
    outputs = np.asarray(DetectionLayer(**{**options, **settings})([rois, probs, deltas, WINDOW_META]))[0]
    assert outputs.shape == ((options | settings)["max_instances"], 6)
    return outputs[outputs[:, 4] > 0]


BOX, SAME, FAR = [0.1, 0.1, 0.4, 0.4], [0.1, 0.11, 0.4, 0.41], [0.6, 0.6, 0.9, 0.9]


def test_suppression_per_class():
    found = detect([BOX, SAME, FAR], [[0, 0.9, 0.1], [0, 0.1, 0.8], [0, 0.7, 0.3]])
    assert found[:, 4].tolist() == [1, 2, 1]
    np.testing.assert_allclose(found[:, 5], [0.9, 0.8, 0.7])


def test_background_low_scores_and_padding_are_dropped():
    rois = [BOX, FAR, [0, 0, 0, 0]]
    assert len(detect(rois, [[0.9, 0.1, 0], [0.3, 0.4, 0.3], [0, 1, 0]])) == 0
    # Without a threshold, the detection with the low score remains. Padding rows give no detections.
    assert detect(rois, [[0.9, 0.1, 0], [0.3, 0.4, 0.3], [0, 1, 0]], min_confidence=0)[:, 4].tolist() == [1]


def test_any_foreground_keeps_classes_below_background():
    probs = [[0.6, 0.1, 0.3]]
    assert len(detect([BOX], probs, min_confidence=0.2)) == 0
    found = detect([BOX], probs, min_confidence=0.2, any_foreground=True)
    assert found[0, 4] == 2 and found[0, 5] == pytest.approx(0.3)
    assert len(detect([BOX], probs, min_confidence=0.4, any_foreground=True)) == 0


def test_max_instances_keeps_the_highest_scores():
    found = detect([BOX, FAR], [[0, 0.6, 0.4], [0, 0.2, 0.8]], max_instances=1)
    np.testing.assert_allclose(found, [[*FAR, 2, 0.8]], atol=1e-6)


def test_boxes_are_clipped_to_the_window():
    meta = WINDOW_META.copy()
    meta[0, 7:11] = [21, 0, 81, 101]  # normalised: 0.21 to 0.8
    layer = DetectionLayer(bbox_std_dev=[1] * 4, min_confidence=0, max_instances=2, nms_threshold=0.3)
    probs = np.array([[[0, 1, 0]]], np.float32)
    found = layer([np.array([[[0.0, 0, 1, 1]]], np.float32), probs, np.zeros((1, 1, 3, 4), np.float32), meta])
    np.testing.assert_allclose(np.asarray(found)[0, 0, :4], [0.21, 0, 0.8, 1], atol=1e-6)


def test_deltas_of_the_predicted_class_are_applied():
    deltas = np.zeros((1, 1, 3, 4), np.float32)
    deltas[0, 0, 2] = [1, 0, 0, 0]  # times 0.1, times a height of 0.3
    deltas[0, 0, 1] = [9, 9, 9, 9]
    found = detect([BOX], [[0, 0.1, 0.9]], deltas)
    np.testing.assert_allclose(found[0, :4], [0.13, 0.1, 0.43, 0.4], atol=1e-6)


class TestBoxVoting:
    PROBS = [[0.1, 0.9, 0.0], [0.7, 0.3, 0.0], [0.2, 0.8, 0.0]]
    SHIFTED = [0.1, 0.13, 0.4, 0.43]  # IoU with BOX: 27 / 33

    def test_overlapping_boxes_are_averaged_by_score(self):
        found = detect([BOX, self.SHIFTED, FAR], self.PROBS, box_voting=0.5)
        expected = (0.9 * np.array(BOX) + 0.3 * np.array(self.SHIFTED)) / 1.2
        np.testing.assert_allclose(found[0, :4], expected, atol=1e-6)
        np.testing.assert_allclose(found[1, :4], FAR, atol=1e-6)
        np.testing.assert_allclose(found[:, 5], [0.9, 0.8])

    def test_boxes_below_the_iou_threshold_do_not_vote(self):
        np.testing.assert_allclose(detect([BOX, self.SHIFTED], self.PROBS[:2], box_voting=0.85)[0, :4], BOX, atol=1e-6)

    def test_rois_of_other_classes_vote_with_their_probability_of_this_class(self):
        found = detect([BOX, self.SHIFTED], [[0, 0.9, 0.1], [0, 0.3, 0.7]], box_voting=0.5)
        assert found[:, 4].tolist() == [1, 2]
        for row, weights in zip(found, ([0.9, 0.3], [0.1, 0.7]), strict=True):
            np.testing.assert_allclose(row[:4], np.average([BOX, self.SHIFTED], axis=0, weights=weights), atol=1e-6)

    def test_voting_boxes_use_the_deltas_of_the_class(self):
        deltas = np.zeros((1, 2, 3, 4), np.float32)
        deltas[0, 1, 1, 0] = 1  # class 1: down by 0.1 of a height of 0.3
        deltas[0, 1, 2, 1] = 9
        found = detect([BOX, BOX], [[0.2, 0.8, 0], [0.6, 0.4, 0]], deltas, box_voting=0.5)
        np.testing.assert_allclose(found[0, :4], [0.11, 0.1, 0.41, 0.4], atol=1e-6)

    def test_padding_does_not_vote_and_boxes_without_area_are_unchanged(self):
        empty = [0.5, 0.5, 0.5, 0.5]
        found = detect([empty, [0, 0, 0, 0]], [[0, 1, 0], [0, 1, 0]], box_voting=0.0)
        np.testing.assert_allclose(found[:, :4], [empty])
        found = detect([BOX, [0, 0, 0, 0]], [[0, 1, 0], [0, 1, 0]], box_voting=0.0)
        np.testing.assert_allclose(found[0, :4], BOX, atol=1e-6)

    def test_nan_boxes_do_not_vote(self):
        deltas = np.zeros((1, 2, 3, 4), np.float32)
        deltas[0, 1] = np.nan
        found = detect([BOX, self.SHIFTED], [[0, 0.9, 0.1], [1, 0, 0]], deltas, box_voting=0.5)
        np.testing.assert_allclose(found[0, :4], BOX, atol=1e-6)

    def test_voting_boxes_are_clipped_to_the_window(self):
        beyond = [-0.3, 0.1, 0.5, 0.4]  # clipped to 0..0.5
        found = detect([[0, 0.1, 0.5, 0.4], beyond], [[0, 0.6, 0], [0, 0.5, 0]], box_voting=0.5)
        np.testing.assert_allclose(found[0, :4], [0, 0.1, 0.5, 0.4], atol=1e-6)

    def test_boxes_do_not_depend_on_the_score_threshold(self):
        all_scores, high_scores = (
            detect([BOX, self.SHIFTED], self.PROBS[:2], box_voting=0.5, min_confidence=c) for c in (0, 0.8)
        )
        np.testing.assert_array_equal(all_scores, high_scores)

    def test_config_sets_the_argument_of_the_layer(self):
        layer = DetectionLayer(Config().copy(DETECTION_BOX_VOTING=0.25))
        assert layer.settings == DetectionLayer.from_config(layer.get_config()).settings
        assert layer.settings["box_voting"] == 0.25
        assert DetectionLayer(Config()).settings["box_voting"] == 1


class TestMaskScores:
    ROWS = np.array([[[*BOX, 1, 0.9], [*FAR, 2, 0.8], [*SAME, 1, 0.6], [0] * 6, [0] * 6]], np.float32)

    def scored(self, mask_scores, min_confidence):
        masks = np.full((1, 3, 4, 4), 0.1, np.float32)
        masks[0, :, 1:3] = np.reshape(mask_scores, (3, 1, 1))  # half of the pixels are inside
        rows, masks = score_by_masks(self.ROWS, masks, min_confidence)
        assert rows.shape == self.ROWS.shape and masks.shape == (1, 3, 4, 4)
        return np.asarray(rows)[0], np.asarray(masks)[0, :, 1, 0]

    def test_detections_and_masks_are_sorted_by_the_product(self):
        rows, masks = self.scored([0.6, 0.9, 0.95], 0.0)
        np.testing.assert_allclose(rows[:3, 5], [0.72, 0.57, 0.54], atol=1e-6)
        np.testing.assert_allclose(rows[:3, :4], [FAR, SAME, BOX], atol=1e-6)
        assert rows[:, 4].tolist() == [2, 1, 1, 0, 0]
        np.testing.assert_allclose(masks, [0.9, 0.95, 0.6])

    def test_scores_below_the_threshold_are_dropped(self):
        rows, masks = self.scored([0.6, 0.9, 0.95], 0.56)
        np.testing.assert_allclose(rows[:2, 5], [0.72, 0.57], atol=1e-6)
        assert not rows[2:].any()
        np.testing.assert_allclose(masks[:2], [0.9, 0.95])

    def test_images_of_a_batch_are_sorted_separately(self):
        rows = np.concatenate([self.ROWS, np.zeros_like(self.ROWS)])
        rows[1, 0] = [*FAR, 1, 0.5]
        masks = np.full((2, 3, 4, 4), 0.6, np.float32)
        masks[0, 2] = 1
        rows, masks = score_by_masks(rows, masks, 0.1)
        np.testing.assert_allclose(np.asarray(rows)[0, :3, 5], [0.6, 0.54, 0.48], atol=1e-6)
        np.testing.assert_allclose(np.asarray(rows)[1, :3, 5], [0.3, 0, 0], atol=1e-6)
        assert np.asarray(rows)[:, :3, 4].tolist() == [[1, 1, 2], [1, 0, 0]]
        np.testing.assert_allclose(np.asarray(masks)[:, 0, 0, 0], [1, 0.6])

    def test_empty_masks_have_score_zero(self):
        rows, _ = self.scored([0.9, 0.4, 0.9], 0.01)
        assert rows[:, 4].tolist() == [1, 1, 0, 0, 0]

    def test_without_detections(self):
        rows, masks = score_by_masks(np.zeros((2, 5, 6), np.float32), np.zeros((2, 0, 4, 4), np.float32), 0.5)
        assert not np.asarray(rows).any() and rows.shape == (2, 5, 6) and masks.shape == (2, 0, 4, 4)
