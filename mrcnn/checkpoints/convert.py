"""Converts published ImageNet weights to the layer names and conventions of this package.

Every backbone of this package expects RGB minus `Config.MEAN_PIXEL` (range 0..255) and uses batch normalization with
epsilon 1e-3. Published weights have other conventions:

| Source | Input | Epsilon | Names |
|---|---|---|---|
| ResNet-50, Keras 1 era (F. Chollet, deep-learning-models v0.2) | BGR minus mean | 1e-3 | Matterport's |
| ResNet-50/101, Keras Applications | BGR minus mean | 1.001e-5 | conv2_block1_1_conv |
| MobileNetV2, torchvision | (RGB/255 - mean)/std | 1e-5 | features.1.conv.0.0 |
| MobileNetV2, Keras Applications | RGB/127.5 - 1 | 1e-3 | block_1_expand |

The differences are folded into the weights:

* BGR input: the input channels of the first kernel are reversed.
* Epsilon e: gamma is multiplied by sqrt((variance + 1e-3) / (variance + e)). The variance is not changed, so training
  with batch statistics is unaffected.
* Input (x/255 - mean)/std instead of x - MEAN_PIXEL: the kernel is divided by 255*std per input channel. The
  contribution of the constant (MEAN_PIXEL/255 - mean)/std to each output is subtracted from the moving mean. This is
  exact except at the border, where padding has the color MEAN_PIXEL instead of the original mean. For torchvision, the
  two colors differ by less than 0.6 on the scale 0..255.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.checkpoints.hdf5 import CheckpointError
from mrcnn.checkpoints.layout import LayerWeights
from mrcnn.config import Config
from mrcnn.errors import UserError

EPSILON = 1e-3  # batch normalization epsilon of this package
NON_BACKBONE_LAYER = re.compile(r"(fpn|rpn|mrcnn)_.*")
MAX_NPZ_BYTES = 256 << 20
MOBILENET_BLOCKS = 17
# L2 norm of the published ResNet-50's first kernel for each input channel R, G, B. It identifies the channel order.
RESNET50_CONV1_NORMS = (6.07416, 7.62206, 4.60172)
_TORCH_NORM = (
    ("gamma", "weight"),
    ("beta", "bias"),
    ("moving_mean", "running_mean"),
    ("moving_variance", "running_var"),
)


def is_backbone_only(layers: Iterable[str]) -> bool:
    """Returns whether a file contains only backbone layers."""
    return not any(NON_BACKBONE_LAYER.fullmatch(name) for name in layers)


def convert_backbone(layers: dict[str, LayerWeights]) -> tuple[dict[str, LayerWeights], tuple[str, ...]]:
    """Converts the layers of an ImageNet weights file. Layers of other files are returned unchanged.

    Args:
        layers: `{layer: LayerWeights}` as read from the file. The format is detected from its contents.

    Returns:
        The converted layers, and a tuple of notes on the conversion.
    """
    if "conv1_conv" in layers:
        return _resnet_from_keras(layers), ("converted from Keras Applications' ResNet (BGR to RGB, epsilon folded)",)
    if "bn_Conv1" in layers:
        return _mobilenet_v2_from_keras(layers), (
            "converted from Keras Applications' MobileNetV2; its padding differs, so train the backbone as well",
        )
    if "conv1" in layers and is_backbone_only(layers) and "kernel" in layers["conv1"].weights:
        return _convert_resnet_to_rgb(layers)
    return layers, ()


def _convert_resnet_to_rgb(layers: dict[str, LayerWeights]) -> tuple[dict[str, LayerWeights], tuple[str, ...]]:
    weights = layers["conv1"].weights
    if tuple(weights["kernel"].shape) != (7, 7, 3, 64):
        return layers, ()
    kernel = np.asarray(weights["kernel"], dtype=np.float32)
    norms = np.sqrt(np.square(kernel, dtype=np.float64).sum(axis=(0, 1, 3)))
    if np.allclose(norms, RESNET50_CONV1_NORMS, rtol=1e-3):
        return layers, ()
    if not np.allclose(norms[::-1], RESNET50_CONV1_NORMS, rtol=1e-3):
        return layers, ("backbone of unknown origin; RGB input is assumed",)
    flipped = LayerWeights(layers["conv1"].group, {**weights, "kernel": kernel[:, :, ::-1]})
    return {**layers, "conv1": flipped}, ("input channels of conv1 reversed from BGR to RGB",)


def _resnet_from_keras(layers: dict[str, LayerWeights]) -> dict[str, LayerWeights]:
    converted = {}
    for name, layer in layers.items():
        new_name = _resnet_name(name)
        weights = {role: np.asarray(weight, dtype=np.float32) for role, weight in layer.weights.items()}
        if name == "conv1_conv" and "kernel" in weights:
            weights["kernel"] = weights["kernel"][:, :, ::-1]
        if "gamma" in weights:
            weights = _fold_epsilon(weights, 1.001e-5)
        converted[new_name] = LayerWeights(new_name, weights)
    return converted


def _resnet_name(name: str) -> str:
    """Converts a Keras Applications layer name (`conv2_block1_0_bn` to `bn2a_branch1`). Other names are unchanged."""
    if name in ("conv1_conv", "conv1_bn"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[name]
    match = re.fullmatch(r"conv([2-5])_block(\d+)_([0-3])_(conv|bn)", name)
    if not match:
        return name
    stage, block, branch, kind = match.groups()
    if int(block) > len(string.ascii_lowercase):
        return name
    letter = string.ascii_lowercase[int(block) - 1]
    return f"{'res' if kind == 'conv' else 'bn'}{stage}{letter}_branch{('1', '2a', '2b', '2c')[int(branch)]}"


def mobilenet_v2_from_torch(source: str | os.PathLike | Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Converts the features of torchvision's MobileNetV2.

    Args:
        source: path of an `.npz` file, or a mapping, with PyTorch's names ("features.0.0.weight") and OIHW kernels.

    Returns:
        `{layer: {weight: float32 array}}` with layers `mnv2_conv1`, `mnv2_<i>_expand`, `mnv2_<i>_depthwise`,
        `mnv2_<i>_project` (i = 1..17; block 1 has no expand), `mnv2_conv_last`, and `bn_<layer>` for each. Kernels are
        HWIO; depthwise kernels are (3, 3, C, 1).

    Raises:
        CheckpointError: if the file cannot be read or an array is missing.
    """
    arrays = source if isinstance(source, Mapping) else _read_npz(Path(source))
    where = "MobileNetV2" if isinstance(source, Mapping) else str(source)
    layers: dict[str, dict[str, np.ndarray]] = {}
    try:
        for name, convolution, norm in _torch_names():
            axes = (2, 3, 0, 1) if name.endswith("depthwise") else (2, 3, 1, 0)
            layers[name] = {"kernel": np.asarray(arrays[f"{convolution}.weight"], np.float32).transpose(axes)}
            weights = {role: np.asarray(arrays[f"{norm}.{name}"], np.float32) for role, name in _TORCH_NORM}
            layers[f"bn_{name}"] = _fold_epsilon(weights, 1e-5)
        _fold_input(layers["mnv2_conv1"], layers["bn_mnv2_conv1"], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: expected the arrays of torchvision's MobileNetV2 ({error!r}).") from None
    return layers


def _torch_names() -> list[tuple[str, str, str]]:
    """Returns (layer, PyTorch convolution, PyTorch batch norm) for each convolution."""
    names = [("mnv2_conv1", "features.0.0", "features.0.1")]
    for block in range(1, MOBILENET_BLOCKS + 1):
        prefix = f"features.{block}.conv"
        parts = ("expand", "depthwise") if block > 1 else ("depthwise",)
        names += [(f"mnv2_{block}_{part}", f"{prefix}.{i}.0", f"{prefix}.{i}.1") for i, part in enumerate(parts)]
        last = len(parts)
        names.append((f"mnv2_{block}_project", f"{prefix}.{last}", f"{prefix}.{last + 1}"))
    return [*names, ("mnv2_conv_last", "features.18.0", "features.18.1")]


def _mobilenet_v2_from_keras(layers: dict[str, LayerWeights]) -> dict[str, LayerWeights]:
    named: dict[str, dict[str, Any]] = {}
    for name, layer in layers.items():
        plain, norm = re.subn(r"^bn_(?=Conv1$)|_(BN|bn)$", "", name)
        plain = {"Conv1": "mnv2_conv1", "Conv_1": "mnv2_conv_last"}.get(plain, plain)
        plain = re.sub(r"^expanded_conv_", "mnv2_1_", plain)
        plain = re.sub(r"^block_(\d+)_", lambda match: f"mnv2_{int(match[1]) + 1}_", plain)
        weights = {role: np.asarray(weight, dtype=np.float32) for role, weight in layer.weights.items()}
        named[f"bn_{plain}" if norm else plain] = weights
    if "mnv2_conv1" in named:
        _fold_input(named["mnv2_conv1"], named["bn_mnv2_conv1"], (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return {name: LayerWeights(name, weights) for name, weights in named.items()}


def _fold_epsilon(weights: Mapping[str, np.ndarray], epsilon: float) -> dict[str, np.ndarray]:
    """Converts batch norm weights for `epsilon` to equivalent weights for EPSILON."""
    variance = np.asarray(weights["moving_variance"], np.float64)
    gamma = weights["gamma"] * np.sqrt((variance + EPSILON) / (variance + epsilon))
    return {**weights, "gamma": gamma.astype(np.float32)}


def _fold_input(convolution: dict[str, Any], norm: dict[str, Any], mean: tuple, std: tuple) -> None:
    """Adapts a first layer trained on inputs (x/255 - mean)/std to x - MEAN_PIXEL. Modifies both dicts in place."""
    kernel = np.asarray(convolution["kernel"], np.float64)  # [kh, kw, 3, out]
    shift = (Config.MEAN_PIXEL / 255 - mean) / std
    constant = np.einsum("hwio,i->o", kernel, shift)
    convolution["kernel"] = (kernel / (255 * np.array(std)[:, None])).astype(np.float32)
    norm["moving_mean"] = (norm["moving_mean"] - constant).astype(np.float32)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            unpacked = sum(member.file_size for member in archive.zip.infolist())
            if unpacked > MAX_NPZ_BYTES:
                raise UserError(f"uncompressed size of {unpacked:,} bytes exceeds {MAX_NPZ_BYTES:,}")
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise almost any exception
        raise CheckpointError(f"{path}: not a readable .npz file ({error}). Download or copy it again.") from None
