"""Conversion of the network output to detections in the original image, with values derived by hand."""

import numpy as np
import pytest

from mrcnn.inference.processing import postprocess
from mrcnn.ops.boxes import norm_boxes

MASK = np.pad(np.ones((1, 2, 2), np.float32), [(0, 0), (1, 1), (1, 1)])  # the inner half of the frame


def box_of_refined_mask(original, window, padding) -> list[int]:
    """Returns the box of a detection in rows 8 to 16 and columns 16 to 32 of a network input of 64 x 64 pixels."""
    box = norm_boxes(np.array([8, 16, 16, 32]), (64, 64))
    rows = np.array([[*box, 1, 0.8]], np.float32)
    return postprocess(rows, MASK, original, (64, 64), window, mask_padding=padding)["rois"][0].tolist()


@pytest.mark.parametrize(
    ("original", "window", "expected"),
    [
        ((64, 64), (0, 0, 64, 64), [10, 20, 14, 28]),
        ((256, 256), (0, 0, 64, 64), [40, 80, 56, 112]),
        ((32, 32), (0, 0, 64, 64), [5, 10, 7, 14]),
        ((128, 256), (4, 0, 36, 64), [24, 80, 40, 112]),  # a window below four rows of padding
    ],
)
def test_refined_masks_are_scaled_from_edge_to_edge(original, window, expected):
    assert box_of_refined_mask(original, window, padding=0.0) == expected


def test_the_frame_is_padded_by_a_fraction_of_the_box():
    """A padding of a quarter on each side gives rows 6 to 18 and columns 12 to 36."""
    assert box_of_refined_mask((256, 256), (0, 0, 64, 64), padding=0.25) == [36, 72, 60, 120]


def test_a_speck_in_the_padding_does_not_enlarge_the_box():
    mask = np.zeros((1, 32, 32), np.float32)
    mask[0, 8:24, 8:24] = 1
    box = norm_boxes(np.array([16, 16, 48, 48]), (64, 64))  # one pixel per cell
    rows = np.array([[*box, 1, 0.8]], np.float32)
    without = postprocess(rows, mask, (64, 64), (64, 64), (0, 0, 64, 64), mask_padding=0.0)
    mask[0, 0, 0] = 0.9
    result = postprocess(rows, mask, (64, 64), (64, 64), (0, 0, 64, 64), mask_padding=0.0)
    assert result["rois"].tolist() == without["rois"].tolist() == [[24, 24, 40, 40]]
    np.testing.assert_array_equal(result["masks"], without["masks"])
    assert len(result.rings(0)) == 1
