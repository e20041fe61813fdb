"""Writing, verification and inference of exported models. Inference requires TensorFlow only for "saved_model".

An exported model is a folder with the files of its format and `metadata.json`; see `mrcnn.export.metadata`.
"""

from mrcnn.export.exported import ExportedModel
from mrcnn.export.metadata import FORMATS, ExportError, export_folder, is_export, read_metadata
from mrcnn.export.verify import VerificationError

__all__ = [
    "FORMATS",
    "ExportError",
    "ExportedModel",
    "VerificationError",
    "export_folder",
    "is_export",
    "read_metadata",
]
