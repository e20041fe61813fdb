"""Streams of images without a network."""

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.errors import UserError
from mrcnn.inference.streams import detect_stream


class NothingFound:
    """Predictor that detects nothing."""

    config = Config().copy(IMAGE_MIN_DIM=64, IMAGE_MAX_DIM=64)
    mask_padding = None

    def __call__(self, images, metas, rois=None):
        return np.zeros((len(images), 1, 6), np.float32), [None] * len(images), [None] * len(images)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_all_images_before_an_error_are_detected(batch_size):
    """Such an error occurs if a camera is unplugged or a video file is truncated."""

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
