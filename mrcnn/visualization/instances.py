"""Figures of instances: masks, boxes, captions, differences between ground truth and detections."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mrcnn.errors import UserError
from mrcnn.evaluation import compute_matches
from mrcnn.ops.masks import mask_box
from mrcnn.visualization.colors import PALETTE, distinct_colors, text_color
from mrcnn.visualization.drawing import blend_mask
from mrcnn.visualization.drawing import caption as instance_caption
from mrcnn.visualization.images import display_images, new_axes, reduce_image, reduction_factor, show, show_image

GT_COLOR, DETECTION_COLOR = (tuple(color / 255) for color in PALETTE[:2])  # blue and orange


def random_colors(N: int, bright: bool = True) -> list[tuple[float, float, float]]:
    """Returns N distinguishable colors, RGB in 0..1.

    Source: Matterport.
    Differs from Matterport: the colors and their order are fixed, so that figures are comparable.
    """
    colors = distinct_colors(N) / 255 * (1.0 if bright else 0.7)
    return [tuple(float(v) for v in color) for color in colors]


def apply_mask(image: np.ndarray, mask: np.ndarray, color: Sequence[float], alpha: float = 0.5) -> np.ndarray:
    """Tints an image where a mask is set. The image is modified in place and returned.

    Args:
        image: `[H, W, 3]`, range 0..255.
        mask: `[H, W]`, non-zero inside.
        color: RGB, range 0..1.
        alpha: float in 0..1, opacity of the color.

    Source: Matterport.
    """
    blend_mask(image, mask, [255 * v for v in color[:3]], alpha)
    return image


def display_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    masks: np.ndarray | None,
    class_ids: np.ndarray,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
    title: str = "",
    figsize: tuple[float, float] = (16, 16),
    ax: Axes | None = None,
    show_mask: bool = True,
    show_bbox: bool = True,
    colors: Sequence[Sequence[float]] | None = None,
    captions: Sequence[str] | None = None,
) -> Axes:
    """Shows an image with its instances: tinted and outlined masks, dashed boxes, captions.

    Args:
        image: `[H, W, 3]`.
        boxes: `[N, 4]` in pixels; instances with an all-zero box are skipped.
        masks: `[H, W, N]`, or None for boxes only.
        class_ids: `[N]` int.
        class_names: list of class names, background first.
        scores: `[N]` float, appended to the class name.
        title: str, title of the axes.
        figsize: (width, height) of a new figure in inches.
        ax: Matplotlib axes; None creates and shows a new figure.
        show_mask: bool, whether to tint the masks. The outline is always drawn.
        show_bbox: bool, whether to draw the boxes.
        colors: RGB in 0..1 for each instance.
        captions: list of N str that replace class name and score.

    Returns:
        The axes.

    Source: Matterport.
    """
    count = len(boxes)
    num_masks = count if masks is None else masks.shape[-1]
    if not count == num_masks == len(class_ids):
        raise UserError(
            f"display_instances: expected equal numbers, got {count} boxes, {num_masks} masks and {len(class_ids)} "
            "class ids."
        )
    if count == 0:
        print("\n*** No instances to display *** \n")
    if captions is None:
        caption_scores = [None] * count if scores is None else scores
        captions = [instance_caption(class_names, int(c), s) for c, s in zip(class_ids, caption_scores, strict=True)]
    colors = random_colors(count) if colors is None else colors

    is_new_figure = ax is None
    ax = new_axes(figsize, image.shape) if ax is None else ax
    present = np.flatnonzero(np.any(boxes, axis=1))
    show_masks(ax, image, masks, colors, present, margin=10, tint=show_mask)
    for i in present:
        y1, x1, y2, x2 = boxes[i]
        if show_bbox:
            ax.add_patch(
                Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, lw=1.5, alpha=0.8, ls="dashed", ec=colors[i])
            )
        write_caption(ax, x1, y1, captions[i], colors[i])
    ax.set_title(title)
    if is_new_figure:
        show()
    return ax


def show_masks(
    ax: Axes,
    image: np.ndarray,
    masks: np.ndarray | None,
    colors: Sequence[Sequence[float]],
    shown: Sequence[int] | np.ndarray,
    margin: int,
    tint: bool = True,
) -> None:
    """Shows an image with a margin in pixels and the `shown` masks of `[H, W, N]`, outlined and tinted."""
    reduced, factor = reduce_image(image), reduction_factor(image.shape)
    small = {} if masks is None else {i: masks[::factor, ::factor, i] for i in shown}
    for i in small if tint else ():
        apply_mask(reduced, small[i], colors[i])
    show_image(ax, reduced, image.shape, margin)
    for i, mask in small.items():
        draw_contour(ax, mask, colors[i], factor)


def draw_contour(ax: Axes, mask: np.ndarray, color: Sequence[float], scale: int = 1) -> None:
    """Draws the contour of a mask `[h, w]`. Each pixel of the mask covers `scale` x `scale` pixels of the image."""
    y1, x1, y2, x2 = mask_box(mask)
    if y2 == 0:
        return
    window = np.pad(mask[y1:y2, x1:x2] != 0, 1).astype(np.float32)  # zero padding closes contours at the border
    x, y = (np.arange(start - 1, stop + 1) * scale + (scale - 1) / 2 for start, stop in ((x1, x2), (y1, y2)))
    ax.contour(x, y, window, levels=[0.5], colors=[tuple(color[:3])], linewidths=1.5)


def write_caption(ax: Axes, x: float, y: float, text: str, color: Sequence[float]) -> None:
    """Draws text on a colored background. (x, y) is its lower left corner, or its upper left corner at the top edge."""
    if not text:
        return
    foreground = [v / 255 for v in text_color([255 * v for v in color[:3]])]
    background = {"facecolor": tuple(color[:3]), "alpha": 0.85, "pad": 1.5, "edgecolor": "none"}
    bottom, top = ax.get_ylim()
    at_top = y - top < 0.03 * (bottom - top)
    ax.text(x, y, text, color=foreground, size=10, va="top" if at_top else "bottom", bbox=background, clip_on=True)


def display_differences(
    image: np.ndarray,
    gt_box: np.ndarray,
    gt_class_id: np.ndarray,
    gt_mask: np.ndarray,
    pred_box: np.ndarray,
    pred_class_id: np.ndarray,
    pred_score: np.ndarray,
    pred_mask: np.ndarray,
    class_names: Sequence[str],
    title: str = "",
    ax: Axes | None = None,
    show_mask: bool = True,
    show_box: bool = True,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
) -> Axes:
    """Shows ground truth (blue) and detections (orange) of one image, with the score and mask IoU of each detection.

    See `compute_matches` and `display_instances` for the arguments. The IoU is measured against the matched instance;
    without a match, it is the maximum IoU with any instance.

    Source: Matterport.
    Differs from Matterport: the colors are blue and orange, and detections may be in any order.
    """
    _, pred_match, overlaps = compute_matches(
        gt_box, gt_class_id, gt_mask, pred_box, pred_class_id, pred_score, pred_mask, iou_threshold, score_threshold
    )
    # `compute_matches` drops all-zero boxes and sorts by score, so the boxes are filtered and sorted in the same way.
    gt, pred = np.flatnonzero(np.any(gt_box, axis=1)), np.flatnonzero(np.any(pred_box, axis=1))
    pred = pred[np.argsort(-np.asarray(pred_score)[pred], kind="stable")]
    captions = [""] * len(gt)
    for row, score in enumerate(np.asarray(pred_score)[pred]):
        iou = overlaps[row, int(pred_match[row])] if pred_match[row] > -1 else overlaps[row].max(initial=0)
        captions.append(f"{score:.2f} / {iou:.2f}")
    return display_instances(
        image,
        np.concatenate([gt_box[gt], pred_box[pred]]),
        np.concatenate([gt_mask[..., gt], pred_mask[..., pred]], axis=2),
        np.concatenate([gt_class_id[gt], pred_class_id[pred]]),
        class_names,
        title=title or "Ground truth (blue) and detections (orange)\ncaptions: score / IoU",
        ax=ax,
        show_mask=show_mask,
        show_bbox=show_box,
        colors=[GT_COLOR] * len(gt) + [DETECTION_COLOR] * len(pred),
        captions=captions,
    )


def display_top_masks(
    image: np.ndarray, mask: np.ndarray, class_ids: np.ndarray, class_names: Sequence[str], limit: int = 4
) -> list[Axes]:
    """Shows an image and the masks of the classes with the largest area, each instance in a different shade.

    Args:
        image: `[H, W, 3]`.
        mask: `[H, W, N]`.
        class_ids: `[N]` int.
        class_names: list of class names, background first.
        limit: int, number of classes to show.

    Source: Matterport.
    """
    class_ids = np.asarray(class_ids)
    factor = reduction_factor(image.shape)
    small = mask[::factor, ::factor] != 0
    areas = {class_id: int(mask[..., class_ids == class_id].sum()) for class_id in np.unique(class_ids)}
    largest = sorted((c for c in areas if areas[c] > 0), key=lambda c: -areas[c])[:limit]
    pictures, titles = [image], [f"H x W={image.shape[0]}x{image.shape[1]}"]
    for class_id in largest:
        instances = small[..., class_ids == class_id]
        pictures.append(np.sum(instances * np.arange(1, instances.shape[-1] + 1), axis=-1))
        titles.append(instance_caption(class_names, int(class_id)))
    missing = limit - len(largest)
    pictures += [np.zeros(small.shape[:2], dtype=np.int64)] * missing
    return display_images(pictures, titles + ["-"] * missing, cols=limit + 1, cmap="Blues_r")
