"""The five Mask R-CNN losses, the keypoint and mask refinement losses, and weight decay.

All functions are pure and compute in float32. Each loss is the mean over its supervised elements, or 0 if there are
none. Shape notation: B images, A anchors, T sampled anchors, R sampled RoIs, C classes with background 0, M mask side,
J keypoints, Q side of a keypoint map.
"""

from collections.abc import Iterable

import keras
import tensorflow as tf

PROBABILITY_EPSILON = 1e-7  # probabilities are clipped to [epsilon, 1 - epsilon]


def smooth_l1_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Computes the elementwise smooth L1 loss: 0.5 d^2 where |d| < 1, else |d| - 0.5.

    Args:
        y_true: targets of any shape.
        y_pred: predictions of the same shape.

    Returns:
        float32 tensor of the same shape.

    Source: Girshick 2015, Fast R-CNN, equation 3.
    """
    difference = tf.abs(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
    return tf.where(difference < 1.0, 0.5 * difference**2, difference - 0.5)


def rpn_class_loss(rpn_match: tf.Tensor, rpn_class_logits: tf.Tensor) -> tf.Tensor:
    """Computes the cross entropy (object or background) of the sampled anchors.

    Args:
        rpn_match: `[B, A, 1]` integer; 1 positive, -1 negative, 0 not sampled.
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


def rpn_bbox_loss(target_bbox: tf.Tensor, rpn_match: tf.Tensor, rpn_bbox: tf.Tensor) -> tf.Tensor:
    """Computes the smooth L1 loss of the deltas of the positive anchors.

    Args:
        target_bbox: `[B, T, 4]` target deltas of the positive anchors of each image in anchor order, zero-padded.
        rpn_match: `[B, A, 1]` integer; 1 for positive anchors.
        rpn_bbox: `[B, A, 4]` predicted deltas.

    Returns:
        Scalar mean over the coordinates of all positive anchors of the batch.

    Source: Ren et al. 2015, Faster R-CNN, section 3.1.2; Matterport.
    Differs from the paper: the mean is over the positive anchors, not over all anchors.
    """
    positive = tf.equal(tf.squeeze(rpn_match, -1), 1)  # [B, A]
    counts = tf.reduce_sum(tf.cast(positive, tf.int32), axis=1)
    # Predictions and targets are ordered by image, then by anchor, so their rows correspond.
    predicted = tf.gather_nd(rpn_bbox, tf.where(positive))  # [n, 4]
    target = tf.boolean_mask(target_bbox, tf.sequence_mask(counts, tf.shape(target_bbox)[1]))
    return _mean(smooth_l1_loss(target, predicted))


def mrcnn_class_loss(
    target_class_ids: tf.Tensor, pred_class_logits: tf.Tensor, active_class_ids: tf.Tensor
) -> tf.Tensor:
    """Computes the cross entropy of the class predictions of the RoIs.

    An RoI is ignored if its predicted (argmax) class is not annotated in the dataset of its image. Padding RoIs count
    as background, as in Matterport's code.

    Args:
        target_class_ids: `[B, R]` integer, 0 background and padding.
        pred_class_logits: `[B, R, C]`.
        active_class_ids: `[B, C]`; 1 for the classes that the dataset of the image annotates, else 0.

    Returns:
        Scalar mean over the RoIs that are not ignored.

    Source: Girshick 2015, Fast R-CNN, section 2.3; Matterport.
    Differs from Matterport: the active classes of each image are used, instead of the first image's for all images. The
        loss is 0 instead of NaN if all RoIs are ignored.
    """
    predicted = tf.argmax(pred_class_logits, axis=-1)  # [B, R]
    counts = tf.cast(tf.gather(active_class_ids, predicted, batch_dims=1), tf.float32)  # 0 for ignored RoIs
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.cast(target_class_ids, tf.int32), logits=tf.cast(pred_class_logits, tf.float32)
    )
    return joint_mean(tf.reduce_sum(losses * counts), tf.reduce_sum(counts))


