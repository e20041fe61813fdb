"""The training graph: proposals, targets, the heads on the sampled RoIs, and the losses.

Shape notation: B images, A anchors, T sampled anchors, K proposals, R sampled RoIs, G ground-truth slots, C classes
with background 0, J keypoints.
"""

from dataclasses import dataclass

import keras

from mrcnn.config import Config
from mrcnn.layers.anchors import Anchors
from mrcnn.layers.boxes import LeadingPositives, NormBoxes
from mrcnn.layers.mask_refinement import RefinedRoIs, RefinementTargets
from mrcnn.layers.targets import DetectionTargetLayer
from mrcnn.network.keras_model import Network
from mrcnn.network.loss_layers import KEYPOINT_LOSS, REFINEMENT_LOSS, LossLayer, loss_names
from mrcnn.network.shared_layers import SharedLayers
from mrcnn.ops.anchors import anchor_settings
from mrcnn.ops.image_meta import split_image_meta


def build_training_graph(layers: SharedLayers) -> Network:
    """Builds the training graph.

    Args:
        layers: the layers of the network.

    Returns:
        Model from [`input_image`, `input_image_meta`, `input_rpn_match [B, A, 1]`, `input_rpn_bbox [B, T, 4]`,
        `input_gt_class_ids [B, G]`, `input_gt_boxes [B, G, 4]` pixels, `input_gt_masks [B, h, w, G]`, with
        NUM_KEYPOINTS `input_gt_keypoints [B, G, J, 3]` pixels, and without USE_RPN_ROIS `input_roi [B, K, 4]` pixels]
        to [`rpn_class_logits`, `rpn_class`, `rpn_bbox`, `mrcnn_class_logits`, `mrcnn_class`, `mrcnn_bbox`,
        `mrcnn_mask`, `ROI`, `output_rois [B, R, 4]`, and the losses of `loss_names`, scalars]. Without MASK_HEAD,
        `input_gt_masks` and `mrcnn_mask` are omitted. Without an RPN (PROPOSALS), the inputs and outputs of the RPN
        are omitted.
    """
    config, meta, pyramid = layers.config, layers.meta, layers.roi_pyramid
    rpn_targets, truth = _rpn_target_inputs(config), _ground_truth_inputs(config)
    inputs = [layers.image, meta, *rpn_targets, truth.class_ids, truth.boxes, *truth.masks, *truth.keypoints]
    if config.USE_RPN_ROIS:
        anchors = Anchors(**anchor_settings(config, config.IMAGE_SHAPE), image_shape=config.IMAGE_SHAPE, name="anchors")
        proposals = layers.propose(config.POST_NMS_ROIS_TRAINING, anchors(layers.image))
    else:
        rois, proposals = layers.external_proposals(config.POST_NMS_ROIS_TRAINING)
        inputs.append(rois)
    truth.boxes = NormBoxes(name="norm_gt_boxes")([truth.boxes, layers.image])
    rois, class_ids, target_bbox, *mask_and_keypoint_targets = DetectionTargetLayer(config, name="proposal_targets")(
        [proposals, truth.class_ids, truth.boxes, *truth.masks, *truth.keypoints]
    )

    logits, probs, deltas = layers.box_head(rois, pyramid, meta)
    active = split_image_meta(meta)["active_class_ids"]
    loss_inputs = {
        "mrcnn_class_loss": [class_ids, logits, active],
        "mrcnn_bbox_loss": [target_bbox, class_ids, deltas],
    }
    if config.has_rpn:
        rpn_match, rpn_bbox = rpn_targets
        loss_inputs["rpn_class_loss"] = [rpn_match, layers.rpn[0]]
        loss_inputs["rpn_bbox_loss"] = [rpn_bbox, rpn_match, layers.rpn[2]]
    masks = []
    if layers.mask_head or layers.keypoint_head:
        positives = LeadingPositives(name="positive_rois")([rois, class_ids])
    if layers.mask_head:
        masks = [layers.mask_head(positives, pyramid, meta, count=config.TRAIN_ROIS_PER_IMAGE)]
        loss_inputs["mrcnn_mask_loss"] = [mask_and_keypoint_targets[0], class_ids, *masks]
    if layers.mask_refinement:
        loss_inputs[REFINEMENT_LOSS] = _refinement_loss_inputs(layers, truth, positives, class_ids, deltas, *masks)
    if layers.keypoint_head:
        maps = layers.keypoint_head(positives, pyramid, meta)
        loss_inputs[KEYPOINT_LOSS] = [mask_and_keypoint_targets[-1], maps]

    functions = {"mrcnn_mask_loss": "mrcnn_softmax_mask_loss"} if config.MASK_ACTIVATION == "softmax" else {}
    losses = [LossLayer(functions.get(name), name=name)(loss_inputs[name]) for name in loss_names(config)]
    output_rois = keras.layers.Identity(name="output_rois")(rois)
    outputs = [*layers.rpn, logits, probs, deltas, *masks, proposals, output_rois, *losses]
    return layers.connect(inputs, outputs)


@dataclass
class _GroundTruth:
    """Keras tensors of the ground truth. `masks` and `keypoints` are empty lists in networks without these heads."""

    class_ids: keras.KerasTensor
    boxes: keras.KerasTensor
    masks: list[keras.KerasTensor]
    keypoints: list[keras.KerasTensor]


def _ground_truth_inputs(config: Config) -> _GroundTruth:
    """Returns the ground-truth inputs. Boxes are in pixels."""
    count, masks, keypoints = config.MAX_GT_INSTANCES, [], []
    class_ids = keras.Input((count,), dtype="int32", name="input_gt_class_ids")
    boxes = keras.Input((count, 4), name="input_gt_boxes")
    if config.MASK_HEAD:
        height, width = map(int, config.MINI_MASK_SHAPE if config.USE_MINI_MASK else config.IMAGE_SHAPE[:2])
        masks = [keras.Input((height, width, count), dtype="bool", name="input_gt_masks")]
    if config.NUM_KEYPOINTS:
        keypoints = [keras.Input((count, config.NUM_KEYPOINTS, 3), name="input_gt_keypoints")]
    return _GroundTruth(class_ids, boxes, masks, keypoints)


def _rpn_target_inputs(config: Config) -> list[keras.KerasTensor]:
    if not config.has_rpn:
        return []
    return [
        keras.Input((None, 1), dtype="int32", name="input_rpn_match"),
        keras.Input((None, 4), name="input_rpn_bbox"),
    ]


def _refinement_loss_inputs(layers: SharedLayers, truth: _GroundTruth, positives, class_ids, deltas, masks) -> list:
    """Refines the masks of the first positive RoIs and returns the inputs of the refinement loss."""
    config = layers.config
    refine = RefinedRoIs(config.MASK_REFINEMENT_ROIS, config.BBOX_STD_DEV, name="refined_rois")
    coarse_rois = positives[:, : config.MASK_REFINEMENT_ROIS]
    boxes = refine([positives, class_ids, deltas])
    frames, refined = layers.mask_refinement(boxes, coarse_rois, class_ids, masks, layers.image, layers.pyramid[0])
    targets = RefinementTargets(config.MASK_REFINEMENT_SIZE, config.USE_MINI_MASK, name="refinement_targets")
    target_masks = targets([boxes, frames, truth.class_ids, truth.boxes, *truth.masks, layers.image])
    return [target_masks, class_ids, refined]
