"""Mask targets by coverage. `test_targets.py` tests rounded targets."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn.config import Config
from mrcnn.layers.mask_targets import crop_mask_targets
from mrcnn.layers.targets import DetectionTargetLayer
from mrcnn.losses import mrcnn_mask_loss
from mrcnn.ops.boxes import norm_boxes
from mrcnn.ops.masks import minimize_mask, paste_mask

SHAPE = 64, 96  # of the image


def targets(roi, box, mask, *, kind="coverage", side=4, use_mini_mask=True, shape=SHAPE):
    """Computes the target `[side, side]` of one RoI. Boxes are in pixels, `mask` is `[h, w]`."""
    roi, box = (norm_boxes(np.array([[pixels]], np.float32), shape) for pixels in (roi, box))
    slots, masks = np.array([[0]], np.int32), mask[None, :, :, None]
    settings = dict(mask_shape=(side, side), use_mini_mask=use_mini_mask, image_shape=shape, kind=kind)
    return crop_mask_targets(roi, box, slots, masks, **settings).numpy()[0, 0]


def block_means(mask):
    return mask.reshape(4, 2, 4, 2).mean((1, 3))


@pytest.fixture
def speckled():
    return np.random.default_rng(0).random((8, 8)) > 0.5


class TestCoverage:
    @pytest.mark.parametrize("box", [(10, 20, 30, 60), (0, 0, 64, 96), (5, 5, 6, 8)])
    def test_roi_equal_to_the_box(self, speckled, box):
        np.testing.assert_allclose(targets(box, box, speckled), block_means(speckled), atol=1e-4)

    def test_masks_of_the_whole_image(self, speckled):
        box = 16, 40, 24, 48
        mask = np.zeros(SHAPE, bool)
        mask[16:24, 40:48] = speckled
        actual = targets(box, box, mask, use_mini_mask=False)
        np.testing.assert_allclose(actual, block_means(speckled), atol=1e-4)

    def test_cells_outside_the_object_are_zero(self):
        # The RoI is twice as wide as the object, whose mask is full, so its left half is covered.
        actual = targets((8, 8, 16, 24), (8, 8, 16, 16), np.ones((8, 8), bool))
        np.testing.assert_allclose(actual, [[1, 1, 0, 0]] * 4, atol=1e-5)

    def test_edge_of_the_object_inside_a_cell(self):
        # The object is 20 pixels wide. Its edge is in the middle of the third of four cells of 8 pixels.
        actual = targets((8, 8, 28, 40), (8, 8, 28, 28), np.ones((8, 8), bool))
        np.testing.assert_allclose(actual, [[1, 1, 0.5, 0]] * 4, atol=1e-5)

    def test_each_roi_uses_its_matched_object(self):
        # Two images. The object of the second one is in the second slot.
        masks = np.zeros((2, 8, 8, 2), bool)
        masks[0, :4, :, 0] = masks[1, :, :4, 1] = True
        boxes = norm_boxes(np.array([[[0, 0, 8, 8]], [[8, 8, 24, 24]]], np.float32), SHAPE)
        slots = np.array([[0], [1]], np.int32)
        settings = dict(mask_shape=(4, 4), use_mini_mask=True, image_shape=SHAPE, kind="coverage")
        actual = crop_mask_targets(boxes, boxes, slots, masks, **settings).numpy()[:, 0]
        np.testing.assert_allclose(actual[0], [[1] * 4, [1] * 4, [0] * 4, [0] * 4], atol=1e-5)
        np.testing.assert_allclose(actual[1], [[1, 1, 0, 0]] * 4, atol=1e-5)


@pytest.mark.parametrize("use_mini_mask", [True, False])
def test_pasting_inverts_coverage(use_mini_mask):
    """Targets by coverage preserve more of a long thin wedge than rounded targets."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width] + 0.5
    wedge = (abs(y - 50 + x / 2) < x / 20) & (x > 6) & (x < 86)
    rows, columns = np.flatnonzero(wedge.any(1)), np.flatnonzero(wedge.any(0))
    box = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    mask = minimize_mask(np.array([box]), wedge[:, :, None], (56, 56))[:, :, 0] if use_mini_mask else wedge

    def iou(kind):
        cells = targets(box, box, mask, kind=kind, side=28, use_mini_mask=use_mini_mask)
        pasted = paste_mask(cells, box, SHAPE)
        return (pasted & wedge).sum() / (pasted | wedge).sum()

    assert iou("coverage") > 0.93 > 0.91 > iou("rounded")


def test_the_loss_is_minimal_at_the_coverage():
    target = np.full((1, 1, 2, 2), 0.25, np.float32)
    ids = np.array([[1]], np.int32)
    low, best, high = (
        mrcnn_mask_loss(target, ids, tf.fill((1, 1, 2, 2, 2), probability)).numpy() for probability in (0.2, 0.25, 0.3)
    )
    assert best < low and best < high


class TestSettings:
    def test_layer(self):
        layer = DetectionTargetLayer(mask_targets="coverage", image_shape=(64, 96, 3))
        copy = DetectionTargetLayer.from_config(layer.get_config())
        assert copy.settings == layer.settings and copy.settings["image_shape"] == [64, 96]

    def test_layer_uses_them(self):
        # The object covers two and a half of the four columns of the RoI.
        roi, box = (norm_boxes(np.array([[8, 8, 16, x2]], np.float32), SHAPE) for x2 in (24, 18))
        inputs = [roi[None], np.array([[1]], np.int32), box[None], np.ones((1, 8, 8, 1), bool)]
        settings = dict(rois_per_image=2, positive_ratio=0.5, mask_shape=(4, 4), mask_targets="coverage")
        layer = DetectionTargetLayer(**settings, shuffle=False, image_shape=SHAPE)
        np.testing.assert_allclose(layer(inputs)[3][0, 0], [[1, 1, 0.5, 0]] * 4, atol=1e-5)

    @pytest.mark.parametrize("kind", ["rounded", "coverage"])
    def test_network_uses_the_config(self, kind):
        config = Config().copy(NUM_CLASSES=2, IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128, MASK_TARGETS=kind)
        settings = DetectionTargetLayer(config).settings
        assert (settings["mask_targets"], settings["image_shape"]) == (kind, [128, 128])

    def test_invalid_settings(self):
        with pytest.raises(ValueError, match="mask_targets must be one of rounded, coverage; got 'soft'"):
            DetectionTargetLayer(mask_targets="soft")
        with pytest.raises(ValueError, match="requires image_shape"):
            DetectionTargetLayer(mask_targets="coverage")
        with pytest.raises(ValueError, match="MASK_TARGETS must be one of rounded, coverage"):
            Config().copy(NUM_CLASSES=2, MASK_TARGETS="soft").validate()
