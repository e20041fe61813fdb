"""`--batch auto`: choices derived by hand, and measured memory compared with an allocation of known size."""

import argparse
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from nike.training import batch_size
from nike.training.batch_size import GpuMemory, ProcessMemory, choose_batch, parse_batch

GB = 10**9


def chosen(memory, max_batch=100, fixed=1.0, per_image=0.5):
    """Returns the chosen and the measured batches of a network with the given fixed memory and memory per image."""
    measured = []

    def peak(batch):
        measured.append(batch)
        return (fixed + per_image * batch) * GB

    batch, reason = choose_batch(peak, memory * GB, max_batch)
    return batch, reason, measured


def test_the_next_batch_would_exceed_the_limit():
    """The limit is 60% of 10 GB, or 6 GB. 8 images need 1 + 4 = 5 GB. 16 images would need 9 GB and are not tried."""
    batch, reason, measured = chosen(10)
    assert (batch, measured) == (8, [1, 2, 4, 8])
    assert reason == "8 images need 5.0 GB (16 would need about 9.0 GB); the limit is 6.0 GB, 60% of the memory"
    assert chosen(5.001)[0] == 4 and chosen(4.999)[0] == 2  # 4 images need 3 GB


def test_the_maximum_and_few_images():
    assert chosen(100)[:2] == (16, "16 images need 9.0 GB (the maximum); the limit is 60.0 GB, 60% of the memory")
    batch, reason, measured = chosen(100, max_batch=7)
    assert (batch, measured) == (4, [1, 2, 4]) and "4 images need 3.0 GB (of 7 training images)" in reason
    assert chosen(100, max_batch=1)[::2] == (1, [1])


def test_a_single_image_above_the_limit():
    """1 image takes 9 GB, and the limit is 6 GB, so 2 images are not tried."""
    batch, reason, measured = chosen(10, per_image=8.0)
    assert (batch, measured) == (1, [1])
    assert reason == "1 image needs 9.0 GB (above the limit); the limit is 6.0 GB, 60% of the memory"


def test_a_batch_that_was_measured_above_the_limit_is_not_chosen():
    """2 images, the default, are always tried. They take 2 GB, and the limit is 1.8 GB."""
    batch, reason, measured = chosen(3)
    assert (batch, measured) == (1, [1, 2])
    assert reason == "1 image needs 1.5 GB (2 would need 2.0 GB); the limit is 1.8 GB, 60% of the memory"


def test_growth_faster_than_linear_is_measured():
    """After 1, 1 and 2 GB, the extrapolation for 8 images is 4 GB, but they take 8 GB. The limit is 6 GB."""
    peaks = {1: 1 * GB, 2: 1 * GB, 4: 2 * GB, 8: 8 * GB}
    batch, reason = choose_batch(peaks.__getitem__, 10 * GB, 16)
    assert batch == 4 and "(8 would need 8.0 GB)" in reason


@pytest.mark.skipif(not (batch_size.PROCESS / "clear_refs").exists(), reason="the memory is measured on Linux only")
def test_memory_of_this_process(tmp_path, monkeypatch):
    memory = ProcessMemory()
    memory.reset_peak()
    before = memory.peak()
    np.ones(200_000_000, np.uint8).sum()
    assert 0.9 * 200e6 < memory.peak() - before < 1.5 * 200e6
    memory.reset_peak()
    assert memory.peak() - before < 0.5 * 200e6  # the array has been freed
    assert before < memory.available
    monkeypatch.setattr(batch_size, "CGROUP", tmp_path / "memory.max")
    for text, expected in (("max\n", memory.available), ("1000000\n", 1e6)):
        batch_size.CGROUP.write_text(text)
        assert ProcessMemory().available == pytest.approx(expected, rel=0.2)
    monkeypatch.setattr(batch_size, "PROCESS", tmp_path)
    with pytest.raises(ValueError, match="--batch auto: memory can only be measured on Linux and on GPUs"):
        ProcessMemory()


FREE = {"0": 5, "1": 40, "3": 30, "4": 20}  # free MiB of each GPU


def gpus(*numbers):
    return [SimpleNamespace(name=f"/physical_device:GPU:{number}") for number in numbers]


def nvidia_smi(command, **_):
    """Prints the free memory of the GPUs in `--id`, or of all GPUs without this option."""
    ids = [option.removeprefix("--id=").split(",") for option in command if option.startswith("--id=")]
    return SimpleNamespace(stdout="".join(f"{FREE[number]}\n" for number in (ids[0] if ids else FREE)))


@pytest.mark.parametrize(
    ("variable", "numbers", "free"), [(None, [1], 40), (None, [0, 1], 5), ("3,4", [0], 30), ("3, 4", [1], 20)]
)
def test_only_the_gpus_of_the_option_device_count(monkeypatch, variable, numbers, free):
    import tensorflow as tf

    api = SimpleNamespace(get_memory_info=lambda device: {"current": 0})
    monkeypatch.setattr(tf.config, "experimental", api)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus(*numbers))
    monkeypatch.setattr(subprocess, "run", nvidia_smi)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert GpuMemory().available == free * 2**20


def test_memory_of_a_gpu(monkeypatch):
    """nvidia-smi reports MiB. The GPU with less free memory determines the limit."""
    import tensorflow as tf

    info = {"current": 100, "peak": 7}
    api = SimpleNamespace(get_memory_info=lambda device: info, reset_memory_stats=lambda device: info.update(peak=0))
    monkeypatch.setattr(tf.config, "experimental", api)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus(0, 1))
    monkeypatch.setattr(subprocess, "run", nvidia_smi)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    memory = GpuMemory()
    assert (memory.available, memory.peak()) == (20 * 2**20 + 100, 7)
    memory.reset_peak()
    assert memory.peak() == 0
    monkeypatch.setattr(subprocess, "run", lambda command, **_: SimpleNamespace(stdout="[N/A]\n"))
    with pytest.raises(ValueError, match="nvidia-smi does not report"):
        GpuMemory()


def test_values_of_the_option():
    assert (parse_batch("auto"), parse_batch("4")) == ("auto", 4)
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number or auto, got 'many'"):
        parse_batch("many")
