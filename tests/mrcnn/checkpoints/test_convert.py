"""Converted ImageNet weights compute the same features as the original models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.backbones.mobilenet import build_mobilenet_v2
from mrcnn.checkpoints import CheckpointError, load_weights, mobilenet_v2_from_torch
from mrcnn.checkpoints.convert import RESNET50_CONV1_NORMS, convert_backbone
from mrcnn.checkpoints.layout import LayerWeights, matterport_order
from mrcnn.config import Config
from mrcnn.model import MaskRCNN
from mrcnn.network import named_layers
from tiny_config import TinyConfig

ROLES = ("gamma", "beta", "moving_mean", "moving_variance")
# (expansion, channels, blocks, stride): Sandler et al. 2018, table 2
BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def norm(x, weights, epsilon):
    gamma, beta, mean, variance = (np.asarray(weights[role], np.float64) for role in ROLES)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def random_norm(random, channels):
    return {
        "gamma": random.uniform(0.5, 1.5, channels).astype(np.float32),
        "beta": random.uniform(0, 1, channels).astype(np.float32),
        "moving_mean": random.normal(0, 0.1, channels).astype(np.float32),
        # Many published variances are close to zero, below the difference of the two epsilons.
        "moving_variance": (random.uniform(0, 1, channels) ** 8).astype(np.float32),
    }


# ---------------------------------------------------------------- MobileNetV2 of torchvision


@pytest.fixture(scope="module")
def torch_arrays():
    """Returns random arrays with the names and shapes of torchvision's MobileNetV2 features. Kernels are OIHW."""
    random = np.random.default_rng(0)
    arrays = {}

    def add(convolution, batch_norm, out, inputs, side):
        scale = np.sqrt(2 / (inputs * side * side))
        arrays[f"{convolution}.weight"] = random.normal(0, scale, (out, inputs, side, side)).astype(np.float32)
        weights = random_norm(random, out)
        for role, name in zip(ROLES, ("weight", "bias", "running_mean", "running_var"), strict=True):
            arrays[f"{batch_norm}.{name}"] = weights[role]

    add("features.0.0", "features.0.1", 32, 3, 3)
    inputs, block = 32, 0
    for expansion, channels, blocks, _ in BOTTLENECKS:
        for _ in range(blocks):
            block += 1
            at = f"features.{block}.conv"
            wide = inputs * expansion
            if expansion > 1:
                add(f"{at}.0.0", f"{at}.0.1", wide, inputs, 1)
            depthwise = 1 if expansion > 1 else 0
            add(f"{at}.{depthwise}.0", f"{at}.{depthwise}.1", wide, 1, 3)
            add(f"{at}.{depthwise + 1}", f"{at}.{depthwise + 2}", channels, wide, 1)
            inputs = channels
    add("features.18.0", "features.18.1", 1280, 320, 1)
    return arrays


