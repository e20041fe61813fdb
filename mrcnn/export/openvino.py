"""Export to OpenVINO, for fast inference on Intel and ARM CPUs without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino
from openvino import opset13 as ops

from mrcnn.checkpoints.locate import cache_folder
from mrcnn.export.exported import one_at_a_time, thread_count
from mrcnn.export.metadata import OUTPUTS, ExportError

if TYPE_CHECKING:
    from mrcnn.export.exported import Run
    from mrcnn.export.graph import ExportGraph

FILE = "model.xml"  # the weights are in model.bin
MAX_STABLE_TOPK = 10_000  # number of anchors up to which ties keep the order of Keras
OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}  # bfloat16 would move boxes


def write(graph: ExportGraph, folder: Path, calibration: list) -> None:
    """Writes `model.xml` and `model.bin` for one image at a time."""
    openvino.save_model(convert(graph), folder / FILE, compress_to_fp16=False)


def convert(graph: ExportGraph) -> openvino.Model:
    """Converts the network for one image at a time."""
    model = openvino.convert_model(graph.function(batch=1).get_concrete_function())
    for node in model.get_ops():
        if node.get_type_name() == "TopK" and node.get_input_partial_shape(0).get_max_shape()[-1] > MAX_STABLE_TOPK:
            node.set_attribute("stable", False)  # the stable sort of all anchors takes seconds
        if node.get_type_name() == "Convolution" and _covers_input(node):
            _replace_by_product(node)
    return model


def _covers_input(convolution: openvino.Node) -> bool:
    """Returns whether a constant kernel is as large as the input, as in the first layer of the box head."""
    if convolution.input_value(1).get_node().get_type_name() != "Constant":
        return False
    source, kernel = (list(convolution.input_value(i).get_partial_shape())[2:] for i in (0, 1))
    attributes = convolution.get_attributes()
    is_padded = any([*attributes["pads_begin"], *attributes["pads_end"]])
    return source == kernel and not is_padded and any(side.get_length() > 1 for side in kernel)


def _replace_by_product(convolution: openvino.Node) -> None:
    """Replaces a convolution with one output cell by a matrix product.

    OpenVINO's convolution would read the kernel, 51 MB in the box head, once per RoI.
    """
    kernel = convolution.input_value(1).get_node().data  # [channels, depth, height, width]
    matrix = kernel.reshape(len(kernel), -1)
    vectors = ops.reshape(convolution.input_value(0), np.int64([-1, matrix.shape[1]]), special_zero=False)
    product = ops.matmul(vectors, ops.constant(matrix), False, True)
    cells = ops.reshape(product, np.int64([-1, len(kernel), 1, 1]), special_zero=False)
    cells.set_friendly_name(convolution.get_friendly_name())
    convolution.output(0).replace(cells.output(0))


def load(folder: Path) -> Run:
    """Returns the function that runs the model."""
    try:
        options = {**OPTIONS, **_cache_options(folder / FILE), "INFERENCE_NUM_THREADS": thread_count()}
        core = openvino.Core()
        model = core.read_model(folder / FILE)  # with a path, the cache would not detect changed weights
        compiled = core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ExportError(f"{folder}: OpenVINO {openvino.get_version()} cannot load the model ({reason}).") from None
    outputs = {name: out for out in compiled.outputs for name in OUTPUTS if name in out.names}
    request = compiled.create_infer_request()

    def infer(inputs):
        request.infer(inputs)
        return {name: request.get_tensor(out).data.copy() for name, out in outputs.items()}

    return one_at_a_time(infer)


def _cache_options(path: Path) -> dict[str, str]:
    """Returns the options that keep the compiled model, without its weights, in the user's cache folder.

    Loading the model then takes 0.2 s instead of 0.8 s. OpenVINO compiles the model again if the model, the CPU or the
    OpenVINO version changes, or if the cached file is damaged.
    """
    folder = cache_folder() / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home
        return {}
    if not os.access(folder, os.W_OK):
        return {}
    weights = str(path.with_suffix(".bin"))
    return {"CACHE_DIR": str(folder), "CACHE_MODE": "OPTIMIZE_SIZE", "WEIGHTS_PATH": weights}
