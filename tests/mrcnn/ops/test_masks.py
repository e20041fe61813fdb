"""Masks, compared with the original, SciPy, scikit-image and values derived by hand."""

import sys

import numpy as np
import pytest
import scipy.ndimage
import skimage.transform

from mrcnn.detections import Detections
from mrcnn.ops import masks as masks_module
from mrcnn.ops.masks import (
    drop_small_parts,
    expand_mask,
    extract_bboxes,
    mask_box,
    mask_in_box,
    minimize_mask,
    paste_mask,
    resample_mask,
    resize_mask,
    sample_mask,
)


def blobs(count: int, size: int = 28) -> np.ndarray:
    """Returns soft discs `[count, size, size]`, float32, similar to the output of the mask head."""
    rng = np.random.default_rng(count)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    distance = np.hypot(y, x) + rng.normal(0, 0.3, (count, size, size))
    return (1 / (1 + np.exp(distance - rng.uniform(4, size * 0.6, (count, 1, 1))))).astype(np.float32)


class TestExtractBboxes:
    def test_equals_the_original(self, golden):
        arrays = golden("data.npz")
        got = extract_bboxes(arrays["extract_bboxes__in_0"])
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, arrays["extract_bboxes__out_0"])

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
    def test_by_hand(self, dtype):
        masks = np.zeros((6, 8, 3), dtype)
        masks[2:4, 5:8, 0] = 1
        masks[0, 0, 1] = masks[5, 7, 1] = 1
        np.testing.assert_array_equal(extract_bboxes(masks), [[2, 5, 4, 8], [0, 0, 6, 8], [0, 0, 0, 0]])
        assert [mask_box(masks[..., i]) for i in range(3)] == [(2, 5, 4, 8), (0, 0, 6, 8), (0, 0, 0, 0)]

    @pytest.mark.parametrize("shape", [(5, 5, 0), (0, 0, 0), (0, 0, 2)])
    def test_empty(self, shape):
        np.testing.assert_array_equal(extract_bboxes(np.zeros(shape, bool)), np.zeros((shape[2], 4)))


def resize_mask_cases() -> list[str]:
    modes = ["square_max_dim128_min_dim64", "square_max_dim256_min_dim200", "square_max_dim64_min_dim32"]
    modes += ["square_max_dim256_min_dim64_min_scale2.0", "pad64_min_dim128", "pad64_min_dim64_min_scale1.5"]
    return [f"resize_image_{i}_{mode}" for i in range(3) for mode in [*modes, "crop_min_dim64", "crop_min_dim128"]]


class TestResizeMask:
    @pytest.mark.parametrize("case", resize_mask_cases())
    def test_equals_the_original(self, golden, case):
        arrays = golden("data.npz")
        if f"{case}__mask_out" not in arrays:
            arrays = golden("utils.npz")

        def unpacked(name):
            shape = arrays[f"{name}_shape"]
            return np.unpackbits(arrays[name])[: shape.prod()].reshape(shape).astype(bool)

        mask = unpacked(f"{case[:14]}_none_max_dim128_min_dim64__mask_in")
        crop = arrays[f"{case}__out_crop"]
        scale, padding = arrays[f"{case}__out_scale_f64"][()], arrays[f"{case}__out_padding"]
        got = resize_mask(mask, scale, padding, None if crop.ndim == 0 else tuple(crop))
        assert got.dtype == bool
        np.testing.assert_array_equal(got, unpacked(f"{case}__mask_out"))

    def test_equals_scipy(self):
        # mode="nearest" avoids a last row of zeros, which rounding causes in SciPy.
        rng = np.random.default_rng(0)
        for _ in range(200):
            height, width = rng.integers(1, 120, 2)
            scale = rng.uniform(0.5, 3)
            mask = rng.integers(1, 200, (height, width, 2))
            if min(round(height * scale), round(width * scale)) == 0:
                continue
            expected = scipy.ndimage.zoom(mask, (scale, scale, 1), order=0, mode="nearest")
            np.testing.assert_array_equal(resize_mask(mask, scale, [(0, 0)] * 3), expected)

    def test_by_hand(self):
        mask = np.arange(4).reshape(2, 2, 1)
        got = resize_mask(mask, 1.5, [(1, 0), (0, 2), (0, 0)])[:, :, 0]  # 0, 0.5, 1 are rounded to 0, 1, 1
        np.testing.assert_array_equal(got, [[0] * 5, [0, 1, 1, 0, 0], [2, 3, 3, 0, 0], [2, 3, 3, 0, 0]])

    def test_sides_are_at_least_one(self):
        assert resize_mask(np.ones((200, 3, 1), bool), 0.05, [(0, 0)] * 3).tolist() == [[[True]]] * 10