def torch_forward(arrays, photo):
    """Runs MobileNetV2 of torchvision up to the end of block 17, independently of the code under test.

    As in this project, the image `[H, W, 3]` (RGB, 0..255) is padded with MEAN_PIXEL before it is normalised.
    """

    def convolve(x, convolution, batch_norm, stride=1, activate=True):
        kernel = arrays[f"{convolution}.weight"].astype(np.float64)
        padding = "VALID"
        if kernel.shape[2] == 3:
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]) if convolution != "features.0.0" else x
        if kernel.shape[1] == 1 and kernel.shape[2] == 3:
            x = tf.nn.depthwise_conv2d(x, kernel.transpose(2, 3, 0, 1), [1, stride, stride, 1], padding)
        else:
            x = tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), stride, padding)
        parts = (arrays[f"{batch_norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var"))
        x = norm(x, dict(zip(ROLES, parts, strict=True)), 1e-5)
        return tf.nn.relu6(x) if activate else x

    padded = np.pad(photo - Config.MEAN_PIXEL, [(1, 1), (1, 1), (0, 0)]) + Config.MEAN_PIXEL
    x = (padded[None] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = convolve(x, "features.0.0", "features.0.1", 2)
    block = 0
    for expansion, channels, blocks, first_stride in BOTTLENECKS:
        for index in range(blocks):
            block += 1
            at, shortcut, stride = f"features.{block}.conv", x, first_stride if index == 0 else 1
            if expansion > 1:
                x = convolve(x, f"{at}.0.0", f"{at}.0.1")
            i = 1 if expansion > 1 else 0
            x = convolve(x, f"{at}.{i}.0", f"{at}.{i}.1", stride)
            x = convolve(x, f"{at}.{i + 1}", f"{at}.{i + 2}", activate=False)
            if stride == 1 and shortcut.shape[-1] == channels:
                x = x + shortcut
    return x.numpy()


@pytest.fixture(scope="module")
def backbone():
    image = keras.Input((None, None, 3))
    return keras.Model(image, build_mobilenet_v2(image, train_bn=False)[-1])


def test_mobilenet_v2_features_equal_torchvision(torch_arrays, backbone, tmp_path):
    path = tmp_path / "mobilenet_v2_imagenet.npz"
    np.savez(path, **torch_arrays)
    report = load_weights(named_layers(backbone), path)
    assert report.missing == () and report.unexpected == ("mnv2_conv_last", "bn_mnv2_conv_last")
    photo = np.random.default_rng(1).integers(0, 256, (64, 96, 3)).astype(np.float64)
    ours = backbone((photo - Config.MEAN_PIXEL)[None].astype(np.float32), training=False).numpy()
    expected = torch_forward(torch_arrays, photo)
    assert expected.std() > 0.1  # not all values are clipped
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


def test_model_loads_torchvision_mobilenet_v2(torch_arrays, tmp_path):
    np.savez(tmp_path / "mobilenet_v2_imagenet.npz", **torch_arrays)
    model = MaskRCNN("inference", TinyConfig(), tmp_path)
    report = model.load_weights(tmp_path / "mobilenet_v2_imagenet.npz", by_name=True)
    assert "mnv2_1_project" in report.loaded and report.metadata == {}
    expected = mobilenet_v2_from_torch(torch_arrays)["mnv2_1_project"]["kernel"]
    np.testing.assert_array_equal(model.named_layers()["mnv2_1_project"].get_weights()[0], expected)


def test_variance_is_not_changed(torch_arrays):
    layers = mobilenet_v2_from_torch(torch_arrays)
    np.testing.assert_array_equal(
        layers["bn_mnv2_9_depthwise"]["moving_variance"], torch_arrays["features.9.conv.1.1.running_var"]
    )


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("features.3.conv.2.weight", None),
        ("features.3.conv.2.weight", np.zeros((2, 2), np.float32)),
        ("features.3.conv.0.1.weight", np.zeros(3, np.float32)),
    ],
)
def test_arrays_of_other_models_are_rejected(torch_arrays, name, array):
    arrays = {**torch_arrays, name: array}
    if array is None:
        del arrays[name]
    with pytest.raises(CheckpointError, match="expected the arrays of torchvision's MobileNetV2"):
        mobilenet_v2_from_torch(arrays)


def test_damaged_and_malicious_npz_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        mobilenet_v2_from_torch(tmp_path / "none.npz")
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(CheckpointError, match="not a readable .npz file"):
        mobilenet_v2_from_torch(path)
    np.savez(path, **{"features.0.0.weight": np.array([{"code": 1}], dtype=object)})
    with pytest.raises(CheckpointError, match="allow_pickle"):
        mobilenet_v2_from_torch(path)
    np.savez_compressed(path, a=np.zeros(300 << 20, np.uint8))
    with pytest.raises(CheckpointError, match="uncompressed size of 314,"):
        mobilenet_v2_from_torch(path)


# ---------------------------------------------------------------- Keras Applications


