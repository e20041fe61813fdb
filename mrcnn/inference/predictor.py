"""The compiled inference graph.

Shape notation: B images, A anchors, D detections, C classes, M mask side, J keypoints, Q side of a keypoint map.
"""

from collections import OrderedDict
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mrcnn.config import Config
from mrcnn.errors import UserError
from mrcnn.inference.cost_warnings import silence_first_call
from mrcnn.inference.processing import NO_RPN, mask_padding
from mrcnn.layers.common import select_class_masks
from mrcnn.layers.detection import score_by_masks
from mrcnn.ops.anchors import pixel_anchors
from mrcnn.ops.boxes import norm_boxes

MAX_CACHED_ANCHORS = 16  # number of image sizes; limits the memory for streams of images of many sizes


def require_eager() -> None:
    """Raises RuntimeError in TensorFlow 1's graph mode, which Keras 3 does not support."""
    if not tf.executing_eagerly():
        raise RuntimeError(
            "Keras 3 requires eager execution. Remove tf.compat.v1.disable_eager_execution(), disable_v2_behavior() "
            "and `with graph.as_default():` from the script."
        )


def detection_model(network: keras.Model, config: Config) -> keras.Model:
    """Returns an inference graph with only the outputs used by detection: detections, masks and keypoint maps."""
    outputs, refined = [network.outputs[0]], -2 if config.NUM_KEYPOINTS else -1
    if config.MASK_HEAD:
        outputs.append(network.outputs[refined if config.MASK_REFINEMENT_SIZE else 3])
    if config.NUM_KEYPOINTS:
        outputs.append(network.outputs[-1])
    return keras.Model(network.inputs, outputs)


def select_maps(detections, maps: Sequence, config: Config, min_confidence) -> tuple:
    """Selects the mask of the class of each detection. With DETECTION_MASK_SCORES, applies `score_by_masks`.

    Args:
        detections: `[B, D, 6]`.
        maps: the other outputs of `detection_model` for the first n <= D detections.
        config: settings of the network.
        min_confidence: threshold of the new scores; see `score_by_masks`.

    Returns:
        Detections `[B, D, 6]`, masks `[B, n, M, M]` or None, and keypoint maps `[B, n, Q, Q, J]` or None.
    """
    keypoints = maps[-1:] if config.NUM_KEYPOINTS else ()
    masks = None
    if config.MASK_HEAD:
        masks = maps[0]
        if not config.MASK_REFINEMENT_SIZE:
            masks = select_class_masks(masks, detections[:, : tf.shape(masks)[1], 4])
        if config.DETECTION_MASK_SCORES:
            detections, masks, *keypoints = score_by_masks(detections, masks, min_confidence, *keypoints)
    return detections, masks, keypoints[0] if keypoints else None


class Predictor:
    """Runs the inference graph as a compiled function and selects the mask of the class of each detection.

    The function is traced once for all batch and image sizes. Calls are thread-safe.

    Args:
        network: inference graph; see `NetworkBuilder.inference`.
        config: settings of the network, for the anchors and DETECTION_MASK_SCORES.

    Attributes:
        mask_padding: padding of the frame of a mask on each side of the box, as a fraction of the sides of the box;
            None if the network has no mask refinement.
        latest_shape: (height, width) of the preprocessed image for which anchors were last requested, initially the
            shape in the config.
    """

    def __init__(self, network: keras.Model, config: Config):
        self.config = config
        self._min_confidence = network.get_layer("mrcnn_detection").min_confidence
        self.mask_padding = mask_padding(config)
        model = detection_model(network, config)
        channels, meta = config.IMAGE_CHANNEL_COUNT, config.IMAGE_META_SIZE
        signature = [
            tf.TensorSpec((None, None, None, channels), tf.float32),
            tf.TensorSpec((None, meta), tf.float32),
            tf.TensorSpec((1, None, 4), tf.float32)
            if config.has_rpn
            else tf.TensorSpec((None, config.POST_NMS_ROIS_INFERENCE, 4), tf.int32),
        ]
        # Without AutoGraph, which takes a second, because no Python control flow depends on tensors.
        self._run = tf.function(lambda *inputs: self._detect(model, inputs), input_signature=signature, autograph=False)
        self._run_quietly = silence_first_call(self._run)
        self._anchors: OrderedDict[tuple[int, int], tf.Tensor] = OrderedDict()
        self.latest_shape = tuple(int(side) for side in config.IMAGE_SHAPE[:2])

    def _detect(self, model, inputs):
        detections, *maps = keras.tree.flatten(model(inputs, training=False))
        count = tf.reduce_max(tf.math.count_nonzero(detections[..., 4], axis=1))
        return select_maps(detections, [each[:, :count] for each in maps], self.config, self._min_confidence)

    def __call__(
        self, images: np.ndarray, metas: np.ndarray, rois: np.ndarray | None = None
    ) -> tuple[np.ndarray, Sequence, Sequence]:
        """Runs the network on a batch.

        Args:
            images: `[B, H, W, channels]`, preprocessed.
            metas: `[B, 12+C]`.
            rois: proposals `[B, K, 4]` int32, in pixels of `images`, zero-padded; only for networks without an RPN.

        Returns:
            detections: `[B, D, 6]` float32, (y1, x1, y2, x2, class id, score) with normalized boxes.
            masks: `[B, n, M, M]` float32 probabilities, n <= D; a list of B None values if there is no mask head.
            keypoints: `[B, n, Q, Q, J]` float32 logits; a list of B None values if there is no keypoint head.
        """
        anchors_or_rois = self.anchors(images.shape[1:3]) if rois is None else tf.constant(rois, tf.int32)
        inputs = tf.cast(images, tf.float32), tf.cast(metas, tf.float32), anchors_or_rois
        detections, *maps = self._run_quietly(*inputs)
        masks, keypoints = ([None] * len(images) if each is None else each.numpy() for each in maps)
        return detections.numpy(), masks, keypoints

    def anchors(self, image_shape: tuple[int, ...]) -> tf.Tensor:
        """Returns the cached normalized anchors `[1, A, 4]`, float32, for a preprocessed image of the given shape.

        Raises:
            ValueError: if the network has no RPN.
        """
        if not self.config.has_rpn:
            raise UserError(NO_RPN.format(self.config.PROPOSALS))
        key = self.latest_shape = tuple(int(side) for side in image_shape[:2])
        anchors = self._anchors.get(key)
        if anchors is None:
            anchors = tf.constant(norm_boxes(pixel_anchors(self.config, key), key)[None])
            self._anchors[key] = anchors
            if len(self._anchors) > MAX_CACHED_ANCHORS:
                self._anchors.popitem(last=False)
        return anchors
