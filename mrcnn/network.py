"""Assembles the layers into the training graph and the inference graph, which share their weights.

This module passes the settings of a `Config` to the layers.

Shape notation: B images, A anchors, T sampled anchors, K proposals, R sampled RoIs, D detections, G ground-truth slots,
C classes with background 0, M mask side, Q refined mask side, J keypoints, N keypoint map side.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from mrcnn import checkpoints, losses
from mrcnn.backbones import build_backbone
from mrcnn.backbones.fpn import build_fpn
from mrcnn.backbones.resnet import build_res5
from mrcnn.choices import C4_BACKBONES
from mrcnn.config import Config
from mrcnn.layers.anchors import Anchors
from mrcnn.layers.boxes import LeadingPositives, NormBoxes, TrimPadding
from mrcnn.layers.common import ConvNorm, Float32Layer, PerRoI, register
from mrcnn.layers.detection import DetectionLayer
from mrcnn.layers.heads import BoxHead, KeypointHead, MaskHead, build_rpn_model
from mrcnn.layers.mask_refinement import MaskRefinement, RefinedRoIs, RefinementTargets
from mrcnn.layers.proposals import ProposalLayer
from mrcnn.layers.targets import DetectionTargetLayer
from mrcnn.ops.anchors import anchor_settings
from mrcnn.ops.image_meta import split_image_meta
from mrcnn.ops.keypoints import BOX_PADDING

LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
REFINEMENT_LOSS = "mrcnn_refined_mask_loss"
KEYPOINT_LOSS = "mrcnn_keypoint_loss"


def loss_names(config: Config) -> tuple[str, ...]:
    """Returns the names of the losses in the order of the last outputs of the training graph."""
    names = LOSSES[0 if config.has_rpn else 2 : len(LOSSES) if config.MASK_HEAD else -1]
    names += (REFINEMENT_LOSS,) if config.MASK_REFINEMENT_SIZE else ()
    return names + ((KEYPOINT_LOSS,) if config.NUM_KEYPOINTS else ())


class InputImage(keras.KerasTensor):
    """Keras tensor of the input image that TensorFlow operations convert to a string, the name of the input.

    Scripts for TensorFlow 1 request the input from `run_graph` as `tf.identity(input_image)`. TensorFlow 2 raises an
    error for other Keras tensors but accepts this class, and `run_graph` finds the input by its name.
    """

    def __tf_tensor__(self, dtype=None, name=None):
        return tf.constant(self.name)


@register
class Network(keras.Model):
    """A functional Keras model with the interface of Matterport's flat graph.

    `get_layer` finds nested layers by name, and weights are saved in Matterport's layout under any file name.

    Attributes:
        config: the Config that is stored with the weights, or None.
    """

    config: Config | None = None

    def get_layer(self, name: str | None = None, index: int | None = None) -> keras.layers.Layer:
        """Returns a layer by name, including layers of nested models. Raises ValueError if it does not exist."""
        if name is not None and name not in {layer.name for layer in self.layers}:
            for layer in flatten_layers(self):
                if layer.name == name:
                    return layer
        return super().get_layer(name=name, index=index)

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Writes a checkpoint; see `checkpoints.save_weights`."""
        checkpoints.save_weights(named_layers(self), filepath, config=self.config, overwrite=overwrite)

    def load_weights(
        self, filepath: str | Path, by_name: bool = False, exclude: Iterable[str] | None = None
    ) -> checkpoints.LoadReport:
        """Loads a checkpoint; see `checkpoints.load_weights`."""
        return checkpoints.load_weights(named_layers(self), filepath, exclude=exclude, by_name=by_name)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the weighted sum of the losses, which are the last elements of `y_pred`, plus the L2 penalty."""
        weights = [self.config.LOSS_WEIGHTS.get(name, 1.0) for name in loss_names(self.config)]
        weighted = [weight * loss for weight, loss in zip(weights, y_pred[-len(weights) :], strict=True)]
        return tf.add_n(weighted) + losses.weight_decay_loss(self.trainable_variables, self.config.WEIGHT_DECAY)


def flatten_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers (Conv2D, BatchNorm, Dense, ...) of a model and its nested models in order, without wrappers."""
    for layer in _nested_layers(model):
        parts = (layer.conv, layer.norm) if isinstance(layer, ConvNorm) else (layer,)
        yield from (part for part in parts if part is not None)


