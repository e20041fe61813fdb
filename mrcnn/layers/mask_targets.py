"""What the mask head learns: each positive RoI's part of its object's mask, as M x M cells.

Letters: B images, P positive RoIs, G ground-truth slots, M mask side. Boxes are normalised (see `boxes`): 0 and 1 are
the centres of the first and last pixel of the image.
"""

from collections.abc import Sequence

import tensorflow as tf

MASK_TARGETS = ("rounded", "coverage")
SAMPLES = 2  # in each direction of a cell; those of a box with M = 28 are the pixels of its mini mask of 56


def mask_targets_graph(
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
    """Cuts the RoIs out of the masks of their objects.

    * "rounded": one bilinear sample a cell, 0 or 1 as it is below or above one half. The outer cells sample the RoI's
      very edges, while a detected mask is pasted as if a cell's value stood at its centre.
    * "coverage": the share of each cell that the object covers, which is what pasting undoes, as the mean of 2 x 2
      bilinear samples. Thin objects profit: their tails are narrower than a cell. (Where a cell is many mask pixels
      large, as with whole-image masks of large objects, four samples are a rough estimate.)

    Args:
        rois: `[B, P, 4]` normalised.
        objects: `[B, P, 4]` normalised boxes of their objects.
        slots: `[B, P]` int32, the objects' places among G.
        gt_masks: `[B, h, w, G]` bool or 0/1; of the whole image, or of each box if `use_mini_mask`.
        mask_shape: (M, M).
        use_mini_mask: see `gt_masks`.
        image_shape: (H, W) of the molded image, pixels; "rounded" does without.
        kind: "rounded" or "coverage".

    Returns:
        `[B, P, M, M]` float32, 0 or 1, or 0..1.

    Raises:
        ValueError: see `check_mask_targets`.

    Source: He et al. 2017, Mask R-CNN, section 3.1; "rounded" is Matterport's.
    """
    check_mask_targets(kind, image_shape)
    gt_masks = gt_masks[..., : 1 + tf.maximum(tf.reduce_max(slots), 0)]  # most slots are padding
    batch, height, width, count = tf.unstack(tf.shape(gt_masks))
    # float32: on a CPU half precision has no fast kernel here, and on a GPU bytes have none. A choice, not a cast:
    # TensorFlow would move the cast behind the transposition, and complain about transposing bool.
    masks = tf.where(tf.cast(gt_masks, tf.bool), 1.0, 0.0)
    masks = tf.reshape(tf.transpose(masks, [0, 3, 1, 2]), [batch * count, height, width, 1])
    index = tf.reshape(slots + count * tf.range(batch)[:, None], [-1])  # [B*P]
    if kind == "rounded":
        boxes = _inside(rois, objects) if use_mini_mask else rois
        cells = tf.round(tf.image.crop_and_resize(masks, tf.reshape(boxes, [-1, 4]), index, mask_shape))
    else:
        frames = _with_area(objects, image_shape) if use_mini_mask else tf.constant([0.0, 0.0, 1.0, 1.0])
        boxes = tf.reshape(_inside(_with_area(rois, image_shape), frames), [-1, 4])
        cells = _coverage(masks, boxes, index, mask_shape)
    return tf.reshape(cells, [batch, tf.shape(rois)[1], *mask_shape])


def check_mask_targets(kind: str, image_shape: Sequence[int] | None) -> None:
    """Raises ValueError if `kind` is none of `MASK_TARGETS`, or is "coverage" without `image_shape`."""
    if kind not in MASK_TARGETS:
        raise ValueError(f"mask_targets must be one of {', '.join(MASK_TARGETS)}; got {kind!r}.")
    if kind == "coverage" and image_shape is None:
        raise ValueError("mask_targets='coverage' needs image_shape=(height, width) of the molded image.")


def _inside(boxes: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """Boxes `[..., 4]` in the frames of other boxes, whose corners become (0, 0) and (1, 1)."""
    origin, size = frames[..., :2], frames[..., 2:] - frames[..., :2]
    return tf.concat([tf.math.divide_no_nan(boxes[..., i : i + 2] - origin, size) for i in (0, 2)], axis=-1)


def _with_area(boxes: tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """Normalised boxes `[..., 4]` as shares of the image: 0 and 1 are the outer edges of the first and last pixel."""
    height, width = (float(side) for side in image_shape[:2])
    scale = tf.constant([height - 1, width - 1, height - 1, width - 1])
    return (boxes * scale + [0.0, 0.0, 1.0, 1.0]) / [height, width, height, width]


def _coverage(masks: tf.Tensor, boxes: tf.Tensor, index: tf.Tensor, mask_shape: Sequence[int]) -> tf.Tensor:
    """Means over the cells of `boxes` `[n, 4]` (shares of `masks[index]`) of `masks` `[N, h, w, 1]`: `[n, M, M, 1]`."""
    sides = tf.cast(tf.shape(masks)[1:3], tf.float32)
    samples = [SAMPLES * side for side in mask_shape]
    half = (boxes[:, 2:] - boxes[:, :2]) / [2.0 * side for side in samples]
    first, last = boxes[:, :2] + half, boxes[:, 2:] - half  # centres of the outer samples
    # A margin of zeros, so that the outer half of the masks' border pixels can be sampled too. What lies p pixels from
    # the masks' edge has the index (p - 0.5) + 1, and crop_and_resize wants it as a share of the last index.
    masks = tf.pad(masks, [[0, 0], [1, 1], [1, 1], [0, 0]])
    corners = [(corner * sides + 0.5) / (sides + 1.0) for corner in (first, last)]
    crops = tf.image.crop_and_resize(masks, tf.concat(corners, axis=1), index, samples)
    return tf.nn.avg_pool2d(crops, SAMPLES, SAMPLES, "VALID")
