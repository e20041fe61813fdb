"""Assigns training targets to RoIs: matching with the ground truth, sampling, and targets of the heads.

Shape notation: B images, K proposals, R sampled RoIs, G ground-truth slots, M mask side, J keypoints.
`mrcnn.matterport.targets_numpy` has a NumPy reference implementation.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from mrcnn import choices
from mrcnn.layers.common import Float32Layer, register
from mrcnn.layers.keypoint_targets import keypoint_cells
from mrcnn.layers.mask_targets import check_mask_targets, crop_mask_targets
from mrcnn.layers.rpn_targets import IGNORE_IOU
from mrcnn.ops.boxes_tf import box_refinement, compute_overlaps

ROI_POSITIVE_IOU = 0.5  # minimum IoU of positive RoIs; RoIs below are negative
NEGATIVES = choices.SETTINGS["ROI_NEGATIVES"]


def select_roi_targets(
    proposals: tf.Tensor,
    gt_class_ids: tf.Tensor,
    gt_boxes: tf.Tensor,
    gt_masks: tf.Tensor | None,
    draw: tf.Tensor,
    gt_keypoints: tf.Tensor | None = None,
    *,
    rois_per_image: int,
    positive_ratio: float,
    mask_shape: Sequence[int],
    use_mini_mask: bool,
    bbox_std_dev: Sequence[float],
    negatives: str,
    mask_targets: str = "rounded",
    image_shape: Sequence[int] | None = None,
    keypoint_map: int = 0,
) -> list[tf.Tensor]:
    """Samples RoIs and computes the targets of the heads. See `DetectionTargetLayer` for inputs, arguments and outputs.

    `draw` contains random numbers in 0..1, `[B, K]`. If there are more candidates than needed, the candidates with the
    smallest numbers are selected. Ties are resolved by order.
    """
    max_positives = int(rois_per_image * positive_ratio)
    best_object, positive, negative = _match_proposals(proposals, gt_class_ids, gt_boxes)
    count = tf.reduce_sum(tf.cast(positive, tf.int32), axis=1, keepdims=True)  # [B, 1]
    positives = tf.minimum(count, max_positives)
    max_negatives = _max_negatives(positives, rois_per_image, positive_ratio, negatives)
    used = positives + tf.minimum(tf.reduce_sum(tf.cast(negative, tf.int32), axis=1, keepdims=True), max_negatives)

    # Positives come first, then negatives, then the rest, each sorted by `draw`. Adding half of `draw`, which is less
    # than 1, does not change the group.
    group = tf.where(positive, 0.0, tf.where(negative, 1.0, 2.0))
    order = tf.argsort(group + 0.5 * draw, stable=True)  # [B, K]
    row = tf.range(rois_per_image)[None]  # [1, R]
    is_positive, is_used = row < positives, row < used  # [B, R]
    rank = tf.where(is_positive, row, row - positives + count)
    rank = tf.minimum(rank, tf.shape(order)[1] - 1)  # the last rows are padding if K < R
    index = tf.gather(order, rank, batch_dims=1)  # [B, R]

    rois = tf.where(is_used[..., None], tf.gather(proposals, index, batch_dims=1), 0.0)  # [B, R, 4]
    object_index = tf.gather(best_object, index, batch_dims=1)  # [B, R]
    objects = tf.gather(gt_boxes, object_index, batch_dims=1)  # [B, R, 4]
    class_ids = tf.where(is_positive, tf.gather(gt_class_ids, object_index, batch_dims=1), 0)
    deltas = box_refinement(rois, objects) / tf.constant(list(bbox_std_dev), tf.float32)
    deltas = tf.where(is_positive[..., None], deltas, 0.0)

    outputs = [rois, class_ids, deltas]
    rows = slice(None), slice(max_positives)  # only these rows can be positive
    if gt_masks is not None:
        masks = crop_mask_targets(
            rois[rows],
            objects[rows],
            object_index[rows],
            gt_masks,
            mask_shape=mask_shape,
            use_mini_mask=use_mini_mask,
            image_shape=image_shape,
            kind=mask_targets,
        )
        masks = tf.where(is_positive[rows][..., None, None], masks, 0.0)
        masks = tf.pad(masks, [[0, 0], [0, rois_per_image - max_positives], [0, 0], [0, 0]])  # [B, R, M, M]
        outputs.append(masks)
    if gt_keypoints is not None:
        cells = keypoint_cells(rois[rows], object_index[rows], gt_keypoints, image_shape, keypoint_map)
        cells = tf.where(is_positive[rows][..., None], cells, -1)
        padding = [[0, 0], [0, rois_per_image - max_positives], [0, 0]]
        outputs.append(tf.pad(cells, padding, constant_values=-1))  # [B, R, J]
    return [tf.stop_gradient(output) for output in outputs]


def _match_proposals(proposals, gt_class_ids, gt_boxes) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the int32 slot of the best object and bool tensors of positive and negative proposals, all `[B, K]`."""
    is_proposal = tf.reduce_any(tf.not_equal(proposals, 0.0), axis=-1)
    has_box = tf.reduce_any(tf.not_equal(gt_boxes, 0.0), axis=-1)
    overlaps = compute_overlaps(proposals, gt_boxes)  # [B, K, G]; NaN for pairs of padding, replaced below
    with_objects = tf.where((has_box & (gt_class_ids > 0))[:, None], overlaps, 0.0)
    with_ignored = tf.where((has_box & (gt_class_ids < 0))[:, None], overlaps, 0.0)
    best_iou = tf.reduce_max(with_objects, axis=-1)
    positive = best_iou >= ROI_POSITIVE_IOU
    negative = is_proposal & (best_iou < ROI_POSITIVE_IOU) & (tf.reduce_max(with_ignored, axis=-1) < IGNORE_IOU)
    return tf.argmax(with_objects, axis=-1, output_type=tf.int32), positive, negative


