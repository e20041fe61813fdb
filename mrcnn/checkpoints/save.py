"""Writes weights in Matterport's HDF5 layout, which Keras 2 and the original `mrcnn` read by name. Atomic."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrcnn.checkpoints.hdf5 import CONFIG_ATTRIBUTE, METADATA_ATTRIBUTE
from mrcnn.checkpoints.layout import NESTED, LayerWeights, file_order, flatten_model
from mrcnn.checkpoints.new_file import new_file

ATTRIBUTE_LIMIT = 64512  # bytes; HDF5 keeps an attribute in the object header, which has 64 KB
LAYOUT_VERSION = "2.2.4"  # the Keras whose layout this is; readers choose their conversions by it


def save_weights(
    layers: Mapping[str, Any],
    path: str | os.PathLike,
    config: Any = None,
    metadata: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    overwrite: bool = True,
) -> Path:
    """Writes the weights of Keras layers to one file, which either is complete or is not there.

    Args:
        layers: Keras layers by name, as for `load_weights`; layers without weights are left out.
        path: the file; its folder is made if need be.
        config: a `Config`, or a dict of settings, to be stored with the weights.
        metadata: anything that JSON can hold, for example epoch and class names.
        dtype: "float32", or "float16" for half the size: kernels are rounded to 11 bits, vectors (biases and batch
            norm) stay float32.
        overwrite: False: raise if the file exists.

    Returns:
        The path.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
        OSError: the file could not be written, for example because the disk is full; an earlier file is intact.
        ValueError: unknown dtype, or config or metadata cannot be stored.
    """
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype: expected 'float32' or 'float16', got {dtype!r}.")
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


def _write(file: h5py.File, layers: dict[str, LayerWeights], dtype: str) -> None:
    groups: dict[str, dict[str, np.ndarray]] = {}
    for layer, (own_group, weights) in layers.items():
        group = NESTED.get(layer, own_group)
        arrays = {f"{layer}/{role}:0": _stored(variable, dtype) for role, variable in weights.items()}
        groups.setdefault(group, {}).update(arrays)
    # Fixed-length bytes: the only kind of text that every pairing of Keras 2 and h5py decodes.
    file.attrs["backend"] = np.bytes_("tensorflow")
    file.attrs["keras_version"] = np.bytes_(LAYOUT_VERSION)
    _write_names(file, "layer_names", list(groups))
    for name, arrays in groups.items():
        group = file.create_group(name)
        _write_names(group, "weight_names", list(arrays))
        for path, array in arrays.items():
            group.create_dataset(path, data=array)


def _stored(variable: Any, dtype: str) -> np.ndarray:
    array = np.asarray(variable, dtype=np.float32)
    if dtype == "float16" and array.ndim > 1 and np.abs(array).max(initial=0) <= np.finfo(np.float16).max:
        return array.astype(np.float16)
    return array


def _write_names(group: h5py.Group, attribute: str, names: list[str]) -> None:
    """Writes a list of names as one attribute, or as `attribute0`, `attribute1`, ... where HDF5's limit asks for it."""
    data = np.array([name.encode("utf-8") for name in names])
    if data.nbytes <= ATTRIBUTE_LIMIT:
        group.attrs[attribute] = data
        return
    step = ATTRIBUTE_LIMIT // data.itemsize
    for i, start in enumerate(range(0, len(data), step)):
        group.attrs[f"{attribute}{i}"] = data[start : start + step]


def _json_bytes(name: str, value: Any) -> np.bytes_:
    try:
        data = np.bytes_(json.dumps(dict(value), sort_keys=True).encode("utf-8"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected values that JSON can hold ({error}).") from None
    if data.nbytes > ATTRIBUTE_LIMIT:
        raise ValueError(f"{name}: {data.nbytes:,} bytes of JSON, at most {ATTRIBUTE_LIMIT:,} can be stored.")
    return data
