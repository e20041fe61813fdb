"""Devices: selection, GPU memory growth, mixed precision, and the computation of kernel gradients."""

from __future__ import annotations

import os
import platform
import re

import keras
import tensorflow as tf

from mrcnn.choices import PRECISIONS
from mrcnn.errors import UserError
from mrcnn.network import conv_norms
from mrcnn.training.cpu_speed import bfloat16_gain, matmul_gradient_gain

BFLOAT16_CPU_GAIN = 1.15  # minimum measured speed-up of bfloat16 over float32
MATMUL_GRADIENT_GAIN = 1.2  # minimum measured speed-up of computing kernel gradients as matrix products
BFLOAT16_GPU = (8, 0)  # minimum compute capability; Ampere and later GPUs have bfloat16 tensor cores


def prepare_devices(device: str | None = None) -> str:
    """Selects the device and enables memory growth on GPUs. Call it before the first tensor is created.

    Args:
        device: "cpu", "gpu" (all GPUs) or "gpu:1" (only the second GPU). None: all GPUs if there are any, else the CPU.

    Returns:
        Name of the device, for example "2 GPUs (NVIDIA A100)" or "CPU (x86_64, 8 threads)".

    Raises:
        ValueError: if the machine does not have this device.
    """
    if device is not None:
        tf.config.set_visible_devices(_select_gpus(device), "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # the GPU is already in use, for example in a notebook
            break
    if not gpus:
        return f"CPU ({platform.machine()}, {os.cpu_count()} threads)"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown")
    return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''} ({name})"


def _select_gpus(device: str) -> list:
    if device == "cpu":
        return []
    match = re.fullmatch(r"gpu(?::(\d+))?", device)
    if match is None:
        raise UserError(f"--device: expected cpu, gpu or the number of a GPU such as gpu:0, got {device!r}.")
    gpus = tf.config.list_physical_devices("GPU")
    if int(match[1] or 0) >= len(gpus):
        found = f"only {', '.join(f'gpu:{number}' for number in range(len(gpus)))}" if gpus else "no GPU"
        raise UserError(f"--device: {device} requested, but TensorFlow finds {found}. Check the driver: nvidia-smi.")
    return gpus if match[1] is None else [gpus[int(match[1])]]


def choose_precision() -> tuple[bool, str]:
    """Returns whether bfloat16 is clearly faster on the first GPU (on the CPU if there is no GPU), and the reason."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return tuple(capability) >= BFLOAT16_GPU, f"compute capability {'.'.join(map(str, capability))}"
    gain = bfloat16_gain()
    return gain >= BFLOAT16_CPU_GAIN, f"bfloat16 measured {gain:.2f}x"


def set_precision(mixed: str = "auto") -> str:
    """Sets Keras's dtype policy. Call it before the network is built.

    Args:
        mixed: "on": mixed_bfloat16, which computes convolutions in bfloat16 and keeps weights, boxes and losses in
            float32. "off": float32. "auto": the result of `choose_precision`.

    Returns:
        The name of the policy, with the reason if the choice was automatic: "float32 (bfloat16 measured 0.77x)".

    Raises:
        ValueError: if `mixed` has another value.
    """
    if mixed not in PRECISIONS:
        raise UserError(f"mixed precision: expected one of {', '.join(PRECISIONS)}, got {mixed!r}.")
    is_on, reason = choose_precision() if mixed == "auto" else (mixed == "on", "")
    keras.config.set_dtype_policy("mixed_bfloat16" if is_on else "float32")
    name = keras.config.dtype_policy().name
    return f"{name} ({reason})" if reason else name


def choose_kernel_gradient(network: keras.Model) -> bool:
    """Selects the faster computation of kernel gradients on a CPU. Call it before the training step is traced.

    Returns:
        Whether the gradients of 3x3 convolutions in float32 are computed as matrix products.
    """
    layers = [layer for layer in conv_norms(network) if layer.precision == "float32"]
    is_faster = (
        bool(layers) and not tf.config.get_visible_devices("GPU") and matmul_gradient_gain() >= MATMUL_GRADIENT_GAIN
    )
    for layer in layers:
        layer.matmul_gradient = is_faster
    return is_faster
