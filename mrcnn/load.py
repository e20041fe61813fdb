"""Loading of checkpoints and exported models for detection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mrcnn.export import ExportedModel, is_export

if TYPE_CHECKING:
    from mrcnn.model import MaskRCNN


def load_model(path: str | Path) -> MaskRCNN | ExportedModel:
    """Loads a model for `detect` and `detect_stream`.

    Args:
        path: an exported model (its folder or one of its files, such as `model.tflite`), a checkpoint, or
            `hf://owner/name` (see `MaskRCNN.from_checkpoint`). Exported models run without TensorFlow if their format
            allows it.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is damaged or contains no Config.
    """
    if is_export(path):
        return ExportedModel(path)
    from mrcnn.model import MaskRCNN  # imports TensorFlow

    return MaskRCNN.from_checkpoint(path)
