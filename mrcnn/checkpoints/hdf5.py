"""Reads Keras HDF5 weight files, Matterport's checkpoints among them, with h5py alone.

Nothing of a file is executed and no link is followed: no Keras deserialisation, no pickle. Weights stay on disk until
they are asked for. The layout: the root (or its group `model_weights`) lists `layer_names`; the group of a layer lists
`weight_names`; each of these is the path of a dataset inside that group.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrcnn.checkpoints.layout import LayerWeights, flatten_group

CONFIG_ATTRIBUTE = "mrcnn_config"
METADATA_ATTRIBUTE = "mrcnn_metadata"
MAX_FILE_BYTES = 4 << 30  # unpacked; Matterport's largest file has 0.26 GB, so a larger claim is damage or an attack
# How files that are often mistaken for HDF5 begin.
LOOKALIKES = (
    (rb"version https://git-lfs", "a git-LFS pointer, not the file itself. Run `git lfs pull` or download the file"),
    (rb"\s*<(!doctype|html|\?xml)", "a web page (HTML), not weights. Download the file itself"),
    (rb"PK\x03\x04", "a zip archive (.keras, .npz or .pth?). Convert it to HDF5 weights"),
    (rb"\x1f\x8b", "gzip-compressed. Unpack it"),
)


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message says which, why, and what to do."""


