"""Box maths against the original's arrays, against each other (NumPy and TensorFlow), and by hand."""

import numpy as np
import pytest

from mrcnn.ops import boxes
from mrcnn.ops import boxes_tf as boxes_graph

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
    # 4x4 against the same shifted by 2: 8 of 24 cells are shared.
    assert boxes.compute_overlaps(np.array([[0, 0, 4, 4]]), np.array([[0, 2, 4, 6]]))[0, 0] == pytest.approx(8 / 24)


def test_normalised_corners_are_pixel_centres():
    whole = np.array([0, 0, 128, 256])
    assert boxes.norm_boxes(whole, (128, 256)).tolist() == [0, 0, 1, 1]
    assert boxes.denorm_boxes(np.array([0, 0, 1, 1]), (128, 256)).tolist() == whole.tolist()


def random_boxes(rng, count):
    corner = rng.uniform(-20, 80, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 60, (count, 2))], axis=1).astype(np.float32)


def test_decoding_inverts_encoding(rng):
    start, goal = random_boxes(rng, 200), random_boxes(rng, 200)
    deltas = boxes.box_refinement(start, goal)
    np.testing.assert_allclose(boxes.apply_box_deltas(start, deltas), goal, atol=1e-3)


def test_keras_encoder_agrees(rng):
    """An independent oracle: Keras's own encoder, centre y first, variance 1."""
    import keras

    start, goal = random_boxes(rng, 20), random_boxes(rng, 20)
    encoded = keras.utils.bounding_boxes.encode_box_to_deltas(
        start, goal, "yxyx", "yxyx", encoding_format="center_yxhw"
    )
    np.testing.assert_allclose(boxes.box_refinement(start, goal), np.asarray(encoded), atol=1e-4)


def test_tensorflow_twins_agree(rng):
    first, second = random_boxes(rng, 30), random_boxes(rng, 30)
    window, shape = np.array([0.0, 5.0, 50.0, 60.0], np.float32), (90, 120)
    deltas = rng.normal(0, 0.3, (30, 4)).astype(np.float32)
    pairs = [
        (boxes.box_refinement(first, second), boxes_graph.box_refinement_graph(first, second)),
        (boxes.apply_box_deltas(first, deltas), boxes_graph.apply_box_deltas_graph(first, deltas)),
        (boxes.clip_boxes(first, window), boxes_graph.clip_boxes_graph(first, window)),
        (boxes.norm_boxes(first, shape), boxes_graph.norm_boxes_graph(first, shape)),
        (boxes.compute_overlaps(first, second), boxes_graph.overlaps_graph(first, second)),
    ]
    for expected, tensor in pairs:
        np.testing.assert_allclose(np.asarray(tensor), expected, rtol=1e-5, atol=1e-5)
    normalised = boxes.norm_boxes(np.round(first), shape)
    np.testing.assert_array_equal(boxes_graph.denorm_boxes_graph(normalised, shape), np.round(first))


def test_graph_functions_equal_the_original(golden):
    arrays = golden("losses.npz")
    deltas = arrays["apply_box_deltas_graph__in_deltas"]
    start = arrays["overlaps_graph__in_a"]
    window = arrays["clip_boxes_graph__in_window"]
    tensors = {
        "overlaps_graph__out": boxes_graph.overlaps_graph(start, arrays["overlaps_graph__in_b"]),
        "apply_box_deltas_graph__out": boxes_graph.apply_box_deltas_graph(start, deltas),
        "clip_boxes_graph__out": boxes_graph.clip_boxes_graph(arrays["apply_box_deltas_graph__out"], window),
    }
    for name, tensor in tensors.items():
        np.testing.assert_allclose(np.asarray(tensor), arrays[name], atol=2e-6, err_msg=name)


def test_trim_and_pack():
    rows = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]], np.float32)
    kept, mask = boxes_graph.trim_zeros_graph(rows)
    assert np.asarray(kept).tolist() == [[0, 0, 1, 1]]
    assert np.asarray(mask).tolist() == [False, True, False]
    packed = boxes_graph.batch_pack_graph(np.arange(6).reshape(2, 3), np.array([1, 2]), 2)
    assert np.asarray(packed).tolist() == [0, 3, 4]


def test_wild_deltas_stay_finite():
    wild = np.array([[1e3, -1e3, 500, 1e30]], np.float32)
    assert np.isfinite(boxes_graph.apply_box_deltas_graph(np.array([[0.1, 0.1, 0.2, 0.2]], np.float32), wild)).all()
