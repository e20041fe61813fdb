"""DetectionLayer: from classified RoIs to the final detections (He et al. 2017, section 3.1, inference).

B images, K RoIs, C classes with background 0, D detections, M mask side. Boxes are normalised; see `boxes`.
"""

import keras
import numpy as np
import tensorflow as tf

from mrcnn.layers.common import Float32Layer, register
from mrcnn.ops.boxes_tf import (
    apply_box_deltas_graph,
    clip_boxes_graph,
    norm_boxes_graph,
    overlaps_graph,
)
from mrcnn.ops.image_meta import parse_image_meta_graph


def suppress_graph(boxes, class_ids, scores, max_instances, nms_threshold, class_agnostic):
    """Non-maximum suppression of one image's detections, within each class or across all.

    Args:
        boxes: `[n, 4]`.
        class_ids: `[n]` int32.
        scores: `[n]`.
        max_instances: D; at most so many are kept.
        nms_threshold: IoU above which the worse of two detections is dropped.
        class_agnostic: True lets detections of different classes suppress each other.

    Returns:
        Indices int32 of what is kept, best score first.
    """
    overlaps = overlaps_graph(boxes, boxes)  # [n, n]
    overlaps = tf.where(tf.math.is_nan(overlaps), 0.0, overlaps)  # two boxes of area zero
    if not class_agnostic:
        overlaps = tf.where(tf.equal(class_ids[:, None], class_ids[None]), overlaps, 0.0)
    return tf.image.non_max_suppression_overlaps(overlaps, scores, max_instances, nms_threshold)


def vote_boxes(boxes, class_ids, rois, probs, deltas, window, min_iou):
    """Moves each detection of one image to the mean of all boxes that were meant for the same object.

    Every RoI votes for every class, with its probability as the weight, so that the result does not depend on the
    confidence below which detections are dropped. Source: Gidaris and Komodakis 2015, "Object detection via a
    multi-region and semantic segmentation-aware CNN model" (bounding box voting).

    Args:
        boxes: `[n, 4]` of the detections.
        class_ids: `[n]` int32.
        rois: `[K, 4]`; zero rows are padding and do not vote.
        probs: `[K, C]`.
        deltas: `[K, C, 4]`, multiplied by `bbox_std_dev` already.
        window: `[4]`, to which the voting boxes are clipped.
        min_iou: boxes with at least this IoU with a detection vote on it.

    Returns:
        `[n, 4]`; a box that nobody votes on stays.
    """
    is_roi = tf.reduce_any(tf.not_equal(rois, 0.0), axis=1)
    deltas = tf.gather(tf.transpose(deltas, [1, 0, 2]), class_ids)  # [n, K, 4]
    voters = clip_boxes_graph(apply_box_deltas_graph(rois, deltas), window)
    overlaps = overlaps_graph(boxes[:, None], voters)[:, 0]  # [n, K]; NaN, of two boxes of area zero, is no vote
    is_vote = ((overlaps >= min_iou) & is_roi)[..., None]
    weights = tf.where(is_vote, tf.gather(tf.transpose(probs), class_ids)[..., None], 0.0)  # [n, K, 1]
    total = tf.reduce_sum(weights, axis=1)
    voted = tf.reduce_sum(weights * tf.where(is_vote, voters, 0.0), axis=1)  # 0 times a box that is NaN would be NaN
    return tf.where(total > 0, voted / total, boxes)


def score_by_masks(detections, masks, min_confidence):
    """Multiplies each score by how sure the mask is: the mean probability of the pixels that are in it.

    The class alone does not tell a good outline from a bad one, so that ranking by both gives a better mask AP (Huang
    et al. 2019, "Mask Scoring R-CNN", learns the second factor; this mean is that of Cheng et al. 2022,
    "Masked-attention Mask Transformer for Universal Image Segmentation").

    Args:
        detections: `[B, D, 6]` (y1, x1, y2, x2, class_id, score), zero padded.
        masks: `[B, n, M, M]` probabilities of the own class of the first n <= D.
        min_confidence: detections whose new score is below are dropped; 0 or None keeps all.

    Returns:
        The same two, best new score first.
    """
    count = tf.shape(masks)[1]
    found = detections[:, :count]
    inside = tf.cast(masks >= 0.5, tf.float32)
    certainty = tf.math.divide_no_nan(tf.reduce_sum(masks * inside, axis=[2, 3]), tf.reduce_sum(inside, axis=[2, 3]))
    scores = found[..., 5] * certainty  # [B, n]
    keep = scores >= (min_confidence or 0.0)
    found = tf.where(keep[..., None], tf.concat([found[..., :5], scores[..., None]], axis=-1), 0.0)
    order = tf.argsort(found[..., 5], axis=-1, direction="DESCENDING", stable=True)
    found, masks = (tf.gather(tensor, order, batch_dims=1) for tensor in (found, masks))
    return tf.concat([found, detections[:, count:]], axis=1), masks


