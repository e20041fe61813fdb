"""Box operations on TensorFlow tensors: counterparts of functions in `mrcnn.ops.boxes`, in float32 unless noted.

Import the module (`from mrcnn.ops import boxes_tf`), because its functions have the same names as the NumPy functions.
"""

from collections.abc import Sequence

import tensorflow as tf

# Limits the growth of a side to a factor of exp(10) = 22,000. Larger deltas can overflow to inf and then give NaN.
MAX_LOG_GROWTH = 10.0
Shape = tf.Tensor | Sequence[int | tf.Tensor]  # height and width; further elements are ignored


def box_refinement(box: tf.Tensor, gt_box: tf.Tensor) -> tf.Tensor:
    """Computes the deltas `[..., 4]` that transform `box` into `gt_box`. See `boxes.box_refinement`."""
    return encode_boxes(tf.cast(box, tf.float32), tf.cast(gt_box, tf.float32))


def encode_boxes(box: tf.Tensor, gt_box: tf.Tensor) -> tf.Tensor:
    """Computes `box_refinement` in the dtype of its arguments, such as float64 for anchor targets."""
    size = box[..., 2:] - box[..., :2]
    gt_size = gt_box[..., 2:] - gt_box[..., :2]
    shift = (gt_box[..., :2] + 0.5 * gt_size - (box[..., :2] + 0.5 * size)) / size
    return tf.concat([shift, tf.math.log(gt_size / size)], axis=-1)


def apply_box_deltas(boxes: tf.Tensor, deltas: tf.Tensor, std_dev: Sequence[float] = (1.0,) * 4) -> tf.Tensor:
    """Applies deltas `[..., 4]` (dy, dx, log dh, log dw) to boxes `[..., 4]`. See `boxes.apply_box_deltas`.

    Args:
        boxes: `[..., 4]`.
        deltas: `[..., 4]`.
        std_dev: 4 factors by which the deltas are multiplied.
    """
    deltas = tf.convert_to_tensor(deltas)
    boxes = tf.convert_to_tensor(boxes, deltas.dtype)
    # The deltas are sliced before the multiplication, because OpenVINO's 8-bit transformations mistake a product with a
    # constant for a dequantization and slice the constant incorrectly.
    factors = [tf.constant(part, deltas.dtype) for part in (std_dev[:2], std_dev[2:])]
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + 0.5 * size + deltas[..., :2] * factors[0] * size
    size = size * tf.exp(tf.minimum(deltas[..., 2:] * factors[1], MAX_LOG_GROWTH))
    top_left = centre - 0.5 * size
    return tf.concat([top_left, top_left + size], axis=-1)


