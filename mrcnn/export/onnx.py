"""Export to ONNX, for ONNX Runtime and other programs that read this format without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime

from mrcnn.export.exported import one_at_a_time, thread_count
from mrcnn.export.metadata import ExportError

if TYPE_CHECKING:
    from mrcnn.export.exported import Run
    from mrcnn.export.graph import ExportGraph

FILE = "model.onnx"
OPSET = 17
ROI_ALIGN_METHOD = "gather"  # crop_and_resize would become a loop over the boxes


def write(graph: ExportGraph, folder: Path, calibration: list) -> None:
    """Writes `model.onnx` for one image at a time. Raises ExportError if tf2onnx is not installed."""
    try:
        import tf2onnx
    except ModuleNotFoundError:
        raise ExportError("format onnx requires the package tf2onnx: pip install tf2onnx.") from None
    function = graph.function(batch=1)
    tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET, output_path=str(folder / FILE))


def load(folder: Path) -> Run:
    """Returns the function that runs the model on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count()
    try:
        session = onnxruntime.InferenceSession(folder / FILE, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many types of exceptions
        reason = " ".join(str(error).split())
        version = onnxruntime.__version__
        raise ExportError(f"{folder}: ONNX Runtime {version} cannot load the model ({reason}).") from None
    names = [output.name for output in session.get_outputs()]
    return one_at_a_time(lambda inputs: dict(zip(names, session.run(names, inputs), strict=True)))
