"""Runs part of a network and returns the tensors in between: what `MaskRCNN.run_graph` and `.ancestor` do."""

import re
from collections import OrderedDict

import keras
import numpy as np
import tensorflow as tf

from mrcnn.layers.proposals import STEPS, ProposalSteps

# Spellings under which scripts for the original look for the steps inside the proposal layer.
STEP_NAME = re.compile(r"(?:.*/)?(" + "|".join(STEPS) + r")(?:/NonMaxSuppressionV\d)?(?::0)?")


def find_tensor(model: keras.Model, name: str):
    """The Keras tensor called `name` in an inference graph, or None.

    Args:
        model: the inference graph.
        name: a layer, or a step inside the proposal layer (`proposals.STEPS`), also as the original's graph spells it,
            for example "ROI/refined_anchors:0".
    """
    if step := STEP_NAME.fullmatch(name):
        proposals = model.get_layer("ROI")
        return ProposalSteps(proposals, step.group(1))(proposals.input)
    try:
        return model.get_layer(name.split(":")[0].split("/")[0]).output
    except (ValueError, AttributeError):  # no such layer; or one inside a fused convolution, which has no output
        return None


def run_graph(model: keras.Model, inputs: list, outputs) -> OrderedDict:
    """Computes some tensors of a model.

    Args:
        model: the inference graph.
        inputs: one array per input of the model.
        outputs: list of (name, Keras tensor or layer name); a name may also be a tensor of text, see
            `network.InputImage`.

    Returns:
        NumPy arrays by name, in the order asked for.

    Raises:
        ValueError: an output is None, or no layer has its name.
    """
    outputs = OrderedDict(outputs)
    for name, tensor in outputs.items():
        if tensor is None:
            raise ValueError(f"run_graph: the output {name!r} is None; ancestor() found no tensor of that name.")
        if isinstance(tensor, tf.Tensor):
            tensor = tensor.numpy().decode()
        if isinstance(tensor, str):
            outputs[name] = model.get_layer(tensor).output
    inputs = [tf.convert_to_tensor(array) for array in inputs]
    # A dictionary, because Keras takes a list of one output for that output.
    arrays = keras.Model(model.inputs, dict(outputs))(inputs, training=False)
    return OrderedDict((name, np.asarray(arrays[name])) for name in outputs)
