"""Metrics, compared with pycocotools on the results file and with values derived by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as rle_lib
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrcnn.detections import Detections
from mrcnn.evaluation import CocoEvaluator
from nike.reporting.score_table import summary_lines
from nike.reporting.scores import CURVE_POINTS, coco_results, score

SIDE = 120


def random_box_mask(rng):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    y, x = rng.integers(0, 80, 2)
    mask[y : y + rng.integers(4, 60), x : x + rng.integers(4, 60)] = 1
    return mask


@pytest.fixture(scope="module")
def photos():
    """Returns random ground truth (some of it ignored) and similar detections, as (name, class ids, masks, result)."""
    rng = np.random.default_rng(5)
    photos = []
    for number in range(40):
        truth = [random_box_mask(rng) for _ in range(rng.integers(0, 4))]
        found = [np.roll(mask, rng.integers(-6, 7, 2), (0, 1)) for mask in truth for _ in range(rng.integers(0, 3))]
        found += [random_box_mask(rng) for _ in range(rng.integers(0, 2))]
        rles = [rle_lib.encode(np.asfortranarray(mask)) for mask in found]
        boxes = np.array([rle_lib.toBbox(rle) for rle in rles]).reshape(-1, 4)  # x, y, width, height
        boxes = boxes + rng.integers(-2, 3, boxes.shape) * (boxes > 4)
        rois = np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], axis=1)
        result = {
            "rois": rois.astype(np.int32),
            "class_ids": np.ones(len(found), np.int32),
            "scores": rng.random(len(found)).astype(np.float32),
            "masks": np.stack(found, axis=-1).astype(bool) if found else np.zeros((SIDE, SIDE, 0), bool),
        }
        class_ids = np.where(rng.random(len(truth)) < 0.2, -1, 1)
        photos.append((f"part/{number}.png", class_ids, truth, result))
    return photos


@pytest.fixture(scope="module")
def evaluator(photos):
    evaluator = CocoEvaluator(["BG", "nike"])
    for name, class_ids, truth, result in photos:
        masks = np.stack(truth, axis=-1).astype(bool) if truth else np.zeros((SIDE, SIDE, 0), bool)
        evaluator.add(name, class_ids, masks, result)
    return evaluator


def test_the_results_file_has_the_same_metrics(photos, evaluator):
    """Other software evaluates the detections of the file with its own ground truth."""
    numbers = {name: i for i, (name, *_) in enumerate(photos, 1)}
    truth = [
        (numbers[name], class_id, rle_lib.encode(np.asfortranarray(mask)))
        for name, class_ids, masks, _ in photos
        for class_id, mask in zip(class_ids, masks, strict=True)
    ]
    results = coco_results(evaluator.records, "unused", evaluator.class_names)
    scores = score(evaluator, 0.5)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "height": SIDE, "width": SIDE} for i in numbers.values()],
            "categories": [{"id": 1}],
            "annotations": [
                dict(id=i, image_id=image, category_id=1, iscrowd=int(class_id < 0), segmentation=rle)
                | dict(area=float(rle_lib.area(rle)), bbox=rle_lib.toBbox(rle).tolist())
                for i, (image, class_id, rle) in enumerate(truth, 1)
            ],
        }
        coco.createIndex()
        kept = ("score", "segmentation", "bbox")
        rows = [{key: r[key] for key in kept} | dict(image_id=numbers[r["file"]], category_id=1) for r in results]
        found = coco.loadRes(rows)
        for kind, name in (("segm", "mask"), ("bbox", "box")):
            evaluation = COCOeval(coco, found, kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            figures = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
            expected = dict(zip(figures, evaluation.stats, strict=True))
            assert {key: scores[name][key] for key in figures} == pytest.approx(expected, abs=1e-9)
    assert 0.05 < scores["mask"]["AP"] < 0.9 and scores["mask"]["AP"] != scores["box"]["AP"]


def test_totals_are_sums_over_images(evaluator):
    scores = score(evaluator, 0.3)
    at = scores["at_threshold"]
    for name in ("true", "false", "duplicates", "missed"):
        assert at[name] == sum(photo[name] for photo in scores["photos"])
    assert at["true"] + at["missed"] == scores["counts"]["instances"] == at["confusion"][1][0] + at["confusion"][1][1]
    assert at["duplicates"] > 0 and at["false"] == at["confusion"][0][1]
    error_score = [photo["error_score"] for photo in scores["photos"]]
    assert error_score == sorted(error_score, reverse=True)


def test_curves_and_histograms_match_the_metrics(evaluator):
    scores = score(evaluator, 0.0)
    curve = scores["curves"]["mask"]["0.50"]
    steps = np.diff(curve["recall"], prepend=0)
    assert (steps * curve["envelope"]).sum() == pytest.approx(scores["voc"]["mask"]["nike"]["ap_all_points"], abs=1e-3)
    best = scores["voc"]["mask"]["nike"]["best_f1"]
    assert max(scores["f1"]["f1"]) == pytest.approx(best["f1"], abs=1e-5)
    at = int(np.argmax(scores["f1"]["f1"]))
    assert scores["f1"]["threshold"][at] == pytest.approx(best["threshold"], abs=1e-5)
    histograms = scores["histograms"]
    assert sum(histograms["iou"]) == sum(histograms["score_true"]) == scores["at_threshold"]["true"]
    assert sum(histograms["score_false"]) == scores["at_threshold"]["false"]
    assert sum(histograms["iou"][:10]) == 0  # detections are true from IoU 0.5


def test_long_curves_are_subsampled(evaluator):
    many = CocoEvaluator(["BG", "nike"])
    many.records = evaluator.records * 10
    curve = score(many, 0.5)["curves"]["box"]["0.75"]
    assert 100 < len(curve["recall"]) <= CURVE_POINTS
    assert curve["recall"] == sorted(curve["recall"])


def test_no_objects_and_no_detections():
    evaluator = CocoEvaluator(["BG", "nike"])
    empty = {"class_ids": [], "scores": [], "masks": np.zeros((9, 9, 0), bool), "rois": np.zeros((0, 4))}
    evaluator.add("a.png", [], np.zeros((9, 9, 0), bool), empty)
    scores = score(evaluator, 0.5)
    assert scores["mask"]["AP"] == scores["at_threshold"]["precision"] == scores["at_threshold"]["recall"] == -1
    assert scores["f1"]["f1"] == scores["curves"]["mask"]["0.50"]["recall"] == []
    evaluator.add("b.png", [1], np.ones((9, 9, 1), bool), empty)
    scores = score(evaluator, 0.5)
    assert scores["mask"]["AP"] == scores["at_threshold"]["recall"] == 0
    assert scores["photos"][0]["file"] == "b.png" and scores["photos"][0]["missed"] == 1


@pytest.mark.parametrize(
    "name, file", [("a.png", "photos/a.png"), ("train/a.png", "train/a.png"), ("x/y/a.png", "y/a.png")]
)
def test_file_names_in_results_include_the_folder(name, file):
    evaluator = CocoEvaluator(["BG", "nike"])
    mask = np.ones((4, 5, 1), bool)
    evaluator.add(name, [1], mask, {"class_ids": [1], "scores": [0.5], "masks": mask, "rois": [[0, 0, 4, 5]]})
    (result,) = coco_results(evaluator.records, "photos", evaluator.class_names)
    assert result["file"] == file and result["bbox"] == [0, 0, 5, 4] and result["category"] == "nike"
    assert isinstance(result["segmentation"]["counts"], str)


def test_detections_without_masks_have_box_ap_only(photos):
    """The box metrics do not depend on the masks of the detections."""
    with_masks, without = CocoEvaluator(["BG", "nike"]), CocoEvaluator(["BG", "nike"])
    for name, class_ids, truth, result in photos:
        masks = np.stack(truth, axis=-1).astype(bool) if truth else np.zeros((SIDE, SIDE, 0), bool)
        found = Detections.from_result(result)
        boxes = Detections(found.boxes, found.class_ids, found.scores, None, (SIDE, SIDE))
        with_masks.add(name, class_ids, masks, found)
        without.add(name, class_ids, masks, boxes)
    scores, reference = score(without, 0.5), score(with_masks, 0.5)
    assert scores["kind"] == "box" and reference["kind"] == "mask"
    assert scores["box"] == reference["box"] and scores["voc"] == {"box": reference["voc"]["box"]}
    assert "mask" not in scores and list(scores["curves"]) == ["box"]
    lines = "\n".join(summary_lines({"weights": "w", "dataset": "d", "split": "val"} | scores))
    assert "box IoU 0.5:" in lines and "mask" not in lines
    assert "segmentation" not in coco_results(without.records, "d", ["BG", "nike"])[0]