class TestMiniMasks:
    @pytest.mark.parametrize("case", ["minimize_mask", "minimize_mask_28"])
    def test_minimize_equals_the_original(self, golden, case):
        arrays = golden("data.npz")
        boxes, masks, shape = (arrays[f"{case}__in_{i}"] for i in range(3))
        np.testing.assert_array_equal(minimize_mask(boxes, masks, tuple(shape)), arrays[f"{case}__out_0"])

    def test_expand_equals_the_original(self, golden):
        arrays = golden("data.npz")
        inputs = (arrays[f"expand_mask__in_{name}"] for name in ("bbox", "mini_mask", "image_shape"))
        np.testing.assert_array_equal(expand_mask(*inputs), arrays["expand_mask__out_0"])

    def test_round_trip(self):
        masks = np.zeros((90, 120, 3), bool)
        masks[10:66, 20:76, 0] = blobs(1, 56)[0] > 0.5  # as large as the mini mask, so lossless up to rounding
        masks[30:80, 60:110, 1] = blobs(1, 50)[0] > 0.5
        masks[5:7, 100:119, 2] = True
        boxes = extract_bboxes(masks)
        restored = expand_mask(boxes, minimize_mask(boxes, masks, (56, 56)), (90, 120, 3))
        assert restored.shape == masks.shape and restored.dtype == bool
        for i, loss in enumerate((0.02, 0.05, 0)):
            union = (restored[..., i] | masks[..., i]).sum()
            assert (restored[..., i] & masks[..., i]).sum() >= (1 - loss) * union

    def test_one_half_is_outside_of_mini_masks(self):
        checkers = np.array([[1, 0]], bool)[:, :, None]
        assert not minimize_mask(np.array([[0, 0, 1, 2]]), checkers, (1, 1)).any()
        assert not expand_mask(np.array([[0, 0, 1, 1]]), checkers, (1, 1)).any()
        assert paste_mask(checkers[:, :, 0], (0, 0, 1, 1), (1, 1)).all()  # inside for predicted masks

    def test_coverage_places_the_outline_between_pixels(self):
        # 3/4 of the last pixel is covered. Values fall from 0.75 at its centre 5.5 to 0 at 6.5 and reach 0.5 at 5.83.
        coverage = np.array([[255] * 5 + [191], [0] * 6], np.uint8)[:, :, None]
        box = np.array([[0, 0, 2, 6]])
        assert minimize_mask(box, coverage, (2, 60), is_coverage=True).sum(axis=1).ravel().tolist() == [58, 0]
        assert minimize_mask(box, coverage, (2, 60)).sum(axis=1).ravel().tolist() == [60, 0]

    def test_no_instances(self):
        assert minimize_mask(np.zeros((0, 4), int), np.zeros((9, 9, 0), bool), (5, 6)).shape == (5, 6, 0)
        assert expand_mask(np.zeros((0, 4), int), np.zeros((5, 6, 0), bool), (9, 8)).shape == (9, 8, 0)

    def test_error_names_the_box_without_area(self):
        boxes = np.array([[0, 0, 2, 2], [3, 3, 3, 5]])
        with pytest.raises(ValueError, match=r"box 1 \(3, 3, 3, 5\) has no area"):
            minimize_mask(boxes, np.ones((9, 9, 2), bool), (5, 5))


