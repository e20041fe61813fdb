"""The device: memory of GPUs grows on demand, and mixed precision where the hardware gains from it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import keras
import tensorflow as tf

BFLOAT16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
BFLOAT16_GPU = (8, 0)  # compute capability: Ampere and later multiply bfloat16 in their tensor cores
PRECISIONS = ("auto", "on", "off")


def prepare_devices() -> str:
    """Lets the memory of all GPUs grow on demand; call it before the first tensor is made.

    Returns:
        The device in words, for example "2 GPUs (NVIDIA A100)" or "CPU (x86_64, 8 threads)".
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # in use already, for example in a notebook
            break
    if not gpus:
        return f"CPU ({platform.machine()}, {os.cpu_count()} threads)"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown")
    return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''} ({name})"


def gains_from_bfloat16() -> bool:
    """Whether the first GPU, or without one the CPU, computes faster in bfloat16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return tuple(capability) >= BFLOAT16_GPU
    return bool(cpu_flags() & BFLOAT16_CPU_FLAGS)


def cpu_flags(path: str = "/proc/cpuinfo") -> set[str]:
    """The instruction sets that Linux lists for the CPU; none where there is no such list."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def set_precision(mixed: str = "auto") -> str:
    """Sets Keras's dtype policy; call it before the network is built.

    Args:
        mixed: "on": mixed_bfloat16, convolutions in bfloat16 and weights, boxes and losses in float32; "off": float32;
            "auto": on where `gains_from_bfloat16`.

    Returns:
        The name of the policy.

    Raises:
        ValueError: `mixed` is none of these.
    """
    if mixed not in PRECISIONS:
        raise ValueError(f"mixed precision: expected one of {', '.join(PRECISIONS)}, got {mixed!r}.")
    is_on = mixed == "on" or (mixed == "auto" and gains_from_bfloat16())
    keras.config.set_dtype_policy("mixed_bfloat16" if is_on else "float32")
    return keras.config.dtype_policy().name
