"""Boundary IoU of squares, derived by hand."""

import numpy as np
import pytest
from pycocotools import mask as rle_lib

from mrcnn.evaluation import CocoEvaluator, coco_curves, coco_metrics
from mrcnn.evaluation.boundary import boundary_rle

SHAPE = 300, 400  # diagonal 500, so boundaries are 5 pixels wide


def mask(y1, x1, y2, x2):
    pixels = np.zeros(SHAPE, dtype=bool)
    pixels[y1:y2, x1:x2] = True
    return pixels


@pytest.mark.parametrize(
    "box, interior",
    [
        ((50, 60, 150, 160), (55, 65, 145, 155)),
        ((0, 0, 300, 400), (5, 5, 295, 395)),  # the border of the image is part of the boundary
        ((10, 10, 20, 200), (15, 15, 15, 15)),  # no pixel of a thin object is farther than 5 pixels from its outline
        ((0, 0, 0, 0), (0, 0, 0, 0)),
    ],
)
def test_the_boundary_is_the_mask_without_its_interior(box, interior):
    boundary = rle_lib.decode(boundary_rle(rle_lib.encode(np.asfortranarray(mask(*box), dtype=np.uint8))))
    np.testing.assert_array_equal(boundary.astype(bool), mask(*box) & ~mask(*interior))


@pytest.mark.parametrize("inset, expected", [(0, 1.0), (1, 0.4), (2, 0.0)])
def test_boundary_ap(inset, expected):
    # With an inset of 1, the boundaries have 100^2 - 90^2 = 1900 and 98^2 - 88^2 = 1860 pixels, of which
    # 98^2 - 90^2 = 1504 are common. The IoU is 1504 / 2256 = 2/3, a match at 4 of 10 thresholds. With an inset of 2,
    # the IoU is 1116 / 2604 = 0.43. The IoUs of the masks are 0.96 and 0.92.
    evaluator = CocoEvaluator(["BG", "nike"])
    gt, found = mask(50, 50, 150, 150), mask(50 + inset, 50 + inset, 150 - inset, 150 - inset)
    evaluator.add(
        "a", np.array([1]), gt[..., None], {"class_ids": [1], "scores": [0.9], "masks": found[..., None], "rois": None}
    )
    metrics = coco_metrics(*coco_curves(evaluator.records, 2, "boundary"))
    assert metrics["AP"] == pytest.approx(expected) and metrics["APl"] == metrics["AP"]
    assert evaluator.summarize()["mask"]["AP"] > 0.89