def oracle_paste(mask, box, shape):
    y1, x1, y2, x2 = box
    settings = dict(order=1, mode="constant", anti_aliasing=False)
    resized = skimage.transform.resize(mask.astype(np.float64), (y2 - y1, x2 - x1), **settings)
    full = np.zeros(shape, bool)
    full[y1:y2, x1:x2] = resized >= 0.5
    return full


class TestPaste:
    @pytest.mark.parametrize("case", range(6))
    def test_equals_the_original(self, golden, case):
        arrays = golden("data.npz")
        inputs = (arrays[f"unmold_mask_{case}__in_{name}"] for name in ("mask", "bbox", "image_shape"))
        got = paste_mask(*inputs)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, arrays[f"unmold_mask_{case}__out_0"])

    @pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
    def test_detections_equal_the_original(self, golden, name):
        arrays = golden(f"infer_r50small_256_{name}.npz")
        shape = arrays["final_masks_shape"]
        expected = np.unpackbits(arrays["final_masks_packed"])[: shape.prod()].reshape(shape)
        boxes = arrays["final_rois"]
        crops = [mask_in_box(*pair) for pair in zip(arrays["mrcnn_mask_of_class"], boxes, strict=True)]
        got = Detections(boxes, np.ones(len(boxes)), np.ones(len(boxes)), crops, shape).masks
        np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize("large_cell", [0, 1e9], ids=["by_cells", "every_pixel"])
    def test_equals_scikit_image(self, monkeypatch, large_cell):
        monkeypatch.setattr(masks_module, "LARGE_CELL", large_cell)
        masks = blobs(8)
        masks[5] += 0.5  # at least 0.5 everywhere, also after fading at the border
        masks[6] = np.random.default_rng(0).random((28, 28))
        boxes = [(0, 0, 300, 400), (5, 7, 6, 8), (10, 20, 38, 48), (0, 390, 300, 400), (2, 3, 150, 33)]
        boxes += [(100, 100, 299, 399), (1, 1, 200, 260), (17, 0, 30, 400)]
        for i, box in enumerate(boxes):
            expected = oracle_paste(masks[i], box, (300, 400))
            np.testing.assert_array_equal(paste_mask(masks[i], box, (300, 400)), expected, err_msg=str(box))
            y1, x1, y2, x2 = box
            np.testing.assert_array_equal(mask_in_box(masks[i], box), expected[y1:y2, x1:x2], err_msg=str(box))

    @pytest.mark.parametrize("large_cell", [0, 1e9], ids=["by_cells", "every_pixel"])
    def test_boxes_are_cropped_to_the_image(self, monkeypatch, large_cell):
        monkeypatch.setattr(masks_module, "LARGE_CELL", large_cell)
        mask = blobs(1)[0]
        whole = oracle_paste(mask, (20, 30, 170, 250), (200, 300))
        got = paste_mask(mask, (-30, -40, 120, 180), (100, 130))
        np.testing.assert_array_equal(got, whole[50:150, 70:200])
        for box in [(200, 0, 300, 50), (-50, 0, 0, 50), (10, 10, 10, 50), (10, 50, 20, 40)]:
            assert not paste_mask(mask, box, (100, 130)).any()

    def test_large_boxes_interpolate_near_the_outline_only(self, monkeypatch):
        areas = []

        def counting(mask, shape, rows, cols, **kwargs):
            areas.append((rows[1] - rows[0]) * (cols[1] - cols[0]))
            return original(mask, shape, rows, cols, **kwargs)

        original = masks_module.linear_bands
        monkeypatch.setattr(masks_module, "linear_bands", counting)
        mask = mask_in_box(blobs(1)[0], (0, 0, 3000, 2000))
        assert mask.any() and 0 < sum(areas) < 0.25 * mask.size


