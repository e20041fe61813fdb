"""Loads a weights file into Keras layers by name: every shape is checked first, all or nothing, with a report."""

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

from mrcnn.checkpoints.convert import mobilenet_v2_from_torch, to_own_backbone
from mrcnn.checkpoints.hdf5 import CheckpointError, hdf5_errors, read_checkpoint
from mrcnn.checkpoints.layout import KNOWN_WEIGHTS, LayerWeights, flatten_model
from mrcnn.checkpoints.report import HEADS, LoadReport, WeightsMismatchError, backbone_warning, explain


def load_weights(
    layers: Mapping[str, Any],
    path: str | os.PathLike,
    exclude: Iterable[str] | None = None,
    by_name: bool = True,
    allow_nan: bool = False,
) -> LoadReport:
    """Sets the weights of Keras layers from a file, matched by layer name and by role (kernel, bias, gamma, ...).

    Args:
        layers: Keras layers by name; nested models count as one layer; layers without weights are skipped.
        path: Matterport's or Keras's HDF5 file, or ImageNet weights of a backbone (see imagenet.py): of those only
            the backbone is loaded and the other layers are reported as missing.
        exclude: names or regular expressions (full match) of layers, or of their group, to leave as they are.
        by_name: False: a layer of the file that the model does not have is an error too. True: weights of a deeper
            backbone that has all layers of the model are loaded, with a UserWarning.
        allow_nan: load weights that are NaN or infinite.

    Returns:
        The report. Nothing is printed.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged or of another kind.
        WeightsMismatchError: a layer that is not excluded is missing or has another shape.
            All of them (ValueErrors) are raised before the first weight is changed.
    """
    path = Path(path)
    model = flatten_model(layers)
    is_excluded = _excluder(exclude)
    with _open(path) as (stored, notes):
        wanted = {name: layer for name, layer in model.items() if not is_excluded(name, layer.group)}
        offered = {name: layer for name, layer in stored.items() if not is_excluded(name, layer.group)}
        pairs = {name: _pair(wanted[name], offered[name]) for name in wanted if name in offered}
        mismatches = {name: text for name, pair in pairs.items() if (text := _mismatch(name, pair))}
        report = LoadReport(
            file=str(path),
            loaded=tuple(name for name in pairs if name not in mismatches),
            excluded=tuple(name for name in model if name not in wanted),
            missing=tuple(name for name in wanted if name not in offered),
            unexpected=tuple(name for name in offered if name not in wanted),
            mismatched=tuple(mismatches.values()),
            tensors=sum(len(pair) for pair in pairs.values()),
            notes=notes,
        )
        if problem := explain(report, wanted, offered, strict=not by_name):
            raise WeightsMismatchError(f"{path}: {problem}", report)
        warning = backbone_warning(report, wanted, offered)
        values = [
            (variable, _read(path, f"{name}/{role}", source, allow_nan))
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
def _open(path: Path) -> Iterator[tuple[dict[str, LayerWeights], tuple[str, ...]]]:
    """The layers of a file under this project's names, and notes on what was converted."""
    if path.suffix == ".npz":
        arrays = mobilenet_v2_from_torch(path)
        yield {name: LayerWeights(name, weights) for name, weights in arrays.items()}, ()
    else:
        with read_checkpoint(path) as checkpoint:
            with hdf5_errors(path):
                converted = to_own_backbone(checkpoint.layers)
            yield converted


def _excluder(exclude: Iterable[str] | None) -> Callable[..., bool]:
    patterns = [exclude] if isinstance(exclude, str) else list(exclude or ())
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except (re.error, TypeError):
            raise ValueError(
                f"exclude: expected layer names or regular expressions, got {pattern!r}; example: exclude={HEADS}."
            ) from None
    return lambda *names: any(pattern.fullmatch(name) for pattern in compiled for name in names)


def _pair(model: LayerWeights, stored: LayerWeights) -> dict[str, tuple[Any, Any]]:
    """`{role: (variable, stored weight)}`; None stands for what one side lacks."""
    sources = stored.weights
    # A file without usable names: go by position.
    if len(sources) == len(model.weights) and not set(sources) & set(KNOWN_WEIGHTS):
        sources = dict(zip(model.weights, sources.values(), strict=True))
    return {role: (model.weights.get(role), sources.get(role)) for role in dict.fromkeys((*model.weights, *sources))}


def _mismatch(name: str, pair: dict[str, tuple[Any, Any]]) -> str:
    """Empty if the weights of a layer fit, else what does not."""
    texts = []
    for role, weights in pair.items():
        model, file = ("none" if weight is None else str(tuple(weight.shape)) for weight in weights)
        if model != file:
            texts.append(f"{name}/{role}: file {file}, model {model}")
    return "; ".join(texts)


def _read(path: Path, name: str, source: Any, allow_nan: bool) -> np.ndarray:
    """The stored weight as float32, checked."""
    with hdf5_errors(path), np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite: caught below
        array = np.asarray(source).astype(np.float32)
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad and not allow_nan:
        raise CheckpointError(
            f"{path}: {name} has {bad} values of {array.size} that are NaN or infinite. The training that wrote it "
            "went astray: use an earlier checkpoint."
        )
    return array
