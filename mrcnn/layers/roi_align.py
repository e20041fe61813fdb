"""PyramidROIAlign: crops a feature map of fixed size for each RoI from a level of the feature pyramid.

RoIAlign (He et al. 2017, section 3) samples the feature map bilinearly without quantization. RoIPool (Girshick 2015,
Fast R-CNN, section 2.1) quantizes the RoI to whole feature map cells and takes maxima. Equation 1 of Lin et al. 2017
(FPN) assigns a level to each RoI. With a single feature map, such as C4, all RoIs are cropped from it. Shape notation:
B images, R RoIs, F channels.

Differs from the paper: one sample per bin at corner-aligned positions, as in `tf.image.crop_and_resize`. Matterport's
checkpoints were trained with these positions.

Differs from Matterport: the last samples of RoIs at the image border are always inside the feature map.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from mrcnn.layers.common import Float32Layer, register
from mrcnn.ops.image_meta import split_image_meta

LEVELS = (2, 3, 4, 5)
BORDER = 1 - 1e-6  # replaces the normalized coordinate 1; a shift of 2.5e-4 cells in a map of 256 cells


def roi_levels(boxes: tf.Tensor, image_shape: tf.Tensor) -> tf.Tensor:
    """Assigns a pyramid level in 2..5 to each RoI (Lin et al. 2017, equation 1, with k0 = 4 at 224 pixels).

    Args:
        boxes: `[..., 4]` normalized.
        image_shape: (height, width, ...) of the preprocessed image in pixels.

    Returns:
        `[...]` int32. Half levels are rounded to even. Zero-area boxes are assigned to level 2.
    """
    size = boxes[..., 2:] - boxes[..., :2]
    area = tf.cast(image_shape[0] * image_shape[1], tf.float32)
    level = tf.math.log(tf.sqrt(size[..., 0] * size[..., 1]) / (224.0 / tf.sqrt(area))) / tf.math.log(2.0)
    level = tf.where(tf.math.is_finite(level), level, -10.0)  # casting -inf to an integer is undefined
    return tf.clip_by_value(4 + tf.cast(tf.round(level), tf.int32), LEVELS[0], LEVELS[-1])


def crop_levels(
    boxes: tf.Tensor, levels: tf.Tensor, feature_maps: Sequence[tf.Tensor], pool_shape: tuple[int, int]
) -> tf.Tensor:
    """Computes RoIAlign with one `crop_and_resize` per pyramid level.

    Args:
        boxes: `[B, R, 4]` normalized.
        levels: `[B, R]` int32 in 2..5.
        feature_maps: one `[B, h, w, F]` float32 per level, P2..P5, or a single map if all levels are 2.
        pool_shape: (height, width) of the crop.

    Returns:
        `[B*R, height, width, F]` float32.
    """
    count = tf.shape(boxes)[1]
    flat_boxes, flat_levels = tf.reshape(boxes, (-1, 4)), tf.reshape(levels, (-1,))
    indices, crops = [], []
    for level, feature_map in enumerate(feature_maps, start=LEVELS[0]):
        index = tf.where(tf.equal(flat_levels, level))[:, 0]  # int64 [n]
        image = tf.cast(index // tf.cast(count, tf.int64), tf.int32)
        crop = tf.image.crop_and_resize(feature_map, tf.gather(flat_boxes, index), image, pool_shape)
        indices.append(tf.cast(index, tf.int32))
        crops.append(crop)
    return tf.dynamic_stitch(indices, crops)


def gather_levels(
    boxes: tf.Tensor, levels: tf.Tensor, feature_maps: Sequence[tf.Tensor], pool_shape: tuple[int, int]
) -> tf.Tensor:
    """Computes the result of `crop_levels` with gather operations, which XLA and model converters support.

    The feature vectors of all levels are concatenated, and the four neighbours of each sample are gathered by index.
    See `crop_levels` for the arguments.
    """
    height, width = pool_shape
    vectors, start, shape = _concatenate(levels, feature_maps)

    def positions(low, high, side, samples):
        """Returns the sample positions `[B, R, samples]` of crop_and_resize in feature map cells."""
        scale = tf.cast(side, tf.float32)[..., None] - 1.0
        if samples == 1:
            return 0.5 * (low + high)[..., None] * scale
        step = (high - low)[..., None] * scale / (samples - 1)
        return low[..., None] * scale + tf.range(samples, dtype=tf.float32) * step

    ys = positions(boxes[..., 0], boxes[..., 2], shape[..., 0], height)
    xs = positions(boxes[..., 1], boxes[..., 3], shape[..., 1], width)

    def neighbours(position, side):
        last = side[..., None] - 1
        # Samples outside the map are 0, as in crop_and_resize.
        inside = tf.cast((position >= 0.0) & (position <= tf.cast(last, tf.float32)), tf.float32)
        # The positions are clipped as integers, because a runtime may compute NaN for a padding row.
        low = tf.clip_by_value(tf.cast(tf.floor(position), tf.int32), 0, last)
        return low, tf.minimum(low + 1, last), position - tf.cast(low, tf.float32), inside

    y0, y1, fraction_y, inside_y = neighbours(ys, shape[..., 0])
    x0, x1, fraction_x, inside_x = neighbours(xs, shape[..., 1])
    row = shape[..., 1][..., None, None]
    fraction_y, fraction_x = fraction_y[..., :, None, None], fraction_x[..., None, :, None]

    def gather(y, x):
        index = start[..., None, None] + y[..., :, None] * row + x[..., None, :]  # [B, R, height, width]
        return tf.gather(vectors, index, batch_dims=1)  # [B, R, height, width, F]

    top = gather(y0, x0) * (1.0 - fraction_x) + gather(y0, x1) * fraction_x
    bottom = gather(y1, x0) * (1.0 - fraction_x) + gather(y1, x1) * fraction_x
    crops = top * (1.0 - fraction_y) + bottom * fraction_y
    crops = crops * (inside_y[..., :, None, None] * inside_x[..., None, :, None])
    return tf.reshape(crops, (-1, height, width, vectors.shape[-1]))


def pool_levels(
    boxes: tf.Tensor, levels: tf.Tensor, feature_maps: Sequence[tf.Tensor], pool_shape: tuple[int, int]
) -> tf.Tensor:
    """Computes RoIPool: rounds each RoI to whole cells, divides it into bins and takes the maximum of each bin.

    In an RoI with c rows of cells, bin i contains rows floor(i * c / height) to ceil((i + 1) * c / height) - 1, so bins
    may overlap. See `crop_levels` for the arguments.

    Source: Girshick 2015, Fast R-CNN, section 2.1; He et al. 2017, Mask R-CNN, section 3, for the rounding.
    """
    height, width = pool_shape
    vectors, start, shape = _concatenate(levels, feature_maps)

    def cells(low, high, side, bins):
        """Returns the cells `[B, R, bins, n]` of each bin. Bins with fewer than n cells repeat their last cell."""
        last_cell = tf.cast(side, tf.float32) - 1.0
        first, last = (tf.clip_by_value(tf.cast(tf.round(v * last_cell), tf.int32), 0, side - 1) for v in (low, high))
        count, index = (last - first + 1)[..., None], tf.range(bins)  # [B, R, 1], [bins]
        begin, end = index * count // bins, ((index + 1) * count + bins - 1) // bins  # [B, R, bins]
        largest = tf.range(tf.reduce_max(end - begin))
        return first[..., None, None] + tf.minimum(begin[..., None] + largest, end[..., None] - 1)

    ys = cells(boxes[..., 0], boxes[..., 2], shape[..., 0], height)
    xs = cells(boxes[..., 1], boxes[..., 3], shape[..., 1], width)
    rows = start[..., None, None] + ys * shape[..., 1, None, None]
    index = rows[:, :, :, None, :, None] + xs[:, :, None, :, None, :]  # [B, R, height, width, n, m]
    maxima = tf.reduce_max(tf.gather(vectors, index, batch_dims=1), axis=[4, 5])
    return tf.reshape(maxima, (-1, height, width, vectors.shape[-1]))


def _concatenate(levels: tf.Tensor, feature_maps: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Concatenates the feature vectors of all levels.

    Returns:
        The vectors `[B, sum of h*w, F]`, and for each RoI the index `[B, R]` of the first vector of its level and the
        (height, width) `[B, R, 2]` of its level.
    """
    shapes = [tf.shape(feature_map)[1:3] for feature_map in feature_maps]
    sizes = [shape[0] * shape[1] for shape in shapes]
    starts = tf.stack([sum(sizes[:i], 0) for i in range(len(sizes))])
    channels = feature_maps[0].shape[-1]
    vectors = tf.concat([tf.reshape(m, (tf.shape(m)[0], -1, channels)) for m in feature_maps], axis=1)
    return vectors, tf.gather(starts, levels - LEVELS[0]), tf.gather(tf.stack(shapes), levels - LEVELS[0])


