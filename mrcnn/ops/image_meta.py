"""`image_meta`: the vector with the shapes, window, scale and active classes of a preprocessed image."""

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
    """Packs what the network must know of an image into one vector.

    Args:
        image_id: number of the image in its dataset.
        original_image_shape: (H, W, C) of the photo.
        image_shape: (H, W, C) after resizing and padding.
        window: (y1, x1, y2, x2) pixels of the photo inside the padding, half-open.
        scale: factor from the photo to the resized image.
        active_class_ids: `[classes]` 1 for the classes that the image's source labels, else 0; the class loss looks at
            no others.

    Returns:
        `[12 + classes]` float64.

    Raises:
        ValueError: a part has not its number of values; the vector would be read shifted.

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


def parse_image_meta_graph(meta: Any) -> dict[str, Any]:
    """Splits `image_meta` `[B, 12 + classes]` into its parts, keeping their dtype; works on arrays and on tensors.

    Returns:
        dict of the arguments of `compose_image_meta`, each with a batch axis; `image_id` and `scale` are `[B]`.

    Source: Matterport.
    """
    parts = {name: meta[:, columns] for name, columns in META_FIELDS.items()}
    return parts | {"image_id": meta[:, 0], "scale": meta[:, 11]}


def parse_image_meta(meta: np.ndarray) -> dict[str, np.ndarray]:
    """`parse_image_meta_graph` for arrays: all parts int32, except `scale`, which is float32. Source: Matterport."""
    return {
        name: part.astype(np.float32 if name == "scale" else np.int32)
        for name, part in parse_image_meta_graph(np.asarray(meta)).items()
    }
