"""The five losses of Mask R-CNN, weight decay and hard example mining: pure functions, float32, never NaN.

Names and signatures are Matterport's. Every loss is a scalar mean over what it learns from, and 0 where there is
nothing to learn. Letters: B images, A anchors, T sampled anchors, R sampled RoIs, C classes (0 background), M mask
side.
"""

from collections.abc import Iterable

import keras
import tensorflow as tf

PROBABILITY_EPSILON = 1e-7  # probabilities are kept this far from 0 and 1 before their logarithm


def smooth_l1_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Smooth L1, element by element: 0.5 d^2 where |d| < 1, else |d| - 0.5.

    Args:
        y_true: any shape.
        y_pred: same shape.

    Returns:
        The same shape, float32.

    Source: Girshick 2015, Fast R-CNN, equation 3.
    """
    difference = tf.abs(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
    return tf.where(difference < 1.0, 0.5 * difference**2, difference - 0.5)


def rpn_class_loss_graph(rpn_match: tf.Tensor, rpn_class_logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy of the sampled anchors: object or background.

    Args:
        rpn_match: `[B, A, 1]` integer; 1 object, -1 background, 0 not sampled.
        rpn_class_logits: `[B, A, 2]` (background, object).

    Returns:
        Scalar mean over the sampled anchors of the whole batch.

    Source: Ren et al. 2015, Faster R-CNN, section 3.1.2; Matterport.
    """
    match = tf.squeeze(rpn_match, -1)
    sampled = tf.where(tf.not_equal(match, 0))  # [n, 2] image, anchor
    labels = tf.cast(tf.equal(tf.gather_nd(match, sampled), 1), tf.int32)
    logits = tf.cast(tf.gather_nd(rpn_class_logits, sampled), tf.float32)  # [n, 2]
    return _mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def rpn_bbox_loss_graph(config, target_bbox: tf.Tensor, rpn_match: tf.Tensor, rpn_bbox: tf.Tensor) -> tf.Tensor:
    """Smooth L1 of the deltas of the positive anchors.

    Args:
        config: not used; the batch size is read from the tensors.
        target_bbox: `[B, T, 4]` deltas of each image's positive anchors in anchor order, zero padded.
        rpn_match: `[B, A, 1]` integer; 1 marks the positive anchors.
        rpn_bbox: `[B, A, 4]` predicted deltas.

    Returns:
        Scalar mean over the coordinates of all positive anchors of the batch.

    Source: Ren et al. 2015, Faster R-CNN, section 3.1.2; Matterport.
    Differs from the paper: the mean is over the positives, not over all anchors.
    """
    del config
    positive = tf.equal(tf.squeeze(rpn_match, -1), 1)  # [B, A]
    counts = tf.reduce_sum(tf.cast(positive, tf.int32), axis=1)
    # Both sides list image by image, in anchor order, so that row i of one belongs to row i of the other.
    predicted = tf.gather_nd(rpn_bbox, tf.where(positive))  # [n, 4]
    target = tf.boolean_mask(target_bbox, tf.sequence_mask(counts, tf.shape(target_bbox)[1]))
    return _mean(smooth_l1_loss(target, predicted))


def mrcnn_class_loss_graph(
    target_class_ids: tf.Tensor, pred_class_logits: tf.Tensor, active_class_ids: tf.Tensor
) -> tf.Tensor:
    """Cross entropy of the RoIs' classes.

    A RoI whose predicted (argmax) class does not exist in the dataset of its image does not count: that image could not
    have shown whether the prediction is right. Padding RoIs count as background, as in the original.

    Args:
        target_class_ids: `[B, R]` integer, 0 background and padding.
        pred_class_logits: `[B, R, C]`.
        active_class_ids: `[B, C]`, 1 for the classes of each image's dataset, else 0.

    Returns:
        Scalar mean over the RoIs that count.

    Source: Girshick 2015, Fast R-CNN, section 2.3; Matterport.
    Differs from Matterport: each image has its own active classes, not those of the first image; 0, not NaN, where no
        RoI counts.
    """
    losses, counts = _class_losses(target_class_ids, pred_class_logits, active_class_ids)
    return joint_mean(tf.reduce_sum(losses), tf.reduce_sum(counts))


def mrcnn_bbox_loss_graph(target_bbox: tf.Tensor, target_class_ids: tf.Tensor, pred_bbox: tf.Tensor) -> tf.Tensor:
    """Smooth L1 of the deltas that the positive RoIs predict for their own class.

    Args:
        target_bbox: `[B, R, 4]` deltas.
        target_class_ids: `[B, R]` integer; above 0 is positive.
        pred_bbox: `[B, R, C, 4]` deltas for each class.

    Returns:
        Scalar mean over the coordinates of the positive RoIs.

    Source: Girshick 2015, Fast R-CNN, section 2.3; Matterport.
    """
    _, losses = _bbox_losses(target_bbox, target_class_ids, pred_bbox)
    return _mean(losses)


def mrcnn_mask_loss_graph(
    target_masks: tf.Tensor,
    target_class_ids: tf.Tensor,
    pred_masks: tf.Tensor,
    from_logits: bool = False,
) -> tf.Tensor:
    """Binary cross entropy of the masks that the positive RoIs predict for their own class.

    Args:
        target_masks: `[B, R, M, M]`, 0..1.
        target_class_ids: `[B, R]` integer; above 0 is positive.
        pred_masks: `[B, R', M, M, C]` probabilities, or logits if `from_logits`. R' may be smaller than R: the mask
            head may run on the leading RoIs alone, because positives come first.
        from_logits: skips the inverse of the sigmoid, which in low precision costs accuracy.

    Returns:
        Scalar mean over the pixels of the positive RoIs.

    Source: He et al. 2017, Mask R-CNN, section 3; Matterport.
    """
    positive, of_class = _positives(target_class_ids[:, : tf.shape(pred_masks)[1]])
    target = tf.cast(tf.gather_nd(target_masks, positive), tf.float32)  # [n, M, M]
    predicted = tf.gather_nd(tf.transpose(pred_masks, [0, 1, 4, 2, 3]), of_class)  # [n, M, M]
    predicted = tf.cast(predicted, tf.float32)
    logits = predicted if from_logits else _logit(predicted)
    return _mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits))


