"""A faded mark: closer to its ground by as much as was drawn, everything else as it was."""

import numpy as np
import pytest

from nike.augmentation.fading import MAX_CONTRAST, MIN_CONTRAST, fade


class Fixed:
    """A generator of random numbers that always draws the same share of a range."""

    def __init__(self, share):
        self.share = share

    def uniform(self, low, high):
        return low + self.share * (high - low)


def photo(mark=(230, 200, 20), ground=(40, 60, 80)):
    image = np.full((60, 90, 3), ground, np.uint8)
    mask = np.zeros((60, 90), bool)
    mask[20:40, 30:70] = True
    image[mask] = mark
    return image, mask


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_so_much_contrast_is_left(share):
    image, mask = photo()
    fade(image, mask, mask, Fixed(share))
    left = MIN_CONTRAST + share * (MAX_CONTRAST - MIN_CONTRAST)
    expected = np.array([40, 60, 80]) + left / 190 * np.array([190, 140, -60])  # 190: the largest difference
    np.testing.assert_allclose(image[25:35, 35:65].reshape(-1, 3), np.tile(expected, (300, 1)), atol=1)
    assert (image[~mask] == (40, 60, 80)).all()


def test_light_that_falls_off_over_the_ground_stays():
    image, mask = photo()
    ramp = np.linspace(60, 120, 90)
    image[:] = ramp[None, :, None]
    image[mask] = 250
    fade(image, mask, mask, Fixed(0.0))
    row = image[30, 35:65, 0].astype(float)
    assert row[-1] > row[0]  # the ground's own way
    assert row.mean() == pytest.approx(90 + MIN_CONTRAST, abs=4)


def test_the_rim_that_an_inexact_outline_leaves_is_faded_too():
    image, mask = photo()
    mask[:, 30] = mask[:, 69] = mask[20] = mask[39] = False  # a pixel too small all around
    fade(image, mask, mask, Fixed(0.0))
    assert abs(image[20, 30:70].astype(int) - (40, 60, 80)).max() <= 0.4 * 190


def test_only_the_ground_nearby_counts():
    image, mask = photo()
    image[:, 88:] = 255  # as far from the mark as it is thick
    image[:4] = 0
    occupied = mask.copy()
    occupied[30:50, 70:75] = True  # another mark, which touches this one
    image[30:50, 70:75] = 255, 0, 255
    before = image.copy()
    fade(image, mask, occupied, Fixed(0.0))
    expected = np.array([40, 60, 80]) + MIN_CONTRAST / 190 * np.array([190, 140, -60])
    np.testing.assert_allclose(image[25:35, 35:65].reshape(-1, 3), np.tile(expected, (300, 1)), atol=1)
    np.testing.assert_array_equal(image[~mask], before[~mask])


def test_marks_that_are_faint_already_stay():
    image, mask = photo(mark=(45, 60, 80))
    before = image.copy()
    fade(image, mask, mask, Fixed(0.0))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("fill", [False, True])
def test_without_a_mark_or_without_ground(fill):
    image, mask = photo()
    mask[:] = fill
    before = image.copy()
    fade(image, mask, mask, Fixed(0.0))
    np.testing.assert_array_equal(image, before)
