"""Mask targets: the ground-truth mask inside each positive RoI, resized to M x M cells.

Shape notation: B images, P positive RoIs, G ground-truth slots, M mask side. Boxes are normalized; see
`mrcnn.ops.boxes`.
"""

from collections.abc import Sequence

import tensorflow as tf

from mrcnn import choices
from mrcnn.ops.boxes_tf import cell_samples, edge_coordinates, relative_boxes

MASK_TARGETS = choices.SETTINGS["MASK_TARGETS"]
SAMPLES = 2  # samples per cell and axis; 28 cells then sample every pixel of a 56x56 mini mask


def crop_mask_targets(
    rois: tf.Tensor,
    objects: tf.Tensor,
    slots: tf.Tensor,
    gt_masks: tf.Tensor,
    *,
    mask_shape: Sequence[int],
    use_mini_mask: bool,
    image_shape: Sequence[int] | None,
    kind: str,
) -> tf.Tensor:
    """Crops the masks of the matched objects to the RoIs.

    * "rounded": one bilinear sample per cell, rounded to 0 or 1. The outer cells sample the edges of the RoI, whereas
      pasting places the samples at the cell centres.
    * "coverage": the fraction of each cell that the object covers, estimated as the mean of 2x2 bilinear samples. It is
      consistent with pasting and preserves parts of objects that are narrower than a cell. Mini masks with more than
      two pixels per cell are averaged first. The estimate is less accurate for whole-image masks of large objects.

    Args:
        rois: `[B, P, 4]` normalized.
        objects: `[B, P, 4]` normalized boxes of the matched objects.
        slots: `[B, P]` int32 indices of the matched objects in G.
        gt_masks: `[B, h, w, G]` bool or 0/1; masks of the whole image, or mini masks of the boxes.
        mask_shape: (M, M).
        use_mini_mask: whether `gt_masks` are mini masks.
        image_shape: (H, W) of the preprocessed image in pixels; required for "coverage".
        kind: "rounded" or "coverage".

    Returns:
        `[B, P, M, M]` float32; 0 or 1 for "rounded", in 0..1 for "coverage".

    Raises:
        ValueError: see `check_mask_targets`.

    Source: He et al. 2017, Mask R-CNN, section 3.1; Matterport for "rounded".
    """
    check_mask_targets(kind, image_shape)
    if kind == "coverage":
        frames = edge_coordinates(objects, image_shape) if use_mini_mask else tf.constant([0.0, 0.0, 1.0, 1.0])
        boxes = relative_boxes(edge_coordinates(rois, image_shape), frames)
        return crop_coverage(boxes, slots, gt_masks, mask_shape, average=use_mini_mask)
    masks, index = _select_masks(gt_masks, slots)
    boxes = relative_boxes(rois, objects) if use_mini_mask else rois
    cells = tf.round(tf.image.crop_and_resize(masks, tf.reshape(boxes, [-1, 4]), index, mask_shape))
    return tf.reshape(cells, [tf.shape(rois)[0], tf.shape(rois)[1], *mask_shape])


def crop_coverage(
    boxes: tf.Tensor, slots: tf.Tensor, gt_masks: tf.Tensor, mask_shape: Sequence[int], *, average: bool
) -> tf.Tensor:
    """Computes the fraction of each cell of the boxes that the object covers.

    Args:
        boxes: `[B, P, 4]` relative to the mask of their object; 0 and 1 are the outer edges of the mask.
        slots: `[B, P]` int32 index of the object of each RoI along the G axis.
        gt_masks: `[B, h, w, G]` bool or 0/1.
        mask_shape: (M, M).
        average: whether masks with more than `SAMPLES` pixels per cell are averaged first. This requires boxes that
            cover roughly the whole mask, as with mini masks.

    Returns:
        `[B, P, M, M]` float32 in 0..1.
    """
    masks, index = _select_masks(gt_masks, slots)
    if average:
        factors = [
            max(1, side // (SAMPLES * cells)) for side, cells in zip(gt_masks.shape[1:3], mask_shape, strict=True)
        ]
        masks = tf.nn.avg_pool2d(masks, factors, factors, "VALID") if max(factors) > 1 else masks
    cells = _coverage(masks, tf.reshape(boxes, [-1, 4]), index, mask_shape)
    return tf.reshape(cells, [tf.shape(boxes)[0], tf.shape(boxes)[1], *mask_shape])


def _select_masks(gt_masks: tf.Tensor, slots: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the masks as images, float32 `[B*G', h, w, 1]`, and the index `[B*P]` of the mask of each RoI."""
    gt_masks = gt_masks[..., : 1 + tf.maximum(tf.reduce_max(slots), 0)]  # drops slots that no RoI uses
    batch, height, width, count = tf.unstack(tf.shape(gt_masks))
    # The masks are float32, because the kernels for half precision (CPU) and uint8 (GPU) are slow. `tf.where` is used
    # because TensorFlow would move a cast behind the transposition and then warn about transposing bool.
    masks = tf.where(tf.cast(gt_masks, tf.bool), 1.0, 0.0)
    masks = tf.reshape(tf.transpose(masks, [0, 3, 1, 2]), [batch * count, height, width, 1])
    return masks, tf.reshape(slots + count * tf.range(batch)[:, None], [-1])


def check_mask_targets(kind: str, image_shape: Sequence[int] | None) -> None:
    """Raises ValueError if `kind` is not in `MASK_TARGETS`, or `image_shape` is missing for "coverage"."""
    if kind not in MASK_TARGETS:
        raise ValueError(f"mask_targets must be one of {', '.join(MASK_TARGETS)}; got {kind!r}.")
    if kind == "coverage" and image_shape is None:
        raise ValueError("mask_targets='coverage' requires image_shape=(height, width) of the preprocessed image.")


def _coverage(masks: tf.Tensor, boxes: tf.Tensor, index: tf.Tensor, mask_shape: Sequence[int]) -> tf.Tensor:
    """Computes the mean `[n, M, M, 1]` of `masks [N, h, w, 1]` over each cell of the boxes.

    Args:
        boxes: `[n, 4]` relative to `masks[index]`; 0 and 1 are the outer edges of its first and last pixel.
    """
    samples = [SAMPLES * side for side in mask_shape]
    boxes = cell_samples(boxes, tf.shape(masks)[1:3], samples, margin=1)
    # A margin of zeros allows samples in the outer half of the border pixels.
    masks = tf.pad(masks, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return tf.nn.avg_pool2d(tf.image.crop_and_resize(masks, boxes, index, samples), SAMPLES, SAMPLES, "VALID")
