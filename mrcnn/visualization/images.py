"""Images on Matplotlib axes: display, reduction of large images, grids."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from mrcnn.visualization.drawing import new_canvas

MAX_DISPLAY_SIDE = 1600  # pixels; larger images are reduced for display, but the axes keep the original coordinates
HEADLESS_BACKENDS = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def show() -> None:
    """Calls `plt.show()` unless the backend is headless."""
    if plt.get_backend().lower() not in HEADLESS_BACKENDS:
        plt.show()


def new_axes(figsize: tuple[float, float], image_shape: Sequence[int] | None = None) -> Axes:
    """Creates a figure and returns its axes. With `image_shape`, the figure has the aspect ratio of the image."""
    if image_shape is None:
        return plt.subplots(1, figsize=figsize)[1]
    inches = min(figsize[0] / image_shape[1], figsize[1] / image_shape[0])
    shape = max(2.0, inches * image_shape[1]), max(2.0, inches * image_shape[0])
    return plt.subplots(1, figsize=shape, layout="constrained")[1]


def reduction_factor(image_shape: Sequence[int]) -> int:
    """Returns the integer factor by which an image is reduced for display."""
    return max(1, -(-max(image_shape[:2]) // MAX_DISPLAY_SIDE))


def reduce_image(image: np.ndarray) -> np.ndarray:
    """Reduces an image by averaging blocks of k x k pixels, k = `reduction_factor(image.shape)`.

    Returns:
        uint8 RGB copy `[ceil(H/k), ceil(W/k), 3]`. It has the shape of `mask[::k, ::k]` for a mask `[H, W]`.
    """
    factor = reduction_factor(image.shape)
    if factor == 1:
        return new_canvas(image)
    return np.asarray(Image.fromarray(new_canvas(image)).reduce(factor)).copy()


def show_image(ax: Axes, reduced: np.ndarray, image_shape: Sequence[int], margin: int = 0) -> None:
    """Shows the output of `reduce_image` in the pixel coordinates of the original image, with a margin in pixels."""
    height, width = image_shape[:2]
    factor = reduction_factor(image_shape)
    # The last row and column of blocks may extend beyond the image.
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
    """Shows images in a grid.

    Args:
        images: list of RGB images `[H, W, 3]` in 0..255, or arrays `[H, W]` such as masks and activations.
        titles: list of str; may be shorter than `images`.
        cols: int, images per row.
        cmap: Matplotlib colormap for arrays `[H, W]`.
        norm: Matplotlib normalization for arrays `[H, W]`.
        interpolation: str, interpolation of Matplotlib's `imshow`.

    Returns:
        The axes of each image.

    Source: Matterport.
    """
    titles = [*(() if titles is None else titles), *[""] * len(images)][: len(images)]
    images = [np.squeeze(np.asarray(image)) for image in images]
    rows = max(1, -(-len(images) // cols))
    max_aspect = min(max((image.shape[0] / image.shape[1] for image in images), default=1.0), 1.5)
    figure = plt.figure(figsize=(14, rows * (14 / cols * max_aspect + 0.3)), layout="constrained")
    axes = []
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        ax = figure.add_subplot(rows, cols, i + 1)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
        if image.ndim == 2:
            ax.imshow(image, cmap=cmap, norm=norm, interpolation=interpolation)
        else:
            ax.imshow(reduce_image(image), interpolation=interpolation)
        axes.append(ax)
    show()
    return axes
