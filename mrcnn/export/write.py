"""Writes an exported model: converts and verifies it before it replaces an earlier export."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.export.exported import ExportedModel
from mrcnn.export.graph import ExportGraph
from mrcnn.export.metadata import ExportError, describe, format_module, is_export, write_metadata
from mrcnn.export.verify import check, compare, tolerance


def write_export(
    model: Any,
    path: str | Path,
    format: str,
    images: Iterable | None = None,
    calibration: Iterable = (),
    accept: Callable[[Path], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Exports a model to a folder and verifies it; see `MaskRCNN.export`.

    Raises:
        VerificationError: if the outputs of the exported model differ from the Keras model. Nothing is written.
        ExportError: if the format, the model or the path cannot be used.
    """
    module, path, calibration = format_module(format), Path(path), list(calibration)
    if path.exists() and not (path.is_dir() and (is_export(path) or not any(path.iterdir()))):
        raise ExportError(f"{path} exists and is not an exported model. Choose another folder.")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}."))
    try:
        graph = ExportGraph(model, getattr(module, "ROI_ALIGN_METHOD", "crop_and_resize"))
        folder = temporary / "new"
        folder.mkdir()  # has the default permissions, unlike the folder of mkdtemp
        module.write(graph, folder, calibration)
        metadata = describe(format, model.config, model.class_names, graph.weights_hash)
        write_metadata(folder, metadata)
        allowed = tolerance(format)
        threshold = min(allowed.threshold, float(graph.config.DETECTION_MIN_CONFIDENCE or 0))
        lower = max(threshold - allowed.margin, 0.0)
        reference = graph.reference(graph.config.copy(DETECTION_MIN_CONFIDENCE=lower))
        if images is None:
            images = calibration or _noise_images(graph.config)
        table = compare(images, reference, ExportedModel(folder, lower).predictor, threshold)
        check(table, format)
        if accept is not None:
            table |= accept(folder)
        write_metadata(folder, metadata | {"verification": table})
        _replace(folder, path, temporary / "old")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return table


def _replace(folder: Path, path: Path, old: Path) -> None:
    """Moves a folder to a path. An existing folder is moved to `old` first, and moved back if the move fails."""
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(folder, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise


def _noise_images(config) -> list[np.ndarray]:
    """Returns two images of smooth noise, for a verification without images."""
    side = int(config.IMAGE_MAX_DIM)
    cells = np.random.default_rng(0).integers(0, 256, (2, 8, 8, config.IMAGE_CHANNEL_COUNT), dtype=np.uint8)
    return [np.kron(cell, np.ones((side // 8, side // 8, 1), np.uint8)) for cell in cells]
