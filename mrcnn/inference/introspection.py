"""Intermediate outputs of a network, for `MaskRCNN.run_graph` and `MaskRCNN.ancestor`."""

import re
from collections import OrderedDict

import keras
import numpy as np
import tensorflow as tf

from mrcnn.errors import UserError
from mrcnn.layers.proposals import STEPS, ProposalSteps

# Matches names of the intermediate outputs of the proposal layer, including tensor names of Matterport's graph.
STEP_NAME = re.compile(r"(?:.*/)?(" + "|".join(STEPS) + r")(?:/NonMaxSuppressionV\d)?(?::0)?")


def find_tensor(model: keras.Model, name: str):
    """Returns the Keras tensor called `name` in an inference graph, or None.

    Args:
        model: the inference graph.
        name: name of a layer or of an intermediate output of the proposal layer (`proposals.STEPS`), also as a tensor
            name of Matterport's graph, for example "ROI/refined_anchors:0".
    """
    if step := STEP_NAME.fullmatch(name):
        proposals = model.get_layer("ROI")
        return ProposalSteps(proposals, step.group(1))(proposals.input)
    try:
        return model.get_layer(name.split(":")[0].split("/")[0]).output
    except (ValueError, AttributeError):  # unknown layer, or a sublayer of a ConvNorm, which has no output
        return None


def run_graph(model: keras.Model, inputs: list, outputs) -> OrderedDict:
    """Computes intermediate outputs of a model.

    Args:
        model: the inference graph.
        inputs: one array per input of the model.
        outputs: list of (name, Keras tensor or layer name). The layer name may be a string tensor; see
            `network.InputImage`.

    Returns:
        NumPy arrays by name, in the order of `outputs`.

    Raises:
        ValueError: if an output is None or a layer does not exist.
    """
    outputs = OrderedDict(outputs)
    for name, tensor in outputs.items():
        if tensor is None:
            raise UserError(f"run_graph: output {name!r} is None. ancestor() returns None for unknown tensor names.")
        if isinstance(tensor, tf.Tensor):
            tensor = tensor.numpy().decode()
        if isinstance(tensor, str):
            outputs[name] = model.get_layer(tensor).output
    inputs = [tf.convert_to_tensor(array) for array in inputs]
    # The outputs are a dict, because Keras unpacks a list with one output.
    arrays = keras.Model(model.inputs, dict(outputs))(inputs, training=False)
    return OrderedDict((name, np.asarray(arrays[name])) for name in outputs)
