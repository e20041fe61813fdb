"""Reading of HDF5 weights from all Keras versions, and of damaged, unsupported or malicious files."""

import io

import h5py
import keras
import numpy as np
import pytest

from mrcnn.checkpoints.hdf5 import CheckpointError, read_checkpoint

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)


def contents(path):
    with read_checkpoint(path) as checkpoint:
        return {
            (layer, role): np.asarray(weight)
            for layer, stored in checkpoint.layers.items()
            for role, weight in stored.weights.items()
        }


@pytest.mark.parametrize("text", [np.bytes_, str])
@pytest.mark.parametrize("root", ["/", "model_weights"])
def test_bytes_and_str_names_in_weights_files_and_saved_models(write_h5, text, root):
    path = write_h5({"input": {}, "dense": {"dense/kernel:0": KERNEL}}, text=text, root=root)
    found = contents(path)
    assert list(found) == [("dense", "kernel")]
    np.testing.assert_array_equal(found["dense", "kernel"], KERNEL)


def test_keras_1_names(write_h5):
    path = write_h5({"conv1": {"conv1_W:0": KERNEL, "conv1_b:0": KERNEL[0]}, "bn": {"bn_running_std:0": KERNEL[1]}})
    assert set(contents(path)) == {("conv1", "kernel"), ("conv1", "bias"), ("bn", "moving_variance")}


def test_names_split_over_several_attributes(write_h5):
    path = write_h5({"a": {"a/kernel:0": KERNEL}, "b": {"b/kernel:0": KERNEL, "b/bias:0": KERNEL[0]}})
    with h5py.File(path, "r+") as file:
        for owner, attribute in ((file, "layer_names"), (file["b"], "weight_names")):
            names = owner.attrs[attribute]
            del owner.attrs[attribute]
            owner.attrs[f"{attribute}0"], owner.attrs[f"{attribute}1"] = names[:1], names[1:]
    assert set(contents(path)) == {("a", "kernel"), ("b", "kernel"), ("b", "bias")}


def test_files_written_by_keras(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d"), keras.layers.Dropout(0.5)])
    model.save(tmp_path / "whole.h5")
    found = contents(tmp_path / "whole.h5")
    np.testing.assert_array_equal(found["d", "kernel"], model.get_layer("d").kernel)
    assert set(found) == {("d", "kernel"), ("d", "bias")}


def test_config_and_metadata(write_h5):
    path = write_h5({}, keras_version=np.bytes_("2.0.8"), mrcnn_config='{"NAME": "x"}', mrcnn_metadata='{"epoch": 3}')
    with read_checkpoint(path) as checkpoint:
        assert checkpoint.config == {"NAME": "x"}
        assert checkpoint.metadata == {"epoch": 3, "keras_version": "2.0.8"}
    with read_checkpoint(write_h5({}, "plain.h5")) as checkpoint:
        assert checkpoint.config is None and checkpoint.metadata == {}


def test_weights_are_read_lazily(write_h5):
    with read_checkpoint(write_h5({"a": {"a/kernel:0": KERNEL}})) as checkpoint:
        assert isinstance(checkpoint.layers["a"].weights["kernel"], h5py.Dataset)


def npz_bytes():
    buffer = io.BytesIO()
    np.savez(buffer, a=KERNEL)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-LFS pointer"),
        (b"\n <!DOCTYPE html><html>not found", "HTML page"),
        (b"\x1f\x8b123", "gzip"),
        (b'<?xml version="1.0"?>\n<net name="model">', "an XML file. If it is an exported model"),
        (npz_bytes(), "zip archive"),
        (b"\x89PNG....", "another file format"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "damaged"),
    ],
)
def test_error_names_the_format_of_other_files(tmp_path, content, message):
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        read_checkpoint(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        read_checkpoint(tmp_path / "none.h5")
    with pytest.raises(CheckpointError, match="folder"):
        read_checkpoint(tmp_path)


def test_error_for_truncated_file_has_both_sizes(write_h5):
    path = write_h5({"a": {"a/kernel:0": np.zeros(1000, np.float32)}})
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=f"truncated: expected {size:,} bytes, got 1,000"):
        read_checkpoint(path)


def test_error_for_keras_3_weights_files(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(CheckpointError, match="Keras 3"):
        read_checkpoint(tmp_path / "model.weights.h5")


def test_hdf5_without_weights(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["photos"] = KERNEL
    with pytest.raises(CheckpointError, match="layer_names.*photos"):
        read_checkpoint(tmp_path / "data.h5")


def external_link(file):
    file["a/a/kernel:0"] = h5py.ExternalLink("/etc/hostname", "/x")


def soft_link(file):
    file["b"] = KERNEL
    file["a/a/kernel:0"] = h5py.SoftLink("/b")


def external_storage(file):
    file.create_dataset("a/a/kernel:0", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def virtual_dataset(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("a/a/kernel:0", layout)


def python_objects(file):
    file.create_dataset("a/a/kernel:0", data=[b"cposix\nsystem\n"], dtype=h5py.string_dtype())


def references(file):
    file.create_dataset("a/a/kernel:0", data=[file.ref], dtype=h5py.ref_dtype)


def no_data(file):
    file["a/a/kernel:0"] = h5py.Empty("f4")


def huge(file):
    file.create_dataset("a/a/kernel:0", (1 << 40, 1 << 40), "f4", chunks=(1, 1))


def a_group(file):
    file.create_group("a/a/kernel:0")


def nothing(file):
    pass


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (external_link, "is a link"),
        (soft_link, "is a link"),
        (external_storage, "another file"),
        (virtual_dataset, "another file"),
        (python_objects, "numbers"),
        (references, "numbers"),
        (no_data, "numbers"),
        (huge, "exceeds"),
        (a_group, "should be a Dataset"),
        (nothing, "listed but not stored"),
    ],
)
def test_malicious_datasets_are_rejected(write_h5, attack, message):
    path = write_h5({"a": {}})
    with h5py.File(path, "r+") as file:
        attack(file)
        file["a"].attrs["weight_names"] = [b"a/kernel:0"]
    with pytest.raises(CheckpointError, match=message) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"layer_names": 7}, "must be a string"),
        ({"layer_names": [b"\xff"]}, "damaged"),
        ({"layer_names": [b"a", b"a"]}, "duplicate"),
        ({"layer_names": [b"missing"]}, "not stored"),
        ({"mrcnn_config": "{"}, "not valid JSON"),
        ({"mrcnn_config": "[1]"}, "must be a JSON object"),
        ({"mrcnn_config": "[" * 50_000}, "not valid JSON"),
    ],
)
def test_malicious_attributes_are_rejected(write_h5, attributes, message):
    path = write_h5({"a": {"a/kernel:0": KERNEL}})
    with h5py.File(path, "r+") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_damaged_bytes_raise_only_checkpoint_errors(write_h5):
    groups = {f"l{i}": {f"l{i}/kernel:0": KERNEL} for i in range(5)}
    good = write_h5(groups).read_bytes()
    random = np.random.default_rng(0)
    for trial in range(60):
        data = bytearray(good)
        for position in random.integers(8, len(data), 20):
            data[position] = random.integers(256)
        path = write_h5({}, f"damaged{trial}.h5")
        path.write_bytes(data)
        try:
            contents(path)
        except (CheckpointError, OSError) as error:
            assert "\n" not in str(error)


def test_file_is_closed_after_an_error(write_h5):
    path = write_h5({"a": {}}, layer_names=[b"missing"])
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    with h5py.File(path, "r+") as file:  # fails while the file is open for reading
        assert "a" in file
