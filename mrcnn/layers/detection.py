"""DetectionLayer: converts classified RoIs to detections (He et al. 2017, section 3.1, inference).

Shape notation: B images, K RoIs, C classes with background 0, D detections, M mask side. Boxes are normalized; see
`mrcnn.ops.boxes`.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from mrcnn.layers.common import Float32Layer, map_images, register
from mrcnn.ops import boxes_tf
from mrcnn.ops.boxes_tf import apply_box_deltas, clip_boxes, compute_overlaps, norm_boxes
from mrcnn.ops.image_meta import split_image_meta


def non_max_suppression(boxes, class_ids, scores, num_classes, max_instances, nms_threshold):
    """Applies non-maximum suppression per class to the detections of one image.

    Args:
        boxes: `[n, 4]` normalized, inside the image.
        class_ids: `[n]` int32.
        scores: `[n]`.
        num_classes: C.
        max_instances: D, maximum number of detections.
        nms_threshold: IoU above which the lower-scoring detection is removed.

    Returns:
        int32 indices of the remaining detections, highest score first.
    """
    # Boxes of different classes are moved to different cells of a grid, so that they do not overlap. A square grid
    # keeps the coordinates small, which preserves their precision.
    columns = math.ceil(math.sqrt(num_classes))
    cells = 2.0 * tf.cast(tf.stack([class_ids // columns, class_ids % columns], axis=-1), tf.float32)  # [n, 2]
    return boxes_tf.non_max_suppression(boxes + tf.tile(cells, [1, 2]), scores, max_instances, nms_threshold)


def vote_boxes(boxes, class_ids, rois, probs, deltas, window, min_iou, bbox_std_dev):
    """Replaces each detected box by the score-weighted mean of the boxes that overlap it (bounding box voting).

    Each RoI is weighted by its probability for the detected class, so the result does not depend on the confidence
    threshold.

    Args:
        boxes: `[n, 4]` boxes of the detections.
        class_ids: `[n]` int32 classes of the detections.
        rois: `[K, 4]`; zero rows are padding and do not vote.
        probs: `[K, C]` class probabilities of the RoIs.
        deltas: `[K, C, 4]` deltas of the RoIs, not yet multiplied by `bbox_std_dev`.
        window: `[4]`; voting boxes are clipped to it.
        min_iou: minimum IoU of a voting box with the detection.
        bbox_std_dev: see `DetectionLayer`.

    Returns:
        `[n, 4]`; boxes without votes are unchanged.

    Source: Gidaris and Komodakis 2015, "Object detection via a multi-region and semantic segmentation-aware CNN model".
    """
    is_roi = tf.reduce_any(tf.not_equal(rois, 0.0), axis=1)
    deltas = tf.gather(tf.transpose(deltas, [1, 0, 2]), class_ids)  # [n, K, 4]
    voters = clip_boxes(apply_box_deltas(rois, deltas, bbox_std_dev), window)
    overlaps = compute_overlaps(boxes[:, None], voters)[:, 0]  # [n, K]; NaN counts as no vote
    is_vote = tf.expand_dims((overlaps >= min_iou) & is_roi, -1)
    weights = tf.where(is_vote, tf.expand_dims(tf.gather(tf.transpose(probs), class_ids), -1), 0.0)  # [n, K, 1]
    total = tf.reduce_sum(weights, axis=1)
    voted = tf.reduce_sum(weights * tf.where(is_vote, voters, 0.0), axis=1)  # avoids 0 * NaN
    return tf.where(total > 0, voted / total, boxes)


def score_by_masks(detections, masks, min_confidence, *others):
    """Multiplies each score by the mask score, the mean probability of the foreground pixels of the mask.

    The class score does not reflect the quality of the mask, so the product ranks detections better for mask AP. Mask
    Scoring R-CNN (Huang et al. 2019) predicts the mask score with a network. The mean probability used here is from
    Mask2Former (Cheng et al. 2022).

    Args:
        detections: `[B, D, 6]` (y1, x1, y2, x2, class_id, score), zero-padded.
        masks: `[B, n, M, M]` mask probabilities of the first n <= D detections for their class.
        min_confidence: threshold of the new scores, a scalar or `[B]`; 0 keeps all detections.
        others: further tensors `[B, n, ...]` with one row per detection.

    Returns:
        The updated detections, masks and further tensors, highest new score first.
    """
    count = tf.shape(masks)[1]
    found = detections[:, :count]
    inside = tf.cast(masks >= 0.5, tf.float32)
    mask_scores = tf.math.divide_no_nan(tf.reduce_sum(masks * inside, axis=[2, 3]), tf.reduce_sum(inside, axis=[2, 3]))
    scores = found[..., 5] * mask_scores  # [B, n]
    keep = scores >= tf.reshape(min_confidence, (-1, 1))
    found = tf.where(keep[..., None], tf.concat([found[..., :5], scores[..., None]], axis=-1), 0.0)
    order = tf.argsort(found[..., 5], axis=-1, direction="DESCENDING", stable=True)
    found, *sorted_ = (tf.gather_nd(tensor, order[..., None], batch_dims=1) for tensor in (found, masks, *others))
    return tf.concat([found, detections[:, count:]], axis=1), *sorted_


def refine_detections(
    rois,
    probs,
    deltas,
    window,
    min_confidence,
    *,
    bbox_std_dev,
    max_instances,
    nms_threshold,
    any_foreground=False,
    box_voting=1.0,
):
    """Computes the detections of one image.

    Args:
        rois: `[K, 4]` normalized; zero rows are padding.
        probs: `[K, C]` class probabilities.
        deltas: `[K, C, 4]` class-specific (dy, dx, log dh, log dw), not yet multiplied by `bbox_std_dev`.
        window: `[4]` normalized, the image inside its padding; boxes are clipped to it.
        min_confidence: score threshold; 0 keeps all detections.
        bbox_std_dev, ..., box_voting: see `DetectionLayer`.

    Returns:
        `[D, 6]` (y1, x1, y2, x2, class_id, score), highest score first, zero-padded.
    """
    first = 1 if any_foreground else 0  # class id of the first candidate
    class_ids = first + tf.argmax(probs[:, first:], axis=1, output_type=tf.int32)  # [K]
    scores = tf.reduce_max(probs[:, first:], axis=1)
    is_padding = tf.reduce_all(tf.equal(rois, 0.0), axis=1)
    keep = tf.where((class_ids > 0) & ~is_padding & (scores >= min_confidence))[:, 0]
    class_ids, scores = tf.gather(class_ids, keep), tf.gather(scores, keep)
    class_deltas = tf.gather_nd(tf.gather(deltas, keep), class_ids[:, None], batch_dims=1)  # [n, 4]
    boxes = clip_boxes(apply_box_deltas(tf.gather(rois, keep), class_deltas, bbox_std_dev), window)
    kept = non_max_suppression(boxes, class_ids, scores, probs.shape[1], max_instances, nms_threshold)
    boxes, class_ids, scores = tf.gather(boxes, kept), tf.gather(class_ids, kept), tf.gather(scores, kept)
    if box_voting < 1:
        boxes = vote_boxes(boxes, class_ids, rois, probs, deltas, window, box_voting, bbox_std_dev)
    detections = tf.concat([boxes, tf.cast(class_ids, tf.float32)[:, None], scores[:, None]], axis=1)
    return tf.pad(detections, [[0, max_instances - tf.shape(kept)[0]], [0, 0]])


@register
class DetectionLayer(Float32Layer):
    """Classifies RoIs, refines and clips their boxes, and removes low scores and duplicates.

    Args:
        config: Config that provides the values of arguments that are None.
        bbox_std_dev: 4 factors by which the predicted deltas are multiplied.
        min_confidence: score threshold; 0 or None keeps all detections.
        max_instances: D, maximum number of detections per image.
        nms_threshold: IoU above which the lower-scoring detection is removed.
        any_foreground: False: drop RoIs whose most probable class is the background. With two classes, all scores are
            then at least 0.5. True: use the most probable foreground class, as AP requires.
        box_voting: minimum IoU of the boxes that vote on a detection; 1 disables voting. See `vote_boxes`.

    Call arguments: [`rois [B, K, 4]` normalized, zero-padded; `mrcnn_class [B, K, C]` probabilities;
        `mrcnn_bbox [B, K, C, 4]` deltas; `image_meta [B, 12+C]`; optionally `min_confidence [B]`, which replaces the
        threshold of the layer].

    Returns:
        `[B, D, 6]` float32 (y1, x1, y2, x2, class_id, score), normalized, highest score first, zero-padded.
    """

    def __init__(
        self,
        config=None,
        *,
        bbox_std_dev=None,
        min_confidence=None,
        max_instances=None,
        nms_threshold=None,
        any_foreground=None,
        box_voting=None,
        **kwargs,
    ):
        super().__init__(**kwargs)

        def choose(value, field):
            return getattr(config, field) if value is None and config is not None else value

        self.min_confidence = float(choose(min_confidence, "DETECTION_MIN_CONFIDENCE") or 0)
        box_voting = choose(box_voting, "DETECTION_BOX_VOTING")
        self.settings = dict(
            bbox_std_dev=[float(v) for v in np.ravel(choose(bbox_std_dev, "BBOX_STD_DEV"))],
            max_instances=int(choose(max_instances, "DETECTION_MAX_INSTANCES")),
            nms_threshold=float(choose(nms_threshold, "DETECTION_NMS_THRESHOLD")),
            any_foreground=bool(choose(any_foreground, "DETECTION_ANY_FOREGROUND")),
            box_voting=1.0 if box_voting is None else float(box_voting),
        )
        self.supports_jit = False  # non-maximum suppression on CPU has no XLA kernel

    def call(self, inputs):
        rois, probs, deltas, image_meta, *thresholds = inputs
        meta = split_image_meta(image_meta)
        windows = norm_boxes(meta["window"], meta["image_shape"][0])  # [B, 4]
        images = rois, probs, deltas, windows, *(thresholds or [tf.fill(tf.shape(rois)[:1], self.min_confidence)])
        spec = tf.TensorSpec((self.settings["max_instances"], 6), tf.float32)
        return map_images(lambda image: refine_detections(*image, **self.settings), images, spec)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[0].shape[0], self.settings["max_instances"], 6), dtype="float32")

    def get_config(self):
        return {**super().get_config(), **self.settings, "min_confidence": self.min_confidence}
