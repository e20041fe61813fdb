"""Verdicts, confusion and false alarms of a small scene that can be judged by eye."""

import json

import numpy as np
import pytest

from mrcnn import evaluation
from mrcnn.evaluation import CocoEvaluator


def squares(*corners: int, side: int = 10) -> np.ndarray:
    """Masks `[20, 200, N]` of squares at the top edge that begin at the given columns."""
    masks = np.zeros((20, 200, len(corners)), dtype=bool)
    for i, x in enumerate(corners):
        masks[:side, x : x + side, i] = True
    return masks


@pytest.fixture
def evaluator() -> CocoEvaluator:
    """Shoe: instances of class 1 at 0 and 100, of class 2 at 50, a region to ignore at 150. Wall: a negative."""
    evaluator = CocoEvaluator(["BG", "nike", "puma"])
    detections = {
        # 1 is true; 0, shifted by 2 columns (IoU 2/3), is its duplicate; 2 is a nike on a puma; 3 comes out of nowhere;
        # 4 is ignored; 5 is below most thresholds.
        "class_ids": [1, 1, 1, 2, 1, 1],
        "scores": [0.8, 0.9, 0.7, 0.6, 0.95, 0.1],
        "masks": squares(2, 0, 50, 25, 150, 75),
    }
    evaluator.add("shoe", [1, 1, 2, -1], squares(0, 100, 50, 150), detections)
    evaluator.add("wall", [], squares(), {"class_ids": [2, 2], "scores": [0.65, 0.3], "masks": squares(0, 30)})
    return evaluator


def test_verdicts(evaluator):
    outcome = evaluation.judge_photo(evaluator.records[0])
    assert outcome.image_id == "shoe"
    assert outcome.true_positives == [(1, 0, 1.0)]
    assert sorted(outcome.false_positives) == [0, 2, 3, 5]
    assert outcome.duplicates == [0]
    assert sorted(outcome.false_negatives) == [1, 2]
    assert outcome.ignored == [4]


def test_min_score_and_iou_threshold_of_verdicts(evaluator):
    outcome = evaluation.judge_photo(evaluator.records[0], "box", iou_threshold=0.7, min_score=0.75)
    assert outcome.true_positives == [(1, 0, 1.0)]
    assert outcome.false_positives == [0] and outcome.duplicates == []  # 0 overlaps the instance by 2/3 only
    assert outcome.ignored == [4]


def test_ranking_leaves_ignored_detections_out(evaluator):
    ranking = evaluation.rank_detections(evaluator.records, class_id=1)
    assert ranking.scores.tolist() == [0.9, 0.8, 0.7, 0.1]
    assert ranking.is_true.tolist() == [True, False, False, False]
    assert ranking.num_gt == 2
    assert evaluation.rank_detections(evaluator.records).num_gt == 3


def test_confusion_matrix(evaluator):
    matrix = evaluation.confusion_matrix(evaluator.records, 3, min_score=0.5)
    # One nike found, one missed; the puma was taken for a nike; alarms: the duplicate, and the pumas on shoe and wall.
    assert matrix.tolist() == [[0, 1, 2], [1, 1, 0], [0, 1, 0]]


def test_the_better_of_two_confused_detections_explains_an_instance():
    evaluator = CocoEvaluator(["BG", "nike", "puma", "fila"])
    detections = {"class_ids": [1, 2], "scores": [0.6, 0.9], "masks": squares(0, 0)}
    evaluator.add("cap", [3], squares(0), detections)
    matrix = evaluation.confusion_matrix(evaluator.records, 4)
    assert matrix.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_false_alarms_on_negatives(evaluator):
    assert evaluation.false_alarms(evaluator.records, 0.5) == {
        "photos": 1, "photos_with_alarm": 1, "alarms": 1, "per_photo": 1.0,
    }  # fmt: skip
    assert evaluation.false_alarms(evaluator.records, 0.9)["photos_with_alarm"] == 0
    assert evaluation.false_alarms(evaluator.records[:1])["per_photo"] == 0.0


def test_report_is_json_and_agrees_with_its_parts(evaluator):
    report = json.loads(json.dumps(evaluation.detection_report(evaluator.records, evaluator.class_names)))
    nike, puma = report["classes"]["nike"], report["classes"]["puma"]
    # Recall 1/2 at precision 1, then nothing: six of eleven points, half of the area, 51 of 101 points.
    assert nike["ap_11_point"] == pytest.approx(6 / 11)
    assert nike["ap_all_points"] == pytest.approx(0.5)
    assert nike["ap_101_point"] == pytest.approx(51 / 101)
    assert nike["best_f1"]["threshold"] == 0.9 and nike["instances"] == 2
    assert puma["ap_all_points"] == 0.0
    assert report["confusion"] == evaluation.confusion_matrix(evaluator.records, 3).tolist()


def test_a_class_without_instances_has_no_ap(evaluator):
    report = evaluation.detection_report(evaluator.records[1:], evaluator.class_names)
    assert report["classes"]["puma"]["ap_11_point"] == -1.0


def test_coco_ap50_and_the_ranking_agree(evaluator):
    ranking = evaluation.rank_detections(evaluator.records, "mask", 0.5, class_id=1)
    ap50 = evaluator.summarize()["mask"]["per_class"]["nike"]["AP50"]
    assert evaluation.coco_ap_101_point(ranking.recalls, ranking.precisions) == pytest.approx(ap50)
