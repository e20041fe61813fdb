"""Boxes on TensorFlow tensors: the twins of `boxes`, under the names of the original. Float32 unless said."""

import tensorflow as tf

# A box grows by 22,000 at most, which covers any image from any anchor; more would overflow to inf and then to NaN.
MAX_LOG_GROWTH = 10.0


def box_refinement_graph(box: tf.Tensor, gt_box: tf.Tensor) -> tf.Tensor:
    """Deltas (dy, dx, log dh, log dw) that move `box [N, 4]` onto `gt_box [N, 4]`. See `boxes.box_refinement`."""
    return encode_boxes_graph(tf.cast(box, tf.float32), tf.cast(gt_box, tf.float32))


def encode_boxes_graph(box: tf.Tensor, gt_box: tf.Tensor) -> tf.Tensor:
    """`box_refinement_graph` in the precision of its arguments: anchor targets are computed in float64."""
    size = box[..., 2:] - box[..., :2]
    gt_size = gt_box[..., 2:] - gt_box[..., :2]
    shift = (gt_box[..., :2] + 0.5 * gt_size - (box[..., :2] + 0.5 * size)) / size
    return tf.concat([shift, tf.math.log(gt_size / size)], axis=-1)


def apply_box_deltas_graph(boxes: tf.Tensor, deltas: tf.Tensor) -> tf.Tensor:
    """Boxes `[..., 4]` moved by deltas `[..., 4]` (dy, dx, log dh, log dw). See `boxes.apply_box_deltas`."""
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + 0.5 * size + deltas[..., :2] * size
    size = size * tf.exp(tf.minimum(deltas[..., 2:], MAX_LOG_GROWTH))
    top_left = centre - 0.5 * size
    return tf.concat([top_left, top_left + size], axis=-1)


def clip_boxes_graph(boxes: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Boxes `[..., N, 4]` clipped to a window `[4]`, or to one window an image `[B, 1, 4]`, in the same frame."""
    low = tf.gather(window, [0, 1, 0, 1], axis=-1)
    high = tf.gather(window, [2, 3, 2, 3], axis=-1)
    return tf.maximum(tf.minimum(boxes, high), low)


def _scale_and_shift(shape) -> tuple[tf.Tensor, tf.Tensor]:
    side = tf.cast(shape, tf.float32)[:2] - 1.0
    return tf.concat([side, side], axis=0), tf.constant([0.0, 0.0, 1.0, 1.0])


def norm_boxes_graph(boxes: tf.Tensor, shape) -> tf.Tensor:
    """Pixel boxes `[..., 4]` of a photo of `shape` (height, width) as normalised boxes, float32."""
    scale, shift = _scale_and_shift(shape)
    return (tf.cast(boxes, tf.float32) - shift) / scale


def denorm_boxes_graph(boxes: tf.Tensor, shape) -> tf.Tensor:
    """Normalised boxes `[..., 4]` as pixel boxes of a photo of `shape` (height, width), int32, rounded half to even."""
    scale, shift = _scale_and_shift(shape)
    return tf.cast(tf.round(boxes * scale + shift), tf.int32)


def overlaps_graph(boxes1: tf.Tensor, boxes2: tf.Tensor) -> tf.Tensor:
    """IoU `[..., N, M]` of boxes1 `[..., N, 4]` with boxes2 `[..., M, 4]`. See `boxes.compute_overlaps`."""
    boxes1, boxes2 = boxes1[..., :, None, :], boxes2[..., None, :, :]  # [N, 1, 4], [1, M, 4]
    low = tf.maximum(boxes1[..., :2], boxes2[..., :2])  # [N, M, 2]
    high = tf.minimum(boxes1[..., 2:], boxes2[..., 2:])
    intersection = tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)
    area1 = tf.reduce_prod(boxes1[..., 2:] - boxes1[..., :2], axis=-1)
    area2 = tf.reduce_prod(boxes2[..., 2:] - boxes2[..., :2], axis=-1)
    return intersection / (area1 + area2 - intersection)


def trim_zeros_graph(boxes: tf.Tensor, name: str | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Drops all-zero (padding) rows: boxes `[N, 4]` -> (`[n, 4]`, bool `[N]` rows that were kept)."""
    keep = tf.reduce_any(tf.not_equal(boxes, 0.0), axis=-1)
    return tf.boolean_mask(boxes, keep, name=name), keep


def batch_slice(inputs, graph_fn, batch_size: int, names: list[str] | None = None):
    """Applies a function for one image to each image of a batch and stacks the results.

    Args:
        inputs: one tensor or a list of them, `[B, ...]`.
        graph_fn: takes one image's tensors, returns one tensor or several.
        batch_size: B.
        names: of the stacked tensors.

    Returns:
        One tensor, or a list if `graph_fn` returns several.
    """
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    outputs = [graph_fn(*(tensor[image] for tensor in inputs)) for image in range(batch_size)]
    outputs = [output if isinstance(output, (list, tuple)) else (output,) for output in outputs]
    names = names or [None] * len(outputs[0])
    stacked = [tf.stack(parts, name=name) for parts, name in zip(zip(*outputs, strict=True), names, strict=True)]
    return stacked[0] if len(stacked) == 1 else stacked


def batch_pack_graph(x: tf.Tensor, counts: tf.Tensor, num_rows: int) -> tf.Tensor:
    """The first `counts[i]` items of each row i of `x [num_rows, N, ...]`, end to end: `[sum(counts), ...]`."""
    return tf.concat([x[row, : counts[row]] for row in range(num_rows)], axis=0)
