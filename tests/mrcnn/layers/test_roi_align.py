"""RoIAlign and RoIPool: reference arrays of the original, a ramp derived by hand, and both methods compared."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.layers.roi_align import PyramidROIAlign, pool_levels, roi_levels

SIDE = 256


def pyramid_inputs(arrays):
    boxes, meta = arrays["roialign__in_boxes"], arrays["roialign__in_meta"]
    return [boxes, meta.astype(np.float32), *(arrays[f"roialign__in_P{level}"] for level in (2, 3, 4, 5))]


@pytest.mark.parametrize("size", [7, 14])
@pytest.mark.parametrize("method", ["crop_and_resize", "gather"])
def test_equals_the_original(golden, size, method):
    arrays = golden("losses.npz")
    crops = np.asarray(PyramidROIAlign((size, size), method=method)(pyramid_inputs(arrays)))
    expected = arrays[f"roialign_{size}__out"]
    # The last sample of an RoI that ends at the image border lies on the last cell. In the original, rounding can move
    # it outside, where its value is zero. In this implementation it is at most 2e-4 cells inside.
    inside = (arrays["roialign__in_boxes"][..., 2:] < 1).all(axis=-1)
    np.testing.assert_allclose(crops[inside], expected[inside], atol=2e-5)
    agree = np.isclose(crops[~inside], expected[~inside], atol=1e-3)
    assert agree.mean() > 0.95 and (expected[~inside][~agree] == 0).all()


def test_both_methods_have_the_same_gradient(golden):
    inputs = pyramid_inputs(golden("losses.npz"))
    inputs[0] = inputs[0] * 0.98  # away from the border, see `test_equals_the_original`
    features = [tf.constant(feature) for feature in inputs[2:]]
    gradients = []
    for method in ("crop_and_resize", "gather"):
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = tf.reduce_sum(tf.square(PyramidROIAlign((7, 7), method=method)([*inputs[:2], *features])))
        gradients.append(tape.gradient(loss, features))
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_gather_compiles_under_xla(golden):
    inputs = [tf.constant(array) for array in pyramid_inputs(golden("losses.npz"))]
    inputs[0] *= 0.98
    layer = PyramidROIAlign((7, 7), method="gather")
    compiled = tf.function(lambda *tensors: layer(list(tensors)), jit_compile=True)
    np.testing.assert_allclose(np.asarray(compiled(*inputs)), np.asarray(layer(inputs)), atol=1e-4)


@pytest.mark.parametrize(
    ("side", "level"),
    # A side of 224 pixels gives level 4, and a factor of 2 is one level. Half levels are rounded to even.
    [(224, 4), (112, 3), (56, 2), (8, 2), (448, 5), (1000, 5), (224 * 2**0.49, 4), (224 * 2**0.51, 5), (0, 2)],
)
def test_level_by_hand(side, level):
    image = 1024
    box = np.array([[0.0, 0.0, side / image, side / image]], np.float32)
    assert int(roi_levels(tf.constant(box), tf.constant([image, image]))[0]) == level


def ramp(pooling="align", method="crop_and_resize", box=(0.25, 0.25, 0.75, 0.75), size=3):
    """Crops a 5x5 ramp with the values 10*y + x at level 2."""
    y, x = np.mgrid[0:5, 0:5]
    feature = (10 * y + x).astype(np.float32)[None, :, :, None]
    meta = np.zeros((1, 14), np.float32)
    meta[0, 4:7] = [20, 20, 3]
    inputs = [np.array([[box]], np.float32), meta, *[feature] * 4]
    return np.asarray(PyramidROIAlign((size, size), method=method, pooling=pooling)(inputs))[0, 0, :, :, 0]


@pytest.mark.parametrize("method", ["crop_and_resize", "gather"])
def test_ramp_by_hand(method):
    # 0.25..0.75 of 4 steps corresponds to the cells 1..3, so the samples are at 1, 2, 3.
    np.testing.assert_allclose(ramp(method=method), [[11, 12, 13], [21, 22, 23], [31, 32, 33]], atol=1e-5)
    # A single sample is at the centre of the box.
    np.testing.assert_allclose(ramp(method=method, size=1), [[22]], atol=1e-5)
    # The ramp is linear between cells.
    box = (0.125, 0.125, 0.625, 0.625)  # cells 0.5..2.5
    np.testing.assert_allclose(ramp(method=method, box=box)[0], [5.5, 6.5, 7.5], atol=1e-5)


@pytest.mark.parametrize("method", ["crop_and_resize", "gather"])
def test_samples_at_the_border_of_the_image_are_inside(method):
    """Rounding can place the last sample 2e-6 cells outside the map, where crop_and_resize returns 0."""
    starts = np.random.default_rng(0).uniform(0, 0.9, (200, 2))
    boxes = np.concatenate([starts, np.ones((200, 2))], axis=1).astype(np.float32)
    pyramid = [np.ones((1, side, side, 1), np.float32) for side in (192, 96, 48, 24)]
    meta = np.array([[0, 768, 768, 3, 768, 768, 3, 0, 0, 768, 768, 1]], np.float32)
    crops = PyramidROIAlign((7, 7), method)([boxes[None], meta, *pyramid])
    np.testing.assert_allclose(crops, 1, atol=1e-6)


def test_pool_rounds_to_whole_cells_and_takes_the_maximum():
    # 0.4..2.6 is rounded to the cells 0..3, two for each bin.
    np.testing.assert_array_equal(ramp(pooling="pool", box=(0.1, 0.1, 0.65, 0.65), size=2), [[11, 13], [31, 33]])
    # Three cells are divided into two bins, which share the middle cell.
    np.testing.assert_array_equal(ramp(pooling="pool", box=(0, 0, 0.5, 0.5), size=2), [[11, 12], [21, 22]])


def pool_by_hand(boxes, levels, pyramid, side):
    """Computes the RoIPool of Fast R-CNN with loops."""
    pooled = np.zeros((*levels.shape, side, side, pyramid[0].shape[-1]), np.float32)
    for image, roi in np.ndindex(levels.shape):
        feature = pyramid[levels[image, roi] - 2][image]
        low, high = np.rint(boxes[image, roi].reshape(2, 2) * (np.array(feature.shape[:2]) - 1)).astype(int)
        window = feature[low[0] : high[0] + 1, low[1] : high[1] + 1]
        for row, column in np.ndindex(side, side):
            (y1, x1), (y2, x2) = (
                [rounding(bin * length / side) for bin, length in zip(bins, window.shape[:2], strict=True)]
                for bins, rounding in (((row, column), math.floor), ((row + 1, column + 1), math.ceil))
            )
            pooled[image, roi, row, column] = window[y1:y2, x1:x2].max(axis=(0, 1))
    return pooled


@pytest.mark.parametrize("maps", [4, 1])
def test_pool_equals_loops_over_the_bins(golden, maps):
    boxes, meta, *pyramid = pyramid_inputs(golden("losses.npz"))
    pyramid = pyramid[:maps]
    levels = np.asarray(roi_levels(tf.constant(boxes), meta[0, 4:7])) if maps == 4 else np.full(boxes.shape[:2], 2)
    assert maps == 1 or len(set(levels.ravel())) > 2
    pooled = PyramidROIAlign((7, 7), pooling="pool")([boxes, meta, *pyramid])
    np.testing.assert_array_equal(pooled, pool_by_hand(boxes, levels, pyramid, 7))


def test_pool_passes_the_gradient_to_the_maxima():
    feature = tf.Variable(np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1))
    with tf.GradientTape() as tape:
        pooled = pool_levels(np.float32([[[0, 0, 0.75, 1]]]), np.array([[2]]), [feature], (2, 2))
        loss = tf.reduce_sum(pooled)
    expected = np.zeros((5, 5))
    expected[np.ix_([1, 3], [2, 4])] = 1
    np.testing.assert_array_equal(tf.convert_to_tensor(tape.gradient(loss, feature))[0, :, :, 0], expected)


@pytest.mark.parametrize("method", ["crop_and_resize", "gather"])
def test_all_rois_are_cropped_from_a_single_map(golden, method):
    boxes, meta, _, _, c4, _ = pyramid_inputs(golden("losses.npz"))
    boxes = boxes * 0.98  # away from the border, see `test_equals_the_original`
    crops = np.asarray(PyramidROIAlign((7, 7), method=method)([boxes, meta, c4]))
    images = np.repeat(np.arange(len(boxes)), boxes.shape[1])
    expected = tf.image.crop_and_resize(c4, boxes.reshape(-1, 4), images, (7, 7))
    np.testing.assert_allclose(crops.reshape(expected.shape), expected, atol=2e-5)


def test_padding_boxes_give_finite_crops():
    assert np.isfinite(ramp(box=(0, 0, 0, 0))).all()


def test_half_precision_features_are_sampled_in_float32(golden):
    inputs = pyramid_inputs(golden("losses.npz"))
    half = [*inputs[:2], *(tf.cast(feature, tf.bfloat16) for feature in inputs[2:])]
    crops = PyramidROIAlign((7, 7))(half)
    assert keras.backend.standardize_dtype(crops.dtype) == "bfloat16"
    full = PyramidROIAlign((7, 7))([*inputs[:2], *(tf.cast(feature, tf.float32) for feature in half[2:])])
    np.testing.assert_allclose(np.asarray(tf.cast(crops, tf.float32)), np.asarray(full), rtol=0.01, atol=0.01)
