"""Sliced inference: the grid covers the image, and objects across tile borders are detected once and completely."""

from dataclasses import replace

import numpy as np
import pytest

from mrcnn.detections import Detection
from mrcnn.inference.tiles import ViewDetection, detect_tiled, is_same_object, merge, tile_side, tile_windows

RED = (230, 20, 20)


def photo(height, width, *boxes):
    """Returns a grey image with red boxes (y1, x1, y2, x2)."""
    image = np.full((height, width, 3), 128, np.uint8)
    for y1, x1, y2, x2 in boxes:
        image[y1:y2, x1:x2] = RED
    return image


def boxes_of(result):
    return sorted(tuple(box) for box in result["rois"].tolist())


# --- the grid ---


@pytest.mark.parametrize("height, width", [(64, 64), (65, 64), (100, 300), (777, 513), (64, 1000), (3, 200)])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
def test_tiles_cover_the_image_and_overlap(height, width, overlap):
    windows = np.array(tile_windows(height, width, 64, overlap))
    covered = np.zeros((height, width), int)
    for y1, x1, y2, x2 in windows:
        assert 0 <= y1 < y2 <= height and 0 <= x1 < x2 <= width
        assert y2 - y1 == min(64, height) and x2 - x1 == min(64, width)  # all tiles have the same size
        covered[y1:y2, x1:x2] += 1
    assert covered.min() == 1
    for axis in (0, 1):
        starts = np.unique(windows[:, axis])
        assert (np.diff(starts) <= 64 * (1 - overlap) + 1).all()  # 1 is added for rounding to whole pixels


def test_no_more_tiles_than_needed():
    assert len(tile_windows(64, 64, 64, 0.2)) == 1
    assert len(tile_windows(128, 128, 64, 0.0)) == 4
    assert len(tile_windows(129, 128, 64, 0.0)) == 6


@pytest.mark.parametrize(
    "size, tiles, side",
    [
        ((64, 60), "auto", None),  # as small as the network input
        ((79, 79), "auto", None),  # tiles would enlarge the image by at most a quarter
        ((81, 64), "auto", 64),
        ((6400, 100), "auto", 781),  # at most ten per side: 781 (1 + 9 * 0.8) >= 6400
        ((100, 50), 1, None),
        ((100, 50), 2, 56),  # 2 * 56 - 0.2 * 56 >= 100
        ((10, 10), 3, 4),
    ],
)
def test_tile_size(size, tiles, side):
    assert tile_side(*size, tiles, network_side=64, overlap=0.2) == side


@pytest.mark.parametrize("number", [2, 3, 7])
def test_given_number_of_tiles(number):
    side = tile_side(400, 300, number, 64, 0.2)
    assert len({y for y, *_ in tile_windows(400, 300, side, 0.2)}) == number


@pytest.mark.parametrize("tiles, overlap", [(0, 0.2), (101, 0.2), ("many", 0.2), (2.5, 0.2), (2, 1.0), (2, -0.1)])
def test_invalid_tile_sizes(tiles, overlap, red_finder):
    with pytest.raises(ValueError, match="expected"):
        detect_tiled(red_finder().detect_stream, photo(64, 64), tiles, 64, overlap)


# --- detection ---


def test_small_objects_are_detected_in_tiles_only(red_finder):
    small = (10, 20, 18, 30)
    image = photo(200, 300, small, (100, 100, 190, 260))
    finder = red_finder(smallest=0.1)
    assert boxes_of(finder.detect_one(image)) == [(100, 100, 190, 260)]  # 10 of 300 pixels are below the minimum
    result = detect_tiled(finder.detect_stream, image, "auto", 64, 0.2)
    assert boxes_of(result) == [small, (100, 100, 190, 260)]
    assert result["masks"].shape == (200, 300, 2) and result["masks"].dtype == bool
    assert result["rois"].dtype == np.int32 and result["scores"].dtype == np.float32
    assert (np.diff(result["scores"]) <= 0).all()


def test_each_object_is_detected_once_and_exactly(red_finder, rng):
    """The grid of boxes is dense enough for every tile border to cut some of them."""
    boxes = [(y, x, y + 9, x + 14) for y in range(3, 180, 16) for x in range(5, 270, 23)]
    image = photo(200, 300, *boxes)
    result = detect_tiled(red_finder().detect_stream, image, 4, 64, 0.25)
    assert boxes_of(result) == sorted(boxes)
    for box, mask in zip(result["rois"], result["masks"].transpose(2, 0, 1), strict=True):
        assert mask.sum() == 9 * 14 and mask[box[0] : box[2], box[1] : box[3]].all()


def test_an_object_longer_than_a_tile_is_merged_from_its_parts(red_finder):
    bar = (90, 10, 100, 390)

    def only_tiles(images):
        """Replaces the network by one that detects the bar in tiles but not in the whole image."""
        finder = red_finder()
        for number, image in enumerate(images):
            yield finder.detect_one(image if number else np.zeros_like(image))

    result = detect_tiled(only_tiles, photo(200, 400, bar), 5, 64, 0.2)
    assert boxes_of(result) == [bar]
    assert result["masks"].sum() == 10 * 380


