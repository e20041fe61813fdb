"""ConvNorm, PerRoI and TrimPadding, and common tests of all layers: config round trip, shapes, dtypes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.layers.anchors import Anchors
from mrcnn.layers.boxes import LeadingPositives, NormBoxes, TrimPadding
from mrcnn.layers.common import BatchNorm, ConvNorm, PerRoI
from mrcnn.layers.detection import DetectionLayer
from mrcnn.layers.mask_refinement import PaddedFrames, RefinedRoIs, RefinementCrops, RefinementTargets
from mrcnn.layers.proposals import ProposalLayer
from mrcnn.layers.roi_align import PyramidROIAlign
from mrcnn.network import LossLayer


def conv_norm(rng, conv, train_norm=False, activation="relu", channels=3):
    """Returns a ConvNorm with random statistics."""
    layer = ConvNorm(conv, BatchNorm(name="bn"), train_norm, activation=activation)
    layer.build((None, 8, 8, channels))
    for variable in layer.norm.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    if conv.use_bias:
        conv.bias.assign(rng.normal(size=conv.bias.shape))
    return layer


@pytest.mark.parametrize(
    "conv",
    [
        keras.layers.Conv2D(5, 3, padding="same"),
        keras.layers.Conv2D(5, 1, strides=2, use_bias=False),
        keras.layers.Conv2D(6, 3, padding="same", groups=3, use_bias=False),
        keras.layers.DepthwiseConv2D(3, padding="same", strides=2),
    ],
    ids=["3x3", "strided without bias", "grouped", "depthwise"],
)
@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
def test_folding_equals_convolution_then_normalisation(rng, conv, activation):
    conv = type(conv).from_config(conv.get_config())
    layer = conv_norm(rng, conv, activation=activation)
    x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    expected = layer.norm(conv(x), training=False)
    expected = {None: lambda v: v, "relu": keras.ops.relu, "relu6": keras.ops.relu6}[activation](expected)
    np.testing.assert_allclose(np.asarray(layer(x)), np.asarray(expected), atol=1e-5)


def test_folding_passes_gradients_to_gamma_and_beta(rng):
    layer = conv_norm(rng, keras.layers.Conv2D(5, 3), activation=None)
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)), tf.float32)

    def gradients(forward):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(forward()))
        return tape.gradient(loss, [layer.conv.kernel.value, layer.norm.gamma.value, layer.norm.beta.value])

    folded = gradients(lambda: layer(x))
    plain = gradients(lambda: layer.norm(layer.conv(x), training=False))
    for ours, expected in zip(folded, plain, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("train_norm", "training", "uses_batch"),
    [
        (False, True, False),
        (False, False, False),
        (None, True, True),
        (None, False, False),
        (True, True, True),
        (True, False, True),
    ],
)
def test_train_norm_selects_the_statistics(rng, train_norm, training, uses_batch):
    layer = conv_norm(rng, keras.layers.Conv2D(4, 1), train_norm, activation=None)
    layer.norm.beta.assign(np.zeros(4))
    x = rng.normal(5, 2, size=(4, 8, 8, 3)).astype(np.float32)
    before = layer.norm.moving_mean.numpy()
    outputs = np.asarray(layer(x, training=training))
    centred = np.allclose(outputs.mean(axis=(0, 1, 2)), 0, atol=1e-3)  # batch statistics centre each channel
    assert centred == uses_batch
    moved = not np.array_equal(before, layer.norm.moving_mean.numpy())
    assert moved == (uses_batch and training), "inference must not update the moving statistics"


def test_sublayers_can_be_frozen_separately(rng):
    layer = conv_norm(rng, keras.layers.Conv2D(4, 1))
    layer.conv.trainable = False
    assert {variable.path.split("/")[-1] for variable in layer.trainable_variables} == {"gamma", "beta"}


def test_per_roi_equals_one_call_per_roi_and_pads(rng):
    layer = PerRoI(keras.layers.Conv2D(4, 3, name="inner"))
    x = rng.normal(size=(2, 3, 5, 5, 6)).astype(np.float32)
    outputs = np.asarray(layer(x, rois=5))
    assert outputs.shape == (2, 5, 3, 3, 4)
    for roi in range(3):
        np.testing.assert_allclose(outputs[:, roi], np.asarray(layer.layer(x[:, roi])), atol=1e-5)
    assert not outputs[:, 3:].any()
    assert layer.name == "inner"


def test_per_roi_passes_training_to_the_layers_of_a_model():
    layer, inputs = LAYERS["per roi, a model"]
    assert layer.name == "model"
    assert not np.allclose(layer(inputs, training=True), layer(inputs, training=False), atol=0.01)


def test_norm_boxes_keeps_padding_zero():
    boxes = NormBoxes()([np.array([[[0, 8, 16, 17], [0, 0, 0, 0]]]), np.zeros((1, 33, 65, 3))])
    np.testing.assert_allclose(boxes, [[[0, 8 / 64, 15 / 32, 16 / 64], [0, 0, 0, 0]]])


def test_trim_padding_keeps_all_boxes_and_at_least_one_row():
    boxes = np.zeros((2, 5, 4), np.float32)
    boxes[0, :1], boxes[1, :3] = 0.5, 0.25
    np.testing.assert_array_equal(TrimPadding()(boxes), boxes[:, :3])
    assert np.asarray(TrimPadding()(np.zeros((2, 5, 4), np.float32))).shape == (2, 1, 4)


# --- Common tests of all layers ---

B, A, K, C, F = 2, 20, 6, 3, 8
META = np.zeros((B, 12 + C), np.float32)
META[:, 4:11] = [64, 64, 3, 0, 0, 64, 64]


def unit_boxes(*shape):
    corner = np.random.default_rng(1).uniform(0, 0.5, (*shape, 2))
    return np.concatenate([corner, corner + 0.4], axis=-1).astype(np.float32)


def random(*shape):
    return np.random.default_rng(2).uniform(0, 1, shape).astype(np.float32)


def two_layers():
    inputs = keras.Input((None, None, F))
    outputs = ConvNorm(keras.layers.Conv2D(4, 3, name="c"), BatchNorm(name="n"), None, "relu", name="first")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="second")(outputs), name="model")


PYRAMID = [random(B, side, side, F) for side in (16, 8, 4, 2)]
LAYERS = {
    "proposals": (
        ProposalLayer(7, 0.6, pre_nms_limit=11, bbox_std_dev=[0.3, 0.1, 0.2, 0.4]),
        [random(B, A, 2), random(B, A, 4), unit_boxes(1, A)],
    ),
    "align": (PyramidROIAlign((3, 5)), [unit_boxes(B, K), META, *PYRAMID]),
    "gather": (PyramidROIAlign((3, 5), method="gather"), [unit_boxes(B, K), META, *PYRAMID]),
    "pool": (PyramidROIAlign((3, 5), pooling="pool"), [unit_boxes(B, K), META, *PYRAMID]),
    "one map": (PyramidROIAlign((3, 5)), [unit_boxes(B, K), META, PYRAMID[1]]),
    "detection": (
        DetectionLayer(
            bbox_std_dev=[0.3, 0.1, 0.2, 0.4],
            min_confidence=0.2,
            max_instances=9,
            nms_threshold=0.4,
            any_foreground=True,
            box_voting=0.6,
        ),
        [unit_boxes(B, K), random(B, K, C), random(B, K, C, 4), META],
    ),
    "conv": (
        ConvNorm(keras.layers.Conv2D(4, 3, name="c"), BatchNorm(name="n"), None, "relu6", "float32"),
        PYRAMID[0],
    ),
    "per roi": (PerRoI(keras.layers.Dense(3, name="d")), random(B, K, F)),
    "per roi, a model": (PerRoI(two_layers()), random(B, K, 5, 5, F)),
    "trim": (TrimPadding(), unit_boxes(B, K)),
    "positives": (LeadingPositives(), [unit_boxes(B, K), np.ones((B, K), np.int32)]),
    "norm boxes": (NormBoxes(), [unit_boxes(B, K) * 60, random(B, 64, 64, 3)]),
    "anchors": (Anchors((8, 16), (1, 2), [(4, 4), (2, 2)], (16, 32), 2, (64, 64)), random(B, 64, 64, 3)),
    "loss": (LossLayer(name="rpn_class_loss"), [np.ones((B, A, 1), np.int32), random(B, A, 2)]),
    "another loss": (
        LossLayer("mrcnn_softmax_mask_loss", name="mrcnn_mask_loss"),
        [random(B, K, 4, 4), np.ones((B, K), np.int32), random(B, K, 4, 4, C)],
    ),
    "refined rois": (
        RefinedRoIs(4, [0.3, 0.1, 0.2, 0.4]),
        [unit_boxes(B, K), np.ones((B, K), np.int32), random(B, K, C, 4)],
    ),
    "frames": (PaddedFrames(0.3), [unit_boxes(B, K), random(B, 64, 64, 3)]),
    "refinement crops": (
        RefinementCrops(8, "gather"),
        [
            unit_boxes(B, K),
            unit_boxes(B, K),
            np.ones((B, K), np.int32),
            random(B, K, 4, 4, C),
            random(B, 64, 64, 3),
            PYRAMID[0],
        ],
    ),
    "refinement targets": (
        RefinementTargets(8, False),
        [
            unit_boxes(B, K),
            unit_boxes(B, K),
            np.ones((B, 5), np.int32),
            unit_boxes(B, 5),
            random(B, 64, 64, 5) > 0.5,
            random(B, 64, 64, 3),
        ],
    ),
}


def as_list(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


@pytest.mark.parametrize("name", LAYERS)
def test_config_round_trip_and_shapes(name):
    layer, inputs = LAYERS[name]
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    symbolic = keras.tree.map_structure(lambda a: keras.KerasTensor((None, *a.shape[1:]), str(a.dtype)), inputs)
    specs, outputs = as_list(layer(symbolic)), as_list(layer(inputs))
    copied = as_list(copy(inputs))
    for spec, output, other in zip(specs, outputs, copied, strict=True):
        assert len(spec.shape) == len(output.shape)
        assert all(declared in (None, actual) for declared, actual in zip(spec.shape, output.shape, strict=True))
        assert keras.backend.standardize_dtype(spec.dtype) == keras.backend.standardize_dtype(output.dtype)
        if not copy.weights:
            np.testing.assert_array_equal(np.asarray(output), np.asarray(other))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_convolutions_use_the_policy_and_boxes_are_float32(policy, rng):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        conv = ConvNorm(keras.layers.Conv2D(4, 3), BatchNorm(), activation="relu")
        outputs = conv(random(2, 8, 8, 3))
        assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
        assert {v.dtype for v in conv.weights} == {"float32"}
        proposals = ProposalLayer(7, 0.6, pre_nms_limit=11, bbox_std_dev=[0.1] * 4)
        assert proposals(LAYERS["proposals"][1]).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy(before)
