"""Tensor functions of Matterport's `model` and `utils` modules, with their signatures.

Most functions call functions and layers of `mrcnn`. Shape notation: B images, K proposals, R sampled RoIs, D
detections, G ground-truth slots, M mask side.
"""

import tensorflow as tf

from mrcnn import losses
from mrcnn.backbones.resnet import build_resnet
from mrcnn.layers.detection import DetectionLayer, refine_detections
from mrcnn.layers.heads import BoxHead, MaskHead, apply_rpn_head
from mrcnn.layers.targets import select_roi_targets
from mrcnn.ops import boxes_tf
from mrcnn.ops.image_meta import split_image_meta

# Functions with the same arguments as in Matterport's code.
apply_box_deltas_graph = boxes_tf.apply_box_deltas
box_refinement_graph = boxes_tf.box_refinement
clip_boxes_graph = boxes_tf.clip_boxes
norm_boxes_graph = boxes_tf.norm_boxes
denorm_boxes_graph = boxes_tf.denorm_boxes
overlaps_graph = boxes_tf.compute_overlaps
parse_image_meta_graph = split_image_meta
resnet_graph = build_resnet
rpn_graph = apply_rpn_head
rpn_class_loss_graph = losses.rpn_class_loss
mrcnn_class_loss_graph = losses.mrcnn_class_loss
mrcnn_bbox_loss_graph = losses.mrcnn_bbox_loss
mrcnn_mask_loss_graph = losses.mrcnn_mask_loss


def rpn_bbox_loss_graph(config, target_bbox, rpn_match, rpn_bbox):
    """Computes the RPN box loss; see `losses.rpn_bbox_loss`. `config` is ignored."""
    del config
    return losses.rpn_bbox_loss(target_bbox, rpn_match, rpn_bbox)


# --- Tensors ---


def trim_zeros_graph(boxes, name: str | None = None):
    """Removes the all-zero (padding) rows of `boxes [N, 4]`.

    Returns:
        The remaining boxes `[n, 4]`, and a bool mask `[N]` of the remaining rows.
    """
    keep = tf.reduce_any(tf.not_equal(boxes, 0.0), axis=-1)
    return tf.boolean_mask(boxes, keep, name=name), keep


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
    """Concatenates the first `counts[i]` items of each row i of `x [num_rows, N, ...]` as `[sum(counts), ...]`."""
    return tf.concat([x[row, : counts[row]] for row in range(num_rows)], axis=0)


def log2_graph(x):
    """Computes the base-2 logarithm, which is -inf at 0."""
    return tf.math.log(x) / tf.math.log(2.0)


# --- Stages of the network ---


def fpn_classifier_graph(rois, feature_maps, image_meta, pool_size, num_classes, train_bn=True, fc_layers_size=1024):
    """Builds a box head and returns its logits, probabilities and deltas; see `heads.BoxHead`."""
    return BoxHead(pool_size, num_classes, train_bn, fc_layers_size)(rois, feature_maps, image_meta)


def build_fpn_mask_graph(rois, feature_maps, image_meta, pool_size, num_classes, train_bn=True):
    """Builds a mask head and returns its masks; see `heads.MaskHead`."""
    return MaskHead(pool_size, num_classes, train_bn)(rois, feature_maps, image_meta)


def refine_detections_graph(rois, probs, deltas, window, config):
    """Computes the detections `[D, 6]` of one image with the settings of a Config; see `refine_detections`."""
    layer = DetectionLayer(config)
    return refine_detections(rois, probs, deltas, window, layer.min_confidence, **layer.settings)


def detection_targets_graph(proposals, gt_class_ids, gt_boxes, gt_masks, config):
    """Samples the RoIs of one image and computes their targets, like Matterport's `DetectionTargetLayer`.

    Args:
        proposals: `[K, 4]` normalized, zero-padded.
        gt_class_ids: `[G]` int32.
        gt_boxes: `[G, 4]` normalized, zero-padded.
        gt_masks: `[h, w, G]` bool.
        config: Config. TRAIN_ROIS_PER_IMAGE, ROI_POSITIVE_RATIO, MASK_SHAPE, USE_MINI_MASK and BBOX_STD_DEV are used.

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
