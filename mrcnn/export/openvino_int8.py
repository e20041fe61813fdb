"""Export to OpenVINO with 8-bit convolutions: post-training quantization with NNCF."""

from __future__ import annotations

import logging
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino

from mrcnn.export.metadata import ExportError
from mrcnn.export.openvino import FILE, convert, load
from mrcnn.inference.processing import preprocess

if TYPE_CHECKING:
    from mrcnn.export.graph import ExportGraph

__all__ = ["load", "write"]
MIN_CONFIDENCE = 0.1  # score threshold during calibration, so that the mask layers also run
QUANTIZED_OPERATIONS = {"Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"}  # faster in 8 bits


def write(graph: ExportGraph, folder: Path, calibration: list) -> None:
    """Writes `model.xml` and `model.bin`, quantized with the activation ranges of the calibration images.

    Raises:
        ExportError: if NNCF is not installed or there are no calibration images.
    """
    try:
        import nncf
    except ModuleNotFoundError:
        raise ExportError("format openvino-int8 requires the package nncf: pip install nncf.") from None
    if not calibration:
        raise ExportError("format openvino-int8 requires images for the calibration (--calibrate DIR).")
    inputs = []
    for number, photo in enumerate(calibration):
        item = preprocess(photo, graph.config, number)
        image, window = item.image[None].astype(np.float32), item.window[None].astype(np.float32)
        inputs.append({"images": image, "windows": window, "min_confidence": np.float32([MIN_CONFIDENCE])})
    model = convert(graph)
    ignored = [op.get_friendly_name() for op in model.get_ops() if not _is_quantized(op)]
    options = {"preset": nncf.QuantizationPreset.MIXED, "ignored_scope": nncf.IgnoredScope(names=ignored)}
    nncf.set_log_level(logging.WARNING)  # avoids one line for each operation
    with redirect_stdout(sys.stderr):  # NNCF prints progress bars
        model = nncf.quantize(model, nncf.Dataset(inputs), subset_size=len(inputs), **options)
    openvino.save_model(model, folder / FILE, compress_to_fp16=False)


def _is_quantized(op: openvino.Node) -> bool:
    """Returns whether the inputs of an operation are quantized to 8 bits. These are layers and sums of feature maps.

    All other operations compute boxes or copy values. Boxes require float32. Copies stay in float32, because NNCF
    measures the range of their inputs, which can be empty, for example the RoIs of one pyramid level.
    """
    if op.get_type_name() == "Add":
        return op.get_output_partial_shape(0).rank.get_length() == 4
    return op.get_type_name() in QUANTIZED_OPERATIONS | {"Constant", "Parameter", "Result"}
