"""Timing, memory and operation counts for the benchmarks."""

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
BARE_SHAPE, BARE_CHANNELS = (1, 128, 128, 256), 256  # reference convolution: 3x3, 256 to 256 channels
BARE_OPERATIONS = 2 * 128 * 128 * 9 * BARE_CHANNELS * BARE_CHANNELS


def parse_arguments(**options) -> argparse.Namespace:
    """Parses the command line of a benchmark, given its options with their defaults."""
    parser = argparse.ArgumentParser()
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def set_precision(precision: str) -> None:
    """Sets the global dtype policy: "float32", or "bfloat16" for `mixed_bfloat16`."""
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision])


def measure_medians(functions: dict[str, Callable], repeats: int = REPEATS) -> dict[str, float]:
    """Measures the median time of each function in seconds.

    Calls of the functions are interleaved, so that fluctuations of the machine affect all of them.
    """
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


def make_bare_convolution(precision: str) -> Callable:
    """Returns a function that runs the reference convolution once in the given precision."""
    rng = np.random.default_rng(0)
    image = tf.constant(rng.normal(size=BARE_SHAPE), precision)
    kernel = tf.Variable(tf.constant(rng.normal(size=(3, 3, BARE_CHANNELS, BARE_CHANNELS)), precision))
    convolve = tf.function(lambda: tf.nn.conv2d(image, kernel, 1, "SAME"))
    return lambda: convolve().numpy()


def peak_memory() -> int:
    """Returns the peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def classify_all(network: keras.Model) -> None:
    """Changes random weights so that every RoI is classified as an object, which gives a full workload."""
    layer = named_layers(network)["mrcnn_class_logits"]
    layer.kernel.assign(0.01 * layer.kernel)
    layer.bias.assign(-10.0 * (np.arange(layer.bias.shape[0]) == 0))


def count_operations(function) -> float:
    """Counts the floating-point operations of the convolutions and matrix products in a traced function.

    Args:
        function: concrete function with static shapes.

    Returns:
        Number of multiplications and additions.
    """
    total = 0.0
    for op in function.graph.get_operations():
        if op.type in ("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative"):
            out, kernel = op.outputs[0].shape, op.inputs[1].shape
            inputs = kernel[2] if op.type != "DepthwiseConv2dNative" else 1
            total += 2.0 * np.prod(out) * kernel[0] * kernel[1] * inputs
        elif op.type in ("MatMul", "BatchMatMulV2"):
            total += 2.0 * np.prod(op.outputs[0].shape) * op.inputs[0].shape[-1]
    return total
