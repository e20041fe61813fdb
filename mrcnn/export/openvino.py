"""Export to OpenVINO, for fast inference on Intel and ARM CPUs without TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino
from openvino import opset13 as ops

from mrcnn.atomic import replacing
from mrcnn.checkpoints.locate import WeightsNotFoundError, cache_folder
from mrcnn.export.exported import one_at_a_time, thread_count
from mrcnn.export.metadata import FILE as METADATA
from mrcnn.export.metadata import OUTPUTS, ExportError

if TYPE_CHECKING:
    from mrcnn.export.exported import Run
    from mrcnn.export.graph import ExportGraph

FILE = "model.xml"  # the weights are in model.bin
MAX_STABLE_TOPK = 10_000  # up to this number of anchors, equal scores are ordered as in Keras
OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}  # bfloat16 would move boxes
CACHED_MODELS = 20  # maximum number of files in the cache folder, 1 to 3 MB each


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
        compiled = _compile(folder)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ExportError(f"{folder}: OpenVINO {openvino.get_version()} cannot load the model ({reason}).") from None
    outputs = {name: out for out in compiled.outputs for name in OUTPUTS if name in out.names}
    request = compiled.create_infer_request()

    def infer(inputs):
        request.infer(inputs)
        return {name: request.get_tensor(out).data.copy() for name, out in outputs.items()}

    return one_at_a_time(infer)


def _compile(folder: Path) -> openvino.CompiledModel:
    """Compiles the model, or reads it from the user's cache folder, which is several times as fast.

    OpenVINO's own cache (CACHE_DIR) is not used, because it does not write files atomically. Some of several processes
    that start at the same time would fail.
    """
    core, weights = openvino.Core(), folder / Path(FILE).with_suffix(".bin")
    options = {**OPTIONS, "INFERENCE_NUM_THREADS": thread_count(), "CACHE_MODE": "OPTIMIZE_SIZE"}
    options["WEIGHTS_PATH"] = str(weights)  # the compiled model in the cache contains no weights
    try:
        cached = _cached_file(core, folder)
    except WeightsNotFoundError:  # the user has no home folder
        return core.compile_model(folder / FILE, "CPU", options)
    try:
        return core.import_model(cached.read_bytes(), "CPU", options)
    except (OSError, RuntimeError):  # missing or damaged
        compiled = core.compile_model(folder / FILE, "CPU", options)
    with contextlib.suppress(OSError, RuntimeError):  # a read-only or full disk
        with replacing(cached) as temporary:
            temporary.write_bytes(compiled.export_model().getvalue())
        for path in sorted(cached.parent.glob("*.blob"), key=os.path.getmtime)[:-CACHED_MODELS]:
            path.unlink()
    return compiled


def _cached_file(core: openvino.Core, folder: Path) -> Path:
    """Returns the path of the compiled model, whose name depends on the files, the CPU and the version of OpenVINO.

    The hashes are read from the metadata, because `check_files` has already compared them with the files.
    """
    hashes = json.loads((folder / METADATA).read_text(encoding="utf-8"))["files"]
    cpu = (str(core.get_property("CPU", name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES"))
    key = "\n".join([openvino.get_version(), *cpu, hashes[FILE], hashes[Path(FILE).with_suffix(".bin").name]])
    return cache_folder() / "openvino" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.blob"
