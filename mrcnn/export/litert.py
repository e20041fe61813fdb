"""Export to LiteRT (TensorFlow Lite), for phones and other ARM devices, and for CPUs without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import ai_edge_litert
from ai_edge_litert.interpreter import Interpreter

from mrcnn.export.exported import one_at_a_time, thread_count
from mrcnn.export.metadata import ExportError

if TYPE_CHECKING:
    from mrcnn.export.exported import Run
    from mrcnn.export.graph import ExportGraph

FILE = "model.tflite"
ROI_ALIGN_METHOD = "gather"  # crop_and_resize is not a built-in operation of LiteRT


def write(graph: ExportGraph, folder: Path, calibration: list) -> None:
    """Writes `model.tflite` for one image at a time, with only LiteRT's built-in operations."""
    if graph.config.ROI_POOLING == "pool":
        raise ExportError("LiteRT has no operation for RoIPool (ROI_POOLING = 'pool'). Choose another format.")
    import tensorflow as tf

    function = graph.function(batch=1).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], graph)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    (folder / FILE).write_bytes(converter.convert())


def load(folder: Path) -> Run:
    """Returns the function that runs the model on the CPU."""
    threads = thread_count() or os.cpu_count()
    try:
        interpreter = Interpreter(str(folder / FILE), num_threads=threads)
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner("serving_default")
    except (ValueError, RuntimeError) as error:
        reason, version = " ".join(str(error).split()), ai_edge_litert.__version__
        raise ExportError(f"{folder}: LiteRT {version} cannot load the model ({reason}).") from None
    return one_at_a_time(lambda inputs: runner(**inputs))
