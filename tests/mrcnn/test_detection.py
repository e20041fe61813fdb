"""DetectionLayer against the original's arrays and by hand."""

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.detection import DetectionLayer, refine_detections_graph

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
        # The original also classified padding: boxes of area zero, which took up places until they were dropped later.
        ours, theirs = ((d[(d[:, 2] > d[:, 0]) & (d[:, 3] > d[:, 1])]) for d in (ours, theirs))
        assert len(theirs) > 0 or confidence == "0.999999"
        assert len(theirs) <= len(ours)
        np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=2e-6)


def detect(rois, probs, deltas=None, **settings):
    """Detections of one image, without padding rows."""
    rois, probs = np.array([rois], np.float32), np.array([probs], np.float32)
    deltas = np.zeros((*probs.shape, 4), np.float32) if deltas is None else deltas
    options = dict(bbox_std_dev=[0.1, 0.1, 0.2, 0.2], min_confidence=0.5, max_instances=5, nms_threshold=0.3)
    outputs = np.asarray(DetectionLayer(**{**options, **settings})([rois, probs, deltas, WINDOW_META]))[0]
    assert outputs.shape == ((options | settings)["max_instances"], 6)
    return outputs[outputs[:, 4] > 0]


BOX, SAME, FAR = [0.1, 0.1, 0.4, 0.4], [0.1, 0.11, 0.4, 0.41], [0.6, 0.6, 0.9, 0.9]


def test_suppression_is_within_a_class():
    found = detect([BOX, SAME, FAR], [[0, 0.9, 0.1], [0, 0.1, 0.8], [0, 0.7, 0.3]])
    assert found[:, 4].tolist() == [1, 2, 1]
    np.testing.assert_allclose(found[:, 5], [0.9, 0.8, 0.7])


def test_suppression_across_classes_by_option():
    probs = [[0, 0.9, 0.1], [0, 0.1, 0.8], [0, 0.7, 0.3]]
    assert detect([BOX, SAME, FAR], probs, class_agnostic=True)[:, 4].tolist() == [1, 1]


def test_background_weak_and_padding_are_dropped():
    rois = [BOX, FAR, [0, 0, 0, 0]]
    assert len(detect(rois, [[0.9, 0.1, 0], [0.3, 0.4, 0.3], [0, 1, 0]])) == 0
    # without a threshold the weak one stays, and padding still never detects
    assert detect(rois, [[0.9, 0.1, 0], [0.3, 0.4, 0.3], [0, 1, 0]], min_confidence=0)[:, 4].tolist() == [1]


def test_the_best_class_may_be_less_likely_than_background_by_option():
    probs = [[0.6, 0.1, 0.3]]
    assert len(detect([BOX], probs, min_confidence=0.2)) == 0
    found = detect([BOX], probs, min_confidence=0.2, any_foreground=True)
    assert found[0, 4] == 2 and found[0, 5] == pytest.approx(0.3)
    assert len(detect([BOX], probs, min_confidence=0.4, any_foreground=True)) == 0


def test_only_the_best_are_kept():
    found = detect([BOX, FAR], [[0, 0.6, 0.4], [0, 0.2, 0.8]], max_instances=1)
    np.testing.assert_allclose(found, [[*FAR, 2, 0.8]], atol=1e-6)


def test_boxes_are_clipped_to_the_photo_inside_the_padding():
    meta = WINDOW_META.copy()
    meta[0, 7:11] = [21, 0, 81, 101]  # normalised: 0.21 to 0.8
    layer = DetectionLayer(bbox_std_dev=[1] * 4, min_confidence=0, max_instances=2, nms_threshold=0.3)
    probs = np.array([[[0, 1, 0]]], np.float32)
    found = layer([np.array([[[0.0, 0, 1, 1]]], np.float32), probs, np.zeros((1, 1, 3, 4), np.float32), meta])
    np.testing.assert_allclose(np.asarray(found)[0, 0, :4], [0.21, 0, 0.8, 1], atol=1e-6)


def test_deltas_of_the_own_class_move_the_box():
    deltas = np.zeros((1, 1, 3, 4), np.float32)
    deltas[0, 0, 2] = [1, 0, 0, 0]  # times 0.1, times a height of 0.3
    deltas[0, 0, 1] = [9, 9, 9, 9]
    found = detect([BOX], [[0, 0.1, 0.9]], deltas)
    np.testing.assert_allclose(found[0, :4], [0.13, 0.1, 0.43, 0.4], atol=1e-6)


def test_function_of_the_original(golden):
    arrays = golden("losses.npz")
    layer = DetectionLayer(Config())
    inputs = [arrays[f"detection__in_{name}"].astype(np.float32) for name in ("rois", "probs", "deltas", "meta")]
    expected = np.asarray(layer(inputs))[0]
    meta = inputs[3][0]
    side = np.array([meta[4] - 1, meta[5] - 1] * 2)
    window = ((meta[7:11] - [0, 0, 1, 1]) / side).astype(np.float32)
    found = refine_detections_graph(*(array[0] for array in inputs[:3]), window, Config())
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-6)
