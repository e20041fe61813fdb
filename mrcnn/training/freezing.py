"""Matterport's layer sets as regular expressions, and freezing of layers by name."""

import re

import keras

from mrcnn.errors import UserError
from mrcnn.network import flatten_layers

HEADS = r"(mrcnn\_.*)|(rpn\_.*)|(fpn\_.*)"


def _stages_regex(stages: str, blocks: str) -> str:
    """Returns a regular expression for the given ResNet stages, MobileNetV2 block numbers and the heads."""
    resnet = rf"(res[{stages}].*)|(bn[{stages}].*)"
    mobilenet = rf"((bn_)?mnv2_({blocks})_.*)"
    return f"{resnet}|{mobilenet}|{HEADS}"


# Blocks 4, 7 and 14 of MobileNetV2 start at stride 8, 16 and 32, like stages 3, 4 and 5 of a ResNet.
LAYER_SETS = {
    "heads": HEADS,
    "3+": _stages_regex("3-5", r"[4-9]|1\d"),
    "4+": _stages_regex("45", r"[7-9]|1\d"),
    "5+": _stages_regex("5", r"1[4-7]"),
    "all": ".*",
}


def layer_regex(layers: str) -> str:
    """Returns the regular expression of a layer set.

    Args:
        layers: "heads", "3+", "4+", "5+", "all", or a regular expression, which is returned unchanged.

    Raises:
        ValueError: if the expression is invalid.
    """
    try:
        re.compile(LAYER_SETS.get(layers, layers))
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        known = ", ".join(LAYER_SETS)
        raise UserError(f"layers: expected {known} or a regular expression, got {layers!r} ({error}).") from None
    return LAYER_SETS.get(layers, layers)


def layers_to_train(network: keras.Model, regex: str) -> list[str]:
    """Returns the names of the layers with weights whose full name matches an expression, in graph order.

    Raises:
        ValueError: if no layer matches.
    """
    layers = [layer.name for layer in flatten_layers(network) if layer.weights and re.fullmatch(regex, layer.name)]
    if not layers:
        raise UserError(f"layers: no layer name matches {regex!r}. Use heads, 3+, 4+, 5+ or all.")
    return layers


def set_trainable(network: keras.Model, regex: str) -> list[str]:
    """Makes the layers whose full name matches an expression trainable and freezes all other layers.

    Frozen batch normalization does not update its moving statistics. Compile the model afterwards, because Keras
    collects the trainable weights at compilation.

    Args:
        network: the training graph.
        regex: regular expression; see `layer_regex`.

    Returns:
        Names of the trainable layers, in graph order.

    Raises:
        ValueError: if no layer matches.
    """
    trained = layers_to_train(network, regex)
    for layer in flatten_layers(network):
        if layer.weights:
            layer.trainable = layer.name in trained
    return trained
