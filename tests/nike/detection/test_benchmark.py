"""Flicker metrics of a motionless square, derived by hand."""

import numpy as np
import pytest

from mrcnn.detections import Detections
from nike.detection.benchmark import Frame, camera_motion, make_video, measure_flicker, warp
from nike.detection.sources import Picture, Source

SHAPE = (40, 60)
STILL = np.array([[1.0, 0, 0], [0, 1, 0]])


def square(x, side=10):
    mask = np.zeros(SHAPE, bool)
    mask[10 : 10 + side, x : x + side] = True
    return mask


def frame(motion=STILL, x=20):
    return Frame(Picture(Source("a", None, True), "a"), square(x)[..., None], motion)


def detections(*boxes_and_tracks):
    boxes = [(10, x, 10 + height, x + 10) for x, height, _ in boxes_and_tracks]
    crops = [np.ones((box[2] - box[0], 10), bool) for box in boxes]
    result = Detections(boxes, [1] * len(boxes), [0.9] * len(boxes), crops, SHAPE)
    result.track_ids = np.array([track for *_, track in boxes_and_tracks], np.int32)
    return result


def test_interruption_switch_and_stability():
    """Detections: exact, 80% of the height, none, exact with another id plus a false positive."""
    results = [detections((20, 10, 0)), detections((20, 8, 0)), detections(), detections((20, 10, 1), (45, 10, 2))]
    counts = dict(objects=4, found=3, false_positives=1, interruptions=1, id_switches=1)
    means = dict(iou=pytest.approx(2.8 / 3), stability=pytest.approx(0.8 / 3))
    assert measure_flicker([frame()] * 4, results) == counts | means


def test_the_motion_of_the_camera_is_not_flicker():
    moved = STILL + [[0, 0, 5], [0, 0, 0]]
    found = measure_flicker([frame(), frame(moved, 25)], [detections((20, 10, 0)), detections((25, 10, 0))])
    assert found["stability"] == 1 and found["id_switches"] == found["interruptions"] == 0


def test_frames_and_truth_move_together():
    """The centre of mass of a bright square follows the camera. A fade does not move it."""
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[square(20)] = 200
    frames = list(make_video(image, square(20)[..., None], "a", 16))
    for made in frames:
        bright = made.picture.image[..., 0] > made.picture.image[..., 0].max() / 2
        np.testing.assert_allclose(*(np.argwhere(m).mean(axis=0) for m in (bright, made.masks[..., 0])), atol=0.5)
    assert frames[12].picture.image.max() < 100 < frames[0].picture.image.max()  # half a fade
    assert (frames[0].masks != frames[8].masks).any()
    np.testing.assert_allclose(camera_motion(0, SHAPE), STILL)
    np.testing.assert_array_equal(warp(image, STILL), image)
