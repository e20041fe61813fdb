"""Writes weights in Matterport's HDF5 layout, which Keras 2 and Matterport's `mrcnn` can read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrcnn.checkpoints.hdf5 import CONFIG_ATTRIBUTE, METADATA_ATTRIBUTE, CheckpointError, read_checkpoint
from mrcnn.checkpoints.hdf5_writing import new_file
from mrcnn.checkpoints.layout import NESTED, LayerWeights, file_order, flatten_model
from mrcnn.errors import UserError

MAX_ATTRIBUTE_BYTES = 64512  # HDF5 stores attributes in the object header, which is limited to 64 KB
KERAS_VERSION = "2.2.4"  # version of the layout; Keras 2 converts weights of older versions


def save_weights(
    layers: Mapping[str, Any],
    path: str | os.PathLike,
    config: Any = None,
    metadata: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    overwrite: bool = True,
) -> Path:
    """Writes the weights of Keras layers to a file, atomically.

    Args:
        layers: dict of Keras layers by name, as for `load_weights`. Layers without weights are skipped.
        path: path of the file. Its folder is created if it does not exist.
        config: a `Config` or a dict of settings to store with the weights, or None.
        metadata: JSON-serializable dict, for example epoch and class names, or None.
        dtype: "float32" or "float16". With "float16", kernels are stored as float16; vectors (biases and batch norm)
            and kernels with values above 65,504 remain float32.
        overwrite: bool, whether to replace an existing file.

    Returns:
        The path.

    Raises:
        FileExistsError: if the file exists and `overwrite` is False.
        OSError: if the file cannot be written, for example because the disk is full. An existing file is kept.
        ValueError: if `dtype` is unknown, or if `config` or `metadata` cannot be stored.
    """
    if dtype not in ("float32", "float16"):
        raise UserError(f"dtype: expected 'float32' or 'float16', got {dtype!r}.")
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: the file exists; choose another name or pass overwrite=True.")
    model = flatten_model(layers)
    if hasattr(config, "to_json"):
        config = json.loads(config.to_json())
    attributes = {
        name: _json_bytes(name, value)
        for name, value in ((CONFIG_ATTRIBUTE, config), (METADATA_ATTRIBUTE, metadata))
        if value is not None
    }
    arrays = (np.prod(variable.shape) for layer in model.values() for variable in layer.weights.values())
    size = sum(map(int, arrays)) * np.dtype(dtype).itemsize
    with new_file(path, size, "the weights", "Free space or choose another path.") as file:
        _write(file, {name: model[name] for name in file_order(model)}, dtype)
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


def update_config(path: str | os.PathLike, **settings: Any) -> None:
    """Replaces settings in the Config of a weights file, atomically. Weights and metadata are kept.

    The file is replaced, so hard links to it keep the earlier settings.

    Raises:
        CheckpointError: if the file has no Config or is damaged.
        ValueError: if the settings cannot be stored as JSON.
        OSError: if the file cannot be written. The existing file is kept.
    """
    with read_checkpoint(path) as checkpoint:
        if checkpoint.config is None:
            raise CheckpointError(f"{path}: no Config stored in this file, so no setting can be replaced.")
        config = _json_bytes(CONFIG_ATTRIBUTE, checkpoint.config | settings)
    path = Path(path)
    advice = "Free space or make the folder writable."
    with new_file(path, path.stat().st_size, "the settings", advice) as file, h5py.File(path) as old:
        for name in old:
            old.copy(name, file)
        for name, value in old.attrs.items():
            file.attrs[name] = value
        file.attrs[CONFIG_ATTRIBUTE] = config


def _write(file: h5py.File, layers: dict[str, LayerWeights], dtype: str) -> None:
    groups: dict[str, dict[str, np.ndarray]] = {}
    for layer, (own_group, weights) in layers.items():
        group = NESTED.get(layer, own_group)
        arrays = {f"{layer}/{role}:0": _to_array(variable, dtype) for role, variable in weights.items()}
        groups.setdefault(group, {}).update(arrays)
    # The names are fixed-length bytes, which all versions of Keras 2 and h5py can decode.
    file.attrs["backend"] = np.bytes_("tensorflow")
    file.attrs["keras_version"] = np.bytes_(KERAS_VERSION)
    _write_names(file, "layer_names", list(groups))
    for name, arrays in groups.items():
        group = file.create_group(name)
        _write_names(group, "weight_names", list(arrays))
        for path, array in arrays.items():
            group.create_dataset(path, data=array)


def _to_array(variable: Any, dtype: str) -> np.ndarray:
    array = np.asarray(variable, dtype=np.float32)
    if dtype == "float16" and array.ndim > 1 and np.abs(array).max(initial=0) <= np.finfo(np.float16).max:
        return array.astype(np.float16)
    return array


def _write_names(group: h5py.Group, attribute: str, names: list[str]) -> None:
    """Writes a list of names to an attribute, split into `attribute0`, `attribute1`, ... above the size limit."""
    data = np.array([name.encode("utf-8") for name in names])
    if data.nbytes <= MAX_ATTRIBUTE_BYTES:
        group.attrs[attribute] = data
        return
    step = MAX_ATTRIBUTE_BYTES // data.itemsize
    for i, start in enumerate(range(0, len(data), step)):
        group.attrs[f"{attribute}{i}"] = data[start : start + step]


def _json_bytes(name: str, value: Any) -> np.bytes_:
    try:
        data = np.bytes_(json.dumps(dict(value), sort_keys=True).encode("utf-8"))
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: expected JSON-serializable values ({error}).") from None
    if data.nbytes > MAX_ATTRIBUTE_BYTES:
        raise UserError(f"{name}: expected at most {MAX_ATTRIBUTE_BYTES:,} bytes of JSON, got {data.nbytes:,}.")
    return data