def test_keras_mobilenet_v2_matches_the_backbone_and_its_first_layer(backbone, tmp_path):
    theirs = keras.applications.MobileNetV2(input_shape=(64, 64, 3), include_top=False, weights=None)
    random = np.random.default_rng(0)
    first = theirs.get_layer("bn_Conv1")
    first.set_weights([random_norm(random, 32)[role] for role in ROLES])
    theirs.save(tmp_path / "keras.h5")
    report = load_weights(named_layers(backbone), tmp_path / "keras.h5")
    assert report.missing == () and len(report.loaded) == 102 and "train the backbone as well" in report.notes[0]

    layers = named_layers(backbone)
    photo = random.integers(0, 256, (1, 3, 3, 3)).astype(np.float64)
    expected = np.sum((photo / 127.5 - 1)[0, ..., None] * theirs.get_layer("Conv1").kernel, axis=(0, 1, 2))
    ours = np.sum((photo - Config.MEAN_PIXEL)[0, ..., None] * layers["mnv2_conv1"].kernel, axis=(0, 1, 2))
    own_norm = {role: getattr(layers["bn_mnv2_conv1"], role) for role in ROLES}
    their_norm = dict(zip(ROLES, first.get_weights(), strict=True))
    np.testing.assert_allclose(norm(ours, own_norm, 1e-3), norm(expected, their_norm, 1e-3), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(layers["mnv2_17_depthwise"].kernel, theirs.get_layer("block_16_depthwise").kernel)
    np.testing.assert_array_equal(layers["mnv2_1_project"].kernel, theirs.get_layer("expanded_conv_project").kernel)


def keras_resnet_names(blocks):
    names = ["conv1_conv", "conv1_bn"]
    for stage, count in enumerate(blocks, start=2):
        for block in range(1, count + 1):
            for branch in (0, 1, 2, 3) if block == 1 else (1, 2, 3):
                names += [f"conv{stage}_block{block}_{branch}_{kind}" for kind in ("conv", "bn")]
    return names


def test_keras_resnet_101_is_renamed_to_matterport():
    layers = {name: LayerWeights(name, {"kernel": np.ones((1, 1, 3, 2))}) for name in keras_resnet_names((3, 4, 23, 3))}
    converted, notes = convert_backbone(layers)
    backbone = [name for name in matterport_order() if not name.startswith(("fpn", "rpn", "mrcnn"))]
    assert sorted(converted) == sorted(backbone) and len(notes) == 1


def test_keras_resnet_152_names_do_not_collide():
    layers = {name: LayerWeights(name, {}) for name in keras_resnet_names((3, 8, 36, 3))}
    assert len(convert_backbone(layers)[0]) == len(layers)


def test_keras_resnet_values():
    random = np.random.default_rng(0)
    theirs = random_norm(random, 5)
    kernel = random.normal(size=(7, 7, 3, 5)).astype(np.float32)
    layers = {"conv1_conv": {"kernel": kernel}, "conv1_bn": theirs, "conv2_block1_0_conv": {"kernel": kernel}}
    ours, _ = convert_backbone({name: LayerWeights(name, weights) for name, weights in layers.items()})
    np.testing.assert_array_equal(ours["conv1"].weights["kernel"][:, :, 0], kernel[:, :, 2])  # R is first
    np.testing.assert_array_equal(ours["conv1"].weights["kernel"][:, :, 1], kernel[:, :, 1])
    np.testing.assert_array_equal(ours["res2a_branch1"].weights["kernel"], kernel)
    x = random.normal(size=(4, 5))
    np.testing.assert_allclose(norm(x, ours["bn_conv1"].weights, 1e-3), norm(x, theirs, 1.001e-5), rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- ResNet-50 of Keras 1: RGB or BGR


def resnet50_layers(norms, extra=()):
    """Returns a first layer whose kernel has the given norm per input channel."""
    kernel = np.random.default_rng(0).normal(size=(7, 7, 3, 64)).astype(np.float32)
    kernel *= (np.array(norms) / np.sqrt((kernel**2).sum(axis=(0, 1, 3))))[:, None].astype(np.float32)
    layers = {"conv1": LayerWeights("conv1", {"kernel": kernel, "bias": np.ones(64, np.float32)})}
    return layers | {name: LayerWeights(name, {}) for name in extra}, kernel


def test_published_bgr_file_is_converted_to_rgb():
    layers, kernel = resnet50_layers(RESNET50_CONV1_NORMS[::-1])
    converted, notes = convert_backbone(layers)
    np.testing.assert_array_equal(converted["conv1"].weights["kernel"], kernel[:, :, ::-1])
    assert "bias" in converted["conv1"].weights and "BGR to RGB" in notes[0]


@pytest.mark.parametrize(
    ("norms", "extra", "notes"),
    [
        (RESNET50_CONV1_NORMS, (), 0),  # already RGB
        ((5.0, 5.0, 5.0), (), 1),  # the order is unknown: unchanged, with a note
        (RESNET50_CONV1_NORMS[::-1], ("mrcnn_mask",), 0),  # a complete Mask R-CNN expects RGB
    ],
)
def test_other_files_are_not_changed(norms, extra, notes):
    layers, kernel = resnet50_layers(norms, extra)
    converted, found = convert_backbone(layers)
    np.testing.assert_array_equal(converted["conv1"].weights["kernel"], kernel)
    assert len(found) == notes
