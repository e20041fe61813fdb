import io

import numpy as np
import PIL.Image
import pytest

from nike.augmentation import photometric

CHANGES = [
    photometric.shade,
    photometric.blur,
    photometric.sharpen,
    photometric.pixelate,
    photometric.add_noise,
    photometric.compress,
    lambda image, rng: photometric.jitter_color(image, rng, 0.8),
]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(30, 220, (48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("change", CHANGES)
def test_functions_return_a_new_image_of_the_same_shape_and_dtype(image, change):
    before = image.copy()
    for seed in range(8):
        changed = change(image, np.random.default_rng(seed))
        assert changed.shape == image.shape and changed.dtype == np.uint8 and (changed != image).any()
        np.testing.assert_array_equal(changed, change(image, np.random.default_rng(seed)))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("change", CHANGES[1:6])
def test_edges_stay_in_place(image, change):
    step = np.zeros((48, 64, 3), np.uint8)
    step[:, 32:] = 255
    changed = change(step, np.random.default_rng(1)).astype(int).mean(axis=(0, 2))
    crossing = np.argmax(changed > 127)
    assert abs(crossing - 32) <= 1


def test_zero_strength_is_the_identity(image):
    changed = photometric.jitter_color(image, np.random.default_rng(0), 0.0)
    assert abs(changed.astype(int) - image).max() <= 1


def test_channel_order_is_kept(image):
    """Red and blue are not swapped."""
    red = np.zeros((32, 32, 3), np.uint8)
    red[:] = 200, 30, 30
    for change in CHANGES[:6]:
        r, g, b = change(red, np.random.default_rng(3)).reshape(-1, 3).mean(axis=0)
        assert r > b + 80 and abs(g - b) < 20


def test_compression_matches_pillow(image):
    """JPEG stores blue less accurately than red, so swapped channels would change the result."""
    quality = int(np.random.default_rng(3).integers(25, 90))
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    expected = np.asarray(PIL.Image.open(buffer)).astype(int)
    actual = photometric.compress(image, np.random.default_rng(3))
    assert abs(actual - expected).mean() < 2 < abs(image - expected).mean()