def _max_negatives(positives: tf.Tensor, rois_per_image: int, positive_ratio: float, negatives: str) -> tf.Tensor:
    """Returns the maximum number of negatives in addition to `positives [B, 1]`; see `DetectionTargetLayer`."""
    if negatives == "fill":
        return rois_per_image - positives
    total = tf.cast(tf.cast(positives, tf.float32) * (1.0 / positive_ratio), tf.int32)
    if negatives == "matterport":
        return total - positives
    return tf.where(positives > 0, total - positives, rois_per_image)


@register
class DetectionTargetLayer(Float32Layer):
    """Samples RoIs from the proposals and computes the targets of the heads: class, deltas, mask and keypoints.

    An RoI is positive if its IoU with an object is at least 0.5. It is negative if its IoU is below 0.5 with all
    objects and it does not overlap an ignore region. At most a fraction `positive_ratio` of the RoIs is positive.
    `negatives` determines the number of negative RoIs:

    * "matterport": as many as the fraction `positive_ratio` allows. An image without positive RoIs has no negative RoIs
      either, so the heads are trained on padding only.
    * "balanced": like "matterport", but an image without positive RoIs has `rois_per_image` negative RoIs. Images
      without objects therefore contribute to the class loss.
    * "fill": all remaining rows, as in Fast R-CNN. The other options fill these rows with padding, which counts as
      background in the class loss.

    Inputs, a list:
        proposals: `[B, K, 4]` normalized, zero-padded.
        gt_class_ids: `[B, G]` int32; above 0 for objects, below 0 for ignore regions or crowds, 0 for padding.
        gt_boxes: `[B, G, 4]` normalized, zero-padded.
        gt_masks: `[B, h, w, G]` bool or 0/1; masks of the whole image, or mini masks of the boxes. Optional; without
            masks, `target_mask` is not returned.
        gt_keypoints: `[B, G, J, 3]` (x, y, visibility) in pixels of the preprocessed image; only with `keypoint_map`.

    Outputs, a list, without gradient; positives first, then negatives, then zero padding:
        rois: `[B, R, 4]` normalized.
        target_class_ids: `[B, R]` int32; 0 for negatives and padding.
        target_bbox: `[B, R, 4]` deltas divided by `bbox_std_dev`; zeros except for positives.
        target_mask: `[B, R, M, M]` float32, 0 or 1, or in 0..1 with "coverage"; zeros except for positives.
        target_keypoints: `[B, R, J]` int32; -1 except for positives. See `keypoint_cells`.

    Args:
        config: Config that provides all other arguments except `shuffle` and `seed`, or None.
        rois_per_image: R.
        positive_ratio: maximum fraction of positive RoIs, above 0 and at most 1.
        mask_shape: (M, M).
        use_mini_mask: whether `gt_masks` are mini masks.
        bbox_std_dev: `[4]` divisors of the deltas.
        negatives: "matterport", "balanced" or "fill".
        add_gt_boxes: whether the ground-truth boxes are added to the proposals, so that there are positive RoIs from
            the first step.
        shuffle: whether RoIs are sampled at random; otherwise the first candidates are selected.
        seed: seed of the sampling. Its state is a variable of the layer, so training resumes with the same sequence.
        mask_targets: "rounded" or "coverage"; see `crop_mask_targets`.
        image_shape: (H, W) of the preprocessed image in pixels; required for "coverage" and `keypoint_map`.
        keypoint_map: side of the keypoint maps in cells; 0: no keypoints.

    Raises:
        ValueError: if `positive_ratio`, `negatives` or `mask_targets` is invalid, or if `image_shape` is missing.

    Source: Girshick 2015, Fast R-CNN, section 2.3; He et al. 2017, Mask R-CNN, section 3.1; Matterport.
    Differs from the reference code of Fast R-CNN: ground-truth boxes are added only with `add_gt_boxes`.
    Differs from Matterport: the default of `negatives`, and the option "coverage".
    """

    def __init__(
        self,
        config=None,
        *,
        rois_per_image: int = 200,
        positive_ratio: float = 0.33,
        mask_shape: Sequence[int] = (28, 28),
        use_mini_mask: bool = True,
        bbox_std_dev: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
        negatives: str = "balanced",
        add_gt_boxes: bool = False,
        shuffle: bool = True,
        seed: int | None = None,
        mask_targets: str = "rounded",
        image_shape: Sequence[int] | None = None,
        keypoint_map: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if config is not None:
            rois_per_image, positive_ratio = config.TRAIN_ROIS_PER_IMAGE, config.ROI_POSITIVE_RATIO
            mask_shape, use_mini_mask, mask_targets = config.MASK_SHAPE, config.USE_MINI_MASK, config.MASK_TARGETS
            bbox_std_dev, negatives, add_gt_boxes = config.BBOX_STD_DEV, config.ROI_NEGATIVES, config.ADD_GT_BOXES
            image_shape, keypoint_map = config.IMAGE_SHAPE, 4 * config.MASK_POOL_SIZE if config.NUM_KEYPOINTS else 0
        if not 0 < positive_ratio <= 1:
            raise ValueError(f"positive_ratio must be above 0 and at most 1, got {positive_ratio}.")
        if negatives not in NEGATIVES:
            raise ValueError(f"negatives must be one of {', '.join(NEGATIVES)}; got {negatives!r}.")
        check_mask_targets(mask_targets, image_shape)
        if keypoint_map and image_shape is None:
            raise ValueError("keypoint_map requires image_shape=(height, width) of the preprocessed image.")
        self.settings = dict(
            rois_per_image=int(rois_per_image),
            positive_ratio=float(positive_ratio),
            mask_shape=[int(side) for side in mask_shape],
            use_mini_mask=bool(use_mini_mask),
            bbox_std_dev=[float(value) for value in bbox_std_dev],
            negatives=negatives,
            mask_targets=mask_targets,
            image_shape=None if image_shape is None else [int(side) for side in image_shape[:2]],
            keypoint_map=int(keypoint_map),
        )
        self.add_gt_boxes = bool(add_gt_boxes)
        self.shuffle = bool(shuffle)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if shuffle else None
        self.supports_jit = False  # crop_and_resize has no XLA kernel

    def call(self, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        proposals, gt_class_ids, gt_boxes, *others = inputs
        gt_keypoints = others.pop() if self.settings["keypoint_map"] else None
        gt_masks = others.pop() if others else None
        if self.add_gt_boxes:
            object_boxes = tf.where(gt_class_ids[..., None] > 0, gt_boxes, 0.0)
            proposals = tf.concat([object_boxes, proposals], axis=1)  # [B, G+K, 4]
        draw = self._draw(tf.shape(proposals)) if self.shuffle else tf.zeros(tf.shape(proposals)[:2])
        return select_roi_targets(proposals, gt_class_ids, gt_boxes, gt_masks, draw, gt_keypoints, **self.settings)

    def _draw(self, shape: tf.Tensor) -> tf.Tensor:
        """Draws a random number in 0..1 for each proposal of a batch of `shape` (B, K, 4).

        Replicas use parts of one common draw, so the sample does not depend on how a batch is split.
        """
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return tf.random.stateless_uniform(shape[:2], seed)
        draw = tf.random.stateless_uniform([context.num_replicas_in_sync, shape[0], shape[1]], seed)
        return draw[context.replica_id_in_sync_group]

    def compute_output_spec(self, inputs) -> list[keras.KerasTensor]:
        leading = inputs[0].shape[0], self.settings["rois_per_image"]
        specs = [
            keras.KerasTensor((*leading, 4), "float32"),
            keras.KerasTensor(leading, "int32"),
            keras.KerasTensor((*leading, 4), "float32"),
        ]
        has_keypoints = bool(self.settings["keypoint_map"])
        if len(inputs) > 3 + has_keypoints:
            specs.append(keras.KerasTensor((*leading, *self.settings["mask_shape"]), "float32"))
        if has_keypoints:
            specs.append(keras.KerasTensor((*leading, inputs[-1].shape[2]), "int32"))
        return specs

    def get_config(self) -> dict:
        own = {name: getattr(self, name) for name in ("add_gt_boxes", "shuffle", "seed")}
        return {**super().get_config(), **self.settings, **own}
