"""Box operations on NumPy arrays: IoU, deltas, clipping, normalized coordinates, NMS.

`mrcnn.ops.boxes_tf` contains the counterparts for TensorFlow tensors.

Boxes are (y1, x1, y2, x2). *Pixel* boxes are half-open: row y2 and column x2 are outside. *Normalized* boxes are
`(box - [0, 0, 1, 1]) / [H-1, W-1, H-1, W-1]`, so 0 and 1 are the centres of the first and last pixel.
`tf.image.crop_and_resize` expects these coordinates, and Matterport's checkpoints were trained with them.
"""

from typing import Any

import numpy as np

from mrcnn.errors import UserError


def compute_iou(box: np.ndarray, boxes: np.ndarray, box_area: float, boxes_area: np.ndarray) -> np.ndarray:
    """Computes the intersection over union of one box with N boxes.

    Args:
        box: `[4]` in any coordinate frame.
        boxes: `[N, 4]` in the same frame.
        box_area: area of `box`.
        boxes_area: `[N]` areas of `boxes`.

    Returns:
        `[N]` IoU.
    """
    height = np.maximum(np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0]), 0)
    width = np.maximum(np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1]), 0)
    intersection = height * width
    return intersection / (box_area + boxes_area - intersection)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Computes the areas `[N]` of boxes `[N, 4]`."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def compute_overlaps(boxes1: np.ndarray, boxes2: np.ndarray) -> np.ndarray:
    """Computes the IoU of each box in one set with each box in another set.

    Args:
        boxes1: `[N, 4]`; preferably the larger set, because the loop is over the second.
        boxes2: `[M, 4]` in the same frame.

    Returns:
        `[N, M]` float64 IoU.
    """
    areas1, areas2 = areas(boxes1), areas(boxes2)
    overlaps = np.zeros((len(boxes1), len(boxes2)))
    for column in range(len(boxes2)):
        overlaps[:, column] = compute_iou(boxes2[column], boxes1, areas2[column], areas1)
    return overlaps


def compute_overlaps_masks(masks1: np.ndarray, masks2: np.ndarray) -> np.ndarray:
    """Computes the IoU of each mask in one set with each mask in another set.

    Args:
        masks1: `[H, W, N]`; values above 0.5 are inside.
        masks2: `[H, W, M]` of the same image.

    Returns:
        `[N, M]` IoU; 0 if both masks are empty.
    """
    if masks1.shape[:-1] != masks2.shape[:-1] and masks1.size and masks2.size:
        sizes = " and ".join(" x ".join(map(str, masks.shape[:-1])) for masks in (masks1, masks2))
        raise ValueError(
            f"compute_overlaps_masks: expected masks of the same image, got masks of {sizes} pixels. load_image_gt() "
            "returns a resized image and, with use_mini_mask=True, cropped masks."
        )
    if masks1.shape[-1] == 0 or masks2.shape[-1] == 0:
        return np.zeros((masks1.shape[-1], masks2.shape[-1]))
    flat1 = (masks1 > 0.5).reshape(-1, masks1.shape[-1]).astype(np.float32)  # [H*W, N]
    flat2 = (masks2 > 0.5).reshape(-1, masks2.shape[-1]).astype(np.float32)
    intersections = flat1.T @ flat2
    unions = flat1.sum(axis=0)[:, None] + flat2.sum(axis=0)[None, :] - intersections
    return np.divide(intersections, unions, out=np.zeros_like(intersections), where=unions > 0)


