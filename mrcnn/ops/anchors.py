"""Pyramid anchors of the region proposal network (Lin et al. 2017, FPN, section 4.1).

Anchors are ordered by level, row, column and ratio. Their centres are at index * stride, without a half-stride shift.
Checkpoints depend on this order and these positions.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mrcnn.choices import C4_BACKBONES

C4_STRIDE = 16


def generate_anchors(
    scales: float | Sequence[float],
    ratios: Sequence[float],
    shape: Sequence[int],
    feature_stride: int,
    anchor_stride: int,
) -> np.ndarray:
    """Generates the anchors of one pyramid level.

    Args:
        scales: square root of the anchor area in pixels, one value or several.
        ratios: width / height of the anchors.
        shape: (height, width) of the feature map.
        feature_stride: stride of the feature map in pixels.
        anchor_stride: distance between anchor centres in feature map cells.

    Returns:
        `[A, 4]` float64 pixels in the order row, column, ratio, scale. Anchors may extend beyond the image.
    """
    scales, ratios = np.meshgrid(np.array(scales, np.float64, ndmin=1), np.array(ratios, np.float64))
    heights = (scales / np.sqrt(ratios)).ravel()
    widths = (scales * np.sqrt(ratios)).ravel()
    ys = np.arange(0, shape[0], anchor_stride) * feature_stride
    xs = np.arange(0, shape[1], anchor_stride) * feature_stride
    centre_y, centre_x, _ = np.meshgrid(ys, xs, heights, indexing="ij")  # [rows, columns, shapes]
    half_h, half_w = 0.5 * heights, 0.5 * widths
    anchors = np.stack([centre_y - half_h, centre_x - half_w, centre_y + half_h, centre_x + half_w], axis=-1)
    return anchors.reshape(-1, 4)


def generate_pyramid_anchors(
    scales: Sequence[float],
    ratios: Sequence[float],
    feature_shapes: np.ndarray,
    feature_strides: Sequence[int],
    anchor_stride: int,
) -> np.ndarray:
    """Generates the anchors of all pyramid levels, finest first.

    Args:
        scales: scale (or scales) of each level in pixels. Levels without a scale have no anchors.
        ratios: width / height of the anchors.
        feature_shapes: `[levels, 2]` (height, width) of the feature maps.
        feature_strides: strides of the feature maps in pixels.
        anchor_stride: distance between anchor centres in feature map cells.

    Returns:
        `[A, 4]` float64 pixels.
    """
    count = len(scales)
    levels = zip(scales, feature_shapes[:count], feature_strides[:count], strict=True)
    return np.concatenate([generate_anchors(s, ratios, shape, stride, anchor_stride) for s, shape, stride in levels])


def compute_backbone_shapes(config, image_shape: Sequence[int]) -> np.ndarray:
    """Computes the shapes of the feature maps P2..P6.

    Args:
        config: provides `BACKBONE_STRIDES`, and `COMPUTE_BACKBONE_SHAPE` if `BACKBONE` is a function.
        image_shape: (height, width, ...) of the image in pixels.

    Returns:
        `[levels, 2]` int (height, width). A C4 backbone has one level.
    """
    if callable(config.BACKBONE):
        return np.array(config.function("COMPUTE_BACKBONE_SHAPE")(image_shape))
    height, width = image_shape[:2]
    strides = [C4_STRIDE] if config.BACKBONE in C4_BACKBONES else config.BACKBONE_STRIDES
    return np.array([[math.ceil(height / stride), math.ceil(width / stride)] for stride in strides])


def anchor_settings(config, image_shape: Sequence[int]) -> dict[str, Any]:
    """Returns the arguments of `generate_pyramid_anchors` for a preprocessed image of `image_shape`.

    Pyramid level i uses scale i. A C4 backbone uses all scales at its only level.
    """
    has_pyramid = config.BACKBONE not in C4_BACKBONES
    return {
        "scales": config.RPN_ANCHOR_SCALES if has_pyramid else [config.RPN_ANCHOR_SCALES],
        "ratios": config.RPN_ANCHOR_RATIOS,
        "feature_shapes": compute_backbone_shapes(config, image_shape),
        "feature_strides": config.BACKBONE_STRIDES if has_pyramid else [C4_STRIDE],
        "anchor_stride": config.RPN_ANCHOR_STRIDE,
    }


def pixel_anchors(config, image_shape: Sequence[int]) -> np.ndarray:
    """Generates the anchors `[A, 4]`, float64 pixels, of a preprocessed image of `image_shape` (height, width, ...)."""
    return generate_pyramid_anchors(**anchor_settings(config, image_shape))
