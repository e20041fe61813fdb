"""Box operations, compared with the original, between NumPy and TensorFlow, and with values derived by hand."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn.ops import boxes, boxes_tf

CASES = [
    ("compute_iou", ("in_box", "in_boxes", "in_box_area", "in_boxes_area")),
    ("compute_overlaps", ("in_0", "in_1")),
    ("compute_overlaps_int", ("in_0", "in_1")),
    ("compute_overlaps_masks", ("in_0", "in_1")),
    ("compute_overlaps_masks_empty", ("in_0", "in_1")),
    ("non_max_suppression", ("in_0", "in_1", "in_2_f64")),
    ("non_max_suppression_int", ("in_0", "in_1", "in_2_f64")),
    ("apply_box_deltas", ("in_0", "in_1")),
    ("box_refinement", ("in_0", "in_1")),
    ("box_refinement_int", ("in_0", "in_1")),
    ("norm_boxes", ("in_0", "in_1")),
    ("norm_boxes_1d", ("in_0", "in_1")),
    ("denorm_boxes", ("in_0", "in_1")),
    ("denorm_boxes_half_even", ("in_0_f64", "in_1")),
]


@pytest.fixture(scope="module")
def arrays(golden):
    return golden("utils.npz")


@pytest.mark.parametrize(("case", "arguments"), CASES)
def test_equals_the_original(arrays, case, arguments):
    function = next(name for name in sorted(dir(boxes), key=len, reverse=True) if case.startswith(name))
    result = getattr(boxes, function)(*(arrays[f"{case}__{argument}"] for argument in arguments))
    name = f"{case}__out_0"
    expected = arrays[name] if name in arrays else arrays[f"{name}_f64"]
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
    if expected.dtype.kind == "i":
        assert result.dtype.kind == "i"


def test_iou_by_hand():
    # A 4x4 box and the same box shifted by 2: the intersection is 8, the union 24.
    assert boxes.compute_overlaps(np.array([[0, 0, 4, 4]]), np.array([[0, 2, 4, 6]]))[0, 0] == pytest.approx(8 / 24)


def test_normalised_corners_are_pixel_centres():
    whole = np.array([0, 0, 128, 256])
    assert boxes.norm_boxes(whole, (128, 256)).tolist() == [0, 0, 1, 1]
    assert boxes.denorm_boxes(np.array([0, 0, 1, 1]), (128, 256)).tolist() == whole.tolist()


def random_boxes(rng, count):
    corner = rng.uniform(-20, 80, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 60, (count, 2))], axis=1).astype(np.float32)


def test_apply_box_deltas_inverts_box_refinement(rng):
    start, goal = random_boxes(rng, 200), random_boxes(rng, 200)
    deltas = boxes.box_refinement(start, goal)
    np.testing.assert_allclose(boxes.apply_box_deltas(start, deltas), goal, atol=1e-3)


def test_box_refinement_equals_the_encoder_of_keras(rng):
    import keras

    start, goal = random_boxes(rng, 20), random_boxes(rng, 20)
    encoded = keras.utils.bounding_boxes.encode_box_to_deltas(
        start, goal, "yxyx", "yxyx", encoding_format="center_yxhw"
    )
    np.testing.assert_allclose(boxes.box_refinement(start, goal), np.asarray(encoded), atol=1e-4)


def test_boxes_of_area_zero_are_not_suppressed():
    """In `tf.image.non_max_suppression`, the IoU of a box of area zero is 0, even with itself."""
    corners = np.array([[0.5, 0, 0.5, 1], [0.5, 0, 0.5, 1], [0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 0, 0]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    kept = boxes_tf.non_max_suppression(tf.constant(corners), scores, 5, 0.3)
    np.testing.assert_array_equal(kept, [0, 1, 2, 4])
    np.testing.assert_array_equal(kept, tf.image.non_max_suppression(corners, scores, 5, 0.3))


def test_tensorflow_counterparts_agree(rng):
    first, second = random_boxes(rng, 30), random_boxes(rng, 30)
    window, shape = np.array([0.0, 5.0, 50.0, 60.0], np.float32), (90, 120)
    deltas, scores = rng.normal(0, 0.3, (30, 4)).astype(np.float32), rng.permutation(30).astype(np.float32)
    pairs = [
        (boxes.box_refinement(first, second), boxes_tf.box_refinement(first, second)),
        (boxes.apply_box_deltas(first, deltas), boxes_tf.apply_box_deltas(first, deltas)),
        (boxes.clip_boxes(first, window), boxes_tf.clip_boxes(first, window)),
        (boxes.norm_boxes(first, shape), boxes_tf.norm_boxes(first, shape)),
        (boxes.compute_overlaps(first, second), boxes_tf.compute_overlaps(first, second)),
        (boxes.non_max_suppression(first, scores, 0.3), boxes_tf.non_max_suppression(first, scores, 30, 0.3)),
    ]
    assert 1 < len(pairs[-1][0]) < 30
    for expected, tensor in pairs:
        np.testing.assert_allclose(np.asarray(tensor), expected, rtol=1e-5, atol=1e-5)
    normalised = boxes.norm_boxes(np.round(first), shape)
    np.testing.assert_array_equal(boxes_tf.denorm_boxes(normalised, shape), np.round(first))


def test_tensorflow_functions_equal_the_original(golden):
    arrays = golden("losses.npz")
    deltas = arrays["apply_box_deltas_graph__in_deltas"]
    start = arrays["overlaps_graph__in_a"]
    window = arrays["clip_boxes_graph__in_window"]
    tensors = {
        "overlaps_graph__out": boxes_tf.compute_overlaps(start, arrays["overlaps_graph__in_b"]),
        "apply_box_deltas_graph__out": boxes_tf.apply_box_deltas(start, deltas),
        "clip_boxes_graph__out": boxes_tf.clip_boxes(arrays["apply_box_deltas_graph__out"], window),
    }
    for name, tensor in tensors.items():
        np.testing.assert_allclose(np.asarray(tensor), arrays[name], atol=2e-6, err_msg=name)


def test_extreme_deltas_stay_finite():
    deltas = np.array([[1e3, -1e3, 500, 1e30]], np.float32)
    assert np.isfinite(boxes_tf.apply_box_deltas(np.array([[0.1, 0.1, 0.2, 0.2]], np.float32), deltas)).all()


@pytest.mark.parametrize("margin", [0, 1])
def test_cell_samples_by_hand(margin):
    box = tf.constant([[0.25, 0.0, 0.75, 1.0]])  # rows 2..6 and all columns of a map of 8 x 4 pixels
    y1, x1, y2, x2 = boxes_tf.cell_samples(box, (8, 4), (2, 4), margin).numpy()[0]
    # The rows are cells of 2 pixels with centres 3 and 5 pixels from the edge. The centre of pixel i is at i + 0.5.
    np.testing.assert_allclose([y1, y2], np.array([2.5 + margin, 4.5 + margin]) / (7 + 2 * margin), rtol=1e-6)
    np.testing.assert_allclose([x1, x2], np.array([margin, 3 + margin]) / (3 + 2 * margin), rtol=1e-6)


def test_pad_boxes_by_hand():
    padded = boxes.pad_boxes(np.array([[10, 20, 30, 60]]), 0.1)
    np.testing.assert_allclose(padded, [[8, 16, 32, 64]])
