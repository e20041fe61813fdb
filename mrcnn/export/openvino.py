"""OpenVINO: fast inference on Intel and ARM CPUs without TensorFlow."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino

from mrcnn.export.metadata import OUTPUTS, ExportError

if TYPE_CHECKING:
    from mrcnn.export.exported import Run
    from mrcnn.export.graph import ExportGraph

FILE = "model.xml"  # the weights are in model.bin
MANY = 10_000  # anchors; equal scores keep the order of Keras below that
OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}  # bfloat16 would move boxes


def write(graph: ExportGraph, folder: Path, calibration: list) -> None:
    """Writes `model.xml` and `model.bin`, for one image at a time."""
    openvino.save_model(convert(graph), folder / FILE, compress_to_fp16=False)


def convert(graph: ExportGraph) -> openvino.Model:
    """Converts the network, for one image at a time."""
    model = openvino.convert_model(graph.function(batch=1).get_concrete_function())
    for node in model.get_ops():
        if node.get_type_name() == "TopK" and node.get_input_partial_shape(0).get_max_shape()[-1] > MANY:
            node.set_attribute("stable", False)  # the stable sort of all anchors takes seconds
    return model


def load(folder: Path) -> Run:
    """Returns the function that runs the model. It can be called from several threads, one at a time.

    The model uses all cores, or OMP_NUM_THREADS of them if this environment variable is set, as by Ray.
    """
    cores = os.environ.get("OMP_NUM_THREADS", "")
    options = {**OPTIONS, "INFERENCE_NUM_THREADS": int(cores) if cores.isdecimal() else 0}  # 0: all
    try:
        compiled = openvino.Core().compile_model(folder / FILE, "CPU", options)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ExportError(f"{folder}: OpenVINO {openvino.get_version()} cannot load the model ({reason}).") from None
    outputs = {name: out for out in compiled.outputs for name in OUTPUTS if name in out.names}
    request, lock = compiled.create_infer_request(), threading.Lock()

    def detect(images, windows, min_confidence):
        results = []
        with lock:
            for i in range(len(images)):
                inputs = {"images": images[i : i + 1], "windows": windows[i : i + 1]}
                request.infer({**inputs, "min_confidence": min_confidence[i : i + 1]})
                results.append({name: request.get_tensor(out).data.copy() for name, out in outputs.items()})
        joined = {name: np.concatenate([result[name] for result in results]) for name in outputs}
        return tuple(joined.get(name) for name in OUTPUTS)

    return detect