def non_max_suppression(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Applies greedy non-maximum suppression.

    Args:
        boxes: `[N, 4]`.
        scores: `[N]`.
        threshold: IoU above which the lower-scoring box is removed.

    Returns:
        int32 indices of the remaining boxes, highest score first.
    """
    if boxes.dtype.kind == "i":
        boxes = boxes.astype(np.float32)
    box_areas = areas(boxes)
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[compute_iou(boxes[best], boxes[rest], box_areas[best], box_areas[rest]) <= threshold]
    return np.array(kept, dtype=np.int32)


def box_refinement(box: np.ndarray, gt_box: np.ndarray) -> np.ndarray:
    """Computes the deltas that transform `box` into `gt_box` (Ren et al. 2015, Faster R-CNN, section 3.1.2).

    Args:
        box: `[N, 4]` with positive height and width.
        gt_box: `[N, 4]` with positive height and width, in the same frame.

    Returns:
        `[N, 4]` float32 (dy, dx, log dh, log dw); dy and dx are in units of the height and width of `box`.
    """
    return encode_boxes(box.astype(np.float32), gt_box.astype(np.float32))


def encode_boxes(box: np.ndarray, gt_box: np.ndarray) -> np.ndarray:
    """Computes `box_refinement` in the dtype of its arguments. Anchor targets use float64."""
    size = box[:, 2:] - box[:, :2]  # [N, 2] height, width
    gt_size = gt_box[:, 2:] - gt_box[:, :2]
    shift = (gt_box[:, :2] + 0.5 * gt_size - (box[:, :2] + 0.5 * size)) / size
    return np.concatenate([shift, np.log(gt_size / size)], axis=1)


def apply_box_deltas(boxes: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """Applies deltas to boxes. This is the inverse of `box_refinement`.

    Args:
        boxes: `[N, 4]`.
        deltas: `[N, 4]` (dy, dx, log dh, log dw).

    Returns:
        `[N, 4]` float32 boxes.
    """
    boxes = boxes.astype(np.float32)
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + 0.5 * size + deltas[:, :2] * size
    size = size * np.exp(deltas[:, 2:])
    top_left = centre - 0.5 * size
    return np.concatenate([top_left, top_left + size], axis=1)


def clip_boxes(boxes: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Clips boxes `[N, 4]` to a window `[4]` in the same frame."""
    low, high = np.asarray(window)[[0, 1, 0, 1]], np.asarray(window)[[2, 3, 2, 3]]
    return np.clip(boxes, low, high)


def as_boxes(values: Any, where: str) -> np.ndarray:
    """Converts boxes to float32 `[N, 4]`. An empty list gives an array without rows.

    Raises:
        ValueError: if `values` are not boxes. The message begins with `where`.
    """
    try:
        boxes = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        boxes = None
    if boxes is not None and boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes is None or boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        got = "values that are not numbers" if boxes is None else f"{list(boxes.shape)}"
        raise UserError(f"{where}: expected finite boxes [N, 4] (y1, x1, y2, x2) in pixels of the image, got {got}.")
    return boxes


def clip_proposals(boxes: np.ndarray, window: np.ndarray, count: int) -> np.ndarray:
    """Rounds proposals, clips them to a window, and removes proposals with zero area.

    Args:
        boxes: `[N, 4]` pixels, best first.
        window: `[4]` pixels, the part of the preprocessed image that is not padding.
        count: K, the number of rows to return.

    Returns:
        `[K, 4]` int32, the first K of `boxes`, zero-padded.
    """
    boxes = clip_boxes(np.around(boxes), window)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)][:count]
    return np.pad(boxes, [(0, count - len(boxes)), (0, 0)]).astype(np.int32)


def _scale_and_shift(shape) -> tuple[np.ndarray, np.ndarray]:
    height, width = shape[:2]
    return np.array([height - 1, width - 1, height - 1, width - 1]), np.array([0, 0, 1, 1])


def norm_boxes(boxes: np.ndarray, shape) -> np.ndarray:
    """Converts pixel boxes to normalized boxes.

    Args:
        boxes: `[..., 4]` pixels, half-open.
        shape: (height, width, ...) of the image in pixels.

    Returns:
        `[..., 4]` float32 normalized boxes.
    """
    scale, shift = _scale_and_shift(shape)
    return np.divide(boxes - shift, scale).astype(np.float32)


def pixel_boxes(boxes: np.ndarray, shape) -> np.ndarray:
    """Converts normalized boxes to float pixel boxes.

    Args:
        boxes: `[..., 4]` normalized.
        shape: (height, width, ...) of the image in pixels.

    Returns:
        `[..., 4]` pixels, half-open.
    """
    scale, shift = _scale_and_shift(shape)
    return np.multiply(boxes, scale) + shift


def denorm_boxes(boxes: np.ndarray, shape) -> np.ndarray:
    """Converts normalized boxes to int32 pixel boxes, rounded half to even."""
    return np.around(pixel_boxes(boxes, shape)).astype(np.int32)


def pad_boxes(boxes: np.ndarray, padding: float) -> np.ndarray:
    """Adds a fraction of the height and the width to each side of boxes `[..., 4]`. Returns float64."""
    boxes = np.asarray(boxes, dtype=np.float64)
    margin = padding * (boxes[..., 2:] - boxes[..., :2])
    return boxes + np.concatenate([-margin, margin], axis=-1)
