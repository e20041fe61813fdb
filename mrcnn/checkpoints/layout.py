"""Layout of a checkpoint: weight names, layer names and layer order.

A checkpoint has one HDF5 group per top-level layer. A group may be nested: `rpn_model` contains the weights of three
convolutions. Files and models are both converted to a *flat* dict `{layer: LayerWeights}`, so either may be nested.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mrcnn.errors import UserError

NESTED = {"rpn_conv_shared": "rpn_model", "rpn_class_raw": "rpn_model", "rpn_bbox_pred": "rpn_model"}
# The layers of the two heads alternate because Keras 2 sorted layers by their depth in the training graph.
HEAD_ORDER = (
    *("mask_conv1", "mask_bn1", "mask_conv2", "mask_bn2", "class_conv1", "class_bn1", "mask_conv3", "mask_bn3"),
    *("class_conv2", "class_bn2", "mask_conv4", "mask_bn4", "bbox_fc", "mask_deconv", "class_logits", "mask"),
)
KNOWN_WEIGHTS = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "pointwise_kernel")
# Weight names in older files. `running_std` is a variance in Keras 1. `depthwise_kernel` is a name of Keras 2.
ALIASES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "depthwise_kernel": "kernel",
}
IGNORED_WEIGHTS = ("seed_generator_state",)  # random state that Keras 3 stores with the weights


class LayerWeights(NamedTuple):
    """The weights of a layer by short name, and the group (top-level layer) that contains them."""

    group: str
    weights: dict[str, Any]


def short_name(name: str, layer: str) -> str:
    """Returns the short name of a weight, "kernel" for `conv1/kernel:0`, `conv1_W_1:0` and `kernel`.

    Args:
        name: str, name of the weight in the file or in Keras.
        layer: str, name of the layer, which Keras 1 used as a prefix.

    Returns:
        One of KNOWN_WEIGHTS, or the name without path and `:0`.
    """
    plain = name.rsplit("/", 1)[-1].split(":")[0].removeprefix(f"{layer}_")
    for candidate in (plain, re.sub(r"_\d+$", "", plain)):  # TensorFlow appends `_1` to make names unique
        candidate = ALIASES.get(candidate, candidate)
        if candidate in KNOWN_WEIGHTS:
            return candidate
    return plain


def flatten_group(group: str, named: Iterable[tuple[str, Any]]) -> dict[str, LayerWeights]:
    """Splits a group into its layers.

    Args:
        group: str, name of the top-level layer.
        named: iterable of (path of the weight, weight).

    Returns:
        `{layer: LayerWeights}`. The group is a single layer unless a short name occurs twice. Nested layers are named
        by the parent folder of their weights. Weights without usable names are named by their index.
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
    """Returns the variables of Keras layers as a flat dict.

    Args:
        layers: dict of Keras layers by name, which may be nested models or TimeDistributed wrappers.

    Returns:
        `{layer: LayerWeights}` in the given order, without layers that have no weights.

    Raises:
        ValueError: if two nested layers have the same name.
    """
    flat: dict[str, LayerWeights] = {}
    for group, layer in layers.items():
        inner = flatten_group(group, [(variable.path, variable) for variable in layer.weights])
        for name, weights in inner.items():
            if not weights.weights:
                continue
            if name in flat:
                raise UserError(f"the model has two layers named {name!r}; layer names must be unique.")
            flat[name] = weights
    return flat


def matterport_order() -> list[str]:
    """Returns the names of all layers with weights in Matterport's ResNet-101 model, in the order of its COCO file."""
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
    """Sorts layer names into Matterport's order if all of them are known; otherwise keeps the given order."""
    names = list(names)
    rank = {name: i for i, name in enumerate(matterport_order())}
    return sorted(names, key=rank.__getitem__) if all(name in rank for name in names) else names
