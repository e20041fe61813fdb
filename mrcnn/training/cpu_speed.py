"""Measures which kernels are faster on this CPU, once per machine, and caches the result.

The faster kernel cannot be derived from the instruction sets of a CPU. Some CPUs with `avx512_bf16` are slower in
bfloat16 than in float32, and oneDNN's gradient of a convolution kernel is fast only on some CPUs.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from mrcnn.atomic import replacing
from mrcnn.checkpoints.locate import WeightsNotFoundError, cache_folder
from mrcnn.ops.convolution import convolve_with_matmul_gradient

CACHE_FILE = "kernel_speed.json"
SHAPE = (1, 28, 28, 128)  # input of a 3x3 convolution; small, because bfloat16 gradients can be 20 times as slow
GRADIENT_SHAPE = (1, 96, 96, 128)  # level P2 of a 384-pixel image; the gain increases with the size
REPEATS = 3  # each measurement takes less than 1 s on two cores with AVX2


def bfloat16_gain() -> float:
    """Returns the speed of a convolution and its gradients in bfloat16 relative to float32 on this CPU.

    The first call on a machine measures the speed. If the cache cannot be written, every process measures it again.
    """
    return _cached_gain(
        "bfloat16", lambda: measure_gain(*(_make_step(SHAPE, precision=each) for each in ("float32", "bfloat16")))
    )


def matmul_gradient_gain() -> float:
    """Returns the speed-up on this CPU from computing kernel gradients as matrix products instead of with TensorFlow.

    The measurement is cached in the same way as in `bfloat16_gain`.
    """
    functions = (_convolve, convolve_with_matmul_gradient)
    return _cached_gain(
        "matmul_gradient",
        lambda: measure_gain(*(_make_step(GRADIENT_SHAPE, each, kernel_only=True) for each in functions)),
    )


def _cached_gain(name: str, measure: Callable[[], float]) -> float:
    try:
        path, key = cache_folder() / CACHE_FILE, f"{name}: {machine_key()}"
    except WeightsNotFoundError:  # the user has no home folder
        return measure()
    gains = _read_cache(path)
    if key not in gains:
        gains[key] = measure()
        _write_cache(path, gains)
    return gains[key]


def machine_key() -> str:
    """Returns the key of a measurement: the CPU, TensorFlow's version, the number of threads and the use of oneDNN."""
    threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default")
    return f"{cpu_model()}, TensorFlow {tf.__version__}, {threads} threads, oneDNN {onednn}"


def cpu_model(path: str = "/proc/cpuinfo") -> str:
    """Returns the name of the CPU. On Linux, adds its revision and a checksum of the flags visible to this system."""
    try:
        first = Path(path).read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return platform.processor() or platform.machine()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    revision = "/".join(fields.get(name, "?") for name in ("cpu family", "model", "stepping"))
    flags = zlib.crc32(fields.get("flags", fields.get("Features", "")).encode())
    return f"{fields.get('model name', platform.machine())} {revision} {flags:08x}"


def measure_gain(reference: Callable, alternative: Callable) -> float:
    """Calls two functions alternately and returns the speed-up of `alternative`, based on the best times."""
    best = {reference: math.inf, alternative: math.inf}
    for turn in range(REPEATS + 1):
        for function in best:
            start = time.perf_counter()
            function()
            if turn > 0:  # the first call traces the function
                best[function] = min(best[function], time.perf_counter() - start)
    return best[reference] / best[alternative]


def _convolve(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(inputs, kernel, 1, "SAME")


def _make_step(
    shape: tuple[int, ...], convolve: Callable = _convolve, precision: str = "float32", kernel_only: bool = False
) -> Callable:
    """Returns a function that computes a 3x3 convolution `[B, H, W, C] -> [B, H, W, C]` and its gradients.

    With `kernel_only`, it computes only the gradient of the kernel.
    """
    inputs, kernel = tf.ones(shape, precision), tf.ones((3, 3, shape[-1], shape[-1]), precision)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            outputs = convolve(inputs, kernel)
        gradients = tape.gradient(outputs, [kernel] if kernel_only else [inputs, kernel])
        return [tf.reduce_sum(each) for each in (gradients if kernel_only else [outputs, *gradients])]

    return lambda: [each.numpy() for each in step()]


def _read_cache(path: Path) -> dict[str, float]:
    """Returns the cached gains by key, without invalid entries. The dict is empty if the file cannot be read."""
    try:
        gains = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(gains, dict):
        return {}
    return {key: gain for key, gain in gains.items() if isinstance(gain, float) and 0 < gain < math.inf}


def _write_cache(path: Path, gains: dict[str, float]) -> None:
    """Replaces the cache file. Does nothing if the folder is not writable."""
    with contextlib.suppress(OSError), replacing(path) as temporary:
        temporary.write_text(json.dumps(gains, indent=2), encoding="utf-8")