def roi_losses(
    target_class_ids: tf.Tensor,
    pred_class_logits: tf.Tensor,
    active_class_ids: tf.Tensor,
    target_bbox: tf.Tensor,
    pred_bbox: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Class and box loss of every RoI by itself: their sum says how hard it is, for `ohem_weights`.

    Args: as those of `mrcnn_class_loss_graph` and `mrcnn_bbox_loss_graph`.

    Returns:
        class_loss: `[B, R]` cross entropy, 0 where the predicted class is not active.
        bbox_loss: `[B, R]` smooth L1, the mean of four coordinates, 0 where not positive.
    """
    class_losses, _ = _class_losses(target_class_ids, pred_class_logits, active_class_ids)
    positive, bbox_losses = _bbox_losses(target_bbox, target_class_ids, pred_bbox)
    return class_losses, tf.tensor_scatter_nd_update(tf.zeros_like(class_losses), positive, bbox_losses)


def ohem_weights(loss_per_roi: tf.Tensor, valid: tf.Tensor, keep: int) -> tf.Tensor:
    """Online hard example mining: weight 1 for the hardest RoIs of each image, 0 for the others.

    Args:
        loss_per_roi: `[B, R]`, see `roi_losses`.
        valid: `[B, R]` bool; False for RoIs that must not be chosen, such as padding.
        keep: RoIs to keep per image; all valid ones where there are fewer.

    Returns:
        `[B, R]` float32 weights without gradient. Of equal losses the first in order is kept.

    Source: Shrivastava et al. 2016, Training Region-based Object Detectors with Online Hard Example Mining, section 4.
    Differs from the paper: no suppression of overlapping RoIs before the choice; proposals went through NMS already.
    """
    count = tf.shape(loss_per_roi)[1]
    difficulty = tf.where(valid, tf.cast(loss_per_roi, tf.float32), tf.float32.min)
    hardest = tf.math.top_k(difficulty, tf.minimum(keep, count)).indices  # [B, keep]
    chosen = tf.reduce_max(tf.one_hot(hardest, count), axis=1)  # [B, R]
    return tf.stop_gradient(chosen * tf.cast(valid, tf.float32))


def weight_decay_loss(variables: Iterable[keras.Variable], rate: float) -> tf.Tensor:
    """L2 penalty: the sum of `rate * mean(w^2)` over the trainable variables, batch-norm gamma and beta excepted.

    Args:
        variables: of any layers; those that are not trainable are passed over.
        rate: `WEIGHT_DECAY`.

    Returns:
        Scalar, float32.

    Source: Matterport.
    Differs from the usual: the mean, not the sum, of squares, so large kernels decay slower. Biases decay too.
    """
    decayed = [v for v in variables if v.trainable and v.name not in ("gamma", "beta")]
    penalties = [tf.reduce_mean(tf.square(tf.cast(tf.convert_to_tensor(v), tf.float32))) for v in decayed]
    return rate * tf.add_n(penalties) if penalties else tf.constant(0.0)


def joint_mean(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """`total / count`, float32 scalars; 0 where there is nothing to count.

    With several replicas the count is the mean of theirs. So the mean of what they return, and of their gradients, is
    that of one device with the whole batch, however the objects are spread over the replicas.
    """
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        count = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stop_gradient(count))
    return tf.math.divide_no_nan(total, count)


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Mean of all elements of the joint batch; 0 of an empty tensor."""
    return joint_mean(tf.reduce_sum(values), tf.cast(tf.size(values), tf.float32))


def _class_losses(
    target_class_ids: tf.Tensor, pred_class_logits: tf.Tensor, active_class_ids: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross entropy `[B, R]` of every RoI that counts, else 0; and `[B, R]` 1 where it counts, else 0."""
    predicted = tf.argmax(pred_class_logits, axis=-1)
    counts = tf.cast(tf.gather(active_class_ids, predicted, batch_dims=1), tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.cast(target_class_ids, tf.int32), logits=tf.cast(pred_class_logits, tf.float32)
    )
    return losses * counts, counts


def _bbox_losses(
    target_bbox: tf.Tensor, target_class_ids: tf.Tensor, pred_bbox: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Positive RoIs as indices `[n, 2]`, and the smooth L1 `[n]` of each: the mean of its four coordinates."""
    positive, of_class = _positives(target_class_ids)
    losses = smooth_l1_loss(tf.gather_nd(target_bbox, positive), tf.gather_nd(pred_bbox, of_class))
    return positive, tf.reduce_mean(losses, axis=1)


def _positives(class_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Indices of the RoIs `[B, R]` with an object: `[n, 2]` (image, RoI) and `[n, 3]` (image, RoI, class)."""
    positive = tf.where(class_ids > 0)
    ids = tf.cast(tf.gather_nd(class_ids, positive), tf.int64)
    return positive, tf.concat([positive, ids[:, None]], axis=1)


def _logit(probability: tf.Tensor) -> tf.Tensor:
    """Inverse of the sigmoid; finite for 0 and 1 too."""
    probability = tf.clip_by_value(probability, PROBABILITY_EPSILON, 1.0 - PROBABILITY_EPSILON)
    return tf.math.log(probability / (1.0 - probability))