def mrcnn_bbox_loss(target_bbox: tf.Tensor, target_class_ids: tf.Tensor, pred_bbox: tf.Tensor) -> tf.Tensor:
    """Computes the smooth L1 loss of the deltas that the positive RoIs predict for their target class.

    Args:
        target_bbox: `[B, R, 4]` target deltas.
        target_class_ids: `[B, R]` integer; above 0 is positive.
        pred_bbox: `[B, R, C, 4]` predicted deltas of each class.

    Returns:
        Scalar mean over the coordinates of the positive RoIs.

    Source: Girshick 2015, Fast R-CNN, section 2.3; Matterport.
    """
    positive, target_class = _positive_indices(target_class_ids)
    losses = smooth_l1_loss(tf.gather_nd(target_bbox, positive), tf.gather_nd(pred_bbox, target_class))  # [n, 4]
    return _mean(tf.reduce_mean(losses, axis=1))


def mrcnn_mask_loss(target_masks: tf.Tensor, target_class_ids: tf.Tensor, pred_masks: tf.Tensor) -> tf.Tensor:
    """Computes the binary cross entropy of the masks that the positive RoIs predict for their target class.

    Args:
        target_masks: `[B, R, M, M]` in 0..1.
        target_class_ids: `[B, R]` integer; above 0 is positive.
        pred_masks: `[B, R', M, M, C]` probabilities of the leading R' <= R RoIs. Positive RoIs come first, so the mask
            head does not have to run on the remaining RoIs.

    Returns:
        Scalar mean over the pixels of the positive RoIs.

    Source: He et al. 2017, Mask R-CNN, section 3; Matterport.
    """
    positive, target_class = _positive_indices(target_class_ids[:, : tf.shape(pred_masks)[1]])
    target = tf.cast(tf.gather_nd(target_masks, positive), tf.float32)  # [n, M, M]
    predicted = tf.gather_nd(tf.transpose(pred_masks, [0, 1, 4, 2, 3]), target_class)  # [n, M, M]
    logits = _logit(tf.cast(predicted, tf.float32))
    return _mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits))


def mrcnn_softmax_mask_loss(target_masks: tf.Tensor, target_class_ids: tf.Tensor, pred_masks: tf.Tensor) -> tf.Tensor:
    """Computes the cross entropy of masks with a softmax over the classes and the background in each cell.

    The target probabilities of a cell with mask target t are t for the class of the RoI and 1 - t for the background.

    Args:
        target_masks, target_class_ids, pred_masks: see `mrcnn_mask_loss`. The probabilities of a cell sum to 1.

    Returns:
        Scalar mean over the pixels of the positive RoIs.

    Source: He et al. 2017, Mask R-CNN, table 2b; Long et al. 2015, fully convolutional networks.
    """
    positive, target_class = _positive_indices(target_class_ids[:, : tf.shape(pred_masks)[1]])
    target = tf.cast(tf.gather_nd(target_masks, positive), tf.float32)  # [n, M, M]
    masks = tf.transpose(tf.cast(pred_masks, tf.float32), [0, 1, 4, 2, 3])
    background = tf.gather_nd(masks[:, :, 0], positive)  # [n, M, M]
    foreground = tf.gather_nd(masks, target_class)
    entropies = [
        weight * tf.math.log(tf.maximum(probability, PROBABILITY_EPSILON))
        for weight, probability in ((target, foreground), (1.0 - target, background))
    ]
    return _mean(-tf.add_n(entropies))