METHODS = {"crop_and_resize": crop_levels, "gather": gather_levels}


@register
class PyramidROIAlign(Float32Layer):
    """Crops each RoI from its pyramid level.

    Args:
        pool_shape: (height, width) of the crop, for example (7, 7).
        method: "crop_and_resize", which is fastest on CPU, or "gather", which XLA can compile. Both give the same
            values.
        pooling: "align" for RoIAlign, or "pool" for RoIPool. RoIPool ignores `method`.

    Call arguments: [`boxes [B, R, 4]` normalized, `image_meta [B, 12+C]`, P2, P3, P4, P5 each `[B, h, w, F]`]. A single
    feature map may replace P2 to P5.

    Returns:
        `[B, R, height, width, F]` in the dtype of the feature maps.
    """

    def __init__(self, pool_shape, method="crop_and_resize", pooling="align", **kwargs):
        super().__init__(**kwargs)
        self.pool_shape = tuple(int(side) for side in pool_shape)
        self.method, self.pooling = method, pooling
        self.supports_jit = method == "gather" and pooling == "align"

    def call(self, inputs):
        boxes, image_meta, *feature_maps = inputs
        dtype, channels = feature_maps[0].dtype, feature_maps[0].shape[-1]
        # crop_and_resize does not support bfloat16, and sample positions require float32.
        feature_maps = [tf.cast(feature_map, tf.float32) for feature_map in feature_maps]
        boxes = tf.stop_gradient(tf.cast(boxes, tf.float32))  # Ren et al. 2015, section 3.2
        image_shape = split_image_meta(tf.cast(image_meta, tf.float32))["image_shape"][0]
        levels = roi_levels(boxes, image_shape)
        if len(feature_maps) == 1:
            levels = tf.fill(tf.shape(levels), LEVELS[0])
        crop = pool_levels if self.pooling == "pool" else METHODS[self.method]
        # For about one in thirty RoI sides on the image border, rounding would place the last samples outside the
        # feature map, where crop_and_resize returns 0.
        boxes = tf.where(tf.abs(boxes - 1.0) < 1.0 - BORDER, BORDER, boxes)
        crops = crop(boxes, levels, feature_maps, self.pool_shape)
        shape = (tf.shape(boxes)[0], tf.shape(boxes)[1], *self.pool_shape, channels)
        return tf.cast(tf.reshape(crops, shape), dtype)

    def compute_output_spec(self, inputs):
        boxes, features = inputs[0], inputs[2]
        return keras.KerasTensor((*boxes.shape[:2], *self.pool_shape, features.shape[-1]), dtype=features.dtype)

    def get_config(self):
        return {**super().get_config(), "pool_shape": self.pool_shape, "method": self.method, "pooling": self.pooling}
