"""`load_model`: a model for detection from any file or folder that this package writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mrcnn.export import ExportedModel, is_export

if TYPE_CHECKING:
    from mrcnn.model import MaskRCNN


def load_model(path: str | Path) -> MaskRCNN | ExportedModel:
    """Loads a model for `detect` and `detect_stream`.

    Args:
        path: folder of an exported model, or a file of it such as `model.tflite`, which is run without TensorFlow if
            its format allows; or a checkpoint or `hf://owner/name`, see `MaskRCNN.from_checkpoint`.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is damaged or contains no Config.
    """
    if is_export(path):
        return ExportedModel(path)
    from mrcnn.model import MaskRCNN  # imports TensorFlow

    return MaskRCNN.from_checkpoint(path)
