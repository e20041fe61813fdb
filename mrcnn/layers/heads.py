"""RPN head (Ren et al. 2015, section 3.1), box head, mask head (He et al. 2017, figure 4) and keypoint head.

The training and the inference graph call the same head objects and therefore share their weights. With a C4 backbone,
the box head and the mask head share `res5`, stage 5 of the backbone as a `PerRoI` layer (figure 4, left).

Shape notation: B images, R RoIs, F pyramid channels, C classes with background 0, M mask side,
J keypoints, Q side of a keypoint map.
"""

import keras

from mrcnn.layers.common import BatchNorm, ConvNorm, PerRoI
from mrcnn.layers.roi_align import PyramidROIAlign

FLOAT32 = "float32"  # dtype of softmax, sigmoid and box deltas under every dtype policy


def build_rpn_model(anchor_stride: int, anchors_per_location: int, depth: int, channels: int = 512) -> keras.Model:
    """Builds the region proposal network, which is applied to each pyramid level.

    Args:
        anchor_stride: distance between anchor centres in feature map cells.
        anchors_per_location: number of anchors per centre.
        depth: F, number of channels of the feature map.
        channels: number of channels of the shared 3x3 convolution.

    Returns:
        Model `rpn_model`: `[B, h, w, F]` -> [`rpn_class_logits [B, a, 2]` (background, object), `rpn_class [B, a, 2]`,
        `rpn_bbox [B, a, 4]`] in float32, where a = h * w * anchors_per_location in the order row, column, ratio.
    """
    feature_map = keras.Input((None, None, depth), name="input_rpn_feature_map")
    outputs = apply_rpn_head(feature_map, anchors_per_location, anchor_stride, channels)
    return keras.Model(feature_map, outputs, name="rpn_model")


def apply_rpn_head(feature_map, anchors_per_location: int, anchor_stride: int, channels: int = 512) -> list:
    """Creates the layers of `build_rpn_model` and applies them to a Keras tensor `[B, h, w, F]`."""
    conv = keras.layers.Conv2D(channels, 3, padding="same", strides=anchor_stride, name="rpn_conv_shared")
    shared = ConvNorm(conv, activation="relu", name="rpn_conv_shared")(feature_map)
    raw = keras.layers.Conv2D(2 * anchors_per_location, 1, name="rpn_class_raw")
    logits = ConvNorm(raw, name="rpn_class_raw")(shared)
    logits = keras.layers.Reshape((-1, 2), dtype=FLOAT32)(logits)
    probs = keras.layers.Activation("softmax", dtype=FLOAT32, name="rpn_class_xxx")(logits)
    pred = keras.layers.Conv2D(4 * anchors_per_location, 1, name="rpn_bbox_pred")
    deltas = keras.layers.Reshape((-1, 4), dtype=FLOAT32)(ConvNorm(pred, name="rpn_bbox_pred")(shared))
    return [logits, probs, deltas]


class BoxHead:
    """Classifies and refines RoIs: RoIAlign, two fully connected layers, then class scores and box deltas.

    The fully connected layers are convolutions, as in Matterport's checkpoints. The kernel of the first convolution
    covers the whole crop. With `res5`, stage 5 and the mean over the crop replace the fully connected layers.
    """

    def __init__(self, pool_size, num_classes, train_bn=True, fc_layers_size=1024, res5=None, **roi_align):
        num_classes = int(num_classes)  # Dense does not accept NumPy integers
        self.roi_align = PyramidROIAlign((pool_size, pool_size), name="roi_align_classifier", **roi_align)
        if res5 is not None:
            self.layers = [res5, PerRoI(keras.layers.GlobalAveragePooling2D(name="mrcnn_class_mean"))]
            fc_layers_size = res5.layer.output.shape[-1]
        else:
            self.layers = [
                PerRoI(
                    ConvNorm(
                        keras.layers.Conv2D(fc_layers_size, size, name=f"mrcnn_class_conv{index}"),
                        BatchNorm(name=f"mrcnn_class_bn{index}"),
                        train_bn,
                        activation="relu",
                        name=f"mrcnn_class_fc{index}",
                    )
                )
                for index, size in ((1, pool_size), (2, 1))
            ]
        self.squeeze = keras.layers.Reshape((-1, fc_layers_size), name="pool_squeeze")
        self.class_logits = PerRoI(keras.layers.Dense(num_classes, dtype=FLOAT32, name="mrcnn_class_logits"))
        self.softmax = keras.layers.Activation("softmax", dtype=FLOAT32, name="mrcnn_class")
        self.bbox_fc = PerRoI(keras.layers.Dense(num_classes * 4, dtype=FLOAT32, name="mrcnn_bbox_fc"))
        self.bbox = keras.layers.Reshape((-1, num_classes, 4), dtype=FLOAT32, name="mrcnn_bbox")

    def __call__(self, rois, feature_maps, image_meta, count=None):
        """Returns `mrcnn_class_logits [B, R, C]`, `mrcnn_class [B, R, C]`, `mrcnn_bbox [B, R, C, 4]` in float32.

        Args:
            rois: `[B, R', 4]` normalized.
            feature_maps: P2..P5, each `[B, h, w, F]`, or C4 alone.
            image_meta: `[B, 12+C]`.
            count: R, number of output rows. Rows after the first R' are padding. Defaults to R'.
        """
        x = self.roi_align([rois, image_meta, *feature_maps])
        for layer in self.layers:
            x = layer(x)
        x = self.squeeze(x)  # [B, R', fc_layers_size]
        logits = self.class_logits(x, rois=count)
        return logits, self.softmax(logits), self.bbox(self.bbox_fc(x, rois=count))


