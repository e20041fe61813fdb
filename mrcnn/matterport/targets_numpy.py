"""NumPy training targets with Matterport's names, for scripts and as reference implementations.

Sampling uses NumPy's global generator, so `np.random.seed` makes it reproducible. Training uses `mrcnn.layers.targets`.
"""

from collections.abc import Sequence

import numpy as np

from mrcnn.ops.boxes import box_refinement, compute_overlaps, encode_boxes
from mrcnn.ops.masks import expand_mask
from mrcnn.ops.resizing import resize


def build_rpn_targets(
    image_shape: Sequence[int], anchors: np.ndarray, gt_class_ids: np.ndarray, gt_boxes: np.ndarray, config
) -> tuple[np.ndarray, np.ndarray]:
    """Samples anchors of one image and computes the targets of the RPN. See `targets.select_rpn_targets`.

    Args:
        image_shape: ignored; part of Matterport's signature.
        anchors: `[A, 4]` pixels of the preprocessed image.
        gt_class_ids: `[G]` integer; below 0 for ignore regions and crowds.
        gt_boxes: `[G, 4]` pixels of the preprocessed image; zero-area boxes are ignored.
        config: provides RPN_TRAIN_ANCHORS_PER_IMAGE (T), RPN_POSITIVE_IOU and RPN_BBOX_STD_DEV.

    Returns:
        rpn_match: `[A]` int32; 1 positive, -1 negative, 0 not sampled.
        rpn_bbox: `[T, 4]` float64 deltas of the positive anchors in anchor order, zero-padded.

    Source: Ren et al. 2015, Faster R-CNN, section 3.1.2; Matterport.
    Differs from Matterport: images without objects are accepted. An object that overlaps no anchor has no positive
        anchor.
    """
    del image_shape
    has_area = (gt_boxes[:, 2:] > gt_boxes[:, :2]).all(axis=1)
    objects = gt_boxes[has_area & (gt_class_ids > 0)]
    ignored = gt_boxes[has_area & (gt_class_ids < 0)]

    overlaps = compute_overlaps(anchors, objects)  # [A, objects]
    best_iou = overlaps.max(axis=1, initial=0)
    highest = overlaps.max(axis=0, initial=0)  # [objects]
    positive = ((overlaps == highest) & (highest > 0)).any(axis=1) | (best_iou >= config.RPN_POSITIVE_IOU)
    not_ignored = compute_overlaps(anchors, ignored).max(axis=1, initial=0) < 0.001
    match = np.zeros(len(anchors), dtype=np.int32)
    match[(best_iou < 0.3) & not_ignored] = -1
    match[positive] = 1

    anchor_count = config.RPN_TRAIN_ANCHORS_PER_IMAGE
    _subsample(match, 1, anchor_count // 2)
    _subsample(match, -1, anchor_count - np.count_nonzero(match == 1))

    rpn_bbox = np.zeros((anchor_count, 4))
    chosen = np.flatnonzero(match == 1)
    if len(chosen):
        matched = objects[overlaps[chosen].argmax(axis=1)]
        rpn_bbox[: len(chosen)] = encode_boxes(anchors[chosen], matched) / config.RPN_BBOX_STD_DEV
    return match, rpn_bbox


def build_detection_targets(
    rpn_rois: np.ndarray, gt_class_ids: np.ndarray, gt_boxes: np.ndarray, gt_masks: np.ndarray, config
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Samples RoIs and computes the targets of the heads: class, deltas and mask.

    Args:
        rpn_rois: `[K, 4]` int pixels, for example from `generate_random_rois`.
        gt_class_ids: `[G]` integer; ids of 0 and below are ignored.
        gt_boxes: `[G, 4]` int pixels.
        gt_masks: `[h, w, G]` bool; mini masks if `config.USE_MINI_MASK`, else masks of the whole image.
        config: provides TRAIN_ROIS_PER_IMAGE (R), ROI_POSITIVE_RATIO, NUM_CLASSES (C), BBOX_STD_DEV, MASK_SHAPE,
            USE_MINI_MASK and IMAGE_SHAPE.

    Returns:
        rois: `[R, 4]` pixels in the dtype of `rpn_rois`; positives first, then negatives, repeated if necessary.
        roi_gt_class_ids: `[R]`, 0 for negatives.
        bboxes: `[R, C, 4]` float32 deltas in the row of the class of the RoI, and zeros in the other rows.
        masks: `[R, M, M, C]` float32 in 0..1 in the channel of the class of the RoI, and zeros in the others.

    Raises:
        ValueError: if there are no RoIs, no objects, or no negative RoIs to fill R.

    Source: Matterport, where it is used to debug the heads.
    Differs from `targets.select_roi_targets`: positive RoIs have IoU > 0.5, not >= 0.5, and masks are not rounded.
    """
    if not len(rpn_rois):
        raise ValueError("build_detection_targets: expected at least one RoI in rpn_rois, got none.")
    instances = np.flatnonzero(gt_class_ids > 0)
    if not len(instances):
        raise ValueError("build_detection_targets: expected at least one object in gt_class_ids, got none.")
    gt_class_ids, gt_boxes, gt_masks = gt_class_ids[instances], gt_boxes[instances], gt_masks[:, :, instances]

    overlaps = compute_overlaps(rpn_rois, gt_boxes)
    best_iou = overlaps.max(axis=1)
    positive = np.flatnonzero(best_iou > 0.5)
    negative = np.flatnonzero(best_iou < 0.5)
    positive = _sample(positive, int(config.TRAIN_ROIS_PER_IMAGE * config.ROI_POSITIVE_RATIO))
    negative = _sample_exactly(negative, config.TRAIN_ROIS_PER_IMAGE - len(positive))
    keep = np.concatenate([positive, negative])

    rois = rpn_rois[keep]
    assigned = overlaps[keep].argmax(axis=1)  # [R] object of each RoI
    class_ids = gt_class_ids[assigned]
    class_ids[len(positive) :] = 0

    rows = np.arange(len(positive))
    bboxes = np.zeros((len(rois), config.NUM_CLASSES, 4), dtype=np.float32)
    deltas = box_refinement(rois[rows], gt_boxes[assigned[rows]])
    bboxes[rows, class_ids[rows]] = deltas / config.BBOX_STD_DEV

    masks = np.zeros((len(rois), *config.MASK_SHAPE, config.NUM_CLASSES), dtype=np.float32)
    for row in rows:
        instance = assigned[row]
        mask = gt_masks[:, :, [instance]]
        if config.USE_MINI_MASK:
            mask = expand_mask(gt_boxes[[instance]], mask, config.IMAGE_SHAPE)
        y1, x1, y2, x2 = rois[row].astype(np.int32)
        masks[row, :, :, class_ids[row]] = resize(mask[y1:y2, x1:x2, 0].astype(np.float32), config.MASK_SHAPE)
    return rois, class_ids, bboxes, masks


def _subsample(match: np.ndarray, value: int, max_count: int) -> None:
    """Sets random entries of `match` that equal `value` to 0, so that at most `max_count` remain."""
    candidates = np.flatnonzero(match == value)
    if len(candidates) > max_count:
        match[np.random.choice(candidates, len(candidates) - max_count, replace=False)] = 0


def _sample(candidates: np.ndarray, max_count: int) -> np.ndarray:
    """Samples at most `max_count` candidates without replacement."""
    return np.random.choice(candidates, max_count, replace=False) if len(candidates) > max_count else candidates


def _sample_exactly(candidates: np.ndarray, count: int) -> np.ndarray:
    """Samples exactly `count` candidates, with repetitions if there are too few."""
    chosen = _sample(candidates, count)
    missing = count - len(chosen)
    if missing and not len(chosen):
        raise ValueError(
            f"build_detection_targets: expected RoIs with IoU below 0.5 for {count} negatives, got none. "
            "Add RoIs away from the objects to rpn_rois."
        )
    return np.concatenate([chosen, np.random.choice(chosen, missing, replace=True)]) if missing else chosen
