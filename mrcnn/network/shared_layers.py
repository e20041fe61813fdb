"""The layers that the training graph and the inference graph share.

Shape notation: B images, A anchors, K proposals, C classes with background 0.
"""

import keras

from mrcnn.backbones import build_backbone
from mrcnn.backbones.fpn import build_fpn
from mrcnn.backbones.resnet import build_res5
from mrcnn.choices import C4_BACKBONES
from mrcnn.config import Config
from mrcnn.layers.boxes import NormBoxes
from mrcnn.layers.common import PerRoI
from mrcnn.layers.heads import BoxHead, KeypointHead, MaskHead, build_rpn_model
from mrcnn.layers.mask_refinement import MaskRefinement
from mrcnn.layers.proposals import ProposalLayer
from mrcnn.network.keras_model import InputImage, Network


class SharedLayers:
    """Creates the layers of the network and connects the backbone, the feature pyramid and the RPN to the input image.

    The heads are created but not connected. Each graph applies them to its own RoIs.

    Args:
        config: a validated Config.

    Attributes:
        image: input `[B, H, W, channels]`.
        meta: input `[B, 12+C]`.
        pyramid: feature maps P2 to P6, or C4 alone.
        rpn: `rpn_class_logits [B, A, 2]`, `rpn_class [B, A, 2]` and `rpn_bbox [B, A, 4]`, or empty without an RPN.
        box_head: `BoxHead`.
        mask_head: `MaskHead`, or None if the Config disables it.
        keypoint_head: `KeypointHead`, or None if the Config disables it.
        mask_refinement: `MaskRefinement`, or None if the Config disables it.
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
        self.rpn = self._apply_rpn() if config.has_rpn else []
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

    def _apply_rpn(self) -> list[keras.KerasTensor]:
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

    @property
    def roi_pyramid(self) -> list[keras.KerasTensor]:
        """The feature maps from which RoIs are pooled. Only the RPN uses P6."""
        return self.pyramid[:4]

    def connect(self, inputs: list, outputs: list) -> Network:
        """Returns the model from inputs to outputs."""
        network = Network(inputs, outputs, name="mask_rcnn")
        network.config = self.config
        return network

    def propose(self, count: int, anchors) -> keras.KerasTensor:
        """Returns `ROI [B, count, 4]`, the proposals of the RPN from anchors `[B or 1, A, 4]`, both normalized."""
        layer = ProposalLayer(count, self.config.RPN_NMS_THRESHOLD, self.config, name="ROI")
        return layer([self.rpn[1], self.rpn[2], anchors])

    def external_proposals(self, count: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns the input `input_roi [B, count, 4]` in pixels and the same boxes in normalized coordinates."""
        rois = keras.Input((count, 4), dtype="int32", name="input_roi")
        return rois, NormBoxes(name="ROI")([rois, self.image])
