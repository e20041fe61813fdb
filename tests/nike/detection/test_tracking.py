"""Tracking of two objects that pass each other, one of which is missed in one frame."""

import numpy as np
import pytest

from mrcnn.detections import Detections
from nike.detection.sources import Picture, Source
from nike.detection.tracking import track

pytest.importorskip("trackers", reason="trackers is not installed: pip install -e '.[test]'")
IMAGE = np.zeros((100, 200, 3), np.uint8)


def frame(video: Source, number: int, missed: bool = False) -> tuple[Picture, Detections]:
    """Returns a frame with an object that moves right at y = 10 and one that moves left at y = 50.

    The object with the higher score alternates.
    """
    boxes = [(10, 10 + 4 * number, 30, 30 + 4 * number), (50, 150 - 4 * number, 70, 170 - 4 * number)]
    order = [0, 1] if number % 2 else [1, 0]
    order = order[:1] if missed else order
    crops = [np.ones((20, 20), bool) for _ in order]
    result = Detections([boxes[i] for i in order], [1] * len(order), [0.9, 0.6][: len(order)], crops, IMAGE.shape)
    result.class_names = ["BG", "nike"]
    return Picture(video, "clip", IMAGE, number, 10.0), result


def test_ids_are_stable_and_begin_anew_with_each_video():
    clips = [Source(name, None, True) for name in ("a.mp4", "b.mp4")]
    given = [frame(clip, number, missed=number == 6) for clip in clips for number in range(12)]
    tracked = list(track(iter(given), 0.5))
    for clip in clips:
        ids = {10: set(), 50: set()}
        for picture, result in tracked:
            assert len(result.track_ids) == len(result)
            if picture.source == clip and picture.frame >= 1:
                for box, number in zip(result.boxes, result.track_ids, strict=True):
                    ids[int(box[0])].add(int(number))
        assert all(len(numbers) == 1 and min(numbers) >= 0 for numbers in ids.values()) and ids[10] != ids[50]
    result = tracked[-1][1]
    assert (
        result[:1].track_ids.tolist()
        == result.track_ids[:1].tolist()
        == result.to_supervision().tracker_id[:1].tolist()
    )
    assert (result.draw(IMAGE) != Detections.draw(given[0][1], IMAGE)).any()


def test_a_low_score_continues_a_track_but_starts_none():
    """The left object has a score of 0.4 in frames 5 to 8. The right object never reaches the threshold."""
    clip = Source("a.mp4", None, True)

    def scored(number):
        picture, result = frame(clip, number)
        result.scores[:] = [(0.4 if 5 <= number <= 8 else 0.9) if box[0] == 10 else 0.45 for box in result.boxes]
        return picture, result

    tracked = [result for _, result in track(map(scored, range(12)), 0.5)]
    assert [result.boxes[:, 0].tolist() for result in tracked] == [[10]] * 12
    assert len({int(result.track_ids[0]) for result in tracked[1:]}) == 1
    photo = Picture(Source("a.jpg", None, False), "a", IMAGE)
    ((_, alone),) = track([(photo, scored(5)[1])], 0.5)
    assert len(alone) == 0


@pytest.mark.parametrize("first, expected", [(3, [10] * 3), (4, [10] * 12)])
def test_a_short_track_does_not_continue_at_low_scores(first, expected):
    """The left object is above the threshold in the first frames only. In the first frame it has no track yet."""
    clip = Source("a.mp4", None, True)

    def scored(number):
        picture, result = frame(clip, number)
        result = result[result.boxes[:, 0] == 10]
        result.scores[:] = 0.9 if number < first else 0.4
        return picture, result

    tracked = [result for _, result in track(map(scored, range(12)), 0.5)]
    assert [y for result in tracked for y in result.boxes[:, 0].tolist()] == expected


def test_images_and_empty_frames(monkeypatch):
    photo = Picture(Source("a.jpg", None, False), "a", IMAGE)
    clip = Source("a.mp4", None, True)
    nothing = frame(clip, 0)[1][:0]
    (_, alone), (_, empty) = track([(photo, frame(clip, 0)[1]), (Picture(clip, "a", IMAGE, 0, 5.0), nothing)], 0.5)
    assert alone.track_ids is None and empty.track_ids.tolist() == []


def test_a_missing_package_is_a_one_line_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    with pytest.raises(ValueError, match="pip install trackers"):
        next(track([], 0.5))
