"""Writes a preview of the augmented training images into the log folder of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mrcnn.atomic import replacing

PREVIEW = "augmented.jpg"  # in the log folder
ROWS, COLUMNS = 3, 4
TILE, GAP = 384, 6  # pixels
MASK_OPACITY = 0.12  # low opacity, so that the augmented pixels stay visible
IGNORED = (150, 150, 150)
BACKGROUND = 255
QUALITY = 90


def write_preview(path: Path, dataset, config, augmentation, seed: int) -> int:
    """Writes the first training images with outlined masks as a grid of ROWS x COLUMNS.

    Args:
        path: JPEG file to write.
        dataset: prepared training dataset.
        config: settings of the network.
        augmentation: augmentation of the run, or None.
        seed: random seed of the run. It selects the images of the first training steps.

    Returns:
        The number of images in the grid. If no image can be read, no file is written.
    """
    from mrcnn.data.pipeline import first_examples

    examples = first_examples(dataset, config, ROWS * COLUMNS, seed=seed, augmentation=augmentation)
    tiles = [_draw(example, dataset.class_names) for example in examples]
    if tiles:
        with replacing(path) as temporary:
            Image.fromarray(make_grid(tiles, COLUMNS)).save(temporary, quality=QUALITY)
    return len(tiles)


def _draw(example, class_names: Sequence[str]) -> np.ndarray:
    """Draws an example with outlined masks (gray if ignored) and, if there are several classes, class names."""
    from mrcnn.visualization.colors import class_color
    from mrcnn.visualization.drawing import overlay

    side = min(TILE, max(example.image.shape[:2]))
    scale = side / max(example.image.shape[:2])
    size = [max(round(n * scale), 1) for n in example.image.shape[1::-1]]

    def shrink(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX))

    masks = [shrink(mask * np.uint8(255)) > 127 for mask in np.moveaxis(example.mask, -1, 0)]
    image = shrink(example.image)
    if not masks:
        return image
    colors = [class_color(number) if number > 0 else IGNORED for number in example.class_ids]
    captions = [class_names[number] if number > 0 else "ignored" for number in example.class_ids]
    result = {"class_ids": example.class_ids, "masks": np.stack(masks, axis=-1)}
    several = len(class_names) > 2
    return overlay(image, result, [], alpha=MASK_OPACITY, colors=colors, captions=captions, labels=several)


def make_grid(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Arranges images in rows.

    Args:
        tiles: uint8 `[h, w, 3]`, all of the same size.
        columns: number of images in a row.

    Returns:
        uint8 `[H, W, 3]`.
    """
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    grid = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), BACKGROUND, np.uint8)
    for number, tile in enumerate(tiles):
        y, x = (number // columns) * (height + GAP), (number % columns) * (width + GAP)
        grid[y : y + height, x : x + width] = tile
    return grid
