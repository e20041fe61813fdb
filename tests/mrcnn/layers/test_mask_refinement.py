"""Mask refinement: crops, targets, initial state of the network, and use in both graphs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.benchmark.training_step import random_batch
from mrcnn.layers.mask_refinement import (
    COARSE_RANGE,
    IMAGE_SCALE,
    MaskRefinement,
    PaddedFrames,
    RefinedRoIs,
    RefinementCrops,
    RefinementTargets,
)
from mrcnn.model import MaskRCNN
from mrcnn.network import LOSSES, NetworkBuilder
from mrcnn.ops.boxes import norm_boxes

SHAPE = 64, 96  # of the image
BOX = 16, 32, 48, 64  # pixels


def normalised(*boxes):
    return norm_boxes(np.array([boxes], np.float32), SHAPE)


def image(channels=3):
    """Returns an image with the row number in all channels, `[1, 64, 96, channels]`."""
    return np.broadcast_to(np.arange(64, dtype=np.float32)[None, :, None, None], (1, *SHAPE, channels))


def test_frames_exceed_the_box_on_each_side():
    frames = PaddedFrames(0.25)([normalised(BOX), image()])
    np.testing.assert_allclose(frames[0, 0] * [64, 96, 64, 96], [8, 24, 56, 72], rtol=1e-5)


def crops(frame, masks, method="crop_and_resize", size=8, class_id=1):
    frames = (np.array([[frame]]) / [64, 96, 64, 96]).astype(np.float32)
    inputs = [frames, normalised(BOX), np.array([[class_id]]), masks, image(), image(2)]
    return [np.asarray(output)[0, 0] for output in RefinementCrops(size, method)(inputs)]


@pytest.mark.parametrize("method", ["crop_and_resize", "gather"])
def test_image_and_features_are_sampled_at_cell_centres(method):
    sampled, _, features = crops((8, 24, 56, 72), np.ones((1, 1, 4, 4, 2), np.float32), method)
    # The cells have 6 pixels and start at pixel edge 8. The centre of pixel i is at i + 0.5.
    np.testing.assert_allclose(sampled[:, 0, 0], (8 + 6 * (np.arange(8) + 0.5) - 0.5) * IMAGE_SCALE, rtol=1e-5)
    np.testing.assert_allclose(features[:, 3, 1], 8 + 12 * (np.arange(4) + 0.5) - 0.5, rtol=1e-5)


@pytest.mark.parametrize("method", ["crop_and_resize", "gather"])
def test_cells_outside_the_image_are_zero(method):
    sampled, _, _ = crops((-16, 0, 48, 96), np.ones((1, 1, 4, 4, 2), np.float32), method)
    assert not sampled[:2].any()
    assert sampled[3:].all()


@pytest.mark.parametrize("method", ["crop_and_resize", "gather"])
def test_coarse_mask_keeps_its_place_in_the_padded_frame(method):
    masks = np.zeros((1, 1, 4, 4, 3), np.float32)
    masks[..., 2] = 1  # only the mask of the true class is full
    low, high = (np.log(p / (1 - p)) for p in COARSE_RANGE)
    frame = 0, 16, 64, 80  # twice the box: 16 cells of 4 pixels, of which 4..11 are in the box
    _, logits, _ = crops(frame, masks, method, size=16, class_id=2)
    np.testing.assert_allclose(logits[5:11, 5:11], high, rtol=1e-5)
    np.testing.assert_allclose(logits[[0, 1, 14, 15]], low, rtol=1e-5)
    _, logits, _ = crops(frame, masks, method, size=16, class_id=1)
    np.testing.assert_allclose(logits, low, rtol=1e-5)


def test_targets_are_the_coverage_of_the_frame():
    gt_masks = np.zeros((1, 16, 16, 2), bool)
    gt_masks[..., 1] = True  # the object fills its box
    inputs = [
        normalised((18, 32, 48, 62)),  # overlaps the second object most
        (np.array([[[0, 16, 64, 80]]]) / [64, 96, 64, 96]).astype(np.float32),
        np.array([[1, 1]]),
        normalised((0, 0, 20, 40), BOX),
        gt_masks,
        image(),
    ]
    expected = np.zeros((8, 8))
    expected[2:6, 2:6] = 1
    np.testing.assert_allclose(RefinementTargets(8)(inputs)[0, 0], expected, atol=1e-4)
    inputs[2] = np.array([[1, -1]])  # ignore regions are not targets
    assert not np.asarray(RefinementTargets(8)(inputs)).any()


def test_targets_from_masks_of_the_whole_image():
    mask = np.zeros((1, *SHAPE, 1), bool)
    mask[0, 16:48, 32:64] = True
    frames = (np.array([[[0, 16, 64, 80]]]) / [64, 96, 64, 96]).astype(np.float32)
    inputs = [normalised(BOX), frames, np.array([[1]]), normalised(BOX), mask, image()]
    targets = np.asarray(RefinementTargets(16, use_mini_mask=False)(inputs))[0, 0]
    assert targets[5:11, 5:11].min() == 1
    assert targets.sum() == pytest.approx(64, abs=1)  # 32 x 32 pixels in cells of 4 x 4


def test_refined_rois_have_the_deltas_of_their_class():
    rois = normalised((16, 32, 48, 64), (0, 0, 32, 32), (0, 0, 8, 8))
    deltas = np.zeros((1, 4, 3, 4), np.float32)
    deltas[0, 0, 2] = [2, 0, 0, 0]  # times 0.1: a tenth of the height downwards
    deltas[0, 0, 1] = 7
    class_ids = np.array([[2, 1, 0, 0]])
    boxes = RefinedRoIs(2, [0.1, 0.1, 0.2, 0.2])([rois, class_ids, deltas])
    expected = rois[:, :2].copy()
    expected[0, 0, [0, 2]] += 0.2 * (expected[0, 0, 2] - expected[0, 0, 0])
    np.testing.assert_allclose(boxes, expected, atol=1e-6)


def test_new_refinement_returns_the_coarse_mask(rng):
    refinement = MaskRefinement(16, 0.0, channels=2)
    masks = np.float32(rng.uniform(0.1, 0.9, (1, 1, 16, 16, 2)))
    features = np.float32(rng.normal(size=(1, 16, 24, 4)))
    boxes = normalised(BOX)
    _, refined = refinement(boxes, boxes, np.array([[1]]), masks, image(), features)
    np.testing.assert_allclose(refined[0, 0], masks[0, 0, :, :, 1], atol=1e-3)


@pytest.fixture(scope="module")
def config(tiny_config):
    return tiny_config().copy(
        MASK_REFINEMENT_SIZE=16, MASK_REFINEMENT_CHANNELS=4, MASK_REFINEMENT_ROIS=3, ADD_GT_BOXES=True
    )


@pytest.fixture(scope="module")
def builder(config):
    keras.utils.set_random_seed(0)
    return NetworkBuilder(config)


def test_inference_graph_has_one_more_output(config, rng):
    model = MaskRCNN("inference", config, "logs")
    refined = model.inference_model.outputs[-1]
    photo = np.uint8(rng.uniform(0, 255, (64, 64, 3)))
    refined = model.run_graph([photo], [("refined", refined)])["refined"]
    assert refined.shape[2:] == (16, 16)
    assert 1 <= refined.shape[1] <= config.DETECTION_MAX_INSTANCES


def test_without_the_setting_nothing_is_added(tiny_config):
    builder = NetworkBuilder(tiny_config())
    assert len(builder.inference().outputs) == 7
    assert not any(layer.name.startswith("mrcnn_refine") for layer in builder.training().layers)
    assert len(builder.training().outputs) == 9 + len(LOSSES)


def test_detections_have_the_boxes_of_their_masks(config, rng):
    keras.utils.set_random_seed(0)  # with about one seed in eight, the weights detect nothing
    model = MaskRCNN("inference", config, "logs")
    detections = model.detect([np.uint8(rng.uniform(0, 255, (80, 50, 3)))])[0]
    assert len(detections)
    for detection in detections:
        assert detection.mask.any(axis=0)[[0, -1]].all()
        assert detection.mask.any(axis=1)[[0, -1]].all()


def small_batch(config):
    """Returns a batch with objects that fit into 64 pixels."""
    batch = [tf.constant(part) for part in random_batch(config)]
    batch[5] = batch[5] * (64 / 512)
    return batch


def test_first_gradient_reaches_the_residual_alone(builder, config):
    graph = builder.training()
    batch = small_batch(config)
    with tf.GradientTape() as tape:
        loss = graph(batch, training=True)[-1]
    gradients = tape.gradient(loss, graph.trainable_variables)
    moved = {
        variable.path.split("/")[-2]
        for variable, gradient in zip(graph.trainable_variables, gradients, strict=True)
        if gradient is not None and np.abs(gradient).max() > 0
    }
    assert float(loss) > 0
    assert moved == {"mrcnn_refine_residual"}  # its kernel is initially zero, so other layers get no gradient


def test_later_gradients_reach_the_backbone(builder, config):
    """Features receive gradients through P2. The coarse mask and the boxes do not."""
    graph = builder.training()
    graph.get_layer("mrcnn_refine_residual").layer.kernel.assign(tf.ones((3, 3, config.MASK_REFINEMENT_CHANNELS, 1)))
    batch = small_batch(config)
    with tf.GradientTape() as tape:
        loss = graph(batch, training=True)[-1]
    gradients = tape.gradient(loss, graph.trainable_variables)
    moved = {v.path for v, g in zip(graph.trainable_variables, gradients, strict=True) if g is not None}
    assert any("fpn_p2" in path for path in moved)
    assert not any("mrcnn_mask" in path or "mrcnn_bbox" in path or "rpn" in path for path in moved)
