"""Assigns training targets to anchors: matching with the ground truth, sampling, and deltas.

Shape notation: A anchors, T sampled anchors, G ground-truth slots. `mrcnn.matterport.targets_numpy` has a NumPy
reference implementation.
"""

from collections.abc import Sequence

import tensorflow as tf

from mrcnn.ops.boxes_tf import encode_boxes

RPN_NEGATIVE_IOU = 0.3  # anchors below this IoU with all objects are negative
IGNORE_IOU = 0.001  # anchors and RoIs with at least this IoU with an ignore region are not negative


def select_rpn_targets(
    anchors_px: tf.Tensor,
    gt_class_ids: tf.Tensor,
    gt_boxes: tf.Tensor,
    *,
    train_anchors_per_image: int,
    bbox_std_dev: Sequence[float],
    seed: tf.Tensor,
    positive_iou: float = 0.7,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples anchors of one image and computes the targets of the RPN.

    An anchor is positive if its IoU with an object is at least `positive_iou`, or if no other anchor has a higher IoU
    with that object (several anchors can tie). It is negative if its IoU is below 0.3 with all objects and it does not
    overlap an ignore region. At most half of the T sampled anchors are positive, and the rest are negative. An image
    without objects has only negative anchors.

    Args:
        anchors_px: `[A, 4]` pixels of the preprocessed image. IoU is computed in float64, because ties depend on the
            last bit.
        gt_class_ids: `[G]` integer; above 0 for objects, below 0 for ignore regions or crowds, 0 for padding.
        gt_boxes: `[G, 4]` pixels of the preprocessed image; zero-area boxes are ignored.
        train_anchors_per_image: T.
        bbox_std_dev: `[4]` divisors of the deltas.
        seed: `[2]` int32 seed of the sampling.
        positive_iou: minimum IoU of positive anchors, at least 0.3.

    Returns:
        rpn_match: `[A]` int32; 1 positive, -1 negative, 0 not sampled.
        rpn_bbox: `[T, 4]` float32 deltas of the positive anchors in anchor order, each to the object with the highest
            IoU; zero-padded.

    Source: Ren et al. 2015, Faster R-CNN, section 3.1.2; Matterport.
    Differs from Matterport: an object that overlaps no anchor has no positive anchor. In Matterport's code, such an
        object makes all anchors positive.
    """
    anchors = tf.cast(anchors_px, tf.float64)
    boxes = tf.cast(gt_boxes, tf.float64)
    has_area = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1)
    objects = tf.boolean_mask(boxes, has_area & (gt_class_ids > 0))
    ignored = tf.boolean_mask(boxes, has_area & (gt_class_ids < 0))

    best_iou, best_object, is_best = _match_anchors(anchors, objects)
    ignored_iou, _, _ = _match_anchors(anchors, ignored)
    positive = is_best | (best_iou >= positive_iou)
    negative = ~positive & (best_iou < RPN_NEGATIVE_IOU) & (ignored_iou < IGNORE_IOU)

    # The positive and negative sets are disjoint, so they can share one random draw.
    draw = tf.random.stateless_uniform(tf.shape(best_iou), seed)
    positive = _sample(positive, draw, train_anchors_per_image // 2)
    negative = _sample(negative, draw, train_anchors_per_image - tf.shape(positive)[0])
    match = tf.zeros_like(best_object)
    match = tf.tensor_scatter_nd_update(match, positive[:, None], tf.ones_like(positive))
    match = tf.tensor_scatter_nd_update(match, negative[:, None], -tf.ones_like(negative))

    positive = tf.sort(positive)
    matched = tf.gather(objects, tf.gather(best_object, positive))
    deltas = encode_boxes(tf.gather(anchors, positive), matched) / tf.constant(list(bbox_std_dev), tf.float64)
    padding = train_anchors_per_image - tf.shape(positive)[0]
    deltas = tf.pad(tf.cast(deltas, tf.float32), [[0, padding], [0, 0]])
    return match, tf.ensure_shape(deltas, [train_anchors_per_image, 4])


def _match_anchors(anchors: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Matches anchors `[A, 4]` with boxes `[n, 4]`, one box at a time to avoid an `[A, n]` matrix.

    Returns:
        best_iou: `[A]` float64 highest IoU with a box; 0 if there are no boxes.
        best_box: `[A]` int32 index of the first box with that IoU.
        is_best: `[A]` bool, whether the anchor has the highest IoU of all anchors with some box.
    """
    y1, x1, y2, x2 = tf.unstack(anchors, axis=1)
    anchor_areas = (y2 - y1) * (x2 - x1)

    def compare(index, best_iou, best_box, is_best):
        box_y1, box_x1, box_y2, box_x2 = tf.unstack(boxes[index])
        heights = tf.maximum(tf.minimum(box_y2, y2) - tf.maximum(box_y1, y1), 0.0)
        widths = tf.maximum(tf.minimum(box_x2, x2) - tf.maximum(box_x1, x1), 0.0)
        intersections = heights * widths
        box_area = (box_y2 - box_y1) * (box_x2 - box_x1)
        iou = intersections / (box_area + anchor_areas - intersections)  # [A]
        highest = tf.reduce_max(iou)
        best_box = tf.where(iou > best_iou, index, best_box)
        is_best |= (iou == highest) & (highest > 0)
        return index + 1, tf.maximum(iou, best_iou), best_box, is_best

    start = (0, tf.zeros_like(y1), tf.zeros_like(y1, tf.int32), tf.zeros_like(y1, tf.bool))
    _, best_iou, best_box, is_best = tf.while_loop(lambda index, *_: index < tf.shape(boxes)[0], compare, start)
    return best_iou, best_box, is_best


def _sample(candidates: tf.Tensor, draw: tf.Tensor, max_count: tf.Tensor | int) -> tf.Tensor:
    """Returns the int32 indices of the `max_count` candidates (bool `[A]`) with the highest `draw [A]`, or of all."""
    score = tf.where(candidates, draw, -1.0)
    score, index = tf.math.top_k(score, tf.minimum(max_count, tf.size(score)))
    return tf.boolean_mask(index, score >= 0)