class MaskHead:
    """Predicts a mask per RoI and class: RoIAlign, 3x3 convolutions or `res5`, 2x2 deconvolution, activation."""

    def __init__(
        self,
        pool_size,
        num_classes,
        train_bn=True,
        channels=256,
        convolutions=4,
        activation="sigmoid",
        res5=None,
        **roi_align,
    ):
        self.roi_align = PyramidROIAlign((pool_size, pool_size), name="roi_align_mask", **roi_align)
        self.layers = [res5] if res5 is not None else _conv_blocks("mask", channels, convolutions, train_bn)
        deconv = keras.layers.Conv2DTranspose(channels, 2, strides=2, activation="relu", name="mrcnn_mask_deconv")
        self.layers.append(PerRoI(deconv))
        output = dict(activation=activation, dtype=FLOAT32, name="mrcnn_mask")
        self.mask = PerRoI(keras.layers.Conv2D(num_classes, 1, **output))

    def __call__(self, rois, feature_maps, image_meta, count=None):
        """Returns `mrcnn_mask [B, R, M, M, C]`, float32 probabilities. See `BoxHead.__call__` for the arguments."""
        x = self.roi_align([rois, image_meta, *feature_maps])
        for layer in self.layers:
            x = layer(x)
        return self.mask(x, rois=count)


class KeypointHead:
    """Predicts a map per RoI and keypoint: RoIAlign, 3x3 convolutions, deconvolution, bilinear upsampling.

    Q is four times the pool size.

    Source: He et al. 2017, Mask R-CNN, section 5.
    """

    def __init__(self, pool_size, num_keypoints, train_bn=True, channels=512, convolutions=8, **roi_align):
        self.roi_align = PyramidROIAlign((pool_size, pool_size), name="roi_align_keypoint", **roi_align)
        self.layers = _conv_blocks("keypoint", channels, convolutions, train_bn, kernel_initializer="he_normal")
        deconv = dict(strides=2, padding="same", dtype=FLOAT32, name="mrcnn_keypoint_deconv")
        self.layers.append(PerRoI(keras.layers.Conv2DTranspose(num_keypoints, 4, **deconv)))
        upsampling = dict(interpolation="bilinear", dtype=FLOAT32, name="mrcnn_keypoint")
        self.upsample = PerRoI(keras.layers.UpSampling2D(2, **upsampling))

    def __call__(self, rois, feature_maps, image_meta, count=None):
        """Returns `mrcnn_keypoint [B, R, Q, Q, J]`, float32 logits. See `BoxHead.__call__` for the arguments."""
        x = self.roi_align([rois, image_meta, *feature_maps])
        for layer in self.layers:
            x = layer(x)
        return self.upsample(x, rois=count)


def _conv_blocks(head: str, channels: int, count: int, train_bn, **convolution) -> list[PerRoI]:
    """Returns 3x3 convolutions with batch normalization and ReLU for a head on RoI features."""
    return [
        PerRoI(
            ConvNorm(
                keras.layers.Conv2D(channels, 3, padding="same", name=f"mrcnn_{head}_conv{index}", **convolution),
                BatchNorm(name=f"mrcnn_{head}_bn{index}"),
                train_bn,
                activation="relu",
                name=f"mrcnn_{head}_block{index}",
            )
        )
        for index in range(1, count + 1)
    ]
