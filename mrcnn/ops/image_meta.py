"""The vector `image_meta` with the shapes, window, scale and active classes of a preprocessed image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

META_FIELDS = {  # name -> columns of `image_meta`
    "image_id": slice(0, 1),
    "original_image_shape": slice(1, 4),
    "image_shape": slice(4, 7),
    "window": slice(7, 11),
    "scale": slice(11, 12),
    "active_class_ids": slice(12, None),
}


def compose_image_meta(
    image_id: int,
    original_image_shape: Sequence[int],
    image_shape: Sequence[int],
    window: Sequence[int],
    scale: float,
    active_class_ids: Sequence[int],
) -> np.ndarray:
    """Packs the properties of an image that the network needs into one vector.

    Args:
        image_id: index of the image in its dataset.
        original_image_shape: (H, W, channels) of the original image.
        image_shape: (H, W, channels) after resizing and padding.
        window: (y1, x1, y2, x2) of the image inside the padding, pixels, half-open.
        scale: factor from the original to the resized image.
        active_class_ids: `[C]`; 1 for the classes that the source of the image annotates, else 0. The class loss
            ignores all other classes.

    Returns:
        `[12+C]` float64.

    Raises:
        ValueError: if a shape or the window has the wrong number of values, which would shift all later fields.

    Source: Matterport.
    """
    for name, part, length in (
        ("original_image_shape", original_image_shape, 3),
        ("image_shape", image_shape, 3),
        ("window", window, 4),
    ):
        if len(part) != length:
            raise ValueError(f"compose_image_meta: {name} must have {length} values, got {tuple(part)}.")
    parts = [image_id, *original_image_shape, *image_shape, *window, scale, *active_class_ids]
    return np.array(parts, dtype=np.float64)


def split_image_meta(meta: Any) -> dict[str, Any]:
    """Splits `image_meta [B, 12+C]`, an array or a tensor, into its fields. The dtype does not change.

    Returns:
        Dictionary with the arguments of `compose_image_meta` as keys. `image_id` and `scale` are `[B]`; all others have
        a leading batch axis.

    Source: Matterport.
    """
    parts = {name: meta[:, columns] for name, columns in META_FIELDS.items()}
    return parts | {"image_id": meta[:, 0], "scale": meta[:, 11]}
