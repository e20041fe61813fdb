"""COCO metrics of worked examples, matching, and input validation."""

import tracemalloc

import numpy as np
import pytest

from mrcnn.evaluation import CocoEvaluator, match_detections


def test_at_most_100_detections_per_image_count():
    mask = np.ones((8, 8, 1), dtype=bool)
    evaluator = CocoEvaluator(["BG", "a"])
    masks = np.repeat(mask, 120, axis=2)
    masks[:4, :, :110] = False  # the 110 best detections have IoU 0.5, the others 1.0
    evaluator.add("p", [1], mask, {"class_ids": np.ones(120), "scores": np.linspace(1, 0, 120), "masks": masks})
    figures = evaluator.summarize()["mask"]
    assert (figures["AP50"], figures["AP75"], figures["AR100"]) == (pytest.approx(1.0), 0.0, pytest.approx(0.1))


def test_summary_of_a_worked_example(capsys):
    # One 10 x 20 instance is detected with mask and box IoU 0.8, which is a match at 7 of the 10 thresholds.
    gt = np.zeros((40, 40, 1), dtype=bool)
    gt[3:13, 12:32] = True
    found = gt.copy()
    found[11:13] = False
    evaluator = CocoEvaluator(["BG", "nike"])
    evaluator.add("found", [1], gt, {"class_ids": [1], "scores": [0.9], "masks": found, "rois": [[3, 12, 11, 32]]})
    nothing = {"class_ids": [], "scores": [], "masks": np.zeros((40, 40, 0), dtype=bool)}
    evaluator.add("negative", [], gt[..., :0], nothing)
    summary = evaluator.summarize()
    assert capsys.readouterr().out == ""
    for kind in ("mask", "box"):
        figures = summary[kind]["per_class"]["nike"]
        expected = {"AP50": 1.0, "AP75": 1.0} | dict.fromkeys(("AP", "APs", "AR1", "AR10", "AR100", "ARs"), 0.7)
        assert figures == pytest.approx(expected | dict.fromkeys(("APm", "APl", "ARm", "ARl"), -1.0))
        assert {name: summary[kind][name] for name in figures} == figures  # mean over one class
    assert [summary[key] for key in ("images", "instances", "ignored", "detections")] == [2, 1, 0, 1]


def test_ap_is_undefined_without_images():
    assert CocoEvaluator(["BG", "a"]).summarize()["mask"]["AP"] == -1.0


def test_ignored_region_matches_every_detection_inside_it():
    # The IoU with an ignored region is intersection / detection area, which is 1 for a detection inside it.
    region = np.zeros((40, 40, 2), dtype=bool)
    region[:20, :, 0] = True
    region[30:, :, 1] = True
    masks = np.zeros((40, 40, 4), dtype=bool)
    masks[2:6, 2:6, 0] = masks[2:6, 12:16, 1] = masks[30:, :, 2] = masks[22:26, 2:6, 3] = True
    evaluator = CocoEvaluator(["BG", "a"])
    evaluator.add("p", [-1, 1], region, {"class_ids": [1] * 4, "scores": [0.9, 0.8, 0.7, 0.6], "masks": masks})
    assert evaluator.summarize()["mask"]["AP"] == pytest.approx(1.0)


def test_matching_prefers_regular_instances_and_larger_overlaps():
    overlaps = np.array([[0.9, 0.6, 0.7], [0.9, 0.6, 0.8]])
    ignore = np.array([True, False, False])
    match = match_detections(overlaps, ignore, np.zeros(3, dtype=bool), np.array([0.5, 0.65, 0.85]))
    assert match.tolist() == [[2, 1], [2, 0], [0, -1]]


def test_last_of_equal_overlaps_is_matched_like_in_pycocotools():
    nothing = np.zeros(2, dtype=bool)
    assert match_detections(np.array([[0.7, 0.7]]), nothing, nothing, np.array([0.5])).tolist() == [[1]]


def test_evaluator_stores_only_encoded_masks():
    height, width, count = 600, 800, 5
    masks = np.zeros((height, width, count), dtype=bool)
    masks[100:300, 100:300] = True
    result = {"class_ids": np.ones(count), "scores": np.ones(count), "masks": masks}
    evaluator = CocoEvaluator(["BG", "a"])
    evaluator.add(-1, np.ones(count), masks, result)
    tracemalloc.start()
    for image_id in range(10):
        evaluator.add(image_id, np.ones(count), masks, result)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * 20_000 < masks.nbytes


MASKS = np.ones((4, 4, 1), dtype=bool)
GOOD = {"class_ids": [1], "scores": [0.5], "masks": MASKS}


@pytest.mark.parametrize(
    "gt_ids, gt_masks, result, message",
    [
        ([1, 1], MASKS, GOOD, "2 ground-truth class ids for 1 masks"),
        ([0], MASKS, GOOD, "ground truth: expected class ids 1..1, got 0"),
        ([1], MASKS, GOOD | {"class_ids": [7]}, "detections: expected class ids 1..1, got 7"),
        ([1], MASKS, GOOD | {"scores": [0.5, 0.5]}, "different lengths"),
        ([1], MASKS, GOOD | {"scores": [float("nan")]}, "finite"),
        ([1], np.ones((5, 4, 1), dtype=bool), GOOD, "different sizes"),
        ([], [], GOOD | {"class_ids": [], "scores": [], "masks": []}, "image_shape is required"),
    ],
)
def test_inconsistent_arrays_raise_an_error_that_names_the_image(gt_ids, gt_masks, result, message):
    with pytest.raises(ValueError, match=f"image 'shoe.jpg'.*{message}"):
        CocoEvaluator(["BG", "a"]).add("shoe.jpg", gt_ids, gt_masks, result)


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="class_names"):
        CocoEvaluator(["BG"])
    record = CocoEvaluator(["BG", "a"]).add("shoe.jpg", [1], MASKS, GOOD)
    with pytest.raises(ValueError, match="kind: expected one of"):
        record.overlaps("segm", np.arange(1), np.arange(1))
