import numpy as np
import pytest

from nike.augmentation.fading import MAX_CONTRAST, MIN_CONTRAST, fade


class ConstantGenerator:
    """Random generator that always returns the same relative position in a range."""

    def __init__(self, fraction):
        self.fraction = fraction

    def uniform(self, low, high):
        return low + self.fraction * (high - low)


def logo_image(logo=(230, 200, 20), background=(40, 60, 80)):
    image = np.full((60, 90, 3), background, np.uint8)
    mask = np.zeros((60, 90), bool)
    mask[20:40, 30:70] = True
    image[mask] = logo
    return image, mask


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_remaining_contrast(fraction):
    image, mask = logo_image()
    fade(image, mask, mask, ConstantGenerator(fraction))
    contrast = MIN_CONTRAST + fraction * (MAX_CONTRAST - MIN_CONTRAST)
    expected = np.array([40, 60, 80]) + contrast / 190 * np.array([190, 140, -60])  # 190: the largest difference
    np.testing.assert_allclose(image[25:35, 35:65].reshape(-1, 3), np.tile(expected, (300, 1)), atol=1)
    assert (image[~mask] == (40, 60, 80)).all()


def test_background_gradient_is_preserved():
    image, mask = logo_image()
    ramp = np.linspace(60, 120, 90)
    image[:] = ramp[None, :, None]
    image[mask] = 250
    fade(image, mask, mask, ConstantGenerator(0.0))
    row = image[30, 35:65, 0].astype(float)
    assert row[-1] > row[0]  # the color follows the gradient
    assert row.mean() == pytest.approx(90 + MIN_CONTRAST, abs=4)


def test_pixels_just_outside_the_mask_are_faded():
    image, mask = logo_image()
    mask[:, 30] = mask[:, 69] = mask[20] = mask[39] = False  # one pixel too small on every side
    fade(image, mask, mask, ConstantGenerator(0.0))
    assert abs(image[20, 30:70].astype(int) - (40, 60, 80)).max() <= 0.4 * 190


def test_only_nearby_background_is_used():
    image, mask = logo_image()
    image[:, 88:] = 255  # farther from the logo than its thickness
    image[:4] = 0
    occupied = mask.copy()
    occupied[30:50, 70:75] = True  # another object that touches this one
    image[30:50, 70:75] = 255, 0, 255
    before = image.copy()
    fade(image, mask, occupied, ConstantGenerator(0.0))
    expected = np.array([40, 60, 80]) + MIN_CONTRAST / 190 * np.array([190, 140, -60])
    np.testing.assert_allclose(image[25:35, 35:65].reshape(-1, 3), np.tile(expected, (300, 1)), atol=1)
    np.testing.assert_array_equal(image[~mask], before[~mask])


def test_low_contrast_objects_are_unchanged():
    image, mask = logo_image(logo=(45, 60, 80))
    before = image.copy()
    fade(image, mask, mask, ConstantGenerator(0.0))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("fill", [False, True])
def test_empty_mask_or_no_background_leaves_the_image_unchanged(fill):
    image, mask = logo_image()
    mask[:] = fill
    before = image.copy()
    fade(image, mask, mask, ConstantGenerator(0.0))
    np.testing.assert_array_equal(image, before)