def mrcnn_refined_mask_loss(target_masks: tf.Tensor, target_class_ids: tf.Tensor, pred_masks: tf.Tensor) -> tf.Tensor:
    """Computes binary cross entropy plus Dice loss of the refined masks of the positive RoIs.

    Args:
        target_masks: `[B, P, Q, Q]` in 0..1.
        target_class_ids: `[B, R]` integer, R >= P; above 0 is positive.
        pred_masks: `[B, P, Q, Q]` probabilities.

    Returns:
        Scalar mean over the positive RoIs.

    Source: Milletari et al. 2016, V-Net, section 3, for the Dice loss.
    """
    positive = tf.where(target_class_ids[:, : tf.shape(pred_masks)[1]] > 0)
    target = tf.cast(tf.gather_nd(target_masks, positive), tf.float32)  # [n, Q, Q]
    predicted = tf.cast(tf.gather_nd(pred_masks, positive), tf.float32)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=_logit(predicted))
    intersection = tf.reduce_sum(target * predicted, axis=[1, 2])
    total = tf.reduce_sum(target**2 + predicted**2, axis=[1, 2])
    dice = 1.0 - 2.0 * intersection / tf.maximum(total, 1.0)
    return _mean(tf.reduce_mean(entropy, axis=[1, 2]) + dice)


def mrcnn_keypoint_loss(target_cells: tf.Tensor, pred_maps: tf.Tensor) -> tf.Tensor:
    """Computes the softmax cross entropy over the cells of the map of each labelled keypoint.

    Args:
        target_cells: `[B, R, J]` integer cell of each keypoint, -1 if not labelled; see `keypoint_cells`.
        pred_maps: `[B, R', Q, Q, J]` logits of the leading R' <= R RoIs, which include all positive RoIs.

    Returns:
        Scalar mean over the labelled keypoints of the positive RoIs.

    Source: He et al. 2017, Mask R-CNN, section 5.
    """
    batch, count, side, _, keypoints = tf.unstack(tf.shape(pred_maps))
    maps = tf.transpose(tf.reshape(pred_maps, [batch, count, side * side, keypoints]), [0, 1, 3, 2])  # [B, R', J, Q*Q]
    cells = target_cells[:, :count]
    labelled = tf.where(cells >= 0)  # [n, 3] image, RoI, keypoint
    logits = tf.cast(tf.gather_nd(maps, labelled), tf.float32)  # [n, Q*Q]
    labels = tf.gather_nd(cells, labelled)
    return _mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def weight_decay_loss(variables: Iterable[keras.Variable], rate: float) -> tf.Tensor:
    """Computes the L2 penalty: the sum of `rate * mean(w^2)` over the trainable variables except gamma and beta.

    Args:
        variables: variables of any layers; non-trainable variables are ignored.
        rate: weight decay, `Config.WEIGHT_DECAY`.

    Returns:
        float32 scalar.

    Source: Matterport.
    Differs from common practice: the mean of squares replaces the sum, so large kernels decay more slowly. Biases are
        also decayed.
    """
    decayed = [v for v in variables if v.trainable and v.name not in ("gamma", "beta")]
    penalties = [tf.reduce_mean(tf.square(tf.cast(tf.convert_to_tensor(v), tf.float32))) for v in decayed]
    return rate * tf.add_n(penalties) if penalties else tf.constant(0.0)


def joint_mean(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Computes `total / count` of two float32 scalars, or 0 if the count is 0.

    With several replicas, `count` is averaged over the replicas. The mean of their losses and gradients then equals the
    result of one device with the whole batch, for any distribution of the objects over the replicas.
    """
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        count = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stop_gradient(count))
    return tf.math.divide_no_nan(total, count)


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Computes the mean over all elements on all replicas; 0 for an empty tensor."""
    return joint_mean(tf.reduce_sum(values), tf.cast(tf.size(values), tf.float32))


def _positive_indices(class_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the indices of the positive RoIs: `[n, 2]` (image, RoI) and `[n, 3]` (image, RoI, class)."""
    positive = tf.where(class_ids > 0)
    ids = tf.cast(tf.gather_nd(class_ids, positive), tf.int64)
    return positive, tf.concat([positive, ids[:, None]], axis=1)


def _logit(probability: tf.Tensor) -> tf.Tensor:
    """Computes the inverse of the sigmoid. Finite at 0 and 1."""
    probability = tf.clip_by_value(probability, PROBABILITY_EPSILON, 1.0 - PROBABILITY_EPSILON)
    return tf.math.log(probability / (1.0 - probability))
