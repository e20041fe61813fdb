"""Distributed training: MirroredStrategy on two virtual CPUs, and two workers on the loopback interface."""

import json
import os
import pathlib
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from mrcnn.training import distribution

pytestmark = pytest.mark.slow

PROGRAM = pathlib.Path(__file__).parents[2] / "helpers" / "several_devices.py"


def start(folder, name, devices=1, **environment):
    # oneDNN selects kernels by the batch size. Their rounding differs, and the selection of RoIs amplifies this.
    fixed = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_ENABLE_ONEDNN_OPTS": "0"}
    environment = os.environ | fixed | environment
    command = [sys.executable, str(PROGRAM), str(devices), str(folder / name), str(folder / f"{name}.npz")]
    return subprocess.Popen(command, env=environment)


def result(folder, name):
    with np.load(folder / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Returns the results of two steps with the same joint batch in one process, on two devices and by two workers."""
    folder = tmp_path_factory.mktemp("devices")
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = [start(folder, "one"), start(folder, "mirrored", devices=2)]
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        processes.append(start(folder, f"worker{index}", TF_CONFIG=json.dumps(config)))
    assert [process.wait(timeout=900) for process in processes] == [0] * 4
    return folder, {name: result(folder, name) for name in ("one", "mirrored", "worker0", "worker1")}


def weights(arrays):
    return {name: array for name, array in arrays.items() if ":" in name}


def test_workers_end_with_equal_weights(results):
    _, found = results
    first, second = weights(found["worker0"]), weights(found["worker1"])
    assert len(first) > 50 and all(np.array_equal(first[name], second[name]) for name in first)
    assert found["worker0"]["ap"] == found["worker1"]["ap"]


@pytest.mark.parametrize("name", ["mirrored", "worker0"])
def test_losses_equal_those_of_the_joint_batch(results, name):
    # All five losses are equal, although the images have different numbers of objects. Later steps are not compared,
    # because rounding errors of the weights change the selected RoIs.
    _, found = results
    np.testing.assert_allclose(found[name]["losses"], found["one"]["losses"], rtol=1e-4)


@pytest.mark.parametrize("name", ["mirrored", "worker0"])
def test_weights_change_as_with_the_joint_batch(results, name):
    _, found = results
    update, expected = found[name]["update"], found["one"]["update"]
    assert np.linalg.norm(update - expected) < 1e-3 * np.linalg.norm(expected) > 0


@pytest.mark.parametrize("name", ["mirrored", "worker0"])
def test_clipping_uses_the_gradient_of_the_joint_batch(results, name):
    _, found = results
    np.testing.assert_allclose(found[name]["clipped"], [-3, -4], rtol=1e-5)


def test_only_the_chief_writes(results):
    folder, _ = results
    assert list(folder.glob("worker0/*/mask_rcnn_tiny_0001.h5"))
    assert not list(folder.glob("worker1/*/*.h5"))


@pytest.mark.parametrize("gpus, found", [([], "none"), (["gpu"], "1")])
def test_more_gpus_than_available(monkeypatch, gpus, found):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    with pytest.raises(ValueError, match=f"--devices: 3 GPUs requested, but TensorFlow finds {found}"):
        distribution.choose_strategy(3)


@pytest.mark.parametrize(
    "cluster, task, chief",
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 0), True),
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("chief", 0), True),
        ({"chief": ["a:1"], "worker": ["b:1"]}, ("worker", 0), False),
    ],
)
def test_one_task_is_the_chief(cluster, task, chief):
    """Only the chief writes files. The first worker is the chief unless the cluster has a task named chief."""
    spec = tf.train.ClusterSpec(cluster)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, task_type=task[0], task_id=task[1])
    assert distribution.is_chief(SimpleNamespace(cluster_resolver=resolver)) is chief


def test_without_a_cluster_this_process_is_the_chief():
    assert distribution.is_chief(tf.distribute.get_strategy())
