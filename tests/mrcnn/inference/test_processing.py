"""Streams of images, and conversion of the network output to detections in the original image, by hand."""

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.errors import UserError
from mrcnn.inference.processing import detect_stream, postprocess
from mrcnn.ops.boxes import norm_boxes

MASK = np.pad(np.ones((1, 2, 2), np.float32), [(0, 0), (1, 1), (1, 1)])  # the inner half of the frame


def box_of_refined_mask(original, window, padding) -> list[int]:
    """Box of a detection in rows 8 to 16 and columns 16 to 32 of a network image of 64 x 64 pixels."""
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
    """A quarter on each side: rows 6 to 18, columns 12 to 36."""
    assert box_of_refined_mask((256, 256), (0, 0, 64, 64), padding=0.25) == [36, 72, 60, 120]


class NothingFound:
    """A predictor without a network."""

    config = Config().copy(IMAGE_MIN_DIM=64, IMAGE_MAX_DIM=64)
    mask_padding = None

    def __call__(self, images, metas, rois=None):
        return np.zeros((len(images), 1, 6), np.float32), [None] * len(images), [None] * len(images)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_all_images_before_an_error_are_detected(batch_size):
    """A camera that is unplugged, or a video that is cut short."""

    def three_images():
        yield from np.zeros((3, 64, 64, 3), np.uint8)
        raise UserError("cut short")

    results = []
    with pytest.raises(UserError, match="cut short"):
        results.extend(detect_stream(three_images(), NothingFound(), batch_size, skip_errors=False))
    assert len(results) == 3


@pytest.mark.parametrize("url", ["http://[a/b.mp4", "http://[a]b/c.jpg", "https://a\u2100b/c.jpg"])
def test_an_invalid_url_is_skipped_like_other_images(url):
    first, second = detect_stream([url, np.zeros((64, 64, 3), np.uint8)], NothingFound(), 2, skip_errors=True)
    assert url in first.error and second.error is None
    with pytest.raises(UserError):
        next(detect_stream(url, NothingFound(), 2, skip_errors=False))


def test_missing_proposals_of_one_image_are_an_error_of_this_image():
    predictor = NothingFound()
    predictor.config = predictor.config.copy(PROPOSALS="boxes", USE_RPN_ROIS=False)
    image = np.zeros((64, 64, 3), np.uint8)
    pairs = [(image, [[0, 0, 8, 8]]), (image, None)]
    first, second = detect_stream(pairs, predictor, 2, skip_errors=True)
    assert first.error is None and "proposals[1]: expected finite boxes" in second.error
