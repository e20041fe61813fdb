"""Pictures in the reports: displayed region, and outcome of every instance."""

import numpy as np
import pytest

from mrcnn.evaluation import evaluate_image, make_record
from nike.reporting import pictures
from nike.reporting.pictures import PICTURE_SIDE, draw_outcomes, region_of_interest


def masks(*boxes, height=200, width=300):
    stack = np.zeros((height, width, len(boxes)), bool)
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        stack[y1:y2, x1:x2, i] = True
    return stack


@pytest.mark.parametrize(
    "boxes, region",
    [
        ([], (0, 0, 200, 300)),
        ([[50, 50, 90, 100]], (20, 20, 120, 130)),  # with a margin of 0.6 x 50
        ([[0, 0, 8, 8]], (0, 0, 28, 28)),  # a tiny instance is treated like one of 32 pixels
        ([[10, 10, 190, 40]], (0, 0, 200, 300)),  # nearly as high as the image
        ([[0, 0, 10, 10], [180, 280, 200, 300]], (0, 0, 200, 300)),
    ],
)
def test_region(boxes, region):
    assert region_of_interest(np.array(boxes, float).reshape(-1, 4), (200, 300, 3)) == region


def test_every_instance_has_its_outcome(monkeypatch):
    truth = masks((10, 10, 60, 60), (10, 100, 60, 150), (100, 10, 150, 60))
    found = masks((12, 10, 60, 60), (10, 10, 55, 60), (100, 200, 150, 290), (100, 10, 150, 40))
    result = {
        "class_ids": np.ones(4, int),
        "scores": np.array([0.9, 0.8, 0.7, 0.6]),
        "masks": found,
        "rois": None,
    }
    record = make_record("a.png", np.array([1, 1, -1]), truth, result, 2)
    drawn = []
    monkeypatch.setattr(
        pictures, "overlay", lambda image, result, names, **options: drawn.append((result, options)) or image
    )
    draw_outcomes(np.zeros((200, 300, 3), np.uint8), [(record, evaluate_image(record))], ["BG", "nike"])
    (truth, options), (detections, drawn) = drawn
    assert options["captions"] == ["nike", "nike missed", "ignored"]
    assert options["colors"] == [pictures.CORRECT, pictures.INCORRECT, pictures.IGNORED]
    assert list(drawn["captions"]) == ["0.90, IoU 0.96", "0.80 duplicate", "0.70 false", "0.60 ignored"]
    assert list(drawn["colors"]) == [
        pictures.CORRECT,
        pictures.INCORRECT,
        pictures.INCORRECT,
        pictures.IGNORED,
    ]
    scale = PICTURE_SIDE / 300
    assert truth["masks"].shape == detections["masks"].shape[:2] + (3,)
    areas = truth["masks"].sum(axis=(0, 1))
    assert areas == pytest.approx([2500 * scale**2] * 3, rel=0.03)


def test_an_instance_that_one_of_two_models_missed(monkeypatch):
    truth = masks((10, 10, 60, 60), (10, 100, 60, 150))
    results = []
    for found in (masks((10, 10, 60, 60)), masks((10, 100, 60, 150), (100, 10, 150, 60))):
        count = found.shape[2]
        result = {"class_ids": np.ones(count, int), "scores": np.full(count, 0.9), "masks": found, "rois": None}
        record = make_record("a.png", np.array([1, 1]), truth, result, 2)
        results.append((record, evaluate_image(record)))
    drawn = []
    monkeypatch.setattr(pictures, "overlay", lambda image, result, names, **options: drawn.append(options) or image)
    shown = draw_outcomes(np.zeros((200, 300, 3), np.uint8), results, ["BG", "nike"], ["A", "B"])
    assert len(shown) == 3
    assert drawn[0]["captions"] == ["nike missed by B", "nike missed by A"]
    assert [list(options["captions"]) for options in drawn[1:]] == [
        ["0.90, IoU 1.00"],
        ["0.90, IoU 1.00", "0.90 false"],
    ]


def test_pictures_without_instances_are_plain():
    result = {"class_ids": [], "scores": [], "masks": masks(), "rois": np.zeros((0, 4))}
    record = make_record("a.png", [], masks(), result, 2)
    image = np.full((200, 300, 3), 90, np.uint8)
    truth, found = draw_outcomes(image, [(record, evaluate_image(record))], ["BG", "nike"])
    assert truth.shape == (373, 560, 3) and (truth == 90).all() and (found == 90).all()
