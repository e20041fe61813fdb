"""The inference graph: proposals, detections, and the masks and keypoints of the detections.

Shape notation: B images, A anchors, K proposals, D detections, C classes with background 0, M mask side, Q refined mask
side, J keypoints, N keypoint map side.
"""

import keras

from mrcnn.config import Config
from mrcnn.layers.boxes import TrimPadding
from mrcnn.layers.detection import DetectionLayer
from mrcnn.network.keras_model import Network
from mrcnn.network.shared_layers import SharedLayers
from mrcnn.ops.keypoints import BOX_PADDING


def build_inference_graph(layers: SharedLayers, config: Config, threshold_input: bool = False) -> Network:
    """Builds the inference graph.

    Args:
        layers: the layers of the network.
        config: the Config of `layers`, or one with other detection settings.
        threshold_input: whether to add an input `input_min_confidence [B]` that replaces DETECTION_MIN_CONFIDENCE.

    Returns:
        Model from [`input_image [B, H, W, channels]`, `input_image_meta [B, 12+C]`, `input_anchors [B or 1, A, 4]`
        normalized] to [`mrcnn_detection [B, D, 6]`, `mrcnn_class [B, K, C]`, `mrcnn_bbox [B, K, C, 4]`,
        `mrcnn_mask [B, D, M, M, C]`, `ROI [B, K, 4]`, `rpn_class [B, A, 2]`, `rpn_bbox [B, A, 4]`], all float32.
        Without MASK_HEAD, `mrcnn_mask` is omitted. MASK_REFINEMENT_SIZE adds `mrcnn_refined_mask [B, D', Q, Q]`, the
        mask of the predicted class in the padded box of each detection. D' <= D is the largest number of detections in
        an image, at least 1. NUM_KEYPOINTS adds the last output `mrcnn_keypoint [B, D, N, N, J]`, logits in the box of
        each detection, padded by BOX_PADDING. In padding rows, probabilities, deltas, masks and keypoint maps are
        undefined.
        Without an RPN (PROPOSALS), the third input is `input_roi [B, K, 4]`, int32 pixels, zero-padded, and the
        outputs of the RPN are omitted.
    """
    proposal_count = config.POST_NMS_ROIS_INFERENCE
    if config.has_rpn:
        anchors_or_rois = keras.Input((None, 4), name="input_anchors")
        rois = layers.propose(proposal_count, anchors_or_rois)
    else:
        anchors_or_rois, rois = layers.external_proposals(proposal_count)
    thresholds = [keras.Input((), name="input_min_confidence")] if threshold_input else []
    inputs = [layers.image, layers.meta, anchors_or_rois, *thresholds]

    used = TrimPadding(name="trim_proposals")(rois)
    _, probs, deltas = layers.box_head(used, layers.roi_pyramid, layers.meta, count=proposal_count)
    detections = DetectionLayer(config, name="mrcnn_detection")([rois, probs, deltas, layers.meta, *thresholds])
    masks, refined_masks_and_keypoints = _masks_and_keypoints(layers, config, detections)
    outputs = [detections, probs, deltas, *masks, rois, *layers.rpn[1:], *refined_masks_and_keypoints]
    return layers.connect(inputs, outputs)


def _masks_and_keypoints(layers: SharedLayers, config: Config, detections) -> tuple[list, list]:
    """Returns `[mrcnn_mask]` and `[mrcnn_refined_mask, mrcnn_keypoint]`. Missing outputs are omitted from the lists.

    Args:
        detections: `[B, D, 6]`.
    """
    masks, others = [], []
    if not layers.mask_head and not layers.keypoint_head:
        return masks, others
    boxes = TrimPadding(name="trim_detections")(detections[..., :4])
    if layers.mask_head:
        masks = [layers.mask_head(boxes, layers.roi_pyramid, layers.meta, count=config.DETECTION_MAX_INSTANCES)]
    if layers.mask_refinement:
        class_ids = detections[..., 4]
        _, refined = layers.mask_refinement(boxes, boxes, class_ids, *masks, layers.image, layers.pyramid[0])
        others.append(refined)
    if layers.keypoint_head:
        margin = BOX_PADDING * (boxes[..., 2:] - boxes[..., :2])
        padded = keras.ops.concatenate([boxes[..., :2] - margin, boxes[..., 2:] + margin], axis=-1)
        count = config.DETECTION_MAX_INSTANCES
        others.append(layers.keypoint_head(padded, layers.roi_pyramid, layers.meta, count=count))
    return masks, others
