"""The functions on tensors of Matterport's `model` and `utils` modules, with their signatures.

Each one delegates to the module of `mrcnn` that implements it. Shape notation: B images, K proposals, R sampled RoIs, G
ground-truth slots, C classes, M mask side, F pyramid channels.
"""

import tensorflow as tf

from mrcnn import losses
from mrcnn.backbones.resnet import build_resnet
from mrcnn.layers.detection import refine_detections
from mrcnn.layers.heads import BoxHead, MaskHead, apply_rpn_head
from mrcnn.layers.targets import select_roi_targets
from mrcnn.ops import boxes_tf
from mrcnn.ops.image_meta import split_image_meta

# --- Boxes ---


def apply_box_deltas_graph(boxes, deltas):
    """Applies deltas `[N, 4]` to boxes `[N, 4]`."""
    return boxes_tf.apply_box_deltas(boxes, deltas)


def box_refinement_graph(box, gt_box):
    """Computes the deltas `[N, 4]` that transform `box [N, 4]` into `gt_box [N, 4]`."""
    return boxes_tf.box_refinement(box, gt_box)


def clip_boxes_graph(boxes, window):
    """Clips boxes `[N, 4]` to a window `[4]` in the same frame."""
    return boxes_tf.clip_boxes(boxes, window)


def norm_boxes_graph(boxes, shape):
    """Converts pixel boxes `[..., 4]` to normalised boxes; `shape` is (height, width)."""
    return boxes_tf.norm_boxes(boxes, shape)


def denorm_boxes_graph(boxes, shape):
    """Converts normalised boxes `[..., 4]` to int32 pixel boxes; `shape` is (height, width)."""
    return boxes_tf.denorm_boxes(boxes, shape)


def overlaps_graph(boxes1, boxes2):
    """Computes the IoU `[N, M]` of boxes `[N, 4]` with boxes `[M, 4]`."""
    return boxes_tf.compute_overlaps(boxes1, boxes2)


def trim_zeros_graph(boxes, name: str | None = None):
    """Removes the all-zero (padding) rows of `boxes [N, 4]`.

    Returns:
        The remaining boxes `[n, 4]`, and a bool mask `[N]` of the rows that remain.
    """
    keep = tf.reduce_any(tf.not_equal(boxes, 0.0), axis=-1)
    return tf.boolean_mask(boxes, keep, name=name), keep


# --- Batches ---


def batch_slice(inputs, graph_fn, batch_size: int, names: list[str] | None = None):
    """Applies a function to each image of a batch and stacks the results.

    Args:
        inputs: one tensor `[B, ...]` or a list of them.
        graph_fn: function of one image's tensors that returns one tensor or several.
        batch_size: B.
        names: names of the stacked tensors.

    Returns:
        One tensor, or a list if `graph_fn` returns several.
    """
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    outputs = [graph_fn(*(tensor[image] for tensor in inputs)) for image in range(batch_size)]
    outputs = [output if isinstance(output, (list, tuple)) else (output,) for output in outputs]
    names = names or [None] * len(outputs[0])
    stacked = [tf.stack(parts, name=name) for parts, name in zip(zip(*outputs, strict=True), names, strict=True)]
    return stacked[0] if len(stacked) == 1 else stacked


def batch_pack_graph(x, counts, num_rows: int):
    """Concatenates the first `counts[i]` items of each row i of `x [num_rows, N, ...]` to `[sum(counts), ...]`."""
    return tf.concat([x[row, : counts[row]] for row in range(num_rows)], axis=0)


def parse_image_meta_graph(meta):
    """Splits `image_meta [B, 12+C]` into a dictionary of its fields; see `image_meta.split_image_meta`."""
    return split_image_meta(meta)


def log2_graph(x):
    """Computes the logarithm to base 2; -inf at 0."""
    return tf.math.log(x) / tf.math.log(2.0)


# --- Stages of the network ---


def resnet_graph(input_image, architecture, stage5=False, train_bn=True):
    """Builds ResNet-50 or -101 and returns [C1, C2, C3, C4, C5]; C5 is None without `stage5`."""
    return build_resnet(input_image, architecture, stage5, train_bn)


