"""Figures of boxes: anchors and proposals, before and after refinement."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mrcnn.errors import UserError
from mrcnn.ops.masks import paste_mask
from mrcnn.visualization.drawing import caption, draw_frame, new_canvas
from mrcnn.visualization.images import new_axes
from mrcnn.visualization.instances import random_colors, show_masks, write_caption

GREY = (0.5, 0.5, 0.5)


def draw_box(image: np.ndarray, box: Sequence[int], color: Sequence[int]) -> np.ndarray:
    """Draws a box with a line width of two pixels. The image is modified in place and returned.

    Args:
        image: `[H, W, 3]`, range 0..255.
        box: (y1, x1, y2, x2) in pixels.
        color: RGB, range 0..255.

    Source: Matterport.
    """
    draw_frame(image, box, color, width=2)
    return image


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray | None = None,
    refined_boxes: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    captions: Sequence[str | None] | None = None,
    visibilities: Sequence[int] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draws boxes and their refined counterparts on an image.

    Args:
        image: `[H, W, 3]`.
        boxes: `[N, 4]` in pixels, drawn dashed; all-zero boxes are skipped.
        refined_boxes: `[N, 4]` in pixels, drawn solid. A line connects the top left corners of a pair.
        masks: `[H, W, N]`.
        captions: list of N str or None.
        visibilities: `[N]` int: 0 grey and faint, 1 dotted, 2 dashed.
        title: str, title of the axes.
        ax: Matplotlib axes; None creates a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: if neither `boxes` nor `refined_boxes` is given.

    Source: Matterport.
    """
    if boxes is None and refined_boxes is None:
        raise UserError("draw_boxes: expected boxes or refined_boxes, got neither.")
    count = len(boxes if boxes is not None else refined_boxes)
    ax = new_axes((12, 12), image.shape) if ax is None else ax
    colors, styles = random_colors(count), ["dashed"] * count
    if visibilities is not None:
        colors = [GREY if v == 0 else color for v, color in zip(visibilities, colors, strict=True)]
        styles = [("dotted", "dotted", "dashed")[v] for v in visibilities]

    show_masks(ax, image, masks, colors, range(count), margin=image.shape[0] // 10)
    for i in range(count):
        corner = None
        if boxes is not None and np.any(boxes[i]):
            corner = _draw_rectangle(ax, boxes[i], colors[i], styles[i], 0.5 if colors[i] is GREY else 1.0)
        if refined_boxes is not None and np.any(refined_boxes[i]):
            refined = _draw_rectangle(ax, refined_boxes[i], colors[i], "solid", 1.0)
            if corner is not None:
                ax.plot((corner[0], refined[0]), (corner[1], refined[1]), color=colors[i], lw=1)
            corner = refined
        if captions is not None and corner is not None:
            write_caption(ax, *corner, captions[i] or "", colors[i])
    ax.set_title(title)
    return ax


def _draw_rectangle(ax: Axes, box: np.ndarray, color, style: str, alpha: float) -> tuple[float, float]:
    """Draws a box and returns its top left corner (x, y)."""
    y1, x1, y2, x2 = (float(v) for v in box)
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, lw=2, alpha=alpha, ls=style, ec=color))
    return x1, y1


def draw_rois(
    image: np.ndarray,
    rois: np.ndarray,
    refined_rois: np.ndarray,
    mask: np.ndarray,
    class_ids: np.ndarray,
    class_names: Sequence[str],
    limit: int = 10,
) -> Axes:
    """Draws randomly selected RoIs on an image.

    Positive RoIs have a class, a refined box and a mask. Negative RoIs are grey.

    Args:
        image: `[H, W, 3]`.
        rois: `[R, 4]` in pixels.
        refined_rois: `[R, 4]` in pixels.
        mask: `[R, M, M]`, mask probabilities inside each RoI.
        class_ids: `[R]` int, 0 for background.
        class_names: list of class names, background first.
        limit: int, maximum number of RoIs. The subset depends on `np.random.seed`.

    Returns:
        The axes.

    Source: Matterport.
    """
    chosen = np.random.permutation(len(rois))[:limit]
    positive = np.asarray(class_ids)[chosen] > 0
    canvas = new_canvas(image)
    masks = np.zeros((*canvas.shape[:2], len(chosen)), dtype=bool)
    for column in np.flatnonzero(positive):
        i = chosen[column]
        masks[..., column] = paste_mask(mask[i], rois[i].astype(np.int32), canvas.shape[:2])
    ax = draw_boxes(
        canvas,
        boxes=rois[chosen],
        refined_boxes=np.where(positive[:, None], refined_rois[chosen], 0),
        masks=masks,
        captions=[caption(class_names, int(class_ids[i])) if class_ids[i] > 0 else "" for i in chosen],
        visibilities=np.where(positive, 2, 0),
        title=f"{len(chosen)} of {len(rois)} RoIs",
    )
    positives = int(np.sum(np.asarray(class_ids) > 0))
    negatives = len(class_ids) - positives
    print("Positive ROIs: ", positives)
    print("Negative ROIs: ", negatives)
    print(f"Positive Ratio: {positives / max(len(class_ids), 1):.2f}")
    return ax
