"""Reads Keras HDF5 weights files, including Matterport's checkpoints, with h5py.

Files may be untrusted. Nothing is deserialized with Keras or pickle, and links are not followed. Weights are read on
access. The attribute `layer_names` of the root (or of its group `model_weights`) lists the groups of the layers. The
attribute `weight_names` of each group lists the paths of its datasets.
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
from mrcnn.errors import UserError

CONFIG_ATTRIBUTE = "mrcnn_config"
METADATA_ATTRIBUTE = "mrcnn_metadata"
MAX_FILE_BYTES = 4 << 30  # maximum uncompressed size; Matterport's largest file has 0.26 GB
# Magic bytes of files that are often mistaken for HDF5.
OTHER_FORMATS = (
    (rb"version https://git-lfs", "a git-LFS pointer. Run `git lfs pull` or download the file"),
    (rb"\s*<(!doctype|html)", "an HTML page. Download the weights file itself"),
    (rb"\s*<\?xml", "an XML file. If it is an exported model, pass the weights file from which it was made"),
    (rb"PK\x03\x04", "a zip archive (such as .keras, .npz or .pth). Convert it to HDF5 weights"),
    (rb"\x1f\x8b", "gzip-compressed. Unpack it"),
)


class CheckpointError(UserError):
    """Raised if a weights file is invalid. The message contains the path, the reason and a fix."""


class Checkpoint:
    """An open weights file, used as a context manager. The datasets can be read until the file is closed.

    Attributes:
        path: path of the file.
        layers: `{layer: LayerWeights}` in file order. The weights are `h5py.Dataset`s by short name ("kernel").
            Nested groups are split into their layers; see `layout.flatten_group`.
        config: dict, settings of the saved network (JSON attribute `mrcnn_config`), or None.
        metadata: dict, `keras_version` and `backend` if stored, and the metadata passed to `save_weights`.
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
                self.metadata[name] = _to_text(path, name, root.attrs[name])

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the box head, background included, or None if the file has no box head."""
        head = self.layers.get("mrcnn_class_logits")
        shape = head.weights["bias"].shape if head is not None and "bias" in head.weights else ()
        return shape[0] if shape else None

    def close(self) -> None:
        """Closes the file and invalidates its datasets."""
        self._file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Opens a weights file and validates its structure, without reading the weights.

    Args:
        path: HDF5 file written by Matterport's Mask R-CNN or Keras 1 or 2 (weights only, or a whole model).

    Returns:
        The open checkpoint, for use in a `with` statement.

    Raises:
        FileNotFoundError: if the file does not exist.
        CheckpointError: (a ValueError) if the file is not in this format, is damaged, or refers to external data.
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
    """Converts the exceptions that h5py raises for an invalid file to a CheckpointError that names the file."""
    try:
        yield
    except (CheckpointError, PermissionError):
        raise
    except Exception as error:  # h5py can raise almost any exception on a damaged file
        raise CheckpointError(_describe_error(path, error)) from None


def _describe_error(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return f"{path}: the file is empty; expected HDF5 weights. Download or copy it again."
    truncated = re.search(r"eof = (\d+).*stored_eof = (\d+)", str(error))
    if truncated:
        return (
            f"{path}: the file is truncated: expected {int(truncated[2]):,} bytes, got {int(truncated[1]):,}. "
            "Download or copy it again."
        )
    for pattern, meaning in OTHER_FORMATS:
        if re.match(pattern, head, re.IGNORECASE):
            return f"{path}: expected HDF5 weights, got {meaning}."
    if not h5py.is_hdf5(path):
        return f"{path}: expected HDF5 weights (.h5), got another file format. Check the path."
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{path}: the HDF5 file is damaged ({reason}). Download or copy it again."


def _weights_root(path: Path, file: h5py.File) -> h5py.Group:
    """Returns the group with the layer names: the root, or `model_weights` of a saved model."""
    candidates = [file, file["model_weights"]] if _has_member(file, "model_weights") else [file]
    for group in candidates:
        if "layer_names" in group.attrs or "layer_names0" in group.attrs:
            return group
    if any(_has_member(file, name) for name in ("layers", "_layer_checkpoint_dependencies")):
        raise CheckpointError(
            f"{path}: expected weights by layer name, got a Keras 3 `.weights.h5` file, which numbers its layers. Load "
            "it with Keras into its model and save the weights with mrcnn.checkpoints.save_weights."
        )
    found = ", ".join(sorted(file)[:5]) or "nothing"
    raise CheckpointError(f"{path}: expected Keras weights (attribute `layer_names`), found only: {found}.")


def _read_layers(path: Path, root: h5py.Group) -> dict[str, LayerWeights]:
    layers: dict[str, LayerWeights] = {}
    unpacked = 0
    for group_name in _read_names(path, root, "layer_names"):
        group = _get_member(path, root, group_name, h5py.Group)
        datasets = [
            (name, _get_member(path, group, name, h5py.Dataset)) for name in _read_names(path, group, "weight_names")
        ]
        for name, dataset in datasets:
            _check_dataset(f"{path}: {group_name}/{name}", dataset)
            unpacked += math.prod(dataset.shape) * dataset.dtype.itemsize
        if unpacked > MAX_FILE_BYTES:
            raise CheckpointError(
                f"{path}: {group_name}: the total size of the weights exceeds {MAX_FILE_BYTES:,} bytes; "
                "the file is damaged. Download or copy it again."
            )
        for name, weights in flatten_group(group_name, datasets).items():
            if name in layers:
                raise CheckpointError(f"{path}: duplicate layer {name!r}; the file is damaged.")
            layers[name] = weights
    return {name: layer for name, layer in layers.items() if layer.weights}


def _read_names(path: Path, group: h5py.Group, attribute: str) -> list[str]:
    """Reads a list of names from an attribute, or from its chunks `name0`, `name1`, ... if it exceeds 64 KB."""
    if attribute in group.attrs:
        chunks = [attribute]
    else:
        chunks = []
        while f"{attribute}{len(chunks)}" in group.attrs:
            chunks.append(f"{attribute}{len(chunks)}")
    return [_to_text(path, chunk, name) for chunk in chunks for name in np.atleast_1d(group.attrs[chunk])]


def _to_text(path: Path, attribute: str, value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if not isinstance(value, str):
        raise CheckpointError(f"{path}: attribute {attribute!r} must be a string, got {type(value).__name__}.")
    return str(value)


def _read_json(path: Path, group: h5py.Group, attribute: str) -> dict[str, Any] | None:
    if attribute not in group.attrs:
        return None
    try:
        value = json.loads(_to_text(path, attribute, group.attrs[attribute]))
    except (json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: attribute {attribute!r} is not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: attribute {attribute!r} must be a JSON object, got {type(value).__name__}.")
    return value


def _has_member(group: h5py.Group, name: str) -> bool:
    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _get_member(path: Path, group: h5py.Group, name: str, kind: type) -> Any:
    """Returns a group or dataset in `group`. Follows hard links only, because other links can refer to other files."""
    node: Any = group
    for part in filter(None, name.split("/")):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise CheckpointError(f"{path}: {group.name}: {name!r} is listed but not stored; the file is damaged.")
        if not isinstance(link, h5py.HardLink):
            raise CheckpointError(f"{path}: {group.name}: {name!r} is a link; expected data in this file.")
        node = node[part]
    if not isinstance(node, kind):
        raise CheckpointError(f"{path}: {group.name}: {name!r} should be a {kind.__name__}, got {type(node).__name__}.")
    return node


def _check_dataset(where: str, dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise CheckpointError(f"{where} is stored in another file; expected data in this file.")
    if dataset.shape is None or dataset.dtype.kind not in "fiub":
        raise CheckpointError(f"{where} should be an array of numbers, got {dataset.dtype}.")
