"""Matching and average precision of one image, compatible with Matterport's Mask R-CNN, and COCO matching.

Use `CocoEvaluator` for a dataset. The AP of a dataset is not the mean of the APs of its images.
"""

from collections.abc import Sequence

import numpy as np

from mrcnn.ops.boxes import compute_overlaps, compute_overlaps_masks


def compute_matches(
    gt_boxes: np.ndarray,
    gt_class_ids: np.ndarray,
    gt_masks: np.ndarray,
    pred_boxes: np.ndarray,
    pred_class_ids: np.ndarray,
    pred_scores: np.ndarray,
    pred_masks: np.ndarray,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matches the predictions of one image to its ground truth by mask IoU, in descending score order.

    Args:
        gt_boxes: `[G, 4]` pixels; rows of zeros are padding.
        gt_class_ids: `[G]` int.
        gt_masks: `[H, W, G]` bool.
        pred_boxes: `[N, 4]` pixels; rows of zeros are padding.
        pred_class_ids: `[N]` int.
        pred_scores: `[N]` float, in any order.
        pred_masks: `[H, W, N]` bool.
        iou_threshold: float, minimum mask IoU of a match.
        score_threshold: float, a second threshold on the *IoU* (not on the score), as in Matterport.

    Returns:
        The results have no rows for padding: g <= G instances and n <= N predictions.

        gt_match: `[g]` float, index of the matched prediction **in descending score order**, or -1.
        pred_match: `[n]` float, index of the matched ground truth, or -1; predictions in descending score order.
        overlaps: `[n, g]` mask IoU; predictions in descending score order.

    Source: Matterport.
    Differs from Matterport: the sort by score is stable, and padding rows may be anywhere.
    """
    overlaps, gt_class_ids, pred_class_ids = _ranked_overlaps(
        gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks
    )
    gt_match, pred_match = match_overlaps(overlaps, gt_class_ids, pred_class_ids, max(iou_threshold, score_threshold))
    return gt_match, pred_match, overlaps


def _ranked_overlaps(gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks):
    """Drops padding and sorts predictions by score. Returns overlaps `[n, g]`, ground-truth ids, prediction ids."""
    gt, pred = np.any(gt_boxes, axis=1), np.any(pred_boxes, axis=1)
    order = np.argsort(-_drop_padding(pred_scores, pred), kind="stable")
    overlaps = compute_overlaps_masks(pred_masks[..., np.flatnonzero(pred)[order]], gt_masks[..., np.flatnonzero(gt)])
    return overlaps, _drop_padding(gt_class_ids, gt), _drop_padding(pred_class_ids, pred)[order]


def _drop_padding(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Drops the entries of padding boxes from `values` if the caller has not already dropped them."""
    values = np.asarray(values)
    return values[keep] if len(values) == len(keep) else values[: np.count_nonzero(keep)]


def match_overlaps(
    overlaps: np.ndarray, gt_class_ids: np.ndarray, pred_class_ids: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Matches each prediction to the unmatched ground truth of its class with the highest IoU.

    Args:
        overlaps: `[N, G]` IoU, predictions in descending score order.
        gt_class_ids: `[G]` int.
        pred_class_ids: `[N]` int, in the order of `overlaps`.
        iou_threshold: float, minimum IoU of a match.

    Returns:
        `gt_match [G]` and `pred_match [N]` float, -1 where unmatched. Duplicate predictions of a matched ground truth
        stay unmatched.
    """
    gt_match, pred_match = np.full(len(gt_class_ids), -1.0), np.full(len(pred_class_ids), -1.0)
    for row, class_id in enumerate(pred_class_ids):
        free = (gt_match < 0) & (gt_class_ids == class_id) & (overlaps[row] >= iou_threshold)
        if free.any():
            column = np.argmax(np.where(free, overlaps[row], -1.0))
            gt_match[column], pred_match[row] = row, column
    return gt_match, pred_match


def match_detections(
    overlaps: np.ndarray, gt_ignore: np.ndarray, gt_crowd: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Matches detections to instances by the COCO rules, for several IoU thresholds at once.

    In descending score order, each detection is matched to the unmatched instance with the highest IoU. An ignored
    instance is only matched if no other instance reaches the threshold. A crowd region matches any number of
    detections.

    Args:
        overlaps: `[N, G]` IoU, detections in descending score order.
        gt_ignore: `[G]` bool, instances that are excluded from the metric, crowd regions included.
        gt_crowd: `[G]` bool, crowd regions.
        thresholds: `[T]` IoU thresholds.

    Returns:
        `[T, N]` int, index of the matched instance, or -1.
    """
    num_thresholds, (num_detections, num_gt) = len(thresholds), overlaps.shape
    match = np.full((num_thresholds, num_detections), -1)
    if num_gt == 0:
        return match
    min_ious = np.minimum(thresholds, 1 - 1e-10)[:, None]  # an IoU of 1 must reach a threshold of 1
    taken = np.zeros((num_thresholds, num_gt), dtype=bool)
    for row, overlap in enumerate(overlaps):
        allowed = (~taken | gt_crowd) & (overlap >= min_ious)  # [T, G]
        regular = allowed & ~gt_ignore
        allowed = np.where(regular.any(axis=1, keepdims=True), regular, allowed)
        # The last of several equal overlaps is matched, as in pycocotools.
        best = num_gt - 1 - np.argmax(np.where(allowed, overlap, -1.0)[:, ::-1], axis=1)  # [T]
        hit = np.flatnonzero(allowed.any(axis=1))
        match[hit, row] = best[hit]
        taken[hit, best[hit]] = True
    return match


def compute_ap(
    gt_boxes: np.ndarray,
    gt_class_ids: np.ndarray,
    gt_masks: np.ndarray,
    pred_boxes: np.ndarray,
    pred_class_ids: np.ndarray,
    pred_scores: np.ndarray,
    pred_masks: np.ndarray,
    iou_threshold: float = 0.5,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Computes the average precision of one image at one IoU threshold (area under the precision envelope, VOC 2010).

    See `compute_matches` for the arguments.

    Returns:
        mAP: float, average precision; NaN for an image without ground truth (use `np.nanmean` to average).
        precisions: `[n + 2]`, the precision envelope, padded with a value at recall 0 and 0 at recall 1.
        recalls: `[n + 2]`, padded with 0 and 1.
        overlaps: `[n, g]` mask IoU, predictions in descending score order; see `compute_matches`.

    Source: Matterport; Everingham et al. 2010, section 4.2.
    """
    gt_match, pred_match, overlaps = compute_matches(
        gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks, iou_threshold
    )
    ap, precisions, recalls = _ap_of_matches(pred_match, len(gt_match))
    return ap, precisions, recalls, overlaps


def _ap_of_matches(pred_match: np.ndarray, num_gt: int) -> tuple[float, np.ndarray, np.ndarray]:
    hits = np.cumsum(pred_match > -1)
    precisions = np.concatenate([[0.0], hits / (np.arange(len(hits)) + 1), [0.0]])
    # Matterport returns float32 recalls.
    recalls = np.concatenate([[0.0], hits.astype(np.float32) / max(num_gt, 1), [1.0]])
    precisions = np.maximum.accumulate(precisions[::-1])[::-1]
    if num_gt == 0:
        return float("nan"), precisions, recalls
    return float(np.sum(np.diff(recalls) * precisions[1:])), precisions, recalls


def compute_ap_range(
    gt_box: np.ndarray,
    gt_class_id: np.ndarray,
    gt_mask: np.ndarray,
    pred_box: np.ndarray,
    pred_class_id: np.ndarray,
    pred_score: np.ndarray,
    pred_mask: np.ndarray,
    iou_thresholds: Sequence[float] | np.ndarray | None = None,
    verbose: int = 1,
) -> float:
    """Computes the mean of `compute_ap` over IoU thresholds, by default 0.5, 0.55, ..., 0.95.

    Args:
        gt_box, ..., pred_mask: see `compute_matches`.
        iou_thresholds: list or array of float; None or empty for the default.
        verbose: int; 1: print one line per threshold and one for the mean.

    Returns:
        float, mean AP; NaN for an image without ground truth.

    Source: Matterport.
    Differs from Matterport: `iou_thresholds` may be an array, and mask IoUs are computed only once.
    """
    if iou_thresholds is None or len(iou_thresholds) == 0:
        iou_thresholds = np.arange(0.5, 1.0, 0.05)
    overlaps, gt_class_ids, pred_class_ids = _ranked_overlaps(
        gt_box, gt_class_id, gt_mask, pred_box, pred_class_id, pred_score, pred_mask
    )
    aps = []
    for threshold in iou_thresholds:
        _, pred_match = match_overlaps(overlaps, gt_class_ids, pred_class_ids, threshold)
        aps.append(_ap_of_matches(pred_match, len(gt_class_ids))[0])
        if verbose:
            print(f"AP @{threshold:.2f}:\t {aps[-1]:.3f}")
    mean = float(np.mean(aps))
    if verbose:
        print(f"AP @{iou_thresholds[0]:.2f}-{iou_thresholds[-1]:.2f}:\t {mean:.3f}")
    return mean


def compute_recall(pred_boxes: np.ndarray, gt_boxes: np.ndarray, iou: float) -> tuple[float, np.ndarray]:
    """Computes the fraction of ground-truth boxes that are the best match of a predicted box or proposal.

    Args:
        pred_boxes: `[N, 4]`.
        gt_boxes: `[G, 4]`, in the coordinates of `pred_boxes`.
        iou: float, minimum IoU of a match.

    Returns:
        recall: float in 0..1; NaN if `gt_boxes` is empty.
        positive_ids: `[P]` int, indices of the predictions that reach `iou` with any ground truth.

    Source: Matterport.
    """
    if len(gt_boxes) == 0 or len(pred_boxes) == 0:
        return (float("nan") if len(gt_boxes) == 0 else 0.0), np.zeros(0, dtype=np.intp)
    overlaps = compute_overlaps(pred_boxes, gt_boxes)  # [N, G]
    positive_ids = np.flatnonzero(overlaps.max(axis=1) >= iou)
    found = np.unique(overlaps[positive_ids].argmax(axis=1))
    return len(found) / len(gt_boxes), positive_ids