def conv_norms(model: keras.Model) -> Iterator[ConvNorm]:
    """Yields the ConvNorm layers of a model and of its nested models."""
    return (layer for layer in _nested_layers(model) if isinstance(layer, ConvNorm))


def _nested_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, PerRoI) else layer
        if isinstance(inner, keras.Model):
            yield from _nested_layers(inner)
        else:
            yield inner


def named_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns the layers that have weights, by the name under which checkpoints store them."""
    return {layer.name: layer for layer in flatten_layers(model) if layer.weights}


@register
class LossLayer(Float32Layer):
    """Computes a scalar loss in float32 with a function of `mrcnn.losses`. The layer has the name of the loss.

    Args:
        function: name of the function. Defaults to the name of the layer.
    """

    def __init__(self, function=None, **kwargs):
        super().__init__(**kwargs)
        self.function = function or self.name

    def call(self, inputs):
        return getattr(losses, self.function)(*inputs)

    def get_config(self):
        return {**super().get_config(), "function": self.function}

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((), dtype="float32")


class NetworkBuilder:
    """Creates the layers of the network. `training()` and `inference()` build models that share them.

    Args:
        config: a validated Config.
    """

    def __init__(self, config: Config):
        self.config = config
        image = InputImage((None, None, None, config.IMAGE_CHANNEL_COUNT), "float32", name="input_image")
        self.image = keras.Input(tensor=image, name="input_image")
        self.meta = keras.Input((config.IMAGE_META_SIZE,), name="input_image_meta")
        backbone = config.function("BACKBONE") if callable(config.BACKBONE) else config.BACKBONE
        features = build_backbone(backbone, self.image, config.TRAIN_BN)
        heads = {}
        if backbone in C4_BACKBONES:
            self.pyramid = [features[3]]
            heads["res5"] = PerRoI(build_res5(backbone.removesuffix("_c4"), config.TRAIN_BN))
        else:
            self.pyramid = build_fpn(features, config.TOP_DOWN_PYRAMID_SIZE)
        self.rpn = self._rpn() if config.has_rpn else []
        roi_align = dict(method=config.ROI_ALIGN_METHOD, pooling=config.ROI_POOLING)
        classes, train_bn = config.NUM_CLASSES, config.TRAIN_BN
        fc_layers_size = config.FPN_CLASSIF_FC_LAYERS_SIZE
        self.box_head = BoxHead(config.POOL_SIZE, classes, train_bn, fc_layers_size, **heads, **roi_align)
        self.mask_head = self.keypoint_head = self.mask_refinement = None
        if config.MASK_HEAD:
            self.mask_head = MaskHead(
                config.MASK_POOL_SIZE,
                classes,
                train_bn,
                config.MASK_HEAD_CHANNELS,
                config.MASK_HEAD_CONVOLUTIONS,
                config.MASK_ACTIVATION,
                **heads,
                **roi_align,
            )
        if config.NUM_KEYPOINTS:
            self.keypoint_head = KeypointHead(
                config.MASK_POOL_SIZE,
                config.NUM_KEYPOINTS,
                train_bn,
                2 * config.MASK_HEAD_CHANNELS,
                2 * config.MASK_HEAD_CONVOLUTIONS,
                **roi_align,
            )
        if config.MASK_REFINEMENT_SIZE:
            self.mask_refinement = MaskRefinement(
                config.MASK_REFINEMENT_SIZE,
                config.MASK_REFINEMENT_PADDING,
                config.MASK_REFINEMENT_CHANNELS,
                config.ROI_ALIGN_METHOD,
            )

    def _rpn(self) -> list[keras.KerasTensor]:
        """Returns `rpn_class_logits [B, A, 2]`, `rpn_class [B, A, 2]` and `rpn_bbox [B, A, 4]` of all levels."""
        config = self.config
        ratios = len(config.RPN_ANCHOR_RATIOS)
        if len(self.pyramid) == 1:  # C4: all scales on one feature map
            ratios *= len(config.RPN_ANCHOR_SCALES)
        rpn = build_rpn_model(config.RPN_ANCHOR_STRIDE, ratios, self.pyramid[0].shape[-1], config.RPN_CHANNELS)
        rpn_pyramid = self.pyramid[: len(config.RPN_ANCHOR_SCALES)]
        levels = zip(*[rpn(feature_map) for feature_map in rpn_pyramid], strict=True)
        return [
            keras.layers.Concatenate(axis=1, name=name, dtype="float32")(list(level))
            for name, level in zip(("rpn_class_logits", "rpn_class", "rpn_bbox"), levels, strict=True)
        ]

    def _network(self, inputs: list, outputs: list) -> Network:
        network = Network(inputs, outputs, name="mask_rcnn")
        network.config = self.config
        return network

    def _propose(self, count: int, anchors) -> keras.KerasTensor:
        layer = ProposalLayer(count, self.config.RPN_NMS_THRESHOLD, self.config, name="ROI")
        return layer([self.rpn[1], self.rpn[2], anchors])

    def _external_proposals(self, count: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns the input `input_roi [B, K, 4]` in pixels and the same boxes in normalised coordinates."""
        rois = keras.Input((count, 4), dtype="int32", name="input_roi")
        return rois, NormBoxes(name="ROI")([rois, self.image])

    def inference(self, config: Config | None = None, threshold_input: bool = False) -> Network:
        """Builds the inference graph.

        Args:
            config: Config with other detection settings. Defaults to the Config of the builder.
            threshold_input: whether to add an input `input_min_confidence [B]` that replaces DETECTION_MIN_CONFIDENCE.

        Returns:
            Model from [`input_image [B, H, W, channels]`, `input_image_meta [B, 12+C]`, `input_anchors [B or 1, A, 4]`
            normalised] to [`mrcnn_detection [B, D, 6]`, `mrcnn_class [B, K, C]`, `mrcnn_bbox [B, K, C, 4]`,
            `mrcnn_mask [B, D, M, M, C]`, `ROI [B, K, 4]`, `rpn_class [B, A, 2]`, `rpn_bbox [B, A, 4]`], all float32.
            Without MASK_HEAD there is no `mrcnn_mask`. With MASK_REFINEMENT_SIZE there is `mrcnn_refined_mask
            [B, D', Q, Q]`, the mask of each detection for its class, in its padded box. D' <= D is the largest number
            of detections of an image, at least 1. With NUM_KEYPOINTS the last output is `mrcnn_keypoint
            [B, D, N, N, J]`, logits in the box of each detection, padded by BOX_PADDING. In padding rows,
            probabilities, deltas, masks and keypoint maps are undefined.
            Without an RPN (PROPOSALS), the third input is `input_roi [B, K, 4]`, int32 pixels, zero padded, and the
            outputs of the RPN are missing.
        """
        config = config or self.config
        if config.has_rpn:
            anchors_or_rois = keras.Input((None, 4), name="input_anchors")
            rois = self._propose(config.POST_NMS_ROIS_INFERENCE, anchors_or_rois)
        else:
            anchors_or_rois, rois = self._external_proposals(config.POST_NMS_ROIS_INFERENCE)
        thresholds = [keras.Input((), name="input_min_confidence")] if threshold_input else []
        inputs = [self.image, self.meta, anchors_or_rois, *thresholds]
        pyramid = self.pyramid[:4]  # only the RPN uses P6
        used = TrimPadding(name="trim_proposals")(rois)
        _, probs, deltas = self.box_head(used, pyramid, self.meta, count=config.POST_NMS_ROIS_INFERENCE)
        detections = DetectionLayer(config, name="mrcnn_detection")([rois, probs, deltas, self.meta, *thresholds])
        outputs = [detections, probs, deltas, rois, *self.rpn[1:]]
        if not self.mask_head and not self.keypoint_head:
            return self._network(inputs, outputs)
        detected_boxes = TrimPadding(name="trim_detections")(detections[..., :4])
        if self.mask_head:
            masks = self.mask_head(detected_boxes, pyramid, self.meta, count=config.DETECTION_MAX_INSTANCES)
            outputs.insert(3, masks)
        if self.mask_refinement:
            class_ids = detections[..., 4]
            _, refined = self.mask_refinement(
                detected_boxes, detected_boxes, class_ids, masks, self.image, self.pyramid[0]
            )
            outputs.append(refined)
        if self.keypoint_head:
            margin = BOX_PADDING * (detected_boxes[..., 2:] - detected_boxes[..., :2])
            frames = [detected_boxes[..., :2] - margin, detected_boxes[..., 2:] + margin]
            frames = keras.ops.concatenate(frames, axis=-1)
            maps = self.keypoint_head(frames, pyramid, self.meta, count=config.DETECTION_MAX_INSTANCES)
            outputs.append(maps)
        return self._network(inputs, outputs)

    def training(self) -> Network:
        """Builds the training graph.

        Returns:
            Model from [`input_image`, `input_image_meta`, `input_rpn_match [B, A, 1]`, `input_rpn_bbox [B, T, 4]`,
            `input_gt_class_ids [B, G]`, `input_gt_boxes [B, G, 4]` pixels, `input_gt_masks [B, h, w, G]`, with
            NUM_KEYPOINTS `input_gt_keypoints [B, G, J, 3]` pixels, and without USE_RPN_ROIS `input_roi [B, K, 4]`
            pixels] to [`rpn_class_logits`, `rpn_class`, `rpn_bbox`, `mrcnn_class_logits`, `mrcnn_class`, `mrcnn_bbox`,
            `mrcnn_mask`, `ROI`, `output_rois [B, R, 4]`, and the losses of `loss_names`, scalars]. Without MASK_HEAD
            `input_gt_masks` and `mrcnn_mask` are missing. Without an RPN (PROPOSALS) the inputs and outputs of the
            RPN are missing.
        """
        config, meta = self.config, self.meta
        rpn_targets = []
        if config.has_rpn:
            rpn_match = keras.Input((None, 1), dtype="int32", name="input_rpn_match")
            rpn_targets = [rpn_match, keras.Input((None, 4), name="input_rpn_bbox")]
        gt_class_ids = keras.Input((config.MAX_GT_INSTANCES,), dtype="int32", name="input_gt_class_ids")
        gt_boxes = keras.Input((config.MAX_GT_INSTANCES, 4), name="input_gt_boxes")
        gt_masks = [self._gt_masks()] if self.mask_head else []
        gt_keypoints = []
        if self.keypoint_head:
            shape = (config.MAX_GT_INSTANCES, config.NUM_KEYPOINTS, 3)
            gt_keypoints = [keras.Input(shape, name="input_gt_keypoints")]
        inputs = [self.image, meta, *rpn_targets, gt_class_ids, gt_boxes, *gt_masks, *gt_keypoints]

        if config.USE_RPN_ROIS:
            proposals = self._propose(config.POST_NMS_ROIS_TRAINING, self._anchors()(self.image))
        else:
            rois, proposals = self._external_proposals(config.POST_NMS_ROIS_TRAINING)
            inputs.append(rois)
        targets = self._targets()
        gt_boxes = NormBoxes(name="norm_gt_boxes")([gt_boxes, self.image])
        rois, class_ids, bbox, *masks_and_keypoints = targets(
            [proposals, gt_class_ids, gt_boxes, *gt_masks, *gt_keypoints]
        )

        pyramid = self.pyramid[:4]
        logits, probs, deltas = self.box_head(rois, pyramid, meta)
        predicted_masks = []
        if self.mask_head or self.keypoint_head:
            positives = LeadingPositives(name="positive_rois")([rois, class_ids])
        if self.mask_head:
            predicted_masks = [self.mask_head(positives, pyramid, meta, count=config.TRAIN_ROIS_PER_IMAGE)]
        active = split_image_meta(meta)["active_class_ids"]
        loss_inputs = {"mrcnn_class_loss": [class_ids, logits, active], "mrcnn_bbox_loss": [bbox, class_ids, deltas]}
        if config.has_rpn:
            rpn_match, rpn_bbox = rpn_targets
            loss_inputs["rpn_class_loss"] = [rpn_match, self.rpn[0]]
            loss_inputs["rpn_bbox_loss"] = [rpn_bbox, rpn_match, self.rpn[2]]
        if self.mask_head:
            loss_inputs["mrcnn_mask_loss"] = [masks_and_keypoints[0], class_ids, *predicted_masks]
        if self.mask_refinement:
            rois_to_refine = RefinedRoIs(config.MASK_REFINEMENT_ROIS, config.BBOX_STD_DEV, name="refined_rois")
            coarse_rois = positives[:, : config.MASK_REFINEMENT_ROIS]
            boxes = rois_to_refine([positives, class_ids, deltas])
            frames, refined = self.mask_refinement(
                boxes, coarse_rois, class_ids, *predicted_masks, self.image, pyramid[0]
            )
            refined_targets = RefinementTargets(
                config.MASK_REFINEMENT_SIZE, config.USE_MINI_MASK, name="refinement_targets"
            )([boxes, frames, gt_class_ids, gt_boxes, *gt_masks, self.image])
            loss_inputs[REFINEMENT_LOSS] = [refined_targets, class_ids, refined]
        if self.keypoint_head:
            maps = self.keypoint_head(positives, pyramid, meta)
            loss_inputs[KEYPOINT_LOSS] = [masks_and_keypoints[-1], maps]
        functions = {"mrcnn_mask_loss": "mrcnn_softmax_mask_loss"} if config.MASK_ACTIVATION == "softmax" else {}
        nodes = [LossLayer(functions.get(name), name=name)(loss_inputs[name]) for name in loss_names(config)]
        output_rois = keras.layers.Identity(name="output_rois")(rois)
        outputs = [*self.rpn, logits, probs, deltas, *predicted_masks, proposals, output_rois, *nodes]
        return self._network(inputs, outputs)

    def _gt_masks(self) -> keras.KerasTensor:
        config = self.config
        mask_shape = config.MINI_MASK_SHAPE if config.USE_MINI_MASK else config.IMAGE_SHAPE[:2]
        mask_shape = (*(int(side) for side in mask_shape), config.MAX_GT_INSTANCES)
        return keras.Input(mask_shape, dtype="bool", name="input_gt_masks")

    def _anchors(self) -> Anchors:
        config = self.config
        settings = anchor_settings(config, config.IMAGE_SHAPE)
        return Anchors(**settings, image_shape=config.IMAGE_SHAPE, name="anchors")

    def _targets(self) -> DetectionTargetLayer:
        config = self.config
        return DetectionTargetLayer(
            config.TRAIN_ROIS_PER_IMAGE,
            config.ROI_POSITIVE_RATIO,
            config.MASK_SHAPE,
            config.USE_MINI_MASK,
            config.BBOX_STD_DEV,
            negatives=config.ROI_NEGATIVES,
            mask_targets=config.MASK_TARGETS,
            image_shape=config.IMAGE_SHAPE,
            add_gt_boxes=config.ADD_GT_BOXES,
            keypoint_map=4 * config.MASK_POOL_SIZE if config.NUM_KEYPOINTS else 0,
            name="proposal_targets",
        )
