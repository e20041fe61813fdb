"""The `Example` class, a training image with its instances, and functions that resize and mirror examples.

Shape notation: H, W size of the image file, N instances, J keypoints, K proposals. Boxes in pixels are half-open.
"""

import dataclasses
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mrcnn.config import Config
from mrcnn.data.image import resize_image
from mrcnn.ops.keypoints import mirror_keypoints
from mrcnn.ops.masks import resize_mask
from mrcnn.ops.resizing import scaled_side


@dataclasses.dataclass(frozen=True)
class Example:
    """An image and its instances, before or after resizing for the network.

    Attributes:
        image: `[h, w, channels]` uint8.
        masks: `[h, w, N]` bool, or uint8 coverage in 0..FULL_COVERAGE.
        class_ids: `[N]` int32, negative for regions to ignore.
        original_shape: (H, W, channels) of the image file.
        window: (y1, x1, y2, x2) half-open region of the network input without the padding, in pixels, or None before
            resizing.
        scale: ratio of the resized to the original size.
        keypoints: `[N, J, 3]` (x, y, visibility) in pixels of `image`, or None if NUM_KEYPOINTS is 0.
        proposals: `[K, 4]` float32 boxes of `load_rois` in pixels of `image`, or None.
    """

    image: np.ndarray
    masks: np.ndarray
    class_ids: np.ndarray
    original_shape: tuple[int, ...]
    window: tuple[int, int, int, int] | None = None
    scale: float = 1
    keypoints: np.ndarray | None = None
    proposals: np.ndarray | None = None


def mirror_example(example: Example, keypoint_pairs: Iterable[Sequence[int]]) -> Example:
    """Mirrors an example horizontally. See `Config.KEYPOINT_FLIP` for the pairs."""
    points, boxes, width = example.keypoints, example.proposals, example.image.shape[1]
    if points is not None:
        points = mirror_keypoints(points, width, keypoint_pairs)
    if boxes is not None:
        boxes = (boxes * [1, -1, 1, -1] + [0, width, 0, width])[:, [0, 3, 2, 1]]
    image, masks = example.image[:, ::-1], example.masks[:, ::-1]
    return dataclasses.replace(example, image=image, masks=masks, keypoints=points, proposals=boxes)


def downscale_example(example: Example, max_side: int) -> Example:
    """Downscales an example to a longer side of at most `max_side` pixels, with a box filter against aliasing."""
    height, width = example.image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return example
    size = scaled_side(width, scale), scaled_side(height, scale)

    def resize(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX))

    masks = np.zeros((example.masks.shape[2], *size[::-1]), dtype=bool)  # [N, h, w], so that each mask is contiguous
    for i, mask in enumerate(masks):
        np.greater_equal(resize(example.masks[:, :, i] * np.uint8(255)), 128, out=mask)
    masks = masks.transpose(1, 2, 0)
    return dataclasses.replace(example, image=resize(example.image), masks=masks, **_scale_annotations(example, size))


def resize_example(example: Example, config: Config, rng: Any = random) -> Example:
    """Resizes, pads or crops an example for the network. `rng` is used only in mode "crop"."""
    image, window, scale, padding, crop = resize_image(
        example.image,
        min_dim=config.IMAGE_MIN_DIM,
        max_dim=config.IMAGE_MAX_DIM,
        min_scale=config.IMAGE_MIN_SCALE,
        mode=config.IMAGE_RESIZE_MODE,
        rng=rng,
    )
    masks = example.masks
    if image.shape != example.image.shape or scale != 1:
        masks = resize_mask(masks, scale, padding, crop)
    top, left = (padding[0][0], padding[1][0]) if crop is None else (-crop[0], -crop[1])
    size = scaled_side(example.image.shape[1], scale), scaled_side(example.image.shape[0], scale)
    annotations = _scale_annotations(example, size, left, top)
    return dataclasses.replace(example, image=image, masks=masks, window=window, scale=scale, **annotations)


def _scale_annotations(
    example: Example, size: tuple[int, int], left: int = 0, top: int = 0
) -> dict[str, np.ndarray | None]:
    """Scales and shifts the keypoints and proposals of an example in the same way as its image.

    Args:
        example: the example before it is resized.
        size: new (width, height) of the image in whole pixels.
        left, top: shift in pixels of the resized image.
    """
    old, new = np.float32(example.image.shape[1::-1]), np.float32(size)
    points, boxes = example.keypoints, example.proposals
    if points is not None:
        points = points * np.float32([*new, 1]) / np.float32([*old, 1]) + np.float32([left, top, 0])
    if boxes is not None:
        boxes = boxes * np.tile(new[::-1] / old[::-1], 2) + np.float32([top, left, top, left])
    return {"keypoints": points, "proposals": boxes}
