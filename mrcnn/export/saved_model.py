"""Export to a TensorFlow SavedModel, for TensorFlow Serving and programs that use TensorFlow without this package."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from mrcnn.export.exported import Run
from mrcnn.export.graph import ExportGraph
from mrcnn.export.metadata import OUTPUTS, ExportError


def write(graph: ExportGraph, folder: Path, calibration: list) -> None:
    """Writes the SavedModel with the signature `serving_default` for any number of images."""
    tf.saved_model.save(graph, str(folder), signatures={"serving_default": graph.function(batch=None)})


def load(folder: Path) -> Run:
    """Returns the function that runs the model."""
    try:
        model = tf.saved_model.load(str(folder))
        run = model.signatures["serving_default"]
    except Exception as error:  # TensorFlow raises many types of exceptions
        reason = " ".join(str(error).split())
        raise ExportError(f"{folder}: TensorFlow {tf.__version__} cannot load the model ({reason}).") from None

    def detect(images, windows, min_confidence):
        outputs = run(images=images, windows=windows, min_confidence=min_confidence)
        return tuple(outputs[name].numpy() if name in outputs else None for name in OUTPUTS)

    detect.model = model  # keeps the variables of the model alive
    return detect
