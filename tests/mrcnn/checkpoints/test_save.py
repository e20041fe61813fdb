"""Writing of weights: Matterport's layout, readable by Keras, written atomically."""

import json
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from mrcnn.checkpoints import load_weights, read_checkpoint, save_weights, update_config
from mrcnn.config import Config

SPEC = {
    "mrcnn_mask": {"kernel": (1, 1, 4, 2), "bias": (2,)},
    "rpn_bbox_pred": {"kernel": (1, 1, 4, 12)},
    "rpn_conv_shared": {"kernel": (3, 3, 4, 4), "bias": (4,)},
    "relu": {},
    "bn_conv1": {"gamma": (4,), "beta": (4,), "moving_mean": (4,), "moving_variance": (4,)},
    "conv1": {"kernel": (7, 7, 3, 4), "bias": (4,)},
}


def random_layers(make_layers, spec, seed=0):
    random = np.random.default_rng(seed)
    return make_layers(
        {
            name: {role: random.normal(size=shape).astype(np.float32) for role, shape in weights.items()}
            for name, weights in spec.items()
        }
    )


def names(group, attribute):
    return [name.decode() for name in group.attrs[attribute]]


def test_layout(make_layers, tmp_path):
    layers = random_layers(make_layers, SPEC)
    path = save_weights(layers, tmp_path / "new" / "weights.h5")
    with h5py.File(path) as file:
        assert file.attrs["layer_names"].dtype.kind == "S"  # fixed-length bytes
        assert names(file, "layer_names") == ["conv1", "bn_conv1", "rpn_model", "mrcnn_mask"]
        roles = ("gamma", "beta", "moving_mean", "moving_variance")
        assert names(file["bn_conv1"], "weight_names") == [f"bn_conv1/{role}:0" for role in roles]
        assert names(file["rpn_model"], "weight_names") == [
            "rpn_conv_shared/kernel:0",
            "rpn_conv_shared/bias:0",
            "rpn_bbox_pred/kernel:0",
        ]
        np.testing.assert_array_equal(file["/conv1/conv1/kernel:0"], layers["conv1"].weights[0])
        np.testing.assert_array_equal(file["/rpn_model/rpn_conv_shared/bias:0"], layers["rpn_conv_shared"].weights[1])
        assert file.attrs["backend"] == b"tensorflow" and file.attrs["keras_version"].decode().startswith("2.")


def test_round_trip(make_layers, tmp_path):
    layers, empty = random_layers(make_layers, SPEC), make_layers(SPEC)
    report = load_weights(empty, save_weights(layers, tmp_path / "weights.h5"), by_name=False)
    assert len(report.loaded) == 5 and report.tensors == 11
    for name, layer in layers.items():
        for written, read in zip(layer.weights, empty[name].weights, strict=True):
            np.testing.assert_array_equal(written, read)


def test_files_are_deterministic(make_layers, tmp_path):
    files = [save_weights(random_layers(make_layers, SPEC), tmp_path / name) for name in ("a.h5", "b.h5")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_keras_legacy_reader_reads_the_file(tmp_path):
    def model():
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 7, name="conv1")(image)
        return keras.Model(image, keras.layers.BatchNormalization(name="bn_conv1")(x))

    ours, theirs = model(), model()
    ours.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in ours.get_weights()])
    theirs.load_weights(save_weights({layer.name: layer for layer in ours.layers}, tmp_path / "w.h5"), by_name=True)
    for written, read in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(written, read)


