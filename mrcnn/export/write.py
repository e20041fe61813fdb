"""Writing an exported model: convert, verify, then move it into place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.export.exported import ExportedPredictor
from mrcnn.export.graph import ExportGraph
from mrcnn.export.metadata import ExportError, describe, format_module, is_export, write_metadata
from mrcnn.export.verify import check, compare

VERIFIED_CONFIDENCE = 0.1  # score threshold of the detections that are compared
MARGIN = 0.005  # scores this far below the threshold are computed too, so that each detection has its counterpart


def write_export(model: Any, path: str | Path, format: str, images: Iterable | None = None) -> dict[str, Any]:
    """Exports a model to a folder and verifies it; see `MaskRCNN.export`.

    Raises:
        VerificationError: the exported model does not compute what the model computes. Nothing was written.
        ExportError: the format, the model or the path cannot be used.
    """
    module, path = format_module(format), Path(path)
    if path.exists() and not is_export(path) and not (path.is_dir() and not any(path.iterdir())):
        raise ExportError(f"{path} exists and is not an exported model. Choose another folder.")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}."))
    try:
        graph = ExportGraph(model)
        folder = temporary / "new"
        folder.mkdir()  # with the usual permissions, unlike that of mkdtemp
        module.write(graph, folder)
        threshold = min(VERIFIED_CONFIDENCE, float(graph.config.DETECTION_MIN_CONFIDENCE or 0))
        config = graph.config.copy(DETECTION_MIN_CONFIDENCE=max(threshold - MARGIN, 0.0))
        exported = ExportedPredictor(module.load(folder), config, config.DETECTION_MIN_CONFIDENCE)
        images = _noise(config) if images is None else images
        table = compare(images, graph.reference(config), exported, threshold)
        check(table)
        metadata = describe(format, graph.config, model.class_names, graph.weights_hash) | {"verification": table}
        write_metadata(folder, metadata)
        if path.exists():
            os.replace(path, temporary / "old")
        os.replace(folder, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return table


def _noise(config) -> list[np.ndarray]:
    """Two images of smooth noise, for a verification without images."""
    side = int(config.IMAGE_MAX_DIM)
    cells = np.random.default_rng(0).integers(0, 256, (2, 8, 8, config.IMAGE_CHANNEL_COUNT), dtype=np.uint8)
    return [np.kron(cell, np.ones((side // 8, side // 8, 1), np.uint8)) for cell in cells]
