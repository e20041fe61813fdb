"""The names in a checkpoint: what a weight is called, which layer owns it, and in which order layers are written.

A checkpoint has one HDF5 group per top-level layer. A group may be nested: `rpn_model` holds the weights of three
convolutions. Here both files and models are seen *flat*, as `{layer: LayerWeights}`, so that it does not matter which
of the two nests.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

NESTED = {"rpn_conv_shared": "rpn_model", "rpn_class_raw": "rpn_model", "rpn_bbox_pred": "rpn_model"}
# The two heads lie between each other because Keras 2 sorted layers by their depth in the training graph.
HEAD_ORDER = (
    *("mask_conv1", "mask_bn1", "mask_conv2", "mask_bn2", "class_conv1", "class_bn1", "mask_conv3", "mask_bn3"),
    *("class_conv2", "class_bn2", "mask_conv4", "mask_bn4", "bbox_fc", "mask_deconv", "class_logits", "mask"),
)
KNOWN_WEIGHTS = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "pointwise_kernel")
# Older spellings. Keras 1 kept the variance, not the deviation, under the name `running_std`; Keras 2 called the
# kernel of a depthwise convolution `depthwise_kernel`.
ALIASES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "depthwise_kernel": "kernel",
}
IGNORED_WEIGHTS = ("seed_generator_state",)  # random state that Keras 3 stores beside the weights


class LayerWeights(NamedTuple):
    """The weights of one layer by short name, and the group (top-level layer) that they are stored in."""

    group: str
    weights: dict[str, Any]


def short_name(name: str, layer: str) -> str:
    """The role of a weight: `conv1/kernel:0`, `conv1_W_1:0` and `kernel` are all "kernel".

    Args:
        name: as stored or as Keras has it.
        layer: the layer's name, which Keras 1 put in front of the weight's.

    Returns:
        One of KNOWN_WEIGHTS, or the name without its path and `:0` if it is none of them.
    """
    plain = name.rsplit("/", 1)[-1].split(":")[0].removeprefix(f"{layer}_")
    for candidate in (plain, re.sub(r"_\d+$", "", plain)):  # `kernel_1` when TensorFlow made the name unique
        candidate = ALIASES.get(candidate, candidate)
        if candidate in KNOWN_WEIGHTS:
            return candidate
    return plain


def flatten_group(group: str, named: Iterable[tuple[str, Any]]) -> dict[str, LayerWeights]:
    """Splits one group into its layers.

    Args:
        group: name of the top-level layer.
        named: (path of the weight, weight) in order.

    Returns:
        `{layer: LayerWeights}`: one layer of the group's own name, or, where a role occurs twice, the inner layers by
        the last folder of their weights' paths. Weights without usable names get their position as name.
    """
    named = [(name, weight) for name, weight in named if short_name(name, group) not in IGNORED_WEIGHTS]
    roles = Counter(short_name(name, group) for name, _ in named)
    if all(count == 1 for count in roles.values()):
        return {group: LayerWeights(group, {short_name(name, group): weight for name, weight in named})}
    layers: dict[str, LayerWeights] = {}
    for name, weight in named:
        inner = name.split("/")[-2] if "/" in name else group
        weights = layers.setdefault(inner, LayerWeights(group, {})).weights
        if short_name(name, inner) in weights:
            return {group: LayerWeights(group, {str(i): weight for i, (_, weight) in enumerate(named)})}
        weights[short_name(name, inner)] = weight
    return layers


def flatten_model(layers: Mapping[str, Any]) -> dict[str, LayerWeights]:
    """The variables of Keras layers, flat.

    Args:
        layers: Keras layers by name; a nested model and a TimeDistributed wrapper are layers too.

    Returns:
        `{layer: LayerWeights}` in the given order, without layers that have no weights.

    Raises:
        ValueError: two inner layers have the same name.
    """
    flat: dict[str, LayerWeights] = {}
    for group, layer in layers.items():
        inner = flatten_group(group, [(variable.path, variable) for variable in layer.weights])
        for name, weights in inner.items():
            if not weights.weights:
                continue
            if name in flat:
                raise ValueError(f"the model has two layers named {name!r}; give each layer its own name.")
            flat[name] = weights
    return flat


def matterport_order() -> list[str]:
    """Names of all layers with weights of Matterport's ResNet-101 network, in the order of its published file."""
    names = ["conv1", "bn_conv1"]
    for stage, blocks in ((2, 3), (3, 4), (4, 23), (5, 3)):
        for block in string.ascii_lowercase[:blocks]:
            for branch in ("2a", "2b"):
                names += [f"res{stage}{block}_branch{branch}", f"bn{stage}{block}_branch{branch}"]
            branches = ("2c", "1") if block == "a" else ("2c",)
            names += [f"{kind}{stage}{block}_branch{branch}" for kind in ("res", "bn") for branch in branches]
    names += ["fpn_c5p5", "fpn_c4p4", "fpn_c3p3", "fpn_c2p2", "fpn_p5", "fpn_p2", "fpn_p3", "fpn_p4"]
    return [*names, *NESTED, *(f"mrcnn_{name}" for name in HEAD_ORDER)]


def file_order(names: Iterable[str]) -> list[str]:
    """Layer names in the order to write them: Matterport's for its ResNets, else as given."""
    names = list(names)
    rank = {name: i for i, name in enumerate(matterport_order())}
    return sorted(names, key=rank.__getitem__) if all(name in rank for name in names) else names
