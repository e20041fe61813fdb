"""Matching and AP of one image against Matterport's results, and edge cases."""

import numpy as np
import pytest

from mrcnn import evaluation


def bars(*columns: int, size: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Returns masks `[size, size, N]` that fill the given number of rows from the top, and their boxes."""
    masks = np.zeros((size, size, len(columns)), dtype=bool)
    for i, rows in enumerate(columns):
        masks[:rows, :, i] = True
    return masks, np.array([[0, 0, rows, size if rows else 0] for rows in columns], dtype=np.int32).reshape(-1, 4)


def arguments(z, case: str, count: int) -> list[np.ndarray]:
    return [z[name] if (name := f"{case}__in_{i}") in z.files else z[f"{name}_f64"] for i in range(count)]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_matches_and_ap_equal_matterport(golden, threshold):
    z = golden("utils.npz")
    case = f"compute_matches_{threshold}"
    got = evaluation.compute_matches(*arguments(z, case, 7), iou_threshold=threshold)
    for value, name in zip(got, ("0_f64", "1_f64", "2"), strict=True):
        np.testing.assert_allclose(value, z[f"{case}__out_{name}"], atol=1e-7)
    case = f"compute_ap_{threshold}"
    got = evaluation.compute_ap(*arguments(z, case, 7), iou_threshold=threshold)
    for value, name in zip(got, ("0_f64", "1_f64", "2_f64", "3"), strict=True):
        np.testing.assert_allclose(value, z[f"{case}__out_{name}"], atol=1e-7)


def test_ap_range_and_recall_equal_matterport(golden):
    z = golden("utils.npz")
    got = evaluation.compute_ap_range(*arguments(z, "compute_ap_range", 7), verbose=0)
    np.testing.assert_allclose(got, z["compute_ap_range__out_0_f64"], atol=1e-7)
    recall, positive_ids = evaluation.compute_recall(*arguments(z, "compute_recall", 3))
    assert recall == z["compute_recall__out_0_f64"]
    np.testing.assert_array_equal(positive_ids, z["compute_recall__out_1"])


def test_ap_range_accepts_an_array_of_thresholds_and_prints_each_ap(capsys):
    gt_masks, gt_boxes = bars(10)
    masks, boxes = bars(6)  # IoU 0.6
    ids, scores = np.array([1]), np.array([0.9])
    ap = evaluation.compute_ap_range(
        gt_boxes, ids, gt_masks, boxes, ids, scores, masks, iou_thresholds=np.array([0.5, 0.75])
    )
    assert ap == 0.5
    assert capsys.readouterr().out == "AP @0.50:\t 1.000\nAP @0.75:\t 0.000\nAP @0.50-0.75:\t 0.500\n"


def test_matches_are_indexed_in_descending_score_order_and_duplicates_are_unmatched():
    gt_masks, gt_boxes = bars(10)
    masks, boxes = bars(8, 10, 9)
    gt_match, pred_match, overlaps = evaluation.compute_matches(
        gt_boxes, np.array([1]), gt_masks, boxes, np.array([1, 1, 1]), np.array([0.2, 0.5, 0.9]), masks
    )
    np.testing.assert_allclose(overlaps[:, 0], [0.9, 1.0, 0.8])
    assert gt_match.tolist() == [0] and pred_match.tolist() == [0, -1, -1]


def test_equal_scores_keep_their_order():
    gt_masks, gt_boxes = bars(10)
    rows = [8, 9, 10] * 10  # enough to detect an unstable sort
    masks, boxes = bars(*rows)
    scores = np.tile([0.5, 0.4, 0.5], 10)
    overlaps = evaluation.compute_matches(gt_boxes, np.ones(1), gt_masks, boxes, np.ones(len(rows)), scores, masks)[2]
    np.testing.assert_allclose(overlaps[:, 0], [0.8, 1.0] * 10 + [0.9] * 10)


def test_score_threshold_applies_to_the_iou_like_in_matterport():
    gt_masks, gt_boxes = bars(10)
    masks, boxes = bars(6)
    image = (gt_boxes, np.ones(1), gt_masks, boxes, np.ones(1), np.array([0.1]), masks)
    assert evaluation.compute_matches(*image, score_threshold=0.6)[1].tolist() == [0]
    assert evaluation.compute_matches(*image, score_threshold=0.61)[1].tolist() == [-1]


def test_padding_rows_are_dropped_at_any_position():
    gt_masks, gt_boxes = bars(0, 10)
    masks, boxes = bars(0, 10, 0)
    gt_match, pred_match, overlaps = evaluation.compute_matches(
        gt_boxes, np.array([0, 2]), gt_masks, boxes, np.array([0, 2, 0]), np.array([0.0, 0.7, 0.0]), masks
    )
    assert overlaps.shape == (1, 1) and gt_match.tolist() == [0] and pred_match.tolist() == [0]


@pytest.mark.parametrize("num_gt, num_pred, expected", [(0, 0, np.nan), (0, 1, np.nan), (1, 0, 0.0)])
def test_images_without_instances_or_predictions(num_gt, num_pred, expected):
    gt_masks, gt_boxes = bars(*[10] * num_gt)
    masks, boxes = bars(*[10] * num_pred)
    image = (gt_boxes, np.ones(num_gt), gt_masks, boxes, np.ones(num_pred), np.ones(num_pred), masks)
    ap, precisions, recalls, overlaps = evaluation.compute_ap(*image)
    np.testing.assert_equal(ap, expected)
    assert len(precisions) == len(recalls) == num_pred + 2 and overlaps.shape == (num_pred, num_gt)
    np.testing.assert_equal(evaluation.compute_ap_range(*image, verbose=0), expected)
    recall, positive_ids = evaluation.compute_recall(boxes, gt_boxes, 0.5)
    np.testing.assert_equal(recall, expected)
    assert positive_ids.shape == (0,)
