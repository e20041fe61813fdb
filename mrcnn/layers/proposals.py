"""ProposalLayer: converts the scores and deltas of the RPN to proposals (Ren et al. 2015, section 3.3).

Shape notation: B images, A anchors, K proposals. Boxes are normalized; see `mrcnn.ops.boxes`.
"""

import keras
import numpy as np
import tensorflow as tf

from mrcnn.layers.common import Float32Layer, map_images, register
from mrcnn.ops.boxes_tf import apply_box_deltas, clip_boxes, non_max_suppression

# Intermediate outputs in order of computation, with the names of Matterport's graph.
STEPS = ("pre_nms_anchors", "refined_anchors", "refined_anchors_clipped", "rpn_non_max_suppression")


@register
class ProposalLayer(Float32Layer):
    """Refines and clips the highest-scoring anchors and applies non-maximum suppression.

    Args:
        proposal_count: K, number of rows of the output.
        nms_threshold: IoU above which the lower-scoring box is removed.
        config: Config that provides `PRE_NMS_LIMIT` and `RPN_BBOX_STD_DEV` if the next two arguments are None.
        pre_nms_limit: maximum number of anchors before non-maximum suppression.
        bbox_std_dev: 4 factors by which the predicted deltas are multiplied.

    Call arguments: [`rpn_class [B, A, 2]` probabilities (background, object), `rpn_bbox [B, A, 4]` deltas,
        `anchors [B or 1, A, 4]` normalized].

    Returns:
        `[B, K, 4]` float32 normalized boxes, clipped to the image, highest score first, zero-padded, without gradient.

    Source: Matterport. Zero-area boxes are kept, as in Matterport's code.
    """

    def __init__(self, proposal_count, nms_threshold, config=None, *, pre_nms_limit=None, bbox_std_dev=None, **kwargs):
        super().__init__(**kwargs)
        self.proposal_count = int(proposal_count)
        self.nms_threshold = float(nms_threshold)
        self.pre_nms_limit = int(config.PRE_NMS_LIMIT if pre_nms_limit is None else pre_nms_limit)
        std_dev = config.RPN_BBOX_STD_DEV if bbox_std_dev is None else bbox_std_dev
        self.bbox_std_dev = [float(value) for value in np.ravel(std_dev)]
        self.supports_jit = False  # non-maximum suppression on CPU has no XLA kernel

    def call(self, inputs):
        _, _, clipped, scores = self._refine(*inputs)
        return tf.stop_gradient(self._suppress(clipped, scores))

    def steps(self, inputs) -> dict[str, tf.Tensor]:
        """Returns the intermediate outputs of `call` by name; see `STEPS`.

        Returns:
            `pre_nms_anchors`, `refined_anchors` and `refined_anchors_clipped` are `[B, n, 4]`, highest score first,
            with n = min(PRE_NMS_LIMIT, A). `rpn_non_max_suppression [m]` contains the int32 indices of the remaining
            boxes in the first image.
        """
        anchors, refined, clipped, scores = self._refine(*inputs)
        indices = non_max_suppression(clipped[0], scores[0], self.proposal_count, self.nms_threshold)
        return dict(zip(STEPS, (anchors, refined, clipped, indices), strict=True))

    def _refine(self, probs, deltas, anchors):
        scores = probs[:, :, 1]  # [B, A]
        count = tf.minimum(self.pre_nms_limit, tf.shape(scores)[1])
        scores, indices = tf.math.top_k(scores, count)  # [B, n]
        deltas = tf.gather_nd(deltas, indices[..., None], batch_dims=1)  # [B, n, 4]
        # Anchors that all images share are gathered by index, which avoids B copies.
        shared = tf.equal(tf.shape(anchors)[0], 1)
        image = tf.where(shared, 0, tf.range(tf.shape(indices)[0]))[:, None]  # [B, 1]
        anchors = tf.gather_nd(anchors, tf.stack([tf.broadcast_to(image, tf.shape(indices)), indices], axis=-1))
        refined = apply_box_deltas(anchors, deltas, self.bbox_std_dev)
        return anchors, refined, clip_boxes(refined, tf.constant([0.0, 0.0, 1.0, 1.0])), scores

    def _suppress(self, boxes, scores):
        def one_image(args):
            boxes, scores = args  # [n, 4], [n]
            kept = non_max_suppression(boxes, scores, self.proposal_count, self.nms_threshold)
            boxes = tf.gather(boxes, kept)
            return tf.pad(boxes, [[0, self.proposal_count - tf.shape(kept)[0]], [0, 0]])

        spec = tf.TensorSpec((self.proposal_count, 4), tf.float32)
        return map_images(one_image, (boxes, scores), spec)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[0].shape[0], self.proposal_count, 4), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "proposal_count": self.proposal_count,
            "nms_threshold": self.nms_threshold,
            "pre_nms_limit": self.pre_nms_limit,
            "bbox_std_dev": self.bbox_std_dev,
        }


@register
class ProposalSteps(Float32Layer):
    """Returns one intermediate output of a `ProposalLayer`, for `run_graph`.

    Args:
        layer: the ProposalLayer.
        step: one of `STEPS`.

    Call arguments: see `ProposalLayer`.
    """

    def __init__(self, layer, step, **kwargs):
        super().__init__(**kwargs)
        self.layer, self.step = layer, step

    def call(self, inputs):
        return self.layer.steps(inputs)[self.step]

    def compute_output_spec(self, inputs):
        if self.step == "rpn_non_max_suppression":
            return keras.KerasTensor((None,), dtype="int32")
        return keras.KerasTensor((inputs[0].shape[0], None, 4), dtype="float32")