class Checkpoint:
    """An open weights file. Use it as a context manager: the datasets can be read until it is closed.

    Attributes:
        path: the file.
        layers: `{layer: LayerWeights}` in file order; the weights are `h5py.Dataset`s by short name ("kernel").
            Nested groups are split into their layers, see `layout.flatten_group`.
        config: settings of the network that wrote the file (JSON attribute `mrcnn_config`), or None.
        metadata: keras_version and backend if known, and whatever was saved with `save_weights(metadata=...)`.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        root = _weights_root(path, file)
        self.layers = _read_layers(path, root)
        self.config = _read_json(path, file, CONFIG_ATTRIBUTE)
        self.metadata = _read_json(path, file, METADATA_ATTRIBUTE) or {}
        for name in ("keras_version", "backend"):
            if name in root.attrs:
                self.metadata[name] = _text(path, name, root.attrs[name])

    def close(self) -> None:
        """Closes the file; the datasets cannot be read any more."""
        self._file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Opens a weights file and checks its structure; reads no weight yet.

    Args:
        path: HDF5 file as Matterport's Mask R-CNN or Keras 1/2 wrote it (weights alone, or a whole model).

    Returns:
        The open checkpoint, to be used in a `with` statement.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: (a ValueError) it is not such a file, is damaged, or refers to data outside itself.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such weights file.")
    if not path.is_file():
        raise CheckpointError(f"{path}: expected an HDF5 weights file, got a folder or device.")
    file = None
    try:
        with hdf5_errors(path):
            file = h5py.File(path, "r")
            return Checkpoint(path, file)
    except BaseException:
        if file is not None:
            file.close()
        raise


@contextmanager
def hdf5_errors(path: Path) -> Iterator[None]:
    """Turns whatever h5py raises on a damaged or foreign file into one line that names the file."""
    try:
        yield
    except (CheckpointError, PermissionError):
        raise
    except Exception as error:  # a damaged file may raise nearly anything inside h5py
        raise CheckpointError(_what_is_wrong(path, error)) from None


def _what_is_wrong(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return f"{path}: the file is empty; expected HDF5 weights. Download or copy it again."
    truncated = re.search(r"eof = (\d+).*stored_eof = (\d+)", str(error))
    if truncated:
        return (
            f"{path}: the file is cut off: expected {int(truncated[2]):,} bytes, got {int(truncated[1]):,}. "
            "Download or copy it again."
        )
    for pattern, meaning in LOOKALIKES:
        if re.match(pattern, head, re.IGNORECASE):
            return f"{path}: expected HDF5 weights, got {meaning}."
    if not h5py.is_hdf5(path):
        return f"{path}: expected HDF5 weights (.h5), got another kind of file. Check the path."
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{path}: the HDF5 file is damaged ({reason}). Download or copy it again."


def _weights_root(path: Path, file: h5py.File) -> h5py.Group:
    """The group that lists the layers: the root, or `model_weights` of a whole saved model."""
    candidates = [file, file["model_weights"]] if _has(file, "model_weights") else [file]
    for group in candidates:
        if "layer_names" in group.attrs or "layer_names0" in group.attrs:
            return group
    if any(_has(file, name) for name in ("layers", "_layer_checkpoint_dependencies")):
        raise CheckpointError(
            f"{path}: expected weights by layer name, got a Keras 3 `.weights.h5` file, which numbers its layers. Load "
            "it with Keras into the model that wrote it and save that with mrcnn.checkpoints.save_weights."
        )
    found = ", ".join(sorted(file)[:5]) or "nothing"
    raise CheckpointError(f"{path}: expected Keras weights (attribute `layer_names`), found only: {found}.")


def _read_layers(path: Path, root: h5py.Group) -> dict[str, LayerWeights]:
    layers: dict[str, LayerWeights] = {}
    unpacked = 0
    for group_name in _names(path, root, "layer_names"):
        group = _member(path, root, group_name, h5py.Group)
        datasets = [(name, _member(path, group, name, h5py.Dataset)) for name in _names(path, group, "weight_names")]
        for name, dataset in datasets:
            _check_dataset(f"{path}: {group_name}/{name}", dataset)
            unpacked += math.prod(dataset.shape) * dataset.dtype.itemsize
        if unpacked > MAX_FILE_BYTES:
            raise CheckpointError(
                f"{path}: {group_name}: the weights up to here claim {unpacked:,} bytes, more than {MAX_FILE_BYTES:,}; "
                "the file is damaged. Download or copy it again."
            )
        for name, weights in flatten_group(group_name, datasets).items():
            if name in layers:
                raise CheckpointError(f"{path}: layer {name!r} is there twice; the file is damaged.")
            layers[name] = weights
    return {name: layer for name, layer in layers.items() if layer.weights}


def _names(path: Path, group: h5py.Group, attribute: str) -> list[str]:
    """A list of names kept in an attribute, or in pieces `name0`, `name1`, ... where it is longer than 64 KB."""
    if attribute in group.attrs:
        pieces = [attribute]
    else:
        pieces = []
        while f"{attribute}{len(pieces)}" in group.attrs:
            pieces.append(f"{attribute}{len(pieces)}")
    return [_text(path, piece, name) for piece in pieces for name in np.atleast_1d(group.attrs[piece])]


def _text(path: Path, attribute: str, value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if not isinstance(value, str):
        raise CheckpointError(f"{path}: attribute {attribute!r} must hold text, got {type(value).__name__}.")
    return str(value)


def _read_json(path: Path, group: h5py.Group, attribute: str) -> dict[str, Any] | None:
    if attribute not in group.attrs:
        return None
    try:
        value = json.loads(_text(path, attribute, group.attrs[attribute]))
    except (json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: attribute {attribute!r} is not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: attribute {attribute!r} must be a JSON object, got {type(value).__name__}.")
    return value


def _has(group: h5py.Group, name: str) -> bool:
    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _member(path: Path, group: h5py.Group, name: str, kind: type) -> Any:
    """A group or dataset inside `group`, reached through plain (hard) links only: others may point to other files."""
    node: Any = group
    for part in filter(None, name.split("/")):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise CheckpointError(f"{path}: {group.name}: {name!r} is listed but not stored; the file is damaged.")
        if not isinstance(link, h5py.HardLink):
            raise CheckpointError(f"{path}: {group.name}: {name!r} is a link; expected the data itself in this file.")
        node = node[part]
    if not isinstance(node, kind):
        raise CheckpointError(f"{path}: {group.name}: {name!r} should be a {kind.__name__}, got {type(node).__name__}.")
    return node


def _check_dataset(where: str, dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise CheckpointError(f"{where} is kept in another file; expected the data itself in this file.")
    if dataset.shape is None or dataset.dtype.kind not in "fiub":
        raise CheckpointError(f"{where} should be an array of numbers, got {dataset.dtype}.")