def test_without_tiles_the_whole_image_is_used(red_finder):
    finder = red_finder()
    image = photo(64, 70, (5, 5, 20, 20))
    result = detect_tiled(finder.detect_stream, image, "auto", 64, 0.2)
    assert finder.shapes == [(64, 70, 3)] and boxes_of(result) == [(5, 5, 20, 20)]


def test_no_detections(red_finder):
    result = detect_tiled(red_finder().detect_stream, photo(100, 120), 2, 64, 0.2)
    assert result["masks"].shape == (100, 120, 0) and result["rois"].shape == (0, 4)


# --- merging ---


def seen(box, view, window, is_cut=False, score=0.9, class_id=1):
    mask = np.ones((box[2] - box[0], box[3] - box[1]), bool)
    return ViewDetection(Detection(box, mask, class_id, score), view, window, is_cut)


LEFT, RIGHT, WHOLE = (0, 0, 100, 60), (0, 40, 100, 100), (0, 0, 100, 100)


def test_halves_are_compared_in_the_common_strip_of_both_views():
    left, right = seen((10, 30, 20, 60), 1, LEFT, True), seen((10, 40, 20, 75), 2, RIGHT, True)
    assert is_same_object(left, right)  # the IoU is only 20 / 45, but the masks are equal in columns 40..60
    other = seen((18, 40, 40, 75), 2, RIGHT, True)
    assert not is_same_object(left, other)  # only two rows in common
    merged = merge([left, right])
    assert [detection.box for detection in merged] == [(10, 30, 20, 75)]
    assert merged[0].mask.all()


def test_joined_parts_have_the_best_keypoints_of_all():
    left, right = seen((10, 30, 20, 60), 1, LEFT, True), seen((10, 40, 20, 75), 2, RIGHT, True)
    points = np.array([[[31, 15, 0.9], [59, 15, 0.1]], [[41, 15, 0.2], [74, 15, 0.8]]], np.float32)
    pieces = [
        replace(item, detection=replace(item.detection, keypoints=own))
        for item, own in zip((left, right), points, strict=True)
    ]
    (joined,) = merge(pieces)
    np.testing.assert_array_equal(joined.keypoints, points[[0, 1], [0, 1]])
    assert merge([left, right])[0].keypoints is None


def test_a_whole_object_is_preferred_to_a_part_with_a_higher_score():
    part = seen((10, 40, 20, 60), 1, LEFT, True, score=0.99)
    whole = seen((10, 40, 20, 90), 2, RIGHT, score=0.6)
    assert [(d.box, d.score) for d in merge([part, whole])] == [((10, 40, 20, 90), 0.6)]


def test_one_of_several_views_is_kept_and_classes_are_separate():
    views = [seen((10, 40, 20, 55), 0, WHOLE, score=0.7), seen((10, 41, 20, 56), 1, LEFT, score=0.8)]
    assert [d.box for d in merge(views)] == [(10, 41, 20, 56)]
    other = seen((10, 40, 20, 55), 1, LEFT, score=0.8, class_id=2)
    assert len(merge([*views, other])) == 2


def test_a_single_view_is_unchanged():
    """Non-maximum suppression has already removed duplicates within a view."""
    views = [seen((10, 10, 20, 30), 0, WHOLE), seen((10, 12, 20, 32), 0, WHOLE)]
    assert [detection.box for detection in merge(views)] == [(10, 10, 20, 30), (10, 12, 20, 32)]


def test_contours_of_objects_in_one_tile_have_sub_pixel_precision(red_finder):
    image = photo(200, 200, (130, 140, 150, 170), (20, 5, 30, 195))  # the second one is longer than a tile
    finder = red_finder(smallest=0.15, refined=True)
    result = detect_tiled(finder.detect_stream, image, tiles=3, network_side=64)
    by_box = {tuple(box): i for i, box in enumerate(result.boxes.tolist())}
    small = by_box[130, 140, 150, 170]
    assert result.is_sub_pixel(small)
    np.testing.assert_array_equal(result.frames[small], (130, 140, 150, 170))
    x, y = result.rings(small)[0].T
    assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((140, 170, 130, 150), abs=0.51)


def test_a_mask_that_is_merged_from_parts_has_no_probabilities():
    image_parts = [np.ones((10, 20), np.float32)] * 2
    parts = [
        Detection((0, x, 10, x + 20), np.ones((10, 20), bool), 1, 0.9, None, part, (0.0, x, 10.0, x + 20.0))
        for x, part in zip((0, 15), image_parts, strict=True)
    ]
    views = [(0, 0, 10, 20), (0, 15, 10, 35)]
    (joined,) = merge(
        [ViewDetection(part, i, view, True) for i, (part, view) in enumerate(zip(parts, views, strict=True))]
    )
    assert joined.box == (0, 0, 10, 35)
    assert joined.probabilities is None and joined.frame is None
