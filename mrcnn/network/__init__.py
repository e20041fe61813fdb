"""Assembles the layers into the training graph and the inference graph, which share their weights.

This package passes the settings of a `Config` to the layers.
"""

from mrcnn.network.builder import NetworkBuilder
from mrcnn.network.keras_model import InputImage, Network, conv_norms, flatten_layers, named_layers
from mrcnn.network.loss_layers import LOSSES, LossLayer, loss_names

__all__ = [
    "LOSSES",
    "InputImage",
    "LossLayer",
    "Network",
    "NetworkBuilder",
    "conv_norms",
    "flatten_layers",
    "loss_names",
    "named_layers",
]
