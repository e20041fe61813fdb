"""ProposalLayer: reference arrays of the original and values derived by hand."""

import numpy as np
import pytest

from mrcnn.layers.proposals import STEPS, ProposalLayer, ProposalSteps

STD_DEV = [0.1, 0.1, 0.2, 0.2]


@pytest.mark.parametrize("count", [50, 400])
def test_equals_the_original(golden, count):
    arrays = golden("losses.npz")
    layer = ProposalLayer(count, 0.7, pre_nms_limit=500, bbox_std_dev=STD_DEV)
    outputs = layer([arrays[f"proposal__in_{name}"] for name in ("probs", "bbox", "anchors")])
    np.testing.assert_allclose(np.asarray(outputs), arrays[f"proposal_{count}__out"], atol=2e-6)


def example():
    """Returns two overlapping anchors with the highest scores and a distant one."""
    anchors = np.array([[0.1, 0.1, 0.5, 0.5], [0.1, 0.12, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]], np.float32)[None]
    foreground = np.array([0.9, 0.8, 0.7], np.float32)
    probs = np.stack([1 - foreground, foreground], axis=-1)[None]
    return probs, np.zeros((1, 3, 4), np.float32), anchors


def test_overlapping_boxes_are_suppressed_and_the_output_is_padded():
    boxes = np.asarray(ProposalLayer(4, 0.7, pre_nms_limit=10, bbox_std_dev=STD_DEV)(list(example())))[0]
    np.testing.assert_allclose(boxes[:2], example()[2][0][[0, 2]], atol=1e-6)
    assert not boxes[2:].any()


def test_deltas_are_scaled_and_boxes_clipped():
    probs, deltas, anchors = example()
    deltas[0, 0] = [-5, 0, 0, 0]  # times 0.1, times a height of 0.4: up by 0.2
    boxes = np.asarray(ProposalLayer(1, 0.7, pre_nms_limit=10, bbox_std_dev=STD_DEV)([probs, deltas, anchors]))[0]
    np.testing.assert_allclose(boxes[0], [0, 0.1, 0.3, 0.5], atol=1e-6)


def test_one_set_of_anchors_for_the_batch():
    probs, deltas, anchors = (np.repeat(a, 2, axis=0) for a in example())
    probs[1] = probs[1][::-1]
    layer = ProposalLayer(4, 0.7, pre_nms_limit=2, bbox_std_dev=STD_DEV)
    shared, repeated = layer([probs, deltas, anchors[:1]]), layer([probs, deltas, anchors])
    np.testing.assert_array_equal(np.asarray(shared), np.asarray(repeated))
    one = layer([probs[1:], deltas[1:], anchors[:1]])
    np.testing.assert_array_equal(np.asarray(shared)[1], np.asarray(one)[0])


def test_steps_are_consistent_with_the_output():
    inputs = list(example())
    layer = ProposalLayer(4, 0.7, pre_nms_limit=3, bbox_std_dev=STD_DEV)
    steps = {step: np.asarray(ProposalSteps(layer, step)(inputs)) for step in STEPS}
    np.testing.assert_allclose(steps["pre_nms_anchors"], inputs[2], atol=1e-7)
    kept = steps["refined_anchors_clipped"][0][steps["rpn_non_max_suppression"]]
    np.testing.assert_array_equal(kept, np.asarray(layer(inputs))[0, : len(kept)])
