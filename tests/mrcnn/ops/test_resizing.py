"""Resizing, compared with scikit-image, the original and ramps derived by hand."""

import numpy as np
import pytest
import skimage.transform

from mrcnn.ops import resizing
from mrcnn.ops.resizing import linear_bands, resize, scaled_side

SHAPES = [  # input, output
    ((7, 9), (13, 4)),
    ((28, 28, 1), (100, 3, 1)),
    ((28, 28, 3), (57, 200, 3)),
    ((31, 17, 4), (16, 9, 4)),
    ((1, 1, 3), (5, 8, 3)),
    ((1, 40), (3, 1)),
    ((40, 50, 2), (1, 1, 2)),
    ((12, 8, 3), (12, 8, 3)),
    ((12, 8, 3), (24, 4, 3)),
]


def oracle(image, shape, **kwargs):
    keywords = dict(order=1, mode="constant", cval=0, clip=True, preserve_range=True, anti_aliasing=False) | kwargs
    return skimage.transform.resize(image.astype(np.float64), shape, **keywords)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool, np.uint16])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_equals_scikit_image(shapes, dtype):
    source, target = shapes
    image = np.random.default_rng(0).integers(0, 2 if dtype is bool else 256, source).astype(dtype)
    got = resize(image, target[:2], preserve_range=True)
    assert got.dtype == np.float64 and got.shape == target
    np.testing.assert_allclose(got, oracle(image, target), atol=1e-11)


@pytest.mark.parametrize("offset", [3.0, -5.0, -0.5])  # positive, negative, and mixed values
@pytest.mark.parametrize("clip", [True, False])
def test_border_of_an_enlarged_image_fades_within_the_value_range(offset, clip):
    image = np.random.default_rng(1).random((6, 5)) + offset
    np.testing.assert_allclose(resize(image, (20, 21), clip=clip), oracle(image, (20, 21), clip=clip), atol=1e-12)


def test_ramps_by_hand():
    # At twice the width, the positions are -0.25, 0.25, 0.75 and 1.25. Zeros outside have weight 0.25.
    np.testing.assert_array_equal(resize(np.array([[0.0, 1.0]]), (1, 4)), [[0, 0.25, 0.75, 0.75]])
    # 4 * 0.75 = 3 is clipped to the minimum of 4, 8 * 0.75 = 6 is not clipped.
    np.testing.assert_array_equal(resize(np.array([[4.0, 8.0]]), (1, 4)), [[4, 5, 7, 6]])
    # At a third of the height, the positions are 1 and 4, without anti-aliasing.
    np.testing.assert_array_equal(resize(np.arange(6.0)[:, None], (2, 1)), [[1], [4]])


def test_constant_regions_stay_constant():
    image = np.full((97, 61, 3), 255, np.uint8)
    image[0, 0] = 0  # otherwise clipping hides rounding errors
    resized = resize(image, (53, 44), preserve_range=True)
    assert (resized[2:, 2:] == 255).all()


@pytest.mark.parametrize("size", ["7x9", "28x28", "56x40", "100x3", "1x1"])
def test_equals_the_original(golden, size):
    arrays = golden("data.npz")
    got = resize(arrays[f"resize_{size}__in_image"], tuple(arrays[f"resize_{size}__in_output_shape"]))
    expected = arrays[f"resize_{size}__out_0_f64"]
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_integers_are_scaled_unless_the_range_is_preserved():
    assert resize(np.array([[255, 51]], np.uint8), (1, 2)).tolist() == [[1, 0.2]]
    assert resize(np.array([[65535]], np.uint16), (1, 1)).tolist() == [[1]]
    assert resize(np.array([[True, False]]), (1, 2)).tolist() == [[1, 0]]
    assert resize(np.array([[-32768, 32767]], np.int16), (1, 2)).tolist() == [[-1, 1]]  # as in skimage.img_as_float
    assert resize(np.array([[-7, 300]]), (1, 2), preserve_range=True).tolist() == [[-7, 300]]


@pytest.mark.parametrize(
    "kwargs", [dict(order=0), dict(order=3), dict(mode="edge"), dict(cval=0.5), dict(anti_aliasing=True)], ids=str
)
def test_other_settings_delegate_to_scikit_image(kwargs):
    image = np.random.default_rng(2).random((20, 30, 3)).astype(np.float32)
    got = resize(image, (11, 50), **kwargs)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, oracle(image, (11, 50), **kwargs), atol=1e-12)
    resize(image > 0.5, (11, 50), **kwargs)  # scikit-image rejects some of these settings for bool


def test_bands_and_ranges_equal_parts_of_the_whole_image(monkeypatch):
    image = np.random.default_rng(3).random((30, 20, 3))
    whole = resize(image, (70, 11))
    monkeypatch.setattr(resizing, "BAND_VALUES", 200)
    bands = list(linear_bands(image, (70, 11), rows=(5, 64), cols=(2, 9)))
    assert len(bands) > 5 and sum(len(band) for _, band in bands) == 59
    for start, band in bands:
        np.testing.assert_array_equal(band, whole[5 + start : 5 + start + len(band), 2:9])


def test_non_contiguous_images():
    image = np.random.default_rng(4).random((3, 40, 25))
    expected = resize(np.ascontiguousarray(image.transpose(1, 2, 0)[::-1]), (13, 60))
    np.testing.assert_array_equal(resize(image.transpose(1, 2, 0)[::-1], (13, 60)), expected)


def test_nan_affects_only_its_neighbours():
    image = np.ones((10, 10))
    image[0, 0] = np.nan
    resized = resize(image, (20, 20))
    assert np.isnan(resized).sum() == 9 and np.nanmin(resized) == 1


@pytest.mark.parametrize("shapes", [((0, 5), (3, 3)), ((5, 5), (0, 3)), ((5, 5), (3, -1))])
def test_sides_must_be_positive(shapes):
    with pytest.raises(ValueError, match="All sides must be at least 1"):
        resize(np.zeros(shapes[0]), shapes[1])


def test_scaled_side():
    assert [scaled_side(3, scale) for scale in (0.05, 0.5, 1, 1.5)] == [1, 2, 3, 4]  # 1.5 and 4.5 are rounded to even
