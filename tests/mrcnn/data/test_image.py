"""resize_image, molding and image_meta, compared with the original, scikit-image and values derived by hand."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.transform

from mrcnn.data.image import normalize_image, resize_image
from mrcnn.matterport.arrays import mold_image, parse_image_meta, unmold_image
from mrcnn.ops.image_meta import compose_image_meta, split_image_meta
from mrcnn.ops.masks import resize_mask

MODES = {
    "square_max_dim128_min_dim64": dict(min_dim=64, max_dim=128),
    "square_max_dim256_min_dim200": dict(min_dim=200, max_dim=256),
    "square_max_dim64_min_dim32": dict(min_dim=32, max_dim=64),
    "square_max_dim256_min_dim64_min_scale2.0": dict(min_dim=64, max_dim=256, min_scale=2.0),
    "pad64_min_dim128": dict(mode="pad64", min_dim=128),
    "pad64_min_dim64_min_scale1.5": dict(mode="pad64", min_dim=64, min_scale=1.5),
    "none_max_dim128_min_dim64": dict(mode="none", min_dim=64, max_dim=128),
    "crop_min_dim64": dict(mode="crop", min_dim=64),
    "crop_min_dim128": dict(mode="crop", min_dim=128),
}
# At these scales, interpolated values are integers up to rounding errors, so the result of truncation may differ by 1.
WHOLE = ("min_scale2.0", "min_scale1.5")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def assert_same_grey(got, expected, share):
    """Asserts that at most the fraction `share` of the values differ, by at most one grey level."""
    difference = np.abs(got.astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() <= share


class TestResizeImage:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("photo", [0, 1, 2])
    def test_equals_the_original(self, golden, photo, mode):
        case, source = f"resize_image_{photo}_{mode}", f"resize_image_{photo}_none_max_dim128_min_dim64__in_image"
        arrays = golden("data.npz")
        if f"{case}__out_window" not in arrays or source not in arrays:
            arrays = golden("utils.npz")
        random.seed(5)
        image, window, scale, padding, crop = resize_image(arrays[source], **MODES[mode])
        assert window == tuple(arrays[f"{case}__out_window"])
        assert scale == arrays[f"{case}__out_scale_f64"]
        np.testing.assert_array_equal(padding, arrays[f"{case}__out_padding"])
        expected_crop = arrays[f"{case}__out_crop"]
        assert crop == (None if expected_crop.ndim == 0 else tuple(expected_crop))
        assert image.dtype == np.uint8
        expected = arrays[source if mode.startswith("none") else f"{case}__out_image"]
        assert_same_grey(image, expected, 0.05 if mode.endswith(WHOLE) else 0.002)

    @pytest.mark.parametrize("photo", ["astronaut", "coffee", "chelsea", "rocket"])
    def test_photos_equal_the_original(self, golden, photo):
        arrays = golden(f"infer_r50small_256_{photo}.npz")
        image, window, scale, _, _ = resize_image(golden("photos.npz")[photo], min_dim=256, max_dim=256)
        assert window == tuple(arrays["window"]) and scale == arrays["resize_scale_f64"]
        # The image `astronaut` is halved, see WHOLE.
        assert_same_grey(image, arrays["resized_uint8"], 0.1 if photo == "astronaut" else 0.002)

    @pytest.mark.parametrize("source", [(300, 450, 3), (700, 500, 3), (90, 70, 1), (64, 99, 4)])
    def test_equals_scikit_image(self, source):
        image = noise(*source)
        resized, (y1, x1, y2, x2), _, _, _ = resize_image(image, min_dim=200, max_dim=331)
        settings = dict(order=1, mode="constant", preserve_range=True, anti_aliasing=False)
        expected = skimage.transform.resize(image, (y2 - y1, x2 - x1), **settings).astype(np.uint8)
        assert_same_grey(resized[y1:y2, x1:x2], expected, 0.001)
        resized[y1:y2, x1:x2] = 0
        assert not resized.any()

    def test_scale_by_hand(self):
        def scale(height, width, **kwargs):
            return resize_image(noise(height, width, 3), **kwargs)[2]

        assert scale(50, 80, min_dim=100, max_dim=400) == 2  # enlarged to min_dim
        assert scale(200, 300, min_dim=100, max_dim=400) == 1  # not reduced to min_dim
        assert scale(50, 80, min_dim=100, max_dim=120) == 1.5  # max_dim takes precedence over min_dim
        assert scale(50, 80, min_dim=50, max_dim=400, min_scale=3) == 3
        assert scale(50, 80, max_dim=40) == 0.5
        assert scale(50, 80, min_dim=64, max_dim=40, mode="pad64") == 1.28  # max_dim applies to squares only
        assert scale(50, 80, mode="pad64") == 1

    def test_padding_by_hand(self):
        image, window, scale, padding, crop = resize_image(noise(3, 5, 2), max_dim=8)
        assert image.shape == (8, 8, 2) and scale == 1 and crop is None
        assert window == (2, 1, 5, 6) and padding == [
            (2, 3),
            (1, 2),
            (0, 0),
        ]  # an odd pixel is added at the bottom and on the right
        np.testing.assert_array_equal(image[2:5, 1:6], noise(3, 5, 2))

    def test_pad64_pads_to_the_next_multiple(self):
        assert resize_image(noise(64, 65, 3), mode="pad64")[0].shape == (64, 128, 3)
        assert resize_image(noise(1, 128, 3), mode="pad64")[0].shape == (64, 128, 3)

    def test_crop_is_part_of_the_scaled_image(self):
        random.seed(1)
        whole, window, _, _, _ = resize_image(noise(40, 90, 3), min_dim=64, mode="pad64")
        part, _, scale, _, (y, x, height, width) = resize_image(noise(40, 90, 3), min_dim=64, mode="crop")
        assert scale == 1.6 and y == 0 and x > 0 and (height, width) == (64, 64)
        np.testing.assert_array_equal(part, whole[window[0] :, window[1] :][:64, x : x + 64])

    @pytest.mark.parametrize("source", [(1, 1), (20000, 30), (20000, 3), (2, 5000)])
    @pytest.mark.parametrize("mode", ["square", "crop"])
    def test_extreme_aspect_ratios(self, source, mode):
        if mode == "crop" and max(source) > 5000:
            source = (2000, 3)
        image = np.full((*source, 3), 77, np.uint8)
        resized, (y1, x1, y2, x2), scale, padding, crop = resize_image(image, min_dim=100, max_dim=128, mode=mode)
        assert resized.shape == ((128, 128, 3) if mode == "square" else (100, 100, 3))
        assert y2 > y1 and x2 > x1 and (resized[y1:y2, x1:x2] == 77).all()
        masks = resize_mask(np.ones((*source, 1), bool), scale, padding, crop)
        np.testing.assert_array_equal(masks[:, :, 0], resized[:, :, 0] == 77)  # mask and image cover the same window

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int32])
    def test_keeps_the_dtype(self, dtype):
        image = noise(20, 30, 3).astype(dtype) * 3
        for kwargs in (dict(max_dim=64, min_dim=40), dict(min_dim=25, mode="crop"), dict(mode="none")):
            assert resize_image(image, **kwargs)[0].dtype == dtype

    def test_result_does_not_share_memory_with_the_input(self):
        image = noise(64, 64, 3)
        for kwargs in (dict(max_dim=64), dict(mode="pad64"), dict(mode="crop", min_dim=64)):
            resized = resize_image(image, **kwargs)[0]
            np.testing.assert_array_equal(resized, image)
            assert not np.shares_memory(resized, image)

    @pytest.mark.parametrize(
        "shape, kwargs, message",
        [
            ((9, 9), dict(max_dim=64), r"expected an image \[H, W, C\]"),
            ((0, 9, 3), dict(max_dim=64), r"got shape \(0, 9, 3\)"),
            ((9, 9, 3), dict(max_dim=64, mode="round"), "expected mode .* got 'round'"),
            ((9, 9, 3), dict(min_dim=64), "IMAGE_MAX_DIM"),
            ((9, 9, 3), dict(max_dim=64, mode="crop"), "IMAGE_MIN_DIM"),
            ((9, 9, 3), dict(min_dim=100, mode="pad64"), "multiple of 64, got 100"),
        ],
    )
    def test_errors(self, shape, kwargs, message):
        with pytest.raises(ValueError, match=message):
            resize_image(np.zeros(shape, np.uint8), **kwargs)


class TestMold:
    config = SimpleNamespace(MEAN_PIXEL=np.array([123.7, 116.8, 103.9]))

    def test_equals_the_original(self, golden):
        arrays = golden("data.npz")
        molded = mold_image(arrays["mold_image__in_images"], self.config)
        assert molded.dtype == np.float64
        np.testing.assert_array_equal(molded, arrays["mold_image__out_0_f64"])
        image = unmold_image(arrays["unmold_image__in_images"], self.config)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, arrays["unmold_image__out_0"])

    def test_normalization_is_that_of_the_original_in_float32(self):
        image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 11
        normalized = normalize_image(image, self.config.MEAN_PIXEL)
        assert normalized.dtype == np.float32
        np.testing.assert_allclose(normalized, mold_image(image, self.config), atol=1e-5)

    def test_unmold_does_not_wrap_around(self):
        image = np.array([[[-130.0, 0, 200]]])
        assert unmold_image(image, self.config).tolist() == [[[0, 116, 255]]]


class TestMeta:
    parts = (7, (300, 451, 3), (128, 128, 3), (21, 0, 106, 128), 0.28381, [1, 1, 0, 1, 0])

    def test_equals_the_original(self, golden):
        arrays = golden("data.npz")
        meta = compose_image_meta(*self.parts)
        assert meta.dtype == np.float64
        np.testing.assert_array_equal(meta, arrays["compose_image_meta__out_0_f64"])
        parsed = parse_image_meta(meta[None])
        assert len(parsed) == 6
        for name, value in parsed.items():
            expected = arrays[f"parse_image_meta__{name}"]
            assert value.dtype == expected.dtype
            np.testing.assert_array_equal(value, expected)

    def test_graph_version_keeps_the_dtype(self):
        parsed = split_image_meta(np.stack([compose_image_meta(*self.parts)] * 2).astype(np.float32))
        assert parsed["image_id"].shape == parsed["scale"].shape == (2,)
        assert parsed["window"].tolist() == [[21, 0, 106, 128]] * 2 and parsed["window"].dtype == np.float32
        assert parsed["active_class_ids"].shape == (2, 5)

    @pytest.mark.parametrize("index, name", [(1, "original_image_shape"), (2, "image_shape"), (3, "window")])
    def test_error_names_the_part_of_wrong_length(self, index, name):
        parts = list(self.parts)
        parts[index] = parts[index][:-1]
        with pytest.raises(ValueError, match=f"{name} must have"):
            compose_image_meta(*parts)
