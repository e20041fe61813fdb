"""Losses compared with reference values of the original and with values derived by hand."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn import losses

LN2 = math.log(2)


@pytest.fixture(params=["normal", "nopos", "img2_nopos"])
def case(request, golden):
    """Returns the inputs and reference outputs of one case by short name."""
    arrays = golden("losses.npz")
    prefix = f"loss_{request.param}__"
    return {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}


def at_class(values, class_ids, class_count):
    """Returns predictions `[B, R, ..., C]` with `values [B, R, ...]` at the class of each RoI, else 0.3."""
    full = np.full((*values.shape, class_count), 0.3, np.float32)
    image, roi = np.indices(class_ids.shape)
    full[image, roi, ..., class_ids] = values
    return full


class TestAgainstTheOriginal:
    def test_rpn_class(self, case):
        loss = losses.rpn_class_loss(case["in_rpn_match"], case["in_rpn_class_logits"])
        assert float(loss) == pytest.approx(float(case["out_rpn_class"]), abs=1e-6)

    def test_rpn_bbox(self, case):
        loss = losses.rpn_bbox_loss(case["in_target_rpn_bbox"], case["in_rpn_match"], case["in_rpn_bbox"])
        assert float(loss) == pytest.approx(float(case["out_rpn_bbox"]), abs=1e-6)

    def test_mrcnn_class(self, case):
        # The original uses the active classes of the first image for all images.
        active = np.broadcast_to(case["in_active_class_ids"][:1], case["in_active_class_ids"].shape)
        loss = losses.mrcnn_class_loss(case["in_target_class_ids"], case["in_pred_class_logits"], active)
        assert float(loss) == pytest.approx(float(case["out_mrcnn_class"]), abs=1e-6)

    def test_mrcnn_bbox(self, case):
        loss = losses.mrcnn_bbox_loss(case["in_target_bbox"], case["in_target_class_ids"], case["in_pred_bbox"])
        assert float(loss) == pytest.approx(float(case["out_mrcnn_bbox"]), abs=1e-6)

    def test_mrcnn_mask(self, case):
        class_ids = case["in_target_class_ids"]
        predicted = at_class(case["in_pred_masks_of_target_class"], class_ids, 7)
        loss = losses.mrcnn_mask_loss(case["in_target_masks"], class_ids, predicted)
        assert float(loss) == pytest.approx(float(case["out_mrcnn_mask"]), abs=1e-6)

    def test_smooth_l1(self, golden):
        arrays = golden("losses.npz")
        result = losses.smooth_l1_loss(arrays["smooth_l1__in_true"], arrays["smooth_l1__in_pred"])
        np.testing.assert_allclose(result, arrays["smooth_l1__out"], atol=1e-6)


@pytest.mark.parametrize("run", ["train_r50small", "train_r50small_rois"])
def test_a_training_step_of_the_original(golden, run):
    batch, outputs = golden(f"{run}_batch.npz"), golden(f"{run}.npz")
    class_ids, positive = outputs["t_class_ids"], outputs["t_class_ids"] > 0
    target_masks = np.unpackbits(outputs["t_mask_packed"])[: np.prod(outputs["t_mask_shape"])]
    masks = np.zeros((*class_ids.shape, 28, 28), np.float32)
    masks[positive] = outputs["mrcnn_mask_of_target_pos"]
    bbox = np.moveaxis(at_class(outputs["mrcnn_bbox_of_target"], class_ids, 2), -1, 2)
    values = {
        "rpn_class_loss": losses.rpn_class_loss(batch["rpn_match"], outputs["rpn_class_logits"]),
        "rpn_bbox_loss": losses.rpn_bbox_loss(batch["rpn_bbox"], batch["rpn_match"], outputs["rpn_bbox"]),
        "mrcnn_class_loss": losses.mrcnn_class_loss(
            class_ids, outputs["mrcnn_class_logits"], batch["image_meta"][:, 12:]
        ),
        "mrcnn_bbox_loss": losses.mrcnn_bbox_loss(outputs["t_bbox"], class_ids, bbox),
        "mrcnn_mask_loss": losses.mrcnn_mask_loss(
            target_masks.reshape(outputs["t_mask_shape"]), class_ids, at_class(masks, class_ids, 2)
        ),
    }
    for name, value in values.items():
        assert float(value) == pytest.approx(float(outputs[name]), abs=2e-6), name


def test_smooth_l1_by_hand():
    result = losses.smooth_l1_loss([0.0, 0.0, 0.0, 1.0], [0.5, -1.0, 3.0, 1.0])
    np.testing.assert_allclose(result, [0.125, 0.5, 2.5, 0.0])


def test_rpn_class_by_hand():
    match = np.array([[[1], [-1], [0]]])
    logits = np.array([[[0.0, 0.0], [math.log(3), 0.0], [99.0, -99.0]]], np.float32)
    # The positive anchor has probability 1/2, the negative one 3/4. The third one is not sampled.
    expected = (LN2 + math.log(4 / 3)) / 2
    assert float(losses.rpn_class_loss(match, logits)) == pytest.approx(expected, rel=1e-6)


def test_rpn_bbox_matches_targets_and_positive_anchors_per_image():
    match = np.array([[[0], [1], [1]], [[1], [-1], [0]]])
    predicted = np.zeros((2, 3, 4), np.float32)
    predicted[0, 1], predicted[0, 2], predicted[1, 0] = 1, 2, 3
    target = np.zeros((2, 2, 4), np.float32)
    target[0, 0], target[0, 1], target[1, 0] = 1, 2, 3  # the prediction of the corresponding anchor
    assert float(losses.rpn_bbox_loss(target, match, predicted)) == 0
    target[1, 0] = 5  # off by 2 in one of three anchors: (2 - 0.5) / 3
    assert float(losses.rpn_bbox_loss(target, match, predicted)) == pytest.approx(0.5)


class TestClassLoss:
    # Two RoIs per image. The first predicts class 1, the second class 2, each with probability 3/5.
    LOGITS = np.tile(np.array([[0, math.log(3), 0], [0, 0, math.log(3)]], np.float32), (2, 1, 1))

    def test_active_classes_per_image(self):
        targets = np.array([[1, 0], [1, 0]])
        active = np.array([[1, 1, 0], [1, 0, 1]])
        # Image 0 counts the RoI of class 1 (correct, 3/5), image 1 the RoI of class 2 (wrong, 1/5).
        expected = (math.log(5 / 3) + math.log(5)) / 2
        loss = losses.mrcnn_class_loss(targets, self.LOGITS, active)
        assert float(loss) == pytest.approx(expected, rel=1e-6)

    def test_zero_without_active_predictions(self):
        active = np.array([[1, 0, 0], [1, 0, 0]])
        assert float(losses.mrcnn_class_loss(np.zeros((2, 2), int), self.LOGITS, active)) == 0

    def test_padding_counts_as_background(self):
        logits = np.zeros((1, 4, 2), np.float32)
        assert float(losses.mrcnn_class_loss([[1, 0, 0, 0]], logits, [[1, 1]])) == pytest.approx(LN2)


def test_box_loss_uses_the_deltas_of_the_target_class():
    predicted = np.zeros((1, 3, 3, 4), np.float32)
    predicted[0, 0, 2], predicted[0, 1, 1] = 7, -1
    target = np.zeros((1, 3, 4), np.float32)
    target[0, 0] = 7
    # RoI 0 is correct, RoI 1 is off by 1 in each coordinate (0.5), RoI 2 is background.
    assert float(losses.mrcnn_bbox_loss(target, np.array([[2, 1, 0]]), predicted)) == pytest.approx(0.25)


class TestMaskLoss:
    def masks(self, seed=0):
        rng = np.random.default_rng(seed)
        predicted = rng.uniform(0.05, 0.95, (2, 5, 4, 4, 3)).astype(np.float32)
        target = (rng.random((2, 5, 4, 4)) > 0.5).astype(np.float32)
        return target, np.array([[2, 1, 0, 0, 0], [1, 0, 0, 0, 0]]), predicted

    def test_by_hand(self):
        target, class_ids, predicted = self.masks()
        pairs = [(target[0, 0], predicted[0, 0, ..., 2]), (target[0, 1], predicted[0, 1, ..., 1])]
        pairs.append((target[1, 0], predicted[1, 0, ..., 1]))
        expected = np.mean([-np.log(np.where(t == 1, p, 1 - p)).mean() for t, p in pairs])
        assert float(losses.mrcnn_mask_loss(target, class_ids, predicted)) == pytest.approx(expected, rel=1e-5)

    def test_softmax_by_hand(self):
        target, class_ids, predicted = self.masks()
        target[0, 0, 0, 0] = 0.25  # a partly covered cell
        predicted /= predicted.sum(axis=-1, keepdims=True)
        triples = [(target[i], predicted[i], class_ids[i]) for i in ((0, 0), (0, 1), (1, 0))]
        expected = np.mean([-(t * np.log(p[..., c]) + (1 - t) * np.log(p[..., 0])) for t, p, c in triples])
        for rows in (5, 2):  # the rows of negatives may be missing
            loss = losses.mrcnn_softmax_mask_loss(target, class_ids, predicted[:, :rows])
            assert float(loss) == pytest.approx(expected, rel=1e-5)
        assert float(losses.mrcnn_softmax_mask_loss(target, 0 * class_ids, predicted)) == 0

    def test_predictions_of_negatives_may_be_missing(self):
        target, class_ids, predicted = self.masks()
        whole = losses.mrcnn_mask_loss(target, class_ids, predicted)
        assert float(losses.mrcnn_mask_loss(target, class_ids, predicted[:, :2])) == float(whole)

    def test_positives_without_prediction_are_ignored(self):
        target, class_ids, predicted = self.masks()
        expected = losses.mrcnn_mask_loss(target[:, :1], class_ids[:, :1], predicted[:, :1])
        assert float(losses.mrcnn_mask_loss(target, class_ids, predicted[:, :1])) == float(expected)

    def test_without_predictions(self):
        target, class_ids, predicted = self.masks()
        assert float(losses.mrcnn_mask_loss(target, class_ids * 0, predicted[:, :0])) == 0

    def test_wrong_probabilities_of_zero_and_one_are_finite(self):
        predicted = tf.constant([[[[[0.0, 1.0]]]]])  # [1, 1, 1, 1, 2]
        with tf.GradientTape() as tape:
            tape.watch(predicted)
            loss = losses.mrcnn_mask_loss(np.zeros((1, 1, 1, 1)), np.array([[1]]), predicted)
        assert 15 < float(loss) < 17  # -log(1e-7) = 16.1
        assert np.isfinite(tape.gradient(loss, predicted)).all()


def all_losses(match, rpn_logits, rpn_bbox, class_ids, logits, bbox, masks):
    """Computes the five losses. All targets except the classes are zeros."""
    batch, rois, classes = logits.shape
    zeros = tf.zeros
    return [
        losses.rpn_class_loss(match, rpn_logits),
        losses.rpn_bbox_loss(zeros((batch, 4, 4)), match, rpn_bbox),
        losses.mrcnn_class_loss(class_ids, logits, tf.ones((batch, classes))),
        losses.mrcnn_bbox_loss(zeros((batch, rois, 4)), class_ids, bbox),
        losses.mrcnn_mask_loss(zeros((batch, rois, 2, 2)), class_ids, masks),
    ]


def predictions(dtype="float32"):
    rng = np.random.default_rng(1)
    shapes = (2, 6, 2), (2, 6, 4), (2, 3, 4), (2, 3, 4, 4)
    rpn_logits, rpn_bbox, logits, bbox = (tf.constant(rng.normal(size=shape), dtype) for shape in shapes)
    return [rpn_logits, rpn_bbox, logits, bbox, tf.constant(rng.uniform(0.1, 0.9, (2, 3, 2, 2, 4)), dtype)]


MATCH = np.array([[1, -1, 0, 0, 1, 0], [-1, -1, 0, 0, 0, 0]])[..., None]
CLASS_IDS = np.array([[3, 1, 0], [0, 0, 0]])


def test_zero_and_finite_gradients_without_supervised_elements():
    predicted = predictions()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(predicted)
        values = all_losses(MATCH * 0, *predicted[:2], CLASS_IDS * 0, *predicted[2:])
        total = tf.add_n(values)
    assert [float(value) for value in values[:2] + values[3:]] == [0, 0, 0, 0]
    for gradient in tape.gradient(total, predicted):
        assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all()


def test_only_sampled_elements_have_a_gradient():
    predicted = predictions()
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        total = tf.add_n(all_losses(MATCH, *predicted[:2], CLASS_IDS, *predicted[2:]))
    rpn_logits, rpn_bbox, logits, bbox, masks = (
        tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(total, predicted)
    )
    np.testing.assert_array_equal(rpn_logits.any(-1), MATCH[..., 0] != 0)
    np.testing.assert_array_equal(rpn_bbox.any(-1), MATCH[..., 0] == 1)
    assert logits.any(-1).all()
    target_class = np.arange(4) == np.where(CLASS_IDS > 0, CLASS_IDS, -1)[..., None]  # [B, R, C]
    np.testing.assert_array_equal(bbox.any(-1), target_class)
    np.testing.assert_array_equal(masks.any((2, 3)), target_class)


def test_half_precision_predictions_give_float32_losses():
    exact = all_losses(MATCH, *predictions()[:2], CLASS_IDS, *predictions()[2:])
    half = predictions("bfloat16")
    for value, reference in zip(all_losses(MATCH, *half[:2], CLASS_IDS, *half[2:]), exact, strict=True):
        assert value.dtype == tf.float32
        assert float(value) == pytest.approx(float(reference), rel=0.02)


def test_scalars_for_any_batch_size():
    rpn_logits, rpn_bbox, logits, bbox, masks = (
        tf.TensorSpec([None, *value.shape[1:]], value.dtype) for value in predictions()
    )

    @tf.function(input_signature=[tf.TensorSpec([None, 6, 1], tf.int32), rpn_logits, rpn_bbox])
    def rpn(match, rpn_logits, rpn_bbox):
        target = tf.zeros([tf.shape(match)[0], 4, 4])
        return (
            losses.rpn_class_loss(match, rpn_logits),
            losses.rpn_bbox_loss(target, match, rpn_bbox),
        )

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.int32), logits, bbox, masks])
    def heads(class_ids, logits, bbox, masks):
        batch = tf.shape(class_ids)[0]
        return (
            losses.mrcnn_class_loss(class_ids, logits, tf.ones([batch, 4])),
            losses.mrcnn_bbox_loss(tf.zeros([batch, 3, 4]), class_ids, bbox),
            losses.mrcnn_mask_loss(tf.zeros([batch, 3, 2, 2]), class_ids, masks),
        )

    outputs = rpn.get_concrete_function().outputs + heads.get_concrete_function().outputs
    assert [output.shape for output in outputs] == [()] * 5


class TestWeightDecay:
    def layers(self):
        dense = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(3.0), bias_initializer="ones")
        norm = keras.layers.BatchNormalization(beta_initializer="ones")
        norm(dense(np.ones((1, 4), np.float32)))
        return dense, norm

    def test_mean_of_squares_without_batch_norm(self):
        dense, norm = self.layers()
        penalty = losses.weight_decay_loss([*dense.weights, *norm.weights], 0.1)
        assert float(penalty) == pytest.approx(0.1 * (9 + 1))  # a kernel of 3s and a bias of 1s

    def test_frozen_variables_do_not_decay(self):
        dense, norm = self.layers()
        dense.kernel.trainable = False
        assert float(losses.weight_decay_loss([*dense.weights, *norm.weights], 0.1)) == pytest.approx(0.1)
        dense.trainable = False
        assert float(losses.weight_decay_loss([*dense.weights, *norm.weights], 0.1)) == 0

    def test_gradient(self):
        dense, _ = self.layers()
        with tf.GradientTape() as tape:
            penalty = losses.weight_decay_loss(dense.weights, 0.1)
        gradient = tape.gradient(penalty, dense.kernel.value)
        np.testing.assert_allclose(gradient, np.full((4, 2), 0.1 * 2 * 3 / 8), rtol=1e-6)


def test_refined_mask_loss_by_hand():
    # Of two RoIs, the first one is positive. Cross entropy -log(0.8) in all four cells, and two cells inside.
    target = np.zeros((1, 2, 2, 2), np.float32)
    target[0, 0, 0] = 1
    predicted = np.where(target > 0, 0.8, 0.2).astype(np.float32)
    loss = losses.mrcnn_refined_mask_loss(target, np.array([[1, 0, 0]]), predicted)
    dice = 1 - 2 * 1.6 / (2 + 2 * 0.64 + 2 * 0.04)
    assert float(loss) == pytest.approx(-np.log(0.8) + dice, rel=1e-5)


def test_refined_mask_loss_without_positives_is_zero():
    masks = np.full((1, 2, 4, 4), 0.5, np.float32)
    assert float(losses.mrcnn_refined_mask_loss(masks, np.zeros((1, 5), np.int32), masks)) == 0
