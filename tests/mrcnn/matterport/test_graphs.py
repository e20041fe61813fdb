"""Matterport's functions on tensors and arrays: values of the original, and signatures."""

import keras
import numpy as np
import pytest

from mrcnn import losses, utils
from mrcnn import model as modellib
from mrcnn.config import Config
from mrcnn.layers.detection import DetectionLayer
from mrcnn.matterport import graphs


def test_boxes_equal_the_original(golden):
    arrays = golden("losses.npz")
    boxes, window = arrays["overlaps_graph__in_a"], arrays["clip_boxes_graph__in_window"]
    refined = graphs.apply_box_deltas_graph(boxes, arrays["apply_box_deltas_graph__in_deltas"])
    tensors = {
        "overlaps_graph__out": graphs.overlaps_graph(boxes, arrays["overlaps_graph__in_b"]),
        "apply_box_deltas_graph__out": refined,
        "clip_boxes_graph__out": graphs.clip_boxes_graph(refined, window),
    }
    for name, tensor in tensors.items():
        np.testing.assert_allclose(np.asarray(tensor), arrays[name], atol=2e-6, err_msg=name)


def test_boxes_equal_numpy(rng):
    corner = rng.integers(0, 40, (9, 2))
    boxes = np.concatenate([corner, corner + rng.integers(2, 40, (9, 2))], axis=1).astype(np.float32)
    normalised = utils.norm_boxes(boxes, (80, 90))
    np.testing.assert_allclose(graphs.norm_boxes_graph(boxes, (80, 90)), normalised, atol=1e-6)
    np.testing.assert_array_equal(graphs.denorm_boxes_graph(normalised, (80, 90)), boxes)
    deltas = utils.box_refinement(boxes, boxes[::-1])
    np.testing.assert_allclose(graphs.box_refinement_graph(boxes, boxes[::-1]), deltas, atol=1e-5)


def test_boxes_may_be_lists_and_float64():
    boxes = np.array([[-0.5, 0.25, 0.5, 1.25]])
    for values in (boxes, boxes.astype(np.float32), boxes.tolist()):
        assert np.asarray(graphs.clip_boxes_graph(values, [0, 0, 1, 1])).tolist() == [[0, 0.25, 0.5, 1]]
    deltas = np.array([[0.5, 0, np.log(2), 0]])  # down by half the height, twice as high
    moved = graphs.apply_box_deltas_graph(boxes, deltas)
    assert moved.dtype == "float64"
    np.testing.assert_allclose(moved, [[-0.5, 0.25, 1.5, 1.25]], atol=1e-12)
    np.testing.assert_allclose(graphs.apply_box_deltas_graph(boxes.tolist(), deltas.tolist()), moved, atol=1e-6)


def test_trim_and_pack():
    rows = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]], np.float32)
    kept, mask = graphs.trim_zeros_graph(rows)
    assert np.asarray(kept).tolist() == [[0, 0, 1, 1]]
    assert np.asarray(mask).tolist() == [False, True, False]
    assert utils.trim_zeros(rows).tolist() == [[0, 0, 1, 1]]
    packed = graphs.batch_pack_graph(np.arange(6).reshape(2, 3), np.array([1, 2]), 2)
    assert np.asarray(packed).tolist() == [0, 3, 4]


def test_batch_slice():
    doubled = graphs.batch_slice([np.arange(4.0).reshape(2, 2)], lambda row: row * 2, 2)
    assert np.asarray(doubled).tolist() == [[0, 2], [4, 6]]
    first, second = graphs.batch_slice([np.eye(2), np.ones((2, 2))], lambda a, b: (a + b, a - b), 2, names=["x", "y"])
    assert np.asarray(first).tolist() == [[2, 1], [1, 2]] and np.asarray(second).tolist() == [[0, -1], [-1, 0]]


def test_log2():
    np.testing.assert_allclose(graphs.log2_graph(np.array([0.5, 8.0], np.float32)), [-1, 3])


