"""NumPy functions of Matterport's `model` and `utils` modules that this package does not use itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrcnn.ops.image_meta import split_image_meta
from mrcnn.ops.masks import paste_mask


def parse_image_meta(meta: np.ndarray) -> dict[str, np.ndarray]:
    """Splits `image_meta [B, 12+C]` into a dict of its fields: int32, except `scale`, which is float32."""
    return {
        name: part.astype(np.float32 if name == "scale" else np.int32)
        for name, part in split_image_meta(np.asarray(meta)).items()
    }


def trim_zeros(x: np.ndarray) -> np.ndarray:
    """Removes the all-zero (padding) rows of `[N, columns]`."""
    return x[np.any(x != 0, axis=1)]


def mold_mask(mask: np.ndarray, config) -> None:
    """Does nothing and returns None, like Matterport's function of this name."""


def unmold_mask(mask: np.ndarray, bbox: Sequence[int], image_shape: Sequence[int]) -> np.ndarray:
    """Converts a mask `[M, M]` of the network to a bool mask `[H, W]` of the image; see `masks.paste_mask`."""
    return paste_mask(mask, bbox, image_shape)


def mold_image(images: np.ndarray, config: Any) -> np.ndarray:
    """Subtracts `config.MEAN_PIXEL` from RGB images `[..., H, W, C]`. Returns float64, like Matterport's function."""
    return images.astype(np.float32) - np.asarray(config.MEAN_PIXEL, dtype=np.float64)


def unmold_image(normalized_images: np.ndarray, config: Any) -> np.ndarray:
    """Reverts `mold_image`. Returns uint8 values, truncated."""
    return np.clip(normalized_images + np.asarray(config.MEAN_PIXEL), 0, 255).astype(np.uint8)
