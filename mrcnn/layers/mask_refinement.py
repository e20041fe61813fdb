"""Mask refinement: predicts the mask of each box again at a higher resolution.

The 28 x 28 mask of the mask head is too coarse for thin objects. The refinement resamples it to a padded box, together
with the image and P2, and corrects it with a small encoder-decoder. The padding recovers parts of the object outside
the box. The result depends on the class only through the coarse mask.

The image crops follow the boundary patch refinement of Tang et al. 2021 (Look Closer to Segment Better, section 3). The
stride-4 features and the supervision at more than 28 x 28 cells follow RefineMask (Zhang et al. 2021, section 3).
Differs from both: one pass over the whole box, and frames around the refined boxes instead of the proposals.

Shape notation: B images, P RoIs, G ground-truth slots, C classes, F pyramid channels, M coarse and Q refined mask side.
Frames are boxes in edge coordinates; see `mrcnn.ops.boxes_tf.edge_coordinates`.
"""

import keras
import tensorflow as tf

from mrcnn.layers.common import ConvNorm, Float32Layer, PerRoI, register, select_class_masks
from mrcnn.layers.mask_targets import crop_coverage
from mrcnn.layers.roi_align import LEVELS, gather_levels
from mrcnn.ops.boxes_tf import (
    apply_box_deltas,
    cell_samples,
    clip_boxes,
    compute_overlaps,
    edge_coordinates,
    relative_boxes,
)

IMAGE_SCALE = 1 / 64  # scales the image minus its mean to about -2..2
COARSE_RANGE = 0.05, 0.95  # coarse probabilities are clipped to this range, so that the refinement can correct them


@register
class RefinedRoIs(Float32Layer):
    """Refines the leading RoIs with the deltas predicted for their target class, as in detection.

    Args:
        count: maximum number of RoIs per image.
        bbox_std_dev: 4 factors by which the predicted deltas are multiplied.

    Call arguments: [`rois [B, P', 4]` normalized, `target_class_ids [B, R]`, `mrcnn_bbox [B, R, C, 4]`].

    Returns:
        `[B, P, 4]` normalized, P = min(P', count), without gradient.
    """

    def __init__(self, count, bbox_std_dev, **kwargs):
        super().__init__(**kwargs)
        self.count, self.bbox_std_dev = int(count), [float(value) for value in bbox_std_dev]

    def call(self, inputs):
        rois, class_ids, deltas = inputs
        rois = rois[:, : self.count]
        count = tf.shape(rois)[1]
        deltas = tf.gather(deltas[:, :count], class_ids[:, :count], batch_dims=2)  # [B, P, 4]
        refined = apply_box_deltas(rois, tf.cast(deltas, tf.float32), self.bbox_std_dev)
        return tf.stop_gradient(clip_boxes(refined, tf.constant([0.0, 0.0, 1.0, 1.0])))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[0].shape[0], None, 4), dtype="float32")

    def get_config(self):
        return {**super().get_config(), "count": self.count, "bbox_std_dev": self.bbox_std_dev}


@register
class PaddedFrames(Float32Layer):
    """Pads boxes by a fraction of their sides.

    Args:
        padding: fraction of the height and the width that is added on each side.

    Call arguments: [`boxes [B, P, 4]` normalized, `images [B, H, W, channels]`].

    Returns:
        Frames `[B, P, 4]` in edge coordinates; they may extend beyond the image.
    """

    def __init__(self, padding, **kwargs):
        super().__init__(**kwargs)
        self.padding = float(padding)

    def call(self, inputs):
        boxes, images = inputs
        boxes = edge_coordinates(tf.stop_gradient(boxes), tf.shape(images)[1:3])
        margin = self.padding * (boxes[..., 2:] - boxes[..., :2])
        return boxes + tf.concat([-margin, margin], axis=-1)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype="float32")

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