def test_losses_have_the_signatures_of_the_original(golden):
    arrays = golden("losses.npz")
    case = {key.removeprefix("loss_normal__"): arrays[key] for key in arrays if key.startswith("loss_normal__")}
    match, class_ids = case["in_rpn_match"], case["in_target_class_ids"]
    actual = [
        modellib.rpn_class_loss_graph(match, case["in_rpn_class_logits"]),
        modellib.rpn_bbox_loss_graph(Config(), case["in_target_rpn_bbox"], match, case["in_rpn_bbox"]),
        modellib.mrcnn_bbox_loss_graph(case["in_target_bbox"], class_ids, case["in_pred_bbox"]),
    ]
    names = ("rpn_class", "rpn_bbox", "mrcnn_bbox")
    assert [float(loss) for loss in actual] == pytest.approx([float(case[f"out_{n}"]) for n in names], abs=1e-6)
    inputs = class_ids, case["in_pred_class_logits"], case["in_active_class_ids"]
    assert float(modellib.mrcnn_class_loss_graph(*inputs)) == float(losses.mrcnn_class_loss(*inputs))
    masks = np.zeros((1, 1, 2, 2), np.float32), np.array([[1]]), np.full((1, 1, 2, 2, 2), 0.5, np.float32)
    assert float(modellib.mrcnn_mask_loss_graph(*masks)) == pytest.approx(np.log(2))


def test_refine_detections_equals_the_layer(golden):
    arrays = golden("losses.npz")
    inputs = [arrays[f"detection__in_{name}"].astype(np.float32) for name in ("rois", "probs", "deltas", "meta")]
    expected = np.asarray(DetectionLayer(Config())(inputs))[0]
    meta = inputs[3][0]
    side = np.array([meta[4] - 1, meta[5] - 1] * 2)
    window = ((meta[7:11] - [0, 0, 1, 1]) / side).astype(np.float32)
    found = graphs.refine_detections_graph(*(array[0] for array in inputs[:3]), window, Config())
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-6)


def test_refine_detections_uses_box_voting_of_the_config():
    rois = np.array([[0.1, 0.1, 0.4, 0.4], [0.1, 0.13, 0.4, 0.43]], np.float32)
    inputs = rois, np.array([[0.1, 0.9], [0.7, 0.3]], np.float32), np.zeros((2, 2, 4), np.float32)
    window = np.array([0, 0, 1, 1], np.float32)
    found = graphs.refine_detections_graph(*inputs, window, Config().copy(DETECTION_BOX_VOTING=0.5))
    np.testing.assert_allclose(np.asarray(found)[0, 1], (0.9 * 0.1 + 0.3 * 0.13) / 1.2, atol=1e-6)


def test_heads_and_backbone_are_built_on_keras_tensors():
    image = keras.Input((64, 64, 3))
    features = graphs.resnet_graph(image, "resnet50", stage5=False)
    assert features[4] is None and features[3].shape[1:] == (4, 4, 1024)
    levels = [keras.Input((side, side, 8)) for side in (16, 8, 4, 2)]
    assert [output.shape[2] for output in graphs.rpn_graph(levels[0], 3, 1)] == [2, 2, 4]
    rois, meta = keras.Input((5, 4)), keras.Input((15,))
    logits, probs, deltas = graphs.fpn_classifier_graph(rois, levels, meta, 7, 3, fc_layers_size=16)
    assert logits.shape == probs.shape == (None, 5, 3) and deltas.shape == (None, 5, 3, 4)
    assert graphs.build_fpn_mask_graph(rois, levels, meta, 14, 3).shape == (None, 5, 28, 28, 3)


def test_masks_and_image_meta():
    assert utils.mold_mask(np.ones((2, 2)), Config()) is None
    full = utils.unmold_mask(np.ones((28, 28)), np.array([1, 1, 3, 4]), (5, 6, 3))
    assert full.dtype == bool and full.shape == (5, 6) and full.sum() == 6
    meta = modellib.compose_image_meta(7, (10, 20, 3), (64, 64, 3), (0, 0, 32, 64), 3.2, [1, 1, 0])[None]
    parsed = modellib.parse_image_meta(meta)
    assert parsed["image_id"].tolist() == [7] and parsed["window"].dtype == np.int32
    assert parsed["scale"].dtype == np.float32
    assert modellib.parse_image_meta_graph(meta)["active_class_ids"].tolist() == [[1, 1, 0]]
