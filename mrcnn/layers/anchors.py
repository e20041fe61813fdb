"""Layer that provides the anchors of the training graph."""

import keras
import numpy as np
import tensorflow as tf

from mrcnn.layers.common import Float32Layer, register
from mrcnn.ops.anchors import generate_pyramid_anchors
from mrcnn.ops.boxes import norm_boxes


@register
class Anchors(Float32Layer):
    """Returns the normalized anchors for one image size as a constant `[1, A, 4]`. The input is ignored.

    Args:
        scales, ratios, feature_shapes, feature_strides, anchor_stride: see `generate_pyramid_anchors`.
        image_shape: (height, width) of the preprocessed image in pixels.
    """

    def __init__(self, scales, ratios, feature_shapes, feature_strides, anchor_stride, image_shape, **kwargs):
        super().__init__(**kwargs)
        self.settings = dict(
            scales=np.asarray(scales, float).tolist(),
            ratios=[float(v) for v in ratios],
            feature_shapes=np.asarray(feature_shapes).tolist(),
            feature_strides=[int(v) for v in feature_strides],
            anchor_stride=int(anchor_stride),
            image_shape=[int(v) for v in image_shape[:2]],
        )
        pyramid = {key: value for key, value in self.settings.items() if key != "image_shape"}
        self.boxes = norm_boxes(generate_pyramid_anchors(**pyramid), image_shape)[None]

    def call(self, inputs):
        return tf.constant(self.boxes)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.boxes.shape, dtype="float32")

    def get_config(self):
        return {**super().get_config(), **self.settings}
