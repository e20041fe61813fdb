"""COCO figures: the NumPy implementation against pycocotools, a worked example, and what comes in wrong."""

import tracemalloc

import numpy as np
import pytest

from mrcnn.evaluation import CocoEvaluator, coco_curves, match_detections, pycocotools_curves

SIZES = (6, 20, 60, 130)  # sides in pixels: small, small, medium, large


def random_rectangle(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    y, x, h, w = rng.integers(0, height - 3), rng.integers(0, width - 3), *rng.choice(SIZES, 2)
    mask[y : y + h, x : x + w] = True
    return mask


def stack(masks: list[np.ndarray], height: int, width: int) -> np.ndarray:
    return np.stack(masks, axis=-1) if masks else np.zeros((height, width, 0), dtype=bool)


def random_evaluator(seed: int, photos: int, with_rois: bool) -> CocoEvaluator:
    """Photos of many sizes with duplicates, tied scores, wrong classes, crowds, and some without instances."""
    rng = np.random.default_rng(seed)
    evaluator = CocoEvaluator(["BG", "a", "b", "never there"])
    for photo in range(photos):
        height, width = rng.integers(150, 260, 2)
        gt_masks = [random_rectangle(rng, height, width) for _ in range(rng.integers(0, 6))]
        gt_ids = rng.integers(1, 3, len(gt_masks))
        masks, ids = [], []
        for mask, class_id in zip(gt_masks, gt_ids, strict=True):
            for _ in range(rng.integers(0, 4)):
                masks.append(np.roll(mask, rng.integers(-3, 4, 2), axis=(0, 1)))
                ids.append(class_id if rng.random() < 0.8 else rng.integers(1, 4))
        for _ in range(rng.integers(0, 4)):
            masks.append(random_rectangle(rng, height, width))
            ids.append(rng.integers(1, 4))
        result = {"class_ids": ids, "scores": rng.random(len(ids)).round(1), "masks": stack(masks, height, width)}
        if with_rois:
            result["rois"] = np.sort(rng.integers(0, 150, (len(ids), 2, 2)), axis=1).reshape(-1, 4)
        crowd = rng.choice([1, 1, 1, -1], len(gt_ids))
        evaluator.add(photo, gt_ids * crowd, stack(gt_masks, height, width), result)
    return evaluator


@pytest.mark.parametrize("seed, with_rois", [(0, False), (1, False), (2, True)])
@pytest.mark.parametrize("kind", ["mask", "box"])
def test_numpy_equals_pycocotools_on_random_detections(seed, with_rois, kind):
    evaluator = random_evaluator(seed, photos=40, with_rois=with_rois)
    expected = pycocotools_curves(evaluator.records, 4, kind)
    got = coco_curves(evaluator.records, 4, kind)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    if not with_rois:
        assert expected[0].max() > 0.1  # the example is not trivial


def test_more_than_a_hundred_detections_on_a_photo():
    mask = np.ones((8, 8, 1), dtype=bool)
    evaluator = CocoEvaluator(["BG", "a"])
    masks = np.repeat(mask, 120, axis=2)
    masks[:4, :, :110] = False  # IoU 0.5 for the 110 best, 1.0 beyond the limit of 100
    evaluator.add("p", [1], mask, {"class_ids": np.ones(120), "scores": np.linspace(1, 0, 120), "masks": masks})
    for engine in ("numpy", "pycocotools"):
        figures = evaluator.summarize(engine)["mask"]
        assert (figures["AP50"], figures["AP75"], figures["AR100"]) == (pytest.approx(1.0), 0.0, pytest.approx(0.1))


def test_summary_of_a_worked_example(capsys):
    # One instance of 10 x 20 found with IoU 0.8, mask and box: true at 0.5, ..., 0.8, that is 7 of 10 thresholds.
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
        assert evaluator.summarize("numpy")[kind]["per_class"]["nike"] == pytest.approx(figures)
        assert {name: summary[kind][name] for name in figures} == figures  # the mean over one class
    assert [summary[key] for key in ("images", "instances", "ignored", "detections")] == [2, 1, 0, 1]


@pytest.mark.parametrize("engine", ["numpy", "pycocotools"])
def test_nothing_added_has_no_figures(engine):
    assert CocoEvaluator(["BG", "a"]).summarize(engine)["mask"]["AP"] == -1.0


def test_a_region_to_ignore_absorbs_every_detection_that_lies_in_it():
    # IoU with a region to ignore is intersection / detection: the small detections inside match it fully.
    region = np.zeros((40, 40, 2), dtype=bool)
    region[:20, :, 0] = True
    region[30:, :, 1] = True
    masks = np.zeros((40, 40, 4), dtype=bool)
    masks[2:6, 2:6, 0] = masks[2:6, 12:16, 1] = masks[30:, :, 2] = masks[22:26, 2:6, 3] = True
    evaluator = CocoEvaluator(["BG", "a"])
    evaluator.add("p", [-1, 1], region, {"class_ids": [1] * 4, "scores": [0.9, 0.8, 0.7, 0.6], "masks": masks})
    for engine in ("numpy", "pycocotools"):
        assert evaluator.summarize(engine)["mask"]["AP"] == pytest.approx(1.0)


def test_matching_prefers_instances_that_count_and_the_larger_overlap():
    overlaps = np.array([[0.9, 0.6, 0.7], [0.9, 0.6, 0.8]])
    ignore = np.array([True, False, False])
    match = match_detections(overlaps, ignore, np.zeros(3, dtype=bool), np.array([0.5, 0.65, 0.85]))
    assert match.tolist() == [[2, 1], [2, 0], [0, -1]]


def test_of_equal_overlaps_the_last_instance_is_taken_as_in_pycocotools():
    nothing = np.zeros(2, dtype=bool)
    assert match_detections(np.array([[0.7, 0.7]]), nothing, nothing, np.array([0.5])).tolist() == [[1]]


def test_only_encoded_masks_are_kept():
    height, width, count = 600, 800, 5
    masks = np.zeros((height, width, count), dtype=bool)
    masks[100:300, 100:300] = True
    result = {"class_ids": np.ones(count), "scores": np.ones(count), "masks": masks}
    evaluator = CocoEvaluator(["BG", "a"])
    evaluator.add(-1, np.ones(count), masks, result)
    tracemalloc.start()
    for photo in range(10):
        evaluator.add(photo, np.ones(count), masks, result)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * 20_000 < masks.nbytes


def test_encoded_masks_give_the_same_figures_as_arrays():
    arrays = random_evaluator(3, photos=10, with_rois=False)
    encoded = CocoEvaluator(arrays.class_names)
    for record in arrays.records:
        result = {"class_ids": record.class_ids, "scores": record.scores, "masks": record.rles}
        ids = np.where(record.gt_crowd, -record.gt_class_ids, record.gt_class_ids)
        encoded.add(record.image_id, ids, record.gt_rles, result, image_shape=(record.height, record.width, 3))
    assert encoded.summarize("numpy") == arrays.summarize("numpy")


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
        ([], [], GOOD | {"class_ids": [], "scores": [], "masks": []}, "give image_shape"),
    ],
)
def test_arrays_that_do_not_fit_name_the_photo(gt_ids, gt_masks, result, message):
    with pytest.raises(ValueError, match=f"photo 'shoe.jpg'.*{message}"):
        CocoEvaluator(["BG", "a"]).add("shoe.jpg", gt_ids, gt_masks, result)


def test_wrong_options_are_explained():
    with pytest.raises(ValueError, match="engine: expected one of"):
        CocoEvaluator(["BG", "a"]).summarize("keras")
    with pytest.raises(ValueError, match="class_names"):
        CocoEvaluator(["BG"])
    evaluator = random_evaluator(0, photos=2, with_rois=False)
    with pytest.raises(ValueError, match="kind: expected one of"):
        evaluator.records[0].overlaps("segm", np.arange(1), np.arange(1))
