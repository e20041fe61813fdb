"""Images on axes: showing them, large photos at screen resolution, and grids of them."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from mrcnn.visualization.drawing import as_rgb

SCREEN = 1600  # pixels: a photo with a longer side is drawn reduced, at the same coordinates
HEADLESS = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def show() -> None:
    """`plt.show()` where there is something to show on: a window or a notebook."""
    if plt.get_backend().lower() not in HEADLESS:
        plt.show()


def new_axes(figsize: tuple[float, float], image_shape: Sequence[int] | None = None) -> Axes:
    """The axes of a new figure; if they are for a photo, as much of `figsize` as its proportions fill."""
    if image_shape is None:
        return plt.subplots(1, figsize=figsize)[1]
    inches = min(figsize[0] / image_shape[1], figsize[1] / image_shape[0])
    shape = max(2.0, inches * image_shape[1]), max(2.0, inches * image_shape[0])
    return plt.subplots(1, figsize=shape, layout="constrained")[1]


def reduction(image_shape: Sequence[int]) -> int:
    """By which whole number to divide the sides of a photo for display."""
    return max(1, -(-max(image_shape[:2]) // SCREEN))


def reduce_photo(image: np.ndarray) -> np.ndarray:
    """uint8 RGB copy `[ceil(H/k), ceil(W/k), 3]` of a photo, k = `reduction`; pixels are averaged.

    `mask[::k, ::k]` of a mask `[H, W]` lies on it.
    """
    factor = reduction(image.shape)
    if factor == 1:
        return as_rgb(image)
    return np.asarray(Image.fromarray(as_rgb(image)).reduce(factor)).copy()


def show_photo(ax: Axes, reduced: np.ndarray, image_shape: Sequence[int], margin: int = 0) -> None:
    """Put a photo of `reduce_photo` on axes in the pixel coordinates of the original, with a margin around it."""
    height, width = image_shape[:2]
    factor = reduction(image_shape)
    # The last row and column of blocks may reach beyond the photo.
    bottom, right = reduced.shape[0] * factor - 0.5, reduced.shape[1] * factor - 0.5
    ax.imshow(reduced, extent=(-0.5, right, bottom, -0.5))
    ax.set_xlim(-0.5 - margin, width - 0.5 + margin)
    ax.set_ylim(height - 0.5 + margin, -0.5 - margin)
    ax.axis("off")


def display_images(
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    cols: int = 4,
    cmap: Any = None,
    norm: Any = None,
    interpolation: str | None = None,
) -> list[Axes]:
    """Show images in a grid.

    Args:
        images: colour images `[H, W, 3]` with values 0..255, or arrays `[H, W]` such as masks and activations.
        titles: one for each image; where some are missing, the last images have none.
        cols: images in a row.
        cmap: Matplotlib colour map for arrays `[H, W]`.
        norm: Matplotlib normalisation for them.
        interpolation: of Matplotlib's `imshow`.

    Returns:
        The axes of each image.

    Source: Matterport.
    """
    titles = [*(() if titles is None else titles), *[""] * len(images)][: len(images)]
    images = [np.squeeze(np.asarray(image)) for image in images]
    rows = max(1, -(-len(images) // cols))
    steepest = min(max((image.shape[0] / image.shape[1] for image in images), default=1.0), 1.5)
    figure = plt.figure(figsize=(14, rows * (14 / cols * steepest + 0.3)), layout="constrained")
    axes = []
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        ax = figure.add_subplot(rows, cols, i + 1)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
        if image.ndim == 2:
            ax.imshow(image, cmap=cmap, norm=norm, interpolation=interpolation)
        else:
            ax.imshow(reduce_photo(image), interpolation=interpolation)
        axes.append(ax)
    show()
    return axes
