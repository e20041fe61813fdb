"""Recall as a function of the number of proposals."""

import cv2
import numpy as np
import pytest

from mrcnn.model import MaskRCNN
from nike.datasets.nike_dataset import NikeDataset
from nike.reporting.proposal_recall import (
    COUNTS,
    Curve,
    count_required,
    main,
    markdown_table,
    measure_recall,
    rpn_proposer,
    save_figure,
)
from tiny_config import TinyConfig


def test_the_first_proposal_with_the_iou_counts():
    objects = np.array([[0, 0, 10, 10], [20, 20, 30, 30]])
    proposals = np.array([[50, 50, 60, 60], [0, 0, 10, 6], [0, 0, 10, 8], [20, 20, 30, 30]])  # IoU 0, 0.6, 0.8; 1
    assert count_required(proposals, objects, 0.5).tolist() == [2, 4]
    assert count_required(proposals, objects, 0.7).tolist() == [3, 4]
    assert count_required(proposals[:3], objects, 0.9).tolist() == [np.inf, np.inf]
    assert count_required(proposals[:0], objects, 0.5).tolist() == [np.inf, np.inf]


@pytest.fixture
def dataset(folder, shape):
    folder.labelled("a.png", [shape(points=((10, 10), (40, 10), (40, 30), (10, 30)))])
    folder.labelled("b.png", [shape(points=((50, 5), (70, 5), (70, 25), (50, 25))), shape(label="ignore")], seed=1)
    folder.labelled("c.png", [], seed=2)
    dataset = NikeDataset()
    dataset.load_nike(folder.root)
    dataset.prepare()
    return dataset


def test_recall_is_the_fraction_of_all_instances(dataset, tmp_path):
    curve = measure_recall(dataset, lambda image: np.array([[0, 0, 1, 1], [10, 10, 31, 41]]))
    assert curve.required[0.5].tolist() == curve.required[0.7].tolist() == [2, np.inf]  # ignore regions are excluded
    assert [curve.recall(0.5, count) for count in (1, 2, 9)] == [0, 0.5, 0.5] and curve.boxes == 2
    lines = markdown_table({"boxes": curve}).splitlines()
    assert len(lines) == 4 and lines[2].startswith("| boxes | 0.5 | 0.50 | ")
    assert all(line.count("|") == len(COUNTS) + 5 for line in lines)
    save_figure(
        tmp_path / "a.png", {"boxes": curve, "none": Curve({0.5: np.inf * np.ones(1), 0.7: np.ones(1)}, 1, 1)}, "t"
    )
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] > 500


def test_boxes_of_the_rpn_are_in_pixels_of_the_image(tmp_path, rng):
    model = MaskRCNN("inference", TinyConfig(), tmp_path)
    image = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)  # not resized; 16 rows of padding above and below
    inputs = model.mold_inputs([image])[:2]
    expected = model.keras_model([*inputs, model.get_anchors((64, 64))[None]])[4][0].numpy() * 63 + [0, 0, 1, 1]
    small = rpn_proposer(model)(image)
    np.testing.assert_allclose(small, expected[: len(small)] - [16, 0, 16, 0], atol=1e-3)
    large = rpn_proposer(model)(np.repeat(np.repeat(image, 3, axis=0), 3, axis=1))
    assert large[:, 2:].max() > 1.5 * 64 and (large <= [96 + 48, 192, 96 + 48, 192]).all()


def test_the_missing_package_is_a_one_line_error(monkeypatch, capsys):
    monkeypatch.setattr("nike.datasets.selective_search.cv2", object())
    assert main([]) == 2
    assert "opencv-contrib-python" in capsys.readouterr().err


@pytest.mark.parametrize("figure", ["curves.docx", "file/curves.png"])
def test_a_figure_that_cannot_be_written(tmp_path, monkeypatch, capsys, figure):
    monkeypatch.setattr("nike.reporting.proposal_recall.load_keras_model", lambda *arguments: pytest.fail("loaded"))
    (tmp_path / "file").touch()
    assert main(["--figure", str(tmp_path / figure)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --figure: ") and error.count("\n") == 1


def test_weights_without_an_rpn(tmp_path, monkeypatch, capsys):
    settings = TinyConfig().copy(PROPOSALS="selective_search_fast", USE_RPN_ROIS=False), ["BG", "nike"]
    monkeypatch.setattr("nike.reporting.proposal_recall.read_settings", lambda path: settings)
    assert main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --weights: ") and "has no RPN" in error and error.count("\n") == 1
