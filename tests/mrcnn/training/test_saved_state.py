"""State files: atomic writing, pairing with weights, and rejection of malicious files."""

import os
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from mrcnn import checkpoints
from mrcnn.checkpoints.hdf5 import CheckpointError
from mrcnn.training import find_state, saved_state
from mrcnn.training.progress import Progress


def record(identity, epoch=1, step=0, holds_weights=False):
    progress = Progress(epoch=epoch, step=step).to_dict()
    return {"id": identity, "holds_weights": holds_weights, "progress": progress, "config": {}, "data": {}}


def write_pair(folder, epoch, identity, weights_identity=None):
    layer = keras.layers.Dense(1, name="layer")
    layer.build((None, 1))
    path = folder / f"mask_rcnn_tiny_{epoch:04d}.h5"
    checkpoints.save_weights({"layer": layer}, path, metadata={saved_state.ID: weights_identity or identity})
    saved_state.write_state(saved_state.state_path(path), record(identity, epoch), {})
    return path


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "tiny20260101T0000"
    folder.mkdir()
    return folder


def test_variables_are_restored_exactly(folder):
    source = [keras.Variable(np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)), keras.Variable(7)]
    saved_state.write_state(folder / "x.state", record("a"), {"optimizer": source})
    target = [keras.Variable(np.zeros((3, 2), np.float32)), keras.Variable(0)]
    saved_state.restore_variables(folder / "x.state", "optimizer", target)
    for one, other in zip(source, target, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_mismatched_shapes_change_nothing(folder):
    saved_state.write_state(folder / "x.state", record("a"), {"optimizer": [keras.Variable([1.0, 2.0])]})
    target = [keras.Variable([0.0])]
    with pytest.raises(CheckpointError, match="optimizer: 1 arrays do not match the 1 variables"):
        saved_state.restore_variables(folder / "x.state", "optimizer", target)
    assert target[0].numpy() == [0]


def test_last_is_the_newest_matching_pair(folder, tmp_path):
    write_pair(folder, 1, "a")
    second = write_pair(folder, 2, "b")
    write_pair(folder, 3, "c", weights_identity="of another moment")
    (folder / "training_tiny_0004.state").write_bytes(b"\x89HDF half a file")
    assert find_state("last", tmp_path, "tiny").weights == second
    assert find_state("last", tmp_path, None).weights == second  # the newest run of any name
    assert find_state(folder, tmp_path, "tiny").weights == second
    assert find_state(folder / "mask_rcnn_tiny_0001.h5", tmp_path, "tiny").progress.epoch == 1


def test_a_state_within_an_epoch_is_newer_than_that_of_the_previous_epoch(folder, tmp_path):
    write_pair(folder, 2, "b")
    partial = folder / "training_tiny_partial.state"
    saved_state.write_state(partial, record("c", epoch=2, step=3, holds_weights=True), {})
    found = find_state("last", tmp_path, "tiny")
    assert (found.path, found.weights) == (partial, None)


def test_the_last_file_by_name_is_a_weights_file(folder):
    write_pair(folder, 1, "a")
    second = write_pair(folder, 2, "b")
    partial = saved_state.state_path(folder / "mask_rcnn_tiny_partial.h5")
    saved_state.write_state(partial, record("c", step=1, holds_weights=True), {})
    assert sorted(name for name in os.listdir(folder) if name.startswith("mask_rcnn"))[-1] == second.name


def test_states_with_the_former_file_name_can_be_resumed(folder, tmp_path):
    first, second = write_pair(folder, 1, "a"), write_pair(folder, 2, "b")
    for weights in (first, second):
        saved_state.state_path(weights).rename(weights.with_suffix(".state"))
    for source in ("last", folder, second, second.with_suffix(".state")):
        found = find_state(source, tmp_path, "tiny")
        assert (found.path, found.weights) == (second.with_suffix(".state"), second)


def test_an_older_run_is_used_if_the_newest_has_no_state(folder, tmp_path):
    path = write_pair(folder, 1, "a")
    (tmp_path / "tiny20260102T0000").mkdir()
    assert find_state("last", tmp_path, "tiny").weights == path


@pytest.mark.parametrize(
    "source, error, message",
    [
        ("last", FileNotFoundError, "no run called 'tiny' can be resumed"),
        ("nowhere", FileNotFoundError, "expected 'last', the folder of a run"),
        ("gone.h5", FileNotFoundError, "no such training state"),
    ],
)
def test_nothing_to_resume(tmp_path, source, error, message):
    with pytest.raises(error, match=message):
        find_state(source if source == "last" else tmp_path / source, tmp_path, "tiny")


def test_nothing_to_resume_of_this_name(folder, tmp_path):
    write_pair(folder, 1, "a")
    with pytest.raises(FileNotFoundError, match="Only runs with this name were searched; .* runs named tiny"):
        find_state("last", tmp_path, "other")


def test_a_mismatched_pair_is_rejected(folder, tmp_path):
    path = write_pair(folder, 1, "a", weights_identity="b")
    with pytest.raises(CheckpointError, match=r"does not belong to the weights mask_rcnn_tiny_0001.h5"):
        find_state(path, tmp_path, "tiny")


def test_other_files_are_rejected(folder):
    path = folder / "training_tiny_0001.state"
    path.write_text("no HDF5")
    with pytest.raises(CheckpointError, match="expected HDF5"):
        saved_state.read_record(path)
    with h5py.File(path, "w") as file:
        file[saved_state.RECORD] = np.frombuffer(b'{"progress": {"epochs": 1}}', np.uint8)
    with pytest.raises(ValueError, match="not the state of a training run"):
        saved_state.read_record(path)


def test_a_full_disk_keeps_the_earlier_file(folder, monkeypatch):
    path = folder / "x.state"
    saved_state.write_state(path, record("first"), {})

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=r"could not be written \(No space left on device\). Free space, then resume"):
        saved_state.write_state(path, record("second"), {})
    assert saved_state.read_record(path)["id"] == "first" and [file.name for file in folder.iterdir()] == ["x.state"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from mrcnn.training import saved_state

class Variable:
    shape = (50, 50)
    def numpy(self):
        return np.zeros(self.shape, np.float32)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a file of over 100 KB fails like a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    saved_state.write_state(Path(sys.argv[1]), {}, {"optimizer": [Variable()] * 40})
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the file size the POSIX way")
def test_a_disk_that_becomes_full_does_not_end_the_process(folder):
    """HDF5 alone would end the process with a segmentation fault if it cannot complete a file."""
    path = folder / "x.state"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-500:]
    assert result.stdout.startswith(f"{path}: the training state could not be written (File too large)")
    assert not list(folder.iterdir())
