"""Anchors: reference arrays of the original and values derived by hand."""

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.ops.anchors import compute_backbone_shapes, generate_anchors, generate_pyramid_anchors

STRIDES = (4, 8, 16, 32, 64)


def test_anchors_by_hand():
    # Scale 8 and ratio 4 give height 4 and width 16. The stride is 10.
    anchors = generate_anchors(8, [4], shape=(1, 2), feature_stride=10, anchor_stride=1)
    assert anchors.tolist() == [[-2, -8, 2, 8], [-2, 2, 2, 18]]


@pytest.mark.parametrize(
    ("case", "scales", "shapes", "stride"),
    [
        ("anchors_default256", (32, 64, 128, 256, 512), [(256 // s, 256 // s) for s in STRIDES], 1),
        ("anchors_rect_stride2", (8, 16, 32, 64, 128), [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)], 2),
    ],
)
def test_equals_the_original(golden, case, scales, shapes, stride):
    expected = golden("utils.npz")[f"{case}__out_f64"]
    np.testing.assert_array_equal(generate_pyramid_anchors(scales, [0.5, 1, 2], shapes, STRIDES, stride), expected)


def test_backbone_shapes(golden):
    arrays = golden("utils.npz")
    for case, shape in (("128", (128, 128, 3)), ("200x333", (200, 333, 3))):
        expected = arrays[f"compute_backbone_shapes_{case}__out_0"]
        np.testing.assert_array_equal(compute_backbone_shapes(Config(), shape), expected)


def test_shapes_of_a_backbone_function():
    config = Config().copy(BACKBONE=len, COMPUTE_BACKBONE_SHAPE=lambda shape: [[shape[0] // 2, 7]])
    assert compute_backbone_shapes(config, (64, 64, 3)).tolist() == [[32, 7]]