def clip_boxes(boxes: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Clips boxes `[..., N, 4]` to a window `[4]`, or to one window per image `[B, 1, 4]`, in the same coordinates."""
    boxes = tf.convert_to_tensor(boxes)
    window = tf.convert_to_tensor(window, boxes.dtype)
    # This function does not use a gather, because OpenVINO's 8-bit transformations crash if a gather follows a product
    # with a constant.
    low, high = (tf.concat([corner, corner], axis=-1) for corner in (window[..., :2], window[..., 2:]))
    return tf.maximum(tf.minimum(boxes, high), low)


def _scale_and_shift(shape: Shape) -> tuple[tf.Tensor, tf.Tensor]:
    side = tf.cast(shape, tf.float32)[:2] - 1.0
    return tf.concat([side, side], axis=0), tf.constant([0.0, 0.0, 1.0, 1.0])


def norm_boxes(boxes: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Converts pixel boxes `[..., 4]` of an image of `shape` (height, width) to normalized boxes, float32."""
    scale, shift = _scale_and_shift(shape)
    return (tf.cast(boxes, tf.float32) - shift) / scale


def denorm_boxes(boxes: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Converts normalized boxes `[..., 4]` to int32 pixel boxes of an image of `shape` (height, width)."""
    scale, shift = _scale_and_shift(shape)
    return tf.cast(tf.round(boxes * scale + shift), tf.int32)


def edge_coordinates(boxes: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Converts normalized boxes `[..., 4]` to fractions of the image: 0 and 1 are its outer edges.

    Args:
        boxes: `[..., 4]` normalized.
        shape: (height, width) of the image in pixels.
    """
    height, width = (tf.cast(side, tf.float32) for side in (shape[0], shape[1]))
    scale = tf.stack([height - 1, width - 1, height - 1, width - 1])
    return (boxes * scale + [0.0, 0.0, 1.0, 1.0]) / tf.stack([height, width, height, width])


def relative_boxes(boxes: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """Converts boxes `[..., 4]` to coordinates relative to `frames [..., 4]`, whose corners are (0, 0) and (1, 1)."""
    origin, size = frames[..., :2], frames[..., 2:] - frames[..., :2]
    return tf.concat([tf.math.divide_no_nan(boxes[..., i : i + 2] - origin, size) for i in (0, 2)], axis=-1)


def cell_samples(boxes: tf.Tensor, shape: Shape, cells: Sequence[int], margin: int = 0) -> tf.Tensor:
    """Converts boxes so that `tf.image.crop_and_resize` samples at the centres of their cells.

    `crop_and_resize` places the outer samples on the edges of a box and expects positions as fractions of the last
    index. The centre of pixel i is i + 0.5 pixels from the edge of the map.

    Args:
        boxes: `[..., 4]` relative to the map, whose outer edges are 0 and 1.
        shape: (height, width) of the map in pixels, without the margin.
        cells: (rows, columns) of cells in each box.
        margin: padding of the map on each side, in pixels.

    Returns:
        `[..., 4]`, boxes for `crop_and_resize` of the padded map to the size `cells`.
    """
    sides = tf.stack([tf.cast(side, tf.float32) for side in (shape[0], shape[1])])
    half = (boxes[..., 2:] - boxes[..., :2]) / [2.0 * count for count in cells]
    corners = boxes[..., :2] + half, boxes[..., 2:] - half  # centres of the outer cells
    return tf.concat([(corner * sides + (margin - 0.5)) / (sides + (2 * margin - 1)) for corner in corners], axis=-1)


def compute_overlaps(boxes1: tf.Tensor, boxes2: tf.Tensor) -> tf.Tensor:
    """Computes the IoU `[..., N, M]` of boxes `[..., N, 4]` with boxes `[..., M, 4]`.

    The IoU of two zero-area boxes is NaN.
    """
    boxes1, boxes2 = boxes1[..., :, None, :], boxes2[..., None, :, :]  # [..., N, 1, 4], [..., 1, M, 4]
    low = tf.maximum(boxes1[..., :2], boxes2[..., :2])  # [..., N, M, 2]
    high = tf.minimum(boxes1[..., 2:], boxes2[..., 2:])
    intersection = tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)  # [..., N, M]
    area1 = tf.reduce_prod(boxes1[..., 2:] - boxes1[..., :2], axis=-1)
    area2 = tf.reduce_prod(boxes2[..., 2:] - boxes2[..., :2], axis=-1)
    return intersection / (area1 + area2 - intersection)


def non_max_suppression(boxes: tf.Tensor, scores: tf.Tensor, max_count: int, threshold: float) -> tf.Tensor:
    """Returns the int32 indices of the remaining boxes, highest score first. See `boxes.non_max_suppression`.

    Replaces `tf.image.non_max_suppression`, whose result differs in LiteRT. LiteRT's operation pads the indices, and
    its converter removes the padding only if the count is used. The operation also selects a zero-area box repeatedly,
    because the IoU of such a box with itself is 0.

    Args:
        boxes: `[N, 4]` with coordinates >= 0. Zero-area boxes overlap no other box.
        scores: `[N]`.
        max_count: maximum number of indices.
        threshold: IoU above which the lower-scoring box is removed.
    """
    # A zero-area box becomes a box outside the image that overlaps itself and no other box.
    index = tf.cast(tf.range(tf.shape(boxes)[0]), tf.float32)[:, None]  # [N, 1]
    is_empty = tf.reduce_prod(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True) <= 0.0  # [N, 1]
    boxes = tf.where(is_empty, [-2.0, -2.0, -1.5, -1.5] - index, boxes)
    kept, count = tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=max_count,
        iou_threshold=threshold,
        score_threshold=float("-inf"),
    )
    return kept[:count]
