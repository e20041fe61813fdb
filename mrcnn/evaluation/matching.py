"""Matching and average precision of one photo: the functions that scripts for Matterport's Mask R-CNN call.

For a whole dataset use `CocoEvaluator`: the mean of per-photo APs, which these functions invite, is not its AP.
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
    """Match the predictions of one photo to its ground truth, best score first, by mask IoU.

    Args:
        gt_boxes: `[G, 4]` pixels; rows of zeros are padding.
        gt_class_ids: `[G]`.
        gt_masks: `[H, W, G]` bool.
        pred_boxes: `[N, 4]` pixels; rows of zeros are padding.
        pred_class_ids: `[N]`.
        pred_scores: `[N]`, any order.
        pred_masks: `[H, W, N]` bool.
        iou_threshold: a match needs at least this mask IoU.
        score_threshold: a second floor on the *IoU* (not on the score), as in the original.

    Returns:
        gt_match: `[G]` float, for each ground truth the row of its prediction **in descending score order**, or -1.
        pred_match: `[N]` float, for each prediction in descending score order its ground truth, or -1.
        overlaps: `[N, G]` mask IoU, predictions in descending score order.

    Source: Matterport. Differs: ties of scores keep their order; padding rows may stand anywhere.
    """
    overlaps, gt_class_ids, pred_class_ids = _ranked_overlaps(
        gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks
    )
    gt_match, pred_match = match_overlaps(overlaps, gt_class_ids, pred_class_ids, max(iou_threshold, score_threshold))
    return gt_match, pred_match, overlaps


def _ranked_overlaps(gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks):
    """Padding dropped, predictions by descending score: `overlaps [N, G]`, `gt_class_ids [G]`, `pred_class_ids [N]`."""
    gt, pred = np.any(gt_boxes, axis=1), np.any(pred_boxes, axis=1)
    order = np.argsort(-_without_padding(pred_scores, pred), kind="stable")
    overlaps = compute_overlaps_masks(pred_masks[..., np.flatnonzero(pred)[order]], gt_masks[..., np.flatnonzero(gt)])
    return overlaps, _without_padding(gt_class_ids, gt), _without_padding(pred_class_ids, pred)[order]


def _without_padding(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Drop the entries of padding boxes; callers often pass class ids and scores that are trimmed already."""
    values = np.asarray(values)
    return values[keep] if len(values) == len(keep) else values[: np.count_nonzero(keep)]


def match_overlaps(
    overlaps: np.ndarray, gt_class_ids: np.ndarray, pred_class_ids: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give each prediction in turn the free ground truth of its class that it overlaps most.

    Args:
        overlaps: `[N, G]` IoU, predictions in descending score order.
        gt_class_ids: `[G]`.
        pred_class_ids: `[N]`, in the order of `overlaps`.
        iou_threshold: a match needs at least this IoU.

    Returns:
        `gt_match [G]` and `pred_match [N]` float, -1 where unmatched. A second prediction of a taken ground truth stays
        unmatched: a duplicate is a false positive.
    """
    gt_match, pred_match = np.full(len(gt_class_ids), -1.0), np.full(len(pred_class_ids), -1.0)
    for row, class_id in enumerate(pred_class_ids):
        free = (gt_match < 0) & (gt_class_ids == class_id) & (overlaps[row] >= iou_threshold)
        if free.any():
            column = np.argmax(np.where(free, overlaps[row], -1.0))
            gt_match[column], pred_match[row] = row, column
    return gt_match, pred_match


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
    """Average precision of one photo at one IoU threshold (area under the precision envelope, VOC 2010).

    Arguments are those of `compute_matches`.

    Returns:
        mAP: average precision; NaN for a photo without ground truth, where it is undefined (take `np.nanmean`).
        precisions: `[N + 2]`, the falling envelope, padded with a value at recall 0 and 0 at recall 1.
        recalls: `[N + 2]`, padded with 0 and 1.
        overlaps: `[N, G]` mask IoU, predictions in descending score order.

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
    # float32 recalls are what the original returns.
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
    """Mean of `compute_ap` over IoU thresholds, by default 0.5, 0.55, ..., 0.95.

    Arguments are those of `compute_matches`, and:
        iou_thresholds: list or array; None or empty for the default.
        verbose: 1 prints one line for each threshold and one for the mean.

    Returns:
        Mean AP; NaN for a photo without ground truth.

    Source: Matterport. Differs: `iou_thresholds` may be an array; the mask IoUs are computed once, not ten times.
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
    """Share of ground-truth boxes that are the best match of some predicted box (for example a proposal).

    Args:
        pred_boxes: `[N, 4]`.
        gt_boxes: `[G, 4]` in the same frame.
        iou: a box counts as found from this IoU.

    Returns:
        recall: 0..1; NaN without ground truth.
        positive_ids: indices of the predictions that reach `iou` with some ground truth.

    Source: Matterport.
    """
    if len(gt_boxes) == 0 or len(pred_boxes) == 0:
        return (float("nan") if len(gt_boxes) == 0 else 0.0), np.zeros(0, dtype=np.intp)
    overlaps = compute_overlaps(pred_boxes, gt_boxes)  # [N, G]
    positive_ids = np.flatnonzero(overlaps.max(axis=1) >= iou)
    found = np.unique(overlaps[positive_ids].argmax(axis=1))
    return len(found) / len(gt_boxes), positive_ids
