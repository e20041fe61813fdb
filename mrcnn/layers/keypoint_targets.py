"""Keypoint targets: for each positive RoI, the cell of its map that contains each keypoint of the object."""

from collections.abc import Sequence

import tensorflow as tf

from mrcnn.ops.boxes_tf import edge_coordinates


def keypoint_cells(
    rois: tf.Tensor, slots: tf.Tensor, gt_keypoints: tf.Tensor, image_shape: Sequence[int], side: int
) -> tf.Tensor:
    """Returns the cell of each keypoint in the map of each RoI.

    Args:
        rois: `[B, P, 4]` normalized.
        slots: `[B, P]` int32 indices of the matched objects in G.
        gt_keypoints: `[B, G, J, 3]` (x, y, visibility) in pixels of the preprocessed image.
        image_shape: (H, W) of the preprocessed image in pixels.
        side: Q, number of cells along a side of the map.

    Returns:
        `[B, P, J]` int32 cell indices in row-major order; -1 for keypoints that are not labelled or outside the RoI.

    Source: He et al. 2017, Mask R-CNN, section 5.
    """
    frames = edge_coordinates(rois, image_shape)[:, :, None]  # [B, P, 1, 4]
    points = tf.gather(gt_keypoints, slots, batch_dims=1)  # [B, P, J, 3]
    position = tf.reverse(points[..., :2], [-1]) / [float(length) for length in image_shape[:2]]  # (y, x)
    position = tf.math.divide_no_nan(position - frames[..., :2], frames[..., 2:] - frames[..., :2])
    inside = tf.reduce_all((position >= 0) & (position <= 1), axis=-1) & (points[..., 2] > 0)
    cells = tf.minimum(tf.cast(position * side, tf.int32), side - 1)  # the far edge belongs to the last cell
    return tf.where(inside, cells[..., 0] * side + cells[..., 1], -1)
