"""ProposalLayer: from the RPN's scores and deltas to the boxes that the heads look at (Ren et al. 2015, section 3.3).

B images, A anchors, K proposals. Boxes are normalised; see `boxes`.
"""

import keras
import numpy as np
import tensorflow as tf

from mrcnn.layers.common import Float32Layer, register
from mrcnn.ops.boxes_tf import apply_box_deltas_graph, clip_boxes_graph

# The steps that can be looked at one by one, in order; the names are those of the original's graph.
STEPS = ("pre_nms_anchors", "refined_anchors", "refined_anchors_clipped", "rpn_non_max_suppression")


@register
class ProposalLayer(Float32Layer):
    """Refines the best anchors, clips them, suppresses overlapping ones.

    Args:
        proposal_count: K, rows of the output; zero padded.
        nms_threshold: IoU above which the worse of two boxes is dropped.
        config: gives `PRE_NMS_LIMIT` and `RPN_BBOX_STD_DEV` where they are not given themselves.
        pre_nms_limit: anchors that enter non-maximum suppression, best first.
        bbox_std_dev: 4 factors by which the network's deltas are multiplied.

    Call arguments: [`rpn_class [B, A, 2]` probabilities (background, object), `rpn_bbox [B, A, 4]` deltas,
        `anchors [B or 1, A, 4]` normalised].

    Returns:
        `[B, K, 4]` float32 normalised boxes in NMS order, clipped to the image, zero padded, without gradient.

    Source: Matterport. Boxes of area zero survive, as there.
    """

    def __init__(self, proposal_count, nms_threshold, config=None, *, pre_nms_limit=None, bbox_std_dev=None, **kwargs):
        super().__init__(**kwargs)
        self.proposal_count = int(proposal_count)
        self.nms_threshold = float(nms_threshold)
        self.pre_nms_limit = int(config.PRE_NMS_LIMIT if pre_nms_limit is None else pre_nms_limit)
        std_dev = config.RPN_BBOX_STD_DEV if bbox_std_dev is None else bbox_std_dev
        self.bbox_std_dev = [float(value) for value in np.ravel(std_dev)]
        self.supports_jit = False  # the CPU's non-maximum suppression has no XLA kernel

    def call(self, inputs):
        _, _, clipped, scores = self._refine(*inputs)
        return tf.stop_gradient(self._suppress(clipped, scores))

    def steps(self, inputs) -> dict[str, tf.Tensor]:
        """What `call` computes on its way, by the names of `STEPS`.

        Returns:
            `pre_nms_anchors`, `refined_anchors`, `refined_anchors_clipped` `[B, n, 4]` with n = min(PRE_NMS_LIMIT, A),
            best first, and `rpn_non_max_suppression` `[m] int32`: rows that survive in the first image.
        """
        anchors, refined, clipped, scores = self._refine(*inputs)
        indices = tf.image.non_max_suppression(clipped[0], scores[0], self.proposal_count, self.nms_threshold)
        return dict(zip(STEPS, (anchors, refined, clipped, indices), strict=True))

    def _refine(self, probs, deltas, anchors):
        scores = probs[:, :, 1]  # [B, A]
        limit = tf.minimum(self.pre_nms_limit, tf.shape(scores)[1])
        scores, indices = tf.math.top_k(scores, limit)  # [B, n]
        deltas = tf.gather(deltas, indices, batch_dims=1) * tf.constant(self.bbox_std_dev)  # [B, n, 4]
        # One set of anchors serves all images: gathered by index, it is never copied B times.
        shared = tf.equal(tf.shape(anchors)[0], 1)
        image = tf.where(shared, 0, tf.range(tf.shape(indices)[0]))[:, None]  # [B, 1]
        anchors = tf.gather_nd(anchors, tf.stack([tf.broadcast_to(image, tf.shape(indices)), indices], axis=-1))
        refined = apply_box_deltas_graph(anchors, deltas)
        return anchors, refined, clip_boxes_graph(refined, tf.constant([0.0, 0.0, 1.0, 1.0])), scores

    def _suppress(self, boxes, scores):
        def one_image(args):
            boxes, scores = args  # [n, 4], [n]
            kept = tf.image.non_max_suppression(boxes, scores, self.proposal_count, self.nms_threshold)
            boxes = tf.gather(boxes, kept)
            return tf.pad(boxes, [[0, self.proposal_count - tf.shape(kept)[0]], [0, 0]])

        spec = tf.TensorSpec((self.proposal_count, 4), tf.float32)
        return tf.map_fn(one_image, (boxes, scores), fn_output_signature=spec)

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
    """One of the `STEPS` inside a `ProposalLayer`, as a layer, so that `run_graph` can ask for it.

    Args:
        layer: the ProposalLayer to look into.
        step: a name of `STEPS`.

    Call arguments: those of the ProposalLayer.
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