def test_config_and_metadata_are_stored(make_layers, tmp_path):
    class Shapes(Config):
        NAME = "shapes"
        NUM_CLASSES = 4

    path = save_weights(make_layers(SPEC), tmp_path / "w.h5", Shapes(), {"epoch": 7, "class_names": ["BG", "swoosh ✓"]})
    with read_checkpoint(path) as checkpoint:
        assert Config.from_dict(checkpoint.config).NUM_CLASSES == 4
        assert checkpoint.metadata["epoch"] == 7 and checkpoint.metadata["class_names"][1] == "swoosh ✓"
    assert json.loads(h5py.File(path).attrs["mrcnn_config"])["NAME"] == "shapes"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metadata": {"model": object()}}, "mrcnn_metadata: expected JSON-serializable values"),
        ({"metadata": {"log": "x" * 70_000}}, "at most 64,512 bytes of JSON, got 70,0"),
        ({"dtype": "int8"}, "'float32' or 'float16', got 'int8'"),
    ],
)
def test_invalid_arguments_leave_no_file(make_layers, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        save_weights(make_layers(SPEC), tmp_path / "w.h5", **options)
    assert list(tmp_path.iterdir()) == []


def test_long_lists_of_names_are_split_like_in_keras(make_layers, tmp_path):
    spec = {f"layer_{i:04}_{'x' * 80}": {"kernel": (1,)} for i in range(1500)}
    path = save_weights(random_layers(make_layers, spec), tmp_path / "w.h5")
    with h5py.File(path) as file:
        assert "layer_names" not in file.attrs and {"layer_names0", "layer_names1"} <= set(file.attrs)
    assert len(load_weights(make_layers(spec), path).loaded) == 1500


def test_float16_rounds_kernels_only(make_layers, tmp_path):
    huge = np.full((2, 2), 1e5, np.float32)  # exceeds the range of float16
    spec = {"a": {"kernel": (30, 30), "bias": (30,)}}
    layers = random_layers(make_layers, spec) | make_layers({"b": {"kernel": huge}})
    path = save_weights(layers, tmp_path / "half.h5", dtype="float16")
    with h5py.File(path) as file:
        dtypes = [file[name].dtype.name for name in ("a/a/kernel:0", "a/a/bias:0", "b/b/kernel:0")]
    assert dtypes == ["float16", "float32", "float32"]
    loaded = make_layers({**spec, "b": {"kernel": (2, 2)}})
    load_weights(loaded, path)
    np.testing.assert_allclose(loaded["a"].weights[0], layers["a"].weights[0], rtol=2**-11)
    np.testing.assert_array_equal(loaded["a"].weights[1], layers["a"].weights[1])
    np.testing.assert_array_equal(loaded["b"].weights[0], huge)


def test_overwrite(make_layers, tmp_path):
    path = save_weights(make_layers({"a": {"kernel": (1,)}}), tmp_path / "w.h5")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_weights(make_layers({"b": {"kernel": (1,)}}), path, overwrite=False)
    link = tmp_path / "last.h5"
    link.symlink_to(path)
    save_weights(make_layers({"b": {"kernel": (1,)}}), link)
    with read_checkpoint(path) as checkpoint:
        assert list(checkpoint.layers) == ["b"]
    assert link.is_symlink() and len(list(tmp_path.iterdir())) == 2


def test_failed_write_keeps_the_existing_file(make_layers, tmp_path):
    path = save_weights(random_layers(make_layers, SPEC), tmp_path / "w.h5")
    before = path.read_bytes()
    layers = make_layers(SPEC)

    class Interrupted:
        path, shape = "kernel", ()

        def __array__(self, dtype=None, copy=None):
            raise KeyboardInterrupt

    layers["mrcnn_mask"].weights = [Interrupted()]
    with pytest.raises(KeyboardInterrupt):
        save_weights(layers, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


FULL_DISK = """
import resource, signal, sys
import numpy as np
from mrcnn.checkpoints import save_weights

class Variable:
    path, shape = "kernel", (500, 500)
    def __array__(self, dtype=None, copy=None):
        return np.zeros((500, 500), np.float32)

class Layer:
    weights = [Variable()]

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file larger than 100 KB fails like on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_weights({"a": Layer()}, sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the file size the POSIX way")
def test_full_disk_keeps_the_existing_file(make_layers, tmp_path):
    path = save_weights(make_layers(SPEC), tmp_path / "w.h5")
    before = path.read_bytes()
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.startswith(f"{path}: the weights could not be written") and result.stdout.count("\n") == 1
    assert not result.stderr  # HDF5 prints its error stack to stderr
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_update_of_the_config(make_layers, tmp_path):
    layers = random_layers(make_layers, SPEC)
    config = Config().copy(NUM_CLASSES=3)
    path = save_weights(layers, tmp_path / "weights.h5", config, {"class_names": ["BG", "a", "b"]})
    link = tmp_path / "link.h5"
    link.hardlink_to(path)
    update_config(link, DETECTION_MIN_CONFIDENCE=0.25)
    with read_checkpoint(path) as before, read_checkpoint(link) as after:
        assert before.config["DETECTION_MIN_CONFIDENCE"] == 0.7  # a hard link keeps the old content
        assert after.config == before.config | {"DETECTION_MIN_CONFIDENCE": 0.25}
        assert after.metadata == before.metadata and list(after.layers) == list(before.layers)
        kernel = after.layers["conv1"].weights["kernel"]
        np.testing.assert_array_equal(kernel, before.layers["conv1"].weights["kernel"])
    with h5py.File(link) as file:
        assert file.attrs["layer_names"].dtype.kind == "S" and file.attrs["backend"] == b"tensorflow"
    without = save_weights(layers, tmp_path / "without.h5")
    with pytest.raises(ValueError, match="without.h5: no Config stored in this file"):
        update_config(without, NAME="x")
    assert {file.name for file in tmp_path.iterdir()} == {"weights.h5", "link.h5", "without.h5"}
