"""Freezing of layers by name."""

import re

import keras

from mrcnn.errors import UserError
from mrcnn.network import flatten_layers


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
        regex: regular expression; see `mrcnn.layer_sets.layer_regex`.

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
