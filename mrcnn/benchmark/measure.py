"""Timing, memory and arithmetic shared by the benchmark's cases."""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mrcnn.network import named_layers

REPEATS = 5
BARE_SHAPE, BARE_CHANNELS = (1, 128, 128, 256), 256  # the convolution that the machine is judged by: 3x3, 256 -> 256
BARE_OPERATIONS = 2 * 128 * 128 * 9 * BARE_CHANNELS * BARE_CHANNELS


def arguments(**options) -> argparse.Namespace:
    """The case's options from the command line; `options` are names with defaults."""
    parser = argparse.ArgumentParser()
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def set_precision(precision: str) -> None:
    """float32, or bfloat16 under Keras's mixed policy."""
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision])


def medians(functions: dict[str, Callable], repeats: int = REPEATS) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that a busy moment of the machine meets all of them."""
    for function in functions.values():
        function()
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def bare_convolution(precision: str) -> Callable:
    """A function that runs the bare convolution in this precision once."""
    rng = np.random.default_rng(0)
    image = tf.constant(rng.normal(size=BARE_SHAPE), precision)
    kernel = tf.Variable(tf.constant(rng.normal(size=(3, 3, BARE_CHANNELS, BARE_CHANNELS)), precision))
    convolve = tf.function(lambda: tf.nn.conv2d(image, kernel, 1, "SAME"))
    return lambda: convolve().numpy()


def peak_memory() -> int:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def classify_all(network: keras.Model) -> None:
    """Makes random weights assign every RoI to some object class, without certainty, so that all stages have work."""
    layer = named_layers(network)["mrcnn_class_logits"]
    layer.kernel.assign(0.01 * layer.kernel)
    layer.bias.assign(-10.0 * (np.arange(layer.bias.shape[0]) == 0))


def operations(function) -> float:
    """Floating-point operations (multiplications and additions) of the convolutions and matrix products in a traced
    function whose shapes are static."""
    total = 0.0
    for op in function.graph.get_operations():
        if op.type in ("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative"):
            out, kernel = op.outputs[0].shape, op.inputs[1].shape
            inputs = kernel[2] if op.type != "DepthwiseConv2dNative" else 1
            total += 2.0 * np.prod(out) * kernel[0] * kernel[1] * inputs
        elif op.type in ("MatMul", "BatchMatMulV2"):
            total += 2.0 * np.prod(op.outputs[0].shape) * op.inputs[0].shape[-1]
    return total