class TestSampleMask:
    def test_a_step_between_cells(self):
        # The cells have 2 pixels and start at 10.0. The step from 1 to 0 is between cells 2 and 3, at pixel edge 16.
        mask = np.zeros((6, 6), np.float32)
        mask[1:3, 2:4] = 1
        box, crop = sample_mask(mask, (10, 10, 22, 22), (40, 40))
        assert box == (12, 14, 16, 18)
        assert crop.all()
        assert crop.shape == (4, 4)

    def test_fractions_of_pixels(self):
        # As above, but the frame starts at 10.4. The object ends at 16.4, before the centre of pixel 16.
        mask = np.zeros((6, 6), np.float32)
        mask[1:3, 2:4] = 1
        assert sample_mask(mask, (10.4, 10.6, 22.4, 22.6), (40, 40))[0] == (12, 15, 16, 19)

    def test_frame_beyond_the_image(self):
        box, crop = sample_mask(np.ones((4, 4), np.float32), (-5, 30, 8, 50), (20, 40))
        assert box == (0, 30, 8, 40)
        assert crop.all()

    @pytest.mark.parametrize("frame", [(30, 0, 40, 10), (3, 3, 3, 9)])
    def test_frame_without_pixels(self, frame):
        assert sample_mask(np.ones((4, 4), np.float32), frame, (20, 20)) == (
            (0, 0, 0, 0),
            pytest.approx(np.zeros((0, 0))),
        )

    def test_mask_without_pixels(self):
        box, crop = sample_mask(np.full((4, 4), 0.49, np.float32), (2, 2, 10, 10), (20, 20))
        assert box == (0, 0, 0, 0)
        assert crop.size == 0

    def test_equals_bilinear_resizing_of_scikit_image(self):
        mask = blobs(1)[0]
        box, crop = sample_mask(mask, (0, 0, 100, 70), (100, 70))
        expected = skimage.transform.resize(mask, (100, 70), order=1, mode="edge", anti_aliasing=False) >= 0.5
        actual = np.zeros((100, 70), bool)
        actual[box[0] : box[2], box[1] : box[3]] = crop
        assert np.count_nonzero(actual != expected) <= 2  # rounding


@pytest.mark.parametrize("has_opencv", [True, False])
class TestDropSmallParts:
    @pytest.fixture(autouse=True)
    def opencv(self, monkeypatch, has_opencv):
        if not has_opencv:
            monkeypatch.setitem(sys.modules, "cv2", None)  # importing it raises ImportError

    @staticmethod
    def mask_with_part(cells: int) -> np.ndarray:
        """A rectangle of 100 cells and, below it, a part of the given number of cells."""
        mask = np.full((16, 24), 0.4, np.float32)
        mask[1:6, 2:22] = 0.9
        mask[10, 2 : 2 + cells] = 0.7
        return mask

    def test_parts_of_at_least_one_twentieth_are_kept(self):
        mask = self.mask_with_part(5)
        assert drop_small_parts(mask) is mask

    def test_smaller_parts_become_zero(self):
        mask = self.mask_with_part(4)
        expected = mask.copy()
        expected[10, 2:6] = 0
        np.testing.assert_array_equal(drop_small_parts(mask), expected)
        assert mask[10, 2] == np.float32(0.7)  # the argument is not changed
        assert drop_small_parts(mask).dtype == np.float32

    def test_cells_that_touch_at_a_corner_belong_together(self):
        mask = self.mask_with_part(0)
        mask[6, 22] = 0.5
        assert drop_small_parts(mask) is mask

    def test_mask_without_cells_inside(self):
        mask = np.full((4, 4), 0.49, np.float32)
        assert drop_small_parts(mask) is mask


class TestResampleMask:
    def test_the_same_frame(self, rng):
        mask = rng.random((5, 7)).astype(np.float32)
        np.testing.assert_allclose(resample_mask(mask, (3, 4, 13, 25), (3, 4, 13, 25), (5, 7)), mask, rtol=1e-6)

    def test_a_ramp_in_a_larger_frame(self):
        # Cells of 2 pixels with the values 1, 2 and 3 at x = 1, 3 and 5. The new cells are centred at -0.5, 0.5, ...
        mask = np.float32([[1, 2, 3]])
        values = resample_mask(mask, (0, 0, 2, 6), (0, -1, 2, 7), (2, 8))
        np.testing.assert_allclose(values, [[0, 1, 1.25, 1.75, 2.25, 2.75, 3, 0]] * 2, rtol=1e-6)
