"""Layers that normalize boxes `[B, N, 4]` or remove rows that later layers do not need."""

import keras
import tensorflow as tf

from mrcnn.layers.common import Float32Layer, register
from mrcnn.ops import boxes_tf


@register
class NormBoxes(Float32Layer):
    """Normalizes pixel boxes `[B, N, 4]` of images `[B, H, W, channels]`. Padding rows remain zeros."""

    def call(self, inputs):
        pixel_boxes, images = inputs
        is_box = tf.reduce_any(tf.not_equal(pixel_boxes, 0), axis=-1, keepdims=True)
        return tf.where(is_box, boxes_tf.norm_boxes(pixel_boxes, tf.shape(images)[1:3]), 0.0)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype="float32")


@register
class TrimPadding(Float32Layer):
    """Slices zero-padded boxes `[B, R, 4]` to `[B, R', 4]`, where R' is the largest number of boxes in an image.

    Subsequent layers then skip the padding. R' is at least 1, because TensorFlow's convolutions return the wrong shape
    for an empty batch.
    """

    def call(self, boxes):
        used = tf.reduce_any(tf.not_equal(boxes, 0.0), axis=[0, 2])  # [R]
        count = tf.reduce_max(tf.where(used, tf.range(1, tf.shape(boxes)[1] + 1), 1))
        return boxes[:, :count]

    def compute_output_spec(self, boxes):
        return keras.KerasTensor((boxes.shape[0], None, boxes.shape[2]), dtype=boxes.dtype)


@register
class LeadingPositives(Float32Layer):
    """Slices RoIs `[B, R, 4]` to `[B, R', 4]`, where R' is the largest number of positives in an image, at least 1.

    Only positive RoIs have a mask target, and they come first. The mask head therefore skips all other RoIs.
    `TrimPadding` explains why R' is at least 1.
    """

    def call(self, inputs):
        rois, class_ids = inputs
        count = tf.reduce_max(tf.math.count_nonzero(class_ids > 0, axis=1))
        return rois[:, : tf.maximum(count, 1)]

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[0].shape[0], None, 4), dtype=inputs[0].dtype)