def rpn_graph(feature_map, anchors_per_location: int, anchor_stride: int):
    """Builds the region proposal network on a feature map `[B, h, w, F]`; see `heads.build_rpn_model`."""
    return apply_rpn_head(feature_map, anchors_per_location, anchor_stride)


def fpn_classifier_graph(rois, feature_maps, image_meta, pool_size, num_classes, train_bn=True, fc_layers_size=1024):
    """Builds a box head; see `heads.BoxHead`."""
    return BoxHead(pool_size, num_classes, train_bn, fc_layers_size)(rois, feature_maps, image_meta)


def build_fpn_mask_graph(rois, feature_maps, image_meta, pool_size, num_classes, train_bn=True):
    """Builds a mask head; see `heads.MaskHead`."""
    return MaskHead(pool_size, num_classes, train_bn)(rois, feature_maps, image_meta)


def refine_detections_graph(rois, probs, deltas, window, config):
    """Computes the detections `[D, 6]` of one image with the settings of a Config; see `refine_detections`."""
    return refine_detections(
        rois,
        probs,
        deltas,
        window,
        bbox_std_dev=[float(value) for value in config.BBOX_STD_DEV],
        min_confidence=config.DETECTION_MIN_CONFIDENCE or 0.0,
        max_instances=config.DETECTION_MAX_INSTANCES,
        nms_threshold=config.DETECTION_NMS_THRESHOLD,
        any_foreground=config.DETECTION_ANY_FOREGROUND,
        box_voting=config.DETECTION_BOX_VOTING,
    )


def detection_targets_graph(proposals, gt_class_ids, gt_boxes, gt_masks, config):
    """Samples the RoIs of one image and computes their targets as Matterport's `DetectionTargetLayer` does.

    Args:
        proposals: `[K, 4]` normalised, zero padded.
        gt_class_ids: `[G]` int32.
        gt_boxes: `[G, 4]` normalised, zero padded.
        gt_masks: `[h, w, G]` bool.
        config: provides TRAIN_ROIS_PER_IMAGE, ROI_POSITIVE_RATIO, MASK_SHAPE, USE_MINI_MASK and BBOX_STD_DEV.

    Returns:
        rois `[R, 4]`, class_ids `[R]` int32, deltas `[R, 4]`, masks `[R, M, M]`.
    """
    inputs = [tf.convert_to_tensor(value)[None] for value in (proposals, gt_class_ids, gt_boxes, gt_masks)]
    outputs = select_roi_targets(
        *inputs,
        tf.random.uniform(tf.shape(inputs[0])[:2]),
        rois_per_image=config.TRAIN_ROIS_PER_IMAGE,
        positive_ratio=config.ROI_POSITIVE_RATIO,
        mask_shape=config.MASK_SHAPE,
        use_mini_mask=config.USE_MINI_MASK,
        bbox_std_dev=config.BBOX_STD_DEV,
        negatives="matterport",
    )
    return tuple(output[0] for output in outputs)


# --- Losses ---


def rpn_class_loss_graph(rpn_match, rpn_class_logits):
    """Computes the RPN classification loss; see `losses.rpn_class_loss`."""
    return losses.rpn_class_loss(rpn_match, rpn_class_logits)


def rpn_bbox_loss_graph(config, target_bbox, rpn_match, rpn_bbox):
    """Computes the RPN box loss; see `losses.rpn_bbox_loss`. `config` is ignored."""
    del config
    return losses.rpn_bbox_loss(target_bbox, rpn_match, rpn_bbox)


def mrcnn_class_loss_graph(target_class_ids, pred_class_logits, active_class_ids):
    """Computes the classification loss of the box head; see `losses.mrcnn_class_loss`."""
    return losses.mrcnn_class_loss(target_class_ids, pred_class_logits, active_class_ids)


def mrcnn_bbox_loss_graph(target_bbox, target_class_ids, pred_bbox):
    """Computes the box loss of the box head; see `losses.mrcnn_bbox_loss`."""
    return losses.mrcnn_bbox_loss(target_bbox, target_class_ids, pred_bbox)


def mrcnn_mask_loss_graph(target_masks, target_class_ids, pred_masks):
    """Computes the loss of the mask head; see `losses.mrcnn_mask_loss`."""
    return losses.mrcnn_mask_loss(target_masks, target_class_ids, pred_masks)
