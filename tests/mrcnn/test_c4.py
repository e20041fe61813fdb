"""C4 backbones: anchors, layers, stage 5 in the heads, weights, settings that require a feature pyramid."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.backbones import build_backbone, resnet
from mrcnn.checkpoints import WeightsMismatchError
from mrcnn.config import Config
from mrcnn.inference.predictor import Predictor
from mrcnn.model import MaskRCNN
from mrcnn.network import NetworkBuilder, named_layers
from mrcnn.ops.anchors import compute_backbone_shapes, pixel_anchors
from tiny_config import TinyConfig


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Makes ResNet-50 small, with two blocks per stage and few channels."""
    monkeypatch.setitem(resnet.BLOCKS, "50", (1, 1, 2, 2))
    monkeypatch.setattr(resnet, "WIDTHS", (4, 4, 4, 8))


class C4Config(TinyConfig):
    BACKBONE = "resnet50_c4"
    RPN_ANCHOR_SCALES = (16, 32)
    MASK_POOL_SIZE, MASK_SHAPE = 7, (14, 14)


def test_all_scales_are_at_every_cell_of_c4():
    config = Config().copy(BACKBONE="resnet50_c4", RPN_ANCHOR_SCALES=(8, 16), RPN_ANCHOR_RATIOS=[1, 4])
    assert compute_backbone_shapes(config, (64, 40, 3)).tolist() == [[4, 3]]
    anchors = pixel_anchors(config, (64, 40, 3))
    assert anchors.shape == (4 * 3 * 4, 4)
    # Anchors of the second cell: ratio 1 at both scales, then ratio 4, with half the height and twice the width.
    expected = [[-4, 12, 4, 20], [-8, 8, 8, 24], [-2, 8, 2, 24], [-4, 0, 4, 32]]
    np.testing.assert_array_equal(anchors[4:8], expected)


def test_stage_5_of_the_heads_equals_that_of_the_backbone_with_stride_1():
    """The stride of the backbone is on 1x1 convolutions, so its C5 is stage 5 on every second cell of C4."""
    image = keras.Input((64, 64, 3))
    trunk = keras.Model(image, build_backbone("resnet50", image, False)[3:])
    stage = resnet.build_res5("resnet50", False)
    trained = named_layers(trunk)
    for name, layer in named_layers(stage).items():
        layer.set_weights(trained[name].get_weights())
    c4, c5 = trunk(np.random.default_rng(0).normal(0, 60, (1, 64, 64, 3)).astype(np.float32))
    np.testing.assert_allclose(stage(c4[:, ::2, ::2]), c5, rtol=1e-4, atol=1e-4)
    assert stage(np.zeros((3, 7, 7, 16), np.float32)).shape == (3, 7, 7, 32)


def test_layers_and_outputs():
    config = C4Config()
    config.validate()
    builder = NetworkBuilder(config)
    training, inference = builder.training(), builder.inference()
    layers = named_layers(training)
    assert set(named_layers(inference)) <= set(layers)
    assert not [name for name in layers if name.startswith(("fpn", "mrcnn_class_conv", "mrcnn_mask_conv"))]
    assert {"res5a_branch2a", "bn5b_branch2c", "rpn_conv_shared", "mrcnn_mask_deconv"} <= set(layers)
    assert training.outputs[6].shape[2:] == inference.outputs[3].shape[2:] == (14, 14, 3)
    assert layers["mrcnn_class_logits"].kernel.shape == (32, 3)
    images = np.random.default_rng(0).uniform(-100, 100, (2, 64, 64, 3)).astype(np.float32)
    meta = np.zeros((2, config.IMAGE_META_SIZE), np.float32)
    meta[:, 1:4] = meta[:, 4:7] = [64, 64, 3]
    meta[:, 7:11] = [0, 0, 64, 64]
    anchors = np.asarray(Predictor(inference, config).anchors((64, 64)))
    outputs = inference([images, meta, anchors])
    assert outputs[5].shape == (2, 4 * 4 * 2 * 3, 2) and anchors.shape == (1, 4 * 4 * 2 * 3, 4)
    assert all(np.isfinite(output).all() for output in outputs)


def test_both_heads_train_stage_5():
    builder = NetworkBuilder(C4Config())
    features = tf.random.stateless_normal((1, 4, 4, 16), (0, 0))
    meta = np.zeros((1, 15), np.float32)
    meta[:, 4:7] = [64, 64, 3]
    rois = np.float32([[[0.1, 0.1, 0.8, 0.9]]])
    kernel = named_layers(builder.inference())["res5a_branch2a"].kernel.value
    for head in (builder.box_head, builder.mask_head):
        with tf.GradientTape() as tape:
            outputs = head(rois, [features], meta)
            loss = tf.reduce_sum(tf.square(outputs[0]))
        assert np.any(tape.gradient(loss, kernel))


def test_the_trunk_loads_weights_of_a_network_with_a_pyramid(tmp_path):
    model = MaskRCNN("inference", C4Config(), tmp_path)
    trunk = NetworkBuilder(TinyConfig().copy(BACKBONE="resnet50", MASK_SHAPE=[28, 28])).inference()
    trunk.save_weights(tmp_path / "pyramid.h5")
    report = model.load_weights(tmp_path / "pyramid.h5", by_name=True, exclude="(rpn|mrcnn)_.*")
    assert {"conv1", "res4b_branch2c", "res5b_branch2c"} <= set(report.loaded)
    source, target = named_layers(trunk), model.named_layers()
    for name in ("res4b_branch2c", "res5b_branch2c"):
        np.testing.assert_array_equal(source[name].get_weights()[0], target[name].get_weights()[0])
    with pytest.raises(WeightsMismatchError, match="different shapes.*rpn_class_raw.*list these layers in `exclude`"):
        model.load_weights(tmp_path / "pyramid.h5", by_name=True)


@pytest.mark.parametrize("setting", [{"MASK_REFINEMENT_SIZE": 112}, {"NUM_KEYPOINTS": 2}])
def test_settings_that_require_the_pyramid_are_rejected(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} requires a feature pyramid.*'resnet50_c4'.* = 0"):
        C4Config().copy(**setting).validate()