@register
class RefinementCrops(Float32Layer):
    """Crops the inputs of the refinement: image and coarse mask at Q x Q cells, features at Q/2 x Q/2.

    Args:
        size: Q.
        method: "crop_and_resize" or "gather"; see `PyramidROIAlign`.

    Call arguments: [`frames [B, P, 4]`, `rois [B, P, 4]` normalized boxes of the coarse masks, `class_ids [B, R]`,
        `masks [B, R, M, M, C]` probabilities, `images [B, H, W, channels]`, `features [B, h, w, F]`]. R >= P.

    Returns:
        `[B, P, Q, Q, channels]` scaled image, `[B, P, Q, Q, 1]` logits of the coarse mask without gradient,
        `[B, P, Q/2, Q/2, F]` features, all float32. Cells outside the image are zeros.
    """

    def __init__(self, size, method="crop_and_resize", **kwargs):
        super().__init__(**kwargs)
        self.size, self.method = int(size), method
        self.supports_jit = method == "gather"

    def call(self, inputs):
        frames, rois, class_ids, masks, images, features = inputs
        count = tf.shape(frames)[1]
        masks = tf.cast(tf.stop_gradient(masks[:, :count]), tf.float32)
        masks = select_class_masks(masks, class_ids[:, :count])  # [B, P, M, M]
        frames_in_masks = relative_boxes(frames, edge_coordinates(rois, tf.shape(images)[1:3]))
        coarse = self._crop_masks(masks, frames_in_masks)
        coarse = tf.clip_by_value(coarse, *COARSE_RANGE)
        image = self._crop(tf.cast(images, tf.float32), frames, self.size) * IMAGE_SCALE
        return [image, tf.math.log(coarse / (1 - coarse)), self._crop(features, frames, self.size // 2)]

    def _crop_masks(self, masks, frames):
        """Crops `masks [B, P, M, M]` to frames in coordinates relative to the masks. Returns `[B, P, Q, Q, 1]`."""
        shape = tf.shape(masks)
        # With a margin of zeros, the mask fades out over half a cell, as in pasting.
        masks = tf.pad(tf.reshape(masks, [-1, *masks.shape[2:], 1]), [[0, 0], [1, 1], [1, 1], [0, 0]])
        crops = self._crop(masks, tf.reshape(frames, [-1, 1, 4]), self.size, margin=1)
        return tf.reshape(crops, [shape[0], shape[1], self.size, self.size, 1])

    def _crop(self, maps, frames, size, margin=0):
        """Samples `maps [B, h, w, c]` bilinearly at the cell centres of the frames. Returns `[B, P, size, size, c]`.

        Frames are relative to the maps without the margin of `margin` pixels on each side.
        """
        maps = tf.cast(maps, tf.float32)
        boxes = cell_samples(frames, tf.shape(maps)[1:3] - 2 * margin, (size, size), margin)  # [B, P, 4]
        batch, count = tf.shape(boxes)[0], tf.shape(boxes)[1]
        if self.method == "gather":
            levels = tf.fill([batch, count], LEVELS[0])
            crops = gather_levels(boxes, levels, [maps], (size, size))
        else:
            index = tf.repeat(tf.range(batch), count)
            crops = tf.image.crop_and_resize(maps, tf.reshape(boxes, [-1, 4]), index, (size, size))
        return tf.reshape(crops, [batch, count, size, size, maps.shape[-1]])

    def compute_output_spec(self, inputs):
        frames, _, _, _, images, features = inputs
        batch, count = frames.shape[:2]
        return [
            keras.KerasTensor((batch, count, side, side, channels), dtype="float32")
            for side, channels in (
                (self.size, images.shape[-1]),
                (self.size, 1),
                (self.size // 2, features.shape[-1]),
            )
        ]

    def get_config(self):
        return {**super().get_config(), "size": self.size, "method": self.method}


class MaskRefinement:
    """Refines coarse masks. The training and the inference graph call the same object and share its weights.

    At the resolutions Q, Q/2, Q/4 and Q/8, the encoder has 1, 2, 4 and 6 times `channels` channels. The decoder adds
    the encoder features of the same resolution. The last convolution predicts a correction of the coarse mask's logits.

    Args:
        size: Q, a multiple of 8.
        padding: see `PaddedFrames`.
        channels: width of the network.
        method: see `RefinementCrops`.
    """

    def __init__(self, size: int, padding: float, channels: int = 16, method: str = "crop_and_resize"):
        self.frames = PaddedFrames(padding, name="mrcnn_refine_frames")
        self.crops = RefinementCrops(size, method, name="mrcnn_refine_crops")
        self.reduce = _conv_norm("features", 2 * channels, kernel=1)
        self.merge_inputs = keras.layers.Concatenate(name="mrcnn_refine_inputs")
        widths = [channels, 2 * channels, 4 * channels, 6 * channels]
        self.encoder = [
            [
                PerRoI(_conv_norm(f"down{level}a", width, strides=1 if level == 0 else 2)),
                *([PerRoI(_conv_norm(f"down{level}b", width))] if level else []),
            ]
            for level, width in enumerate(widths)
        ]
        self.decoder = [
            (
                PerRoI(_conv_norm(f"lateral{level}", widths[level], kernel=1)),
                PerRoI(keras.layers.UpSampling2D(2, name=f"mrcnn_refine_upsample{level}")),
                keras.layers.Add(name=f"mrcnn_refine_add{level}"),
                PerRoI(_conv_norm(f"up{level}", widths[level])),
            )
            for level in (2, 1, 0)
        ]
        self.add_features = keras.layers.Add(name="mrcnn_refine_add_features")
        residual = keras.layers.Conv2D(
            1, 3, padding="same", kernel_initializer="zeros", dtype="float32", name="mrcnn_refine_residual"
        )
        self.residual = PerRoI(residual)
        self.add_coarse = keras.layers.Add(name="mrcnn_refine_logits", dtype="float32")
        self.sigmoid = keras.layers.Activation("sigmoid", name="mrcnn_refined_mask", dtype="float32")

    def __call__(self, boxes, rois, class_ids, masks, images, features):
        """Predicts refined masks.

        Args:
            boxes: `[B, P, 4]` normalized boxes whose masks are refined.
            rois: `[B, P, 4]` normalized boxes of the coarse masks.
            class_ids: `[B, R]`, R >= P.
            masks: `[B, R, M, M, C]` probabilities of the mask head.
            images: `[B, H, W, channels]`, RGB minus mean.
            features: P2, `[B, h, w, F]`.

        Returns:
            frames `[B, P, 4]` in edge coordinates, and probabilities `[B, P, Q, Q]` inside them, float32.
        """
        frames = self.frames([boxes, images])
        image, coarse, features = self.crops([frames, rois, class_ids, masks, images, self.reduce(features)])
        x, levels = self.merge_inputs([image, coarse]), []
        for level, layers in enumerate(self.encoder):
            x = layers[0](x)
            if level == 1:
                x = self.add_features([x, features])
            for layer in layers[1:]:
                x = layer(x)
            levels.append(x)
        for (lateral, upsample, add, conv), skip in zip(self.decoder, levels[-2::-1], strict=True):
            x = conv(add([upsample(lateral(x)), skip]))
        logits = self.add_coarse([self.residual(x), coarse])
        return frames, self.sigmoid(logits)[..., 0]


def _conv_norm(name: str, channels: int, kernel: int = 3, strides: int = 1) -> ConvNorm:
    name = f"mrcnn_refine_{name}"
    options = dict(padding="same", strides=strides, kernel_initializer="he_normal", name=name)
    return ConvNorm(keras.layers.Conv2D(channels, kernel, **options), activation="relu", name=name)


@register
class RefinementTargets(Float32Layer):
    """Crops the mask of the matching object, which has the highest IoU with the box, to each frame.

    Args:
        size: Q.
        use_mini_mask: whether `gt_masks` are mini masks.

    Call arguments: [`boxes [B, P, 4]` normalized, `frames [B, P, 4]`, `gt_class_ids [B, G]`, `gt_boxes [B, G, 4]`
        normalized, `gt_masks [B, h, w, G]`, `images [B, H, W, channels]`].

    Returns:
        `[B, P, Q, Q]` float32 coverage in 0..1, without gradient.
    """

    def __init__(self, size, use_mini_mask=True, **kwargs):
        super().__init__(**kwargs)
        self.size, self.use_mini_mask = int(size), bool(use_mini_mask)
        self.supports_jit = False  # crop_and_resize has no XLA kernel

    def call(self, inputs):
        boxes, frames, gt_class_ids, gt_boxes, gt_masks, images = inputs
        overlaps = tf.where((gt_class_ids > 0)[:, None], compute_overlaps(boxes, gt_boxes), 0.0)  # [B, P, G]
        slots = tf.argmax(tf.where(tf.math.is_nan(overlaps), 0.0, overlaps), axis=-1, output_type=tf.int32)
        if self.use_mini_mask:
            objects = edge_coordinates(gt_boxes, tf.shape(images)[1:3])
            frames = relative_boxes(frames, tf.gather(objects, slots, batch_dims=1))
        shape = (self.size, self.size)
        return tf.stop_gradient(crop_coverage(frames, slots, gt_masks, shape, average=self.use_mini_mask))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs[0].shape[:2], self.size, self.size), dtype="float32")

    def get_config(self):
        return {**super().get_config(), "size": self.size, "use_mini_mask": self.use_mini_mask}
