"""The network as a TensorFlow function in float32, from preprocessed images to detections, masks and keypoints.

Shape notation: B images, S side, D detections, C classes, M mask side.
"""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mrcnn.config import Config
from mrcnn.export.metadata import OUTPUTS, ExportError
from mrcnn.inference.predictor import Predictor, detection_model, select_maps
from mrcnn.network import NetworkBuilder, named_layers
from mrcnn.ops.anchors import pixel_anchors
from mrcnn.ops.boxes import norm_boxes


class ExportGraph(tf.Module):
    """A float32 copy of a model of any precision, with the anchors for its image size.

    Args:
        model: the `mrcnn.model.MaskRCNN` to copy.
        roi_align_method: the ROI_ALIGN_METHOD that the converter of the format translates to fast operations.

    Attributes:
        config: settings of the model.
        weights_hash: SHA-256 of the weights.

    Raises:
        ExportError: if the network has no RPN, the size of the images is not fixed, or a weight is not finite.
    """

    def __init__(self, model: Any, roi_align_method: str = "crop_and_resize"):
        super().__init__()
        self.config = config = model.config.copy(ROI_ALIGN_METHOD=roi_align_method)
        if not config.has_rpn:
            raise ExportError(
                f"the network has no RPN (PROPOSALS = {config.PROPOSALS!r}), and exported models accept only images. "
                "Export weights that were trained with an RPN."
            )
        if config.IMAGE_RESIZE_MODE != "square":
            raise ExportError(
                f'IMAGE_RESIZE_MODE: exported models have one image size and require "square", got '
                f'"{config.IMAGE_RESIZE_MODE}". Change it in --config FILE.'
            )
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float32")
        try:
            builder = NetworkBuilder(config)
            network = builder.inference(threshold_input=True)
            self.weights_hash = _copy_weights(model.named_layers(), named_layers(network))
        finally:
            keras.config.set_dtype_policy(policy)
        self._weights = [variable.value for variable in network.variables]  # attributes are saved in a SavedModel
        self._model = detection_model(network, config)
        self._builder = builder

    def reference(self, config: Config) -> Predictor:
        """Returns a predictor of the Keras network with other detection settings, for comparison."""
        return Predictor(self._builder.inference(config), config)

    def function(self, batch: int | None) -> tf.types.experimental.PolymorphicFunction:
        """Returns the function that `mrcnn.export.metadata.signature` describes.

        Args:
            batch: number of images, or None for any number.
        """
        side, channels = int(self.config.IMAGE_MAX_DIM), int(self.config.IMAGE_CHANNEL_COUNT)
        signature = [
            tf.TensorSpec((batch, side, side, channels), tf.float32, name="images"),
            tf.TensorSpec((batch, 4), tf.float32, name="windows"),
            tf.TensorSpec((batch,), tf.float32, name="min_confidence"),
        ]
        # Without AutoGraph, which takes a second, because no Python control flow depends on tensors.
        return tf.function(self._detect, input_signature=signature, autograph=False)

    def _detect(self, images, windows, min_confidence):
        shape, config = images.shape[1:], self.config
        anchors = norm_boxes(pixel_anchors(config, shape), shape)[None].astype(np.float32)
        ones = tf.ones_like(windows[:, :1])  # [B, 1]
        meta = tf.concat(  # see `mrcnn.ops.image_meta`; the network reads only the image shape and the window
            [
                ones * [[0.0] * 4],
                ones * [[float(n) for n in shape]],
                windows,
                ones,
                ones * [[0.0] * config.NUM_CLASSES],
            ],
            1,
        )
        inputs = [images, meta, tf.constant(anchors), min_confidence]
        detections, *maps = keras.tree.flatten(self._model(inputs, training=False))
        shape = images.shape[0] or -1, int(config.DETECTION_MAX_INSTANCES)
        maps = [_pad_rows(each, shape) for each in maps]
        outputs = select_maps(detections, maps, config, min_confidence)
        return {name: value for name, value in zip(OUTPUTS, outputs, strict=True) if value is not None}


def _pad_rows(maps: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """Pads `[B, n, ...]` to `[*shape, ...]`, because converters handle constant shapes best. B may be -1."""
    padding = [[0, 0], [0, shape[1] - tf.shape(maps)[1]]] + [[0, 0]] * (len(maps.shape) - 2)
    return tf.reshape(tf.pad(maps, padding), (*shape, *maps.shape[2:]))


def _copy_weights(source: dict, target: dict) -> str:
    """Copies the weights of layers by name and returns their SHA-256."""
    digest = hashlib.sha256()
    for name in sorted(target):
        arrays = [np.asarray(array, np.float32) for array in source[name].get_weights()]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ExportError(
                f"layer {name}: some weights are NaN or infinite. Train again or use an earlier checkpoint."
            )
        target[name].set_weights(arrays)
        for array in arrays:
            digest.update(array.tobytes())
    return digest.hexdigest()
