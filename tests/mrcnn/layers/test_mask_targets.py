"""Mask targets by coverage: values counted on paper, and what they are for. Rounded ones are in test_targets.py."""

import numpy as np
import pytest
import tensorflow as tf

from mrcnn.config import Config
from mrcnn.layers.mask_targets import mask_targets_graph
from mrcnn.layers.targets import DetectionTargetLayer
from mrcnn.losses import mrcnn_mask_loss_graph
from mrcnn.network import NetworkBuilder
from mrcnn.ops.boxes import norm_boxes
from mrcnn.ops.masks import minimize_mask, unmold_mask

SHAPE = 64, 96  # of the image


def targets(roi, box, mask, *, kind="coverage", side=4, use_mini_mask=True, shape=SHAPE):
    """Targets `[side, side]` of one RoI; boxes in pixels, `mask` `[h, w]`."""
    roi, box = (norm_boxes(np.array([[pixels]], np.float32), shape) for pixels in (roi, box))
    slots, masks = np.array([[0]], np.int32), mask[None, :, :, None]
    settings = dict(mask_shape=(side, side), use_mini_mask=use_mini_mask, image_shape=shape, kind=kind)
    return mask_targets_graph(roi, box, slots, masks, **settings).numpy()[0, 0]


def block_means(mask):
    return mask.reshape(4, 2, 4, 2).mean((1, 3))


@pytest.fixture
def speckled():
    return np.random.default_rng(0).random((8, 8)) > 0.5


class TestCoverage:
    @pytest.mark.parametrize("box", [(10, 20, 30, 60), (0, 0, 64, 96), (5, 5, 6, 8)])
    def test_of_the_objects_own_box(self, speckled, box):
        np.testing.assert_allclose(targets(box, box, speckled), block_means(speckled), atol=1e-4)

    def test_of_masks_of_the_whole_image(self, speckled):
        box = 16, 40, 24, 48
        mask = np.zeros(SHAPE, bool)
        mask[16:24, 40:48] = speckled
        actual = targets(box, box, mask, use_mini_mask=False)
        np.testing.assert_allclose(actual, block_means(speckled), atol=1e-4)

    def test_beyond_the_object_there_is_nothing(self):
        # Twice as wide as the object, which is full: the left half is covered.
        actual = targets((8, 8, 16, 24), (8, 8, 16, 16), np.ones((8, 8), bool))
        np.testing.assert_allclose(actual, [[1, 1, 0, 0]] * 4, atol=1e-5)

    def test_a_cell_that_the_objects_edge_divides(self):
        # The edge of the object, 20 pixels wide, is in the middle of the third cell of a RoI of 4 x 8 pixels.
        actual = targets((8, 8, 28, 40), (8, 8, 28, 28), np.ones((8, 8), bool))
        np.testing.assert_allclose(actual, [[1, 1, 0.5, 0]] * 4, atol=1e-5)

    def test_each_roi_its_own_object(self):
        # Two images; in the second the second slot is meant.
        masks = np.zeros((2, 8, 8, 2), bool)
        masks[0, :4, :, 0] = masks[1, :, :4, 1] = True
        boxes = norm_boxes(np.array([[[0, 0, 8, 8]], [[8, 8, 24, 24]]], np.float32), SHAPE)
        slots = np.array([[0], [1]], np.int32)
        settings = dict(mask_shape=(4, 4), use_mini_mask=True, image_shape=SHAPE, kind="coverage")
        actual = mask_targets_graph(boxes, boxes, slots, masks, **settings).numpy()[:, 0]
        np.testing.assert_allclose(actual[0], [[1] * 4, [1] * 4, [0] * 4, [0] * 4], atol=1e-5)
        np.testing.assert_allclose(actual[1], [[1, 1, 0, 0]] * 4, atol=1e-5)


@pytest.mark.parametrize("use_mini_mask", [True, False])
def test_pasting_undoes_it(use_mini_mask):
    """A long thin wedge, as a swoosh's tail: rounded targets lose much of it, its coverage little."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width] + 0.5
    wedge = (abs(y - 50 + x / 2) < x / 20) & (x > 6) & (x < 86)
    rows, columns = np.flatnonzero(wedge.any(1)), np.flatnonzero(wedge.any(0))
    box = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    mask = minimize_mask(np.array([box]), wedge[:, :, None], (56, 56))[:, :, 0] if use_mini_mask else wedge

    def iou(kind):
        cells = targets(box, box, mask, kind=kind, side=28, use_mini_mask=use_mini_mask)
        pasted = unmold_mask(cells, box, SHAPE)
        return (pasted & wedge).sum() / (pasted | wedge).sum()

    assert iou("coverage") > 0.93 > 0.91 > iou("rounded")


def test_the_loss_is_least_where_the_prediction_is_the_coverage():
    target = np.full((1, 1, 2, 2), 0.25, np.float32)
    logits = tf.constant(np.log(np.array([0.2, 0.25, 0.3]) / np.array([0.8, 0.75, 0.7])), tf.float32)
    ids = np.array([[1]], np.int32)
    low, best, high = (
        mrcnn_mask_loss_graph(target, ids, tf.fill((1, 1, 2, 2, 2), logit), from_logits=True).numpy()
        for logit in logits
    )
    assert best < low and best < high


class TestSettings:
    def test_layer(self):
        layer = DetectionTargetLayer(mask_targets="coverage", image_shape=(64, 96, 3))
        copy = DetectionTargetLayer.from_config(layer.get_config())
        assert copy.settings == layer.settings and copy.settings["image_shape"] == [64, 96]

    def test_layer_hands_them_on(self):
        # The object covers two and a half of the RoI's four columns.
        roi, box = (norm_boxes(np.array([[8, 8, 16, x2]], np.float32), SHAPE) for x2 in (24, 18))
        inputs = [roi[None], np.array([[1]], np.int32), box[None], np.ones((1, 8, 8, 1), bool)]
        layer = DetectionTargetLayer(2, 0.5, (4, 4), shuffle=False, mask_targets="coverage", image_shape=SHAPE)
        np.testing.assert_allclose(layer(inputs)[3][0, 0], [[1, 1, 0.5, 0]] * 4, atol=1e-5)

    @pytest.mark.parametrize("kind", ["rounded", "coverage"])
    def test_the_network_takes_them_from_the_config(self, kind):
        config = Config().copy(NUM_CLASSES=2, IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128, MASK_TARGETS=kind)
        settings = NetworkBuilder(config)._targets().settings
        assert (settings["mask_targets"], settings["image_shape"]) == (kind, [128, 128])

    def test_mistakes(self):
        with pytest.raises(ValueError, match="mask_targets must be one of rounded, coverage; got 'soft'"):
            DetectionTargetLayer(mask_targets="soft")
        with pytest.raises(ValueError, match="needs image_shape"):
            DetectionTargetLayer(mask_targets="coverage")
        with pytest.raises(ValueError, match="MASK_TARGETS must be one of rounded, coverage"):
            Config().copy(NUM_CLASSES=2, MASK_TARGETS="soft").validate()
