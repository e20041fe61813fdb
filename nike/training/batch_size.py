"""`nike train --batch auto`: chooses the largest batch whose training steps use at most a fraction of the memory."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from mrcnn.errors import UserError
from nike.formatting import plural

# Fraction of the available memory. The rest is reserved for unusual image shapes, validation and other programs.
FRACTION = 0.6
MAX_BATCH = 16
TRIAL_STEPS = 3  # training steps for each batch size
GIGABYTE = 1e9
PROCESS, CGROUP = Path("/proc/self"), Path("/sys/fs/cgroup/memory.max")


def parse_batch(text: str) -> int | str:
    """Parses a number or auto, for argparse."""
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or auto, got {text!r}") from None


def choose_batch(peak: Callable[[int], float], memory: float, max_batch: int) -> tuple[int, str]:
    """Doubles the batch size as long as the peak memory stays within FRACTION of the memory.

    A batch size above the default of 2 is measured only if the memory extrapolated from the two previous measurements
    is within the limit.

    Args:
        peak: function that measures the peak memory of training steps with a batch size, in bytes.
        memory: available memory in bytes.
        max_batch: maximum batch size, such as the number of training images.

    Returns:
        The batch size, and a message with the reason.
    """
    limit, batch, peaks = FRACTION * memory, 1, {1: peak(1)}
    reason = "the maximum" if max_batch >= MAX_BATCH else f"of {plural(max_batch, 'training image')}"
    while 2 * batch <= min(max_batch, MAX_BATCH):
        if peaks[batch] > limit:
            reason = "above the limit"
            break
        double, about = 2 * batch, "about "
        if batch > 1:
            needed = peaks[batch] + 2 * (peaks[batch] - peaks[batch // 2])  # assumes linear growth
        if batch == 1 or needed <= limit:
            needed, about = peak(double), ""
        if needed > limit:
            reason = f"{double} would need {about}{needed / GIGABYTE:.1f} GB"
            break
        batch, peaks[double] = double, needed
    need = f"{'image needs' if batch == 1 else 'images need'} {peaks[batch] / GIGABYTE:.1f} GB"
    return batch, f"{batch} {need} ({reason}); the limit is {limit / GIGABYTE:.1f} GB, {FRACTION:.0%} of the memory"


class ProcessMemory:
    """Memory of this process (Linux).

    Attributes:
        available: maximum memory of the process in bytes, including the memory that it uses now.
    """

    def __init__(self) -> None:
        if not (PROCESS / "clear_refs").exists():
            raise UserError("--batch auto: memory can only be measured on Linux and on GPUs. Pass a number.")
        self.available = _read_proc_field(PROCESS.parent / "meminfo", "MemAvailable") + _read_proc_field(
            PROCESS / "status", "VmRSS"
        )
        if CGROUP.is_file() and (limit := CGROUP.read_text().strip()).isdigit():  # limit of a container
            self.available = min(self.available, float(limit))

    def reset_peak(self) -> None:
        """Resets the peak."""
        (PROCESS / "clear_refs").write_text("5")

    def peak(self) -> float:
        """Returns the peak since `reset_peak` in bytes."""
        return _read_proc_field(PROCESS / "status", "VmHWM")


def _read_proc_field(file: Path, name: str) -> float:
    """Returns a field of a file in /proc in bytes."""
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
    return float(lines[name].split()[0]) * 1024


class GpuMemory:
    """Memory of the first GPU that TensorFlow uses. See `ProcessMemory` for the attributes."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._api = tf.config.experimental
        chosen = [gpu.name.rpartition(":")[2] for gpu in tf.config.get_visible_devices("GPU")]  # TensorFlow's indices
        if seen := os.environ.get("CUDA_VISIBLE_DEVICES"):  # indices or UUIDs for nvidia-smi
            chosen = [seen.split(",")[int(number)].strip() for number in chosen]
        command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits", f"--id={','.join(chosen)}"]
        try:
            free = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            self.available = min(map(int, free)) * 2.0**20 + self._api.get_memory_info("GPU:0")["current"]
        except (OSError, subprocess.CalledProcessError, ValueError):
            raise UserError("--batch auto: nvidia-smi does not report free memory. Pass a number.") from None

    def reset_peak(self) -> None:
        """Resets the peak."""
        self._api.reset_memory_stats("GPU:0")

    def peak(self) -> float:
        """Returns the peak since `reset_peak` in bytes."""
        return float(self._api.get_memory_info("GPU:0")["peak"])


def device_memory() -> ProcessMemory | GpuMemory:
    """Returns the memory of the training device.

    Raises:
        UserError: if the memory cannot be measured on this system.
    """
    import tensorflow as tf

    return GpuMemory() if tf.config.get_visible_devices("GPU") else ProcessMemory()