def refine_detections(
    rois,
    probs,
    deltas,
    window,
    *,
    bbox_std_dev,
    min_confidence,
    max_instances,
    nms_threshold,
    class_agnostic=False,
    any_foreground=False,
    box_voting=1.0,
):
    """The detections of one image.

    Args:
        rois: `[K, 4]` normalised; zero rows are padding.
        probs: `[K, C]`.
        deltas: `[K, C, 4]` class-specific (dy, dx, log dh, log dw) before `bbox_std_dev`.
        window: `[4]` normalised: the photo inside its padding, to which boxes are clipped.
        The others as for `DetectionLayer`.

    Returns:
        `[max_instances, 6]` (y1, x1, y2, x2, class_id, score), best first, zero padded.
    """
    if any_foreground:
        class_ids = 1 + tf.argmax(probs[:, 1:], axis=1, output_type=tf.int32)  # [K]
    else:
        class_ids = tf.argmax(probs, axis=1, output_type=tf.int32)
    scores = tf.gather(probs, class_ids, batch_dims=1)
    deltas *= tf.constant(bbox_std_dev)
    is_padding = tf.reduce_all(tf.equal(rois, 0.0), axis=1)
    keep = (class_ids > 0) & ~is_padding
    if min_confidence:
        keep &= scores >= min_confidence
    keep = tf.where(keep)[:, 0]
    class_ids, scores = tf.gather(class_ids, keep), tf.gather(scores, keep)
    own_deltas = tf.gather(tf.gather(deltas, keep), class_ids, batch_dims=1)  # [n, 4]
    boxes = clip_boxes_graph(apply_box_deltas_graph(tf.gather(rois, keep), own_deltas), window)
    kept = suppress_graph(boxes, class_ids, scores, max_instances, nms_threshold, class_agnostic)
    boxes, class_ids, scores = tf.gather(boxes, kept), tf.gather(class_ids, kept), tf.gather(scores, kept)
    if box_voting < 1:
        boxes = vote_boxes(boxes, class_ids, rois, probs, deltas, window, box_voting)
    detections = tf.concat([boxes, tf.cast(class_ids, tf.float32)[:, None], scores[:, None]], axis=1)
    return tf.pad(detections, [[0, max_instances - tf.shape(kept)[0]], [0, 0]])


@register
class DetectionLayer(Float32Layer):
    """Final detections: best class of each RoI, its box refined and clipped, the weak and the repeated dropped.

    Args:
        config: gives the settings that are not given themselves.
        bbox_std_dev: 4 factors by which the network's deltas are multiplied.
        min_confidence: detections below this score are dropped; 0 or None keeps all.
        max_instances: D.
        nms_threshold: IoU above which the worse of two detections is dropped.
        class_agnostic: True: suppression across classes.
        any_foreground: False: a RoI that is most likely background detects nothing, so that with two classes no score
            is below 0.5. True: its best other class counts, down to `min_confidence`; what AP needs.
        box_voting: IoU from which a RoI's box votes on a detection, see `vote_boxes`; 1: no votes.

    Call arguments: [`rois [B, K, 4]` normalised, zero padded; `mrcnn_class [B, K, C]` probabilities;
        `mrcnn_bbox [B, K, C, 4]` deltas; `image_meta [B, 12+C]`].

    Returns:
        `[B, D, 6]` float32 (y1, x1, y2, x2, class_id, score): normalised, best first, zero padded.
    """

    def __init__(
        self,
        config=None,
        *,
        bbox_std_dev=None,
        min_confidence=None,
        max_instances=None,
        nms_threshold=None,
        class_agnostic=None,
        any_foreground=None,
        box_voting=None,
        **kwargs,
    ):
        super().__init__(**kwargs)

        def choose(given, field):
            return getattr(config, field) if given is None and config is not None else given

        self.bbox_std_dev = [float(v) for v in np.ravel(choose(bbox_std_dev, "BBOX_STD_DEV"))]
        self.min_confidence = float(choose(min_confidence, "DETECTION_MIN_CONFIDENCE") or 0)
        self.max_instances = int(choose(max_instances, "DETECTION_MAX_INSTANCES"))
        self.nms_threshold = float(choose(nms_threshold, "DETECTION_NMS_THRESHOLD"))
        self.class_agnostic = bool(choose(class_agnostic, "DETECTION_CLASS_AGNOSTIC_NMS"))
        self.any_foreground = bool(choose(any_foreground, "DETECTION_ANY_FOREGROUND"))
        box_voting = choose(box_voting, "DETECTION_BOX_VOTING")
        self.box_voting = 1.0 if box_voting is None else float(box_voting)
        self.supports_jit = False  # the CPU's non-maximum suppression has no XLA kernel

    def call(self, inputs):
        rois, probs, deltas, image_meta = inputs
        meta = parse_image_meta_graph(image_meta)
        windows = norm_boxes_graph(meta["window"], meta["image_shape"][0])  # [B, 4]
        settings = dict(
            bbox_std_dev=self.bbox_std_dev,
            min_confidence=self.min_confidence,
            max_instances=self.max_instances,
            nms_threshold=self.nms_threshold,
            class_agnostic=self.class_agnostic,
            any_foreground=self.any_foreground,
            box_voting=self.box_voting,
        )
        return tf.map_fn(
            lambda image: refine_detections(*image, **settings),
            (rois, probs, deltas, windows),
            fn_output_signature=tf.TensorSpec((self.max_instances, 6), tf.float32),
        )

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[0].shape[0], self.max_instances, 6), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "bbox_std_dev": self.bbox_std_dev,
            "min_confidence": self.min_confidence,
            "max_instances": self.max_instances,
            "nms_threshold": self.nms_threshold,
            "class_agnostic": self.class_agnostic,
            "any_foreground": self.any_foreground,
            "box_voting": self.box_voting,
        }


def refine_detections_graph(rois, probs, deltas, window, config):
    """`refine_detections` with its settings taken from a Config; the original's name and arguments."""
    return refine_detections(
        rois,
        probs,
        deltas,
        window,
        bbox_std_dev=[float(v) for v in config.BBOX_STD_DEV],
        min_confidence=config.DETECTION_MIN_CONFIDENCE,
        max_instances=config.DETECTION_MAX_INSTANCES,
        nms_threshold=config.DETECTION_NMS_THRESHOLD,
        class_agnostic=config.DETECTION_CLASS_AGNOSTIC_NMS,
        any_foreground=config.DETECTION_ANY_FOREGROUND,
        box_voting=config.DETECTION_BOX_VOTING,
    )
