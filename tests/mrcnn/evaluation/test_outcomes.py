"""Outcomes per image, confusion matrix and false positives of a small synthetic dataset."""

import json

import numpy as np
import pytest

from mrcnn import evaluation
from mrcnn.evaluation import CocoEvaluator


def squares(*corners: int, side: int = 10) -> np.ndarray:
    """Returns masks `[20, 200, N]` of squares at the top edge that start at the given columns."""
    masks = np.zeros((20, 200, len(corners)), dtype=bool)
    for i, x in enumerate(corners):
        masks[:side, x : x + side, i] = True
    return masks


@pytest.fixture
def evaluator() -> CocoEvaluator:
    """Returns an evaluator with the images "shoe" and "wall".

    "shoe" has class 1 at columns 0 and 100, class 2 at 50, and an ignored region at 150. "wall" is a negative.
    """
    evaluator = CocoEvaluator(["BG", "nike", "puma"])
    detections = {
        # Detection 1 is a true positive. Detection 0 is its duplicate (IoU 2/3). Detection 2 classifies a puma as
        # nike. Detection 3 is on the background, 4 is ignored, and 5 has a low score.
        "class_ids": [1, 1, 1, 2, 1, 1],
        "scores": [0.8, 0.9, 0.7, 0.6, 0.95, 0.1],
        "masks": squares(2, 0, 50, 25, 150, 75),
    }
    evaluator.add("shoe", [1, 1, 2, -1], squares(0, 100, 50, 150), detections)
    evaluator.add("wall", [], squares(), {"class_ids": [2, 2], "scores": [0.65, 0.3], "masks": squares(0, 30)})
    return evaluator


def test_evaluate_image(evaluator):
    outcome = evaluation.evaluate_image(evaluator.records[0])
    assert outcome.image_id == "shoe"
    assert outcome.true_positives == [(1, 0, 1.0)]
    assert sorted(outcome.false_positives) == [0, 2, 3, 5]
    assert outcome.duplicates == [0]
    assert sorted(outcome.false_negatives) == [1, 2]
    assert outcome.ignored == [4]


def test_evaluate_image_with_min_score_and_iou_threshold(evaluator):
    outcome = evaluation.evaluate_image(evaluator.records[0], "box", iou_threshold=0.7, min_score=0.75)
    assert outcome.true_positives == [(1, 0, 1.0)]
    assert outcome.false_positives == [0] and outcome.duplicates == []  # detection 0 has IoU 2/3
    assert outcome.ignored == [4]


def test_ranking_excludes_ignored_detections(evaluator):
    ranking = evaluation.rank_detections(evaluator.records, class_id=1)
    assert ranking.scores.tolist() == [0.9, 0.8, 0.7, 0.1]
    assert ranking.is_true.tolist() == [True, False, False, False]
    assert ranking.num_gt == 2
    assert evaluation.rank_detections(evaluator.records).num_gt == 3


def test_confusion_matrix(evaluator):
    matrix = evaluation.confusion_matrix(evaluator.records, 3, min_score=0.5)
    # Of two nikes one is detected and one is missed. The puma is classified as nike. The duplicate and the pumas on
    # the background of both images are false positives.
    assert matrix.tolist() == [[0, 1, 2], [1, 1, 0], [0, 1, 0]]


def test_confused_instance_is_matched_to_the_highest_score():
    evaluator = CocoEvaluator(["BG", "nike", "puma", "fila"])
    detections = {"class_ids": [1, 2], "scores": [0.6, 0.9], "masks": squares(0, 0)}
    evaluator.add("cap", [3], squares(0), detections)
    matrix = evaluation.confusion_matrix(evaluator.records, 4)
    assert matrix.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_false_positives_on_negatives(evaluator):
    assert evaluation.false_positives_on_negatives(evaluator.records, 0.5) == {
        "images": 1, "images_with_detections": 1, "detections": 1, "per_image": 1.0,
    }  # fmt: skip
    assert evaluation.false_positives_on_negatives(evaluator.records, 0.9)["images_with_detections"] == 0
    assert evaluation.false_positives_on_negatives(evaluator.records[:1])["per_image"] == 0.0


def test_report_is_json_serializable_and_consistent(evaluator):
    report = json.loads(json.dumps(evaluation.detection_report(evaluator.records, evaluator.class_names)))
    nike, puma = report["classes"]["nike"], report["classes"]["puma"]
    # Precision is 1 up to recall 1/2: six of 11 points, half of the area, 51 of 101 points.
    assert nike["ap_11_point"] == pytest.approx(6 / 11)
    assert nike["ap_all_points"] == pytest.approx(0.5)
    assert nike["ap_101_point"] == pytest.approx(51 / 101)
    assert nike["best_f1"]["threshold"] == 0.9 and nike["instances"] == 2
    assert puma["ap_all_points"] == 0.0
    assert report["confusion"] == evaluation.confusion_matrix(evaluator.records, 3).tolist()


def test_ap_is_undefined_without_instances(evaluator):
    report = evaluation.detection_report(evaluator.records[1:], evaluator.class_names)
    assert report["classes"]["puma"]["ap_11_point"] == -1.0


def test_ranking_gives_the_coco_ap50(evaluator):
    ranking = evaluation.rank_detections(evaluator.records, "mask", 0.5, class_id=1)
    ap50 = evaluator.summarize()["mask"]["per_class"]["nike"]["AP50"]
    assert evaluation.coco_ap_101_point(ranking.recalls, ranking.precisions) == pytest.approx(ap50)
