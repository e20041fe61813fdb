"""Loads weights files into Keras layers by name. All shapes are checked before the first weight is changed."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.checkpoints.convert import convert_backbone, mobilenet_v2_from_torch
from mrcnn.checkpoints.hdf5 import CheckpointError, hdf5_errors, read_checkpoint
from mrcnn.checkpoints.layout import KNOWN_WEIGHTS, LayerWeights, flatten_model
from mrcnn.checkpoints.report import (
    HEADS,
    LoadReport,
    WeightsMismatchError,
    backbone_warning,
    branch_warning,
    explain_mismatch,
)
from mrcnn.errors import UserError


def load_weights(
    layers: Mapping[str, Any],
    path: str | os.PathLike,
    exclude: Iterable[str] | None = None,
    by_name: bool = True,
) -> LoadReport:
    """Sets the weights of Keras layers from a file, matched by layer name and by role (kernel, bias, gamma, ...).

    Args:
        layers: dict of Keras layers by name. Nested models are flattened, and layers without weights are skipped.
        path: HDF5 file of Matterport or Keras, or ImageNet weights of a backbone (see `imagenet`). For the latter, only
            the backbone is loaded and the other layers are reported as missing.
        exclude: names or regular expressions (full match) of layers, or of their groups, that are not loaded.
        by_name: bool, whether to skip layers of the file that are not in the model. If False, they raise an error.
            A UserWarning is issued if the file has a deeper backbone than the model, or if only the model has mask or
            keypoint layers. These layers then keep their weights.

    Returns:
        The `LoadReport`.

    Raises:
        FileNotFoundError: if the file does not exist.
        CheckpointError: (a ValueError) if the file is damaged or not in one of these formats.
        WeightsMismatchError: (a ValueError) if a layer that is not excluded is missing or has a different shape.
        ValueError: if `exclude` contains an invalid regular expression.

    All errors are raised before any weight is changed.
    """
    path = Path(path)
    model = flatten_model(layers)
    is_excluded = _make_exclude_filter(exclude)
    with _open(path) as (stored, notes, metadata):
        wanted = {name: layer for name, layer in model.items() if not is_excluded(name, layer.group)}
        available = {name: layer for name, layer in stored.items() if not is_excluded(name, layer.group)}
        pairs = {name: _pair_weights(wanted[name], available[name]) for name in wanted if name in available}
        mismatches = {name: text for name, pair in pairs.items() if (text := _describe_mismatch(name, pair))}
        report = LoadReport(
            file=str(path),
            loaded=tuple(name for name in pairs if name not in mismatches),
            excluded=tuple(name for name in model if name not in wanted),
            missing=tuple(name for name in wanted if name not in available),
            unexpected=tuple(name for name in available if name not in wanted),
            mismatched=tuple(mismatches.values()),
            tensors=sum(len(pair) for pair in pairs.values()),
            notes=notes,
            metadata=metadata,
        )
        if problem := explain_mismatch(report, wanted, available, strict=not by_name):
            raise WeightsMismatchError(f"{path}: {problem}", report)
        warning = backbone_warning(report, wanted, available) or branch_warning(report, available)
        values = [
            (variable, _read(path, f"{name}/{role}", source))
            for name, pair in pairs.items()
            for role, (variable, source) in pair.items()
        ]
    for variable, value in values:
        variable.assign(value)
    if warning:
        warnings.warn(f"{path}: {warning}", stacklevel=2)
        report = replace(report, notes=(*report.notes, warning))
    return report


@contextmanager
def _open(path: Path) -> Iterator[tuple[dict[str, LayerWeights], tuple[str, ...], dict[str, Any]]]:
    """Yields the layers of a file under the layer names of this package, notes on their conversion, and metadata."""
    if path.suffix == ".npz":
        arrays = mobilenet_v2_from_torch(path)
        yield {name: LayerWeights(name, weights) for name, weights in arrays.items()}, (), {}
    else:
        with read_checkpoint(path) as checkpoint:
            with hdf5_errors(path):
                converted = convert_backbone(checkpoint.layers)
            yield *converted, checkpoint.metadata


def _make_exclude_filter(exclude: Iterable[str] | None) -> Callable[..., bool]:
    """Returns a function that takes the names of a layer and its group and returns whether `exclude` matches one."""
    patterns = [exclude] if isinstance(exclude, str) else list(exclude or ())
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except (re.error, TypeError):
            raise UserError(
                f"exclude: expected layer names or regular expressions, got {pattern!r}; example: exclude={HEADS}."
            ) from None
    return lambda *names: any(pattern.fullmatch(name) for pattern in compiled for name in names)


def _pair_weights(model: LayerWeights, stored: LayerWeights) -> dict[str, tuple[Any, Any]]:
    """Returns `{role: (variable, stored weight)}`, with None for a weight that is missing in the model or the file."""
    sources = stored.weights
    # If no weight in the file has a known name, weights are matched by position.
    if len(sources) == len(model.weights) and not set(sources) & set(KNOWN_WEIGHTS):
        sources = dict(zip(model.weights, sources.values(), strict=True))
    return {role: (model.weights.get(role), sources.get(role)) for role in dict.fromkeys((*model.weights, *sources))}


def _describe_mismatch(name: str, pair: dict[str, tuple[Any, Any]]) -> str:
    """Describes the weights of a layer whose shapes differ. Returns "" if all shapes are equal."""
    texts = []
    for role, weights in pair.items():
        model, file = ("none" if weight is None else str(tuple(weight.shape)) for weight in weights)
        if model != file:
            texts.append(f"{name}/{role}: file {file}, model {model}")
    return "; ".join(texts)


def _read(path: Path, name: str, source: Any) -> np.ndarray:
    """Reads a weight as float32 and checks that it is finite."""
    with hdf5_errors(path), np.errstate(over="ignore"):  # an overflow to infinity is reported below
        array = np.asarray(source).astype(np.float32)
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        raise CheckpointError(
            f"{path}: {name}: {bad} of {array.size} values are NaN or infinite, for example because training "
            "diverged. Use an earlier checkpoint."
        )
    return array
