"""`metadata.json` of an exported model: its settings, its files and the result of its verification.

| Key | Value |
|---|---|
| `format` | one of `FORMATS` |
| `version` | version of mrcnn |
| `runtime` | package and version that converted the model, such as "openvino 2026.4.1" |
| `config` | settings; see `mrcnn.config.Config` |
| `class_names` | names by class id, background first, or null |
| `weights` | SHA-256 of the float32 weights in the order of their names |
| `files` | SHA-256 of each other file, by path in the folder |
| `signature` | inputs and outputs: name, shape, dtype and meaning |
| `verification` | the largest differences from the Keras model; see `mrcnn.export.verify` |
| `checksum` | SHA-256 of the other values, which detects changed settings |
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mrcnn import __version__
from mrcnn.checkpoints.hub import sha256_of
from mrcnn.config import Config
from mrcnn.errors import UserError
from mrcnn.ops.keypoints import BOX_PADDING

FILE = "metadata.json"
FORMATS = {  # format -> package that runs it
    "openvino": "openvino",
    "openvino-int8": "openvino",
    "onnx": "onnxruntime",
    "litert": "ai_edge_litert",
    "saved_model": "tensorflow",
}
OUTPUTS = ("detections", "masks", "keypoints")  # outputs of the network; the last two are optional
# A folder with one of these files is an exported model.
FILES = (FILE, "model.xml", "model.onnx", "model.tflite", "saved_model.pb")
KEYS = {"format": str, "version": str, "runtime": str, "config": dict, "files": dict}


class ExportError(UserError):
    """Raised if a model cannot be exported or an exported model cannot be used."""


def export_folder(path: str | Path) -> Path:
    """Returns the folder of a file of an exported model, such as `model.tflite`. Other paths are returned unchanged."""
    path = Path(path)
    return path.parent if path.name in FILES and path.is_file() else path


def is_export(path: str | Path) -> bool:
    """Returns whether a path looks like an exported model, that is, its folder or one of its files."""
    folder = export_folder(path)
    return folder.is_dir() and any((folder / name).is_file() for name in FILES)


def format_module(name: str) -> ModuleType:
    """Returns the module that writes and runs a format.

    Raises:
        ExportError: if the format is unknown or its package is not installed.
    """
    if name not in FORMATS:
        raise ExportError(f"export format: expected one of {', '.join(FORMATS)}, got {name!r}.")
    try:
        return import_module(f"mrcnn.export.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        package = FORMATS[name]
        if (error.name or "").partition(".")[0] != package:
            raise
        package = package.replace("_", "-")
        raise ExportError(f"format {name} requires the package {package}: pip install {package}.") from None


def describe(name: str, config: Config, class_names: list[str] | None, weights: str) -> dict[str, Any]:
    """Returns the metadata of an exported model, without its files and its verification."""
    package = FORMATS[name]
    return {
        "format": name,
        "version": __version__,
        "runtime": f"{package} {import_module(package).__version__}",
        "config": json.loads(config.to_json()),
        "class_names": class_names,
        "weights": weights,
        "signature": signature(config),
    }


def signature(config: Config) -> dict[str, Any]:
    """Returns the inputs and outputs of an exported model. "B" is 1 for runtimes that require a constant batch size."""
    side, channels = int(config.IMAGE_MAX_DIM), int(config.IMAGE_CHANNEL_COUNT)
    detections = int(config.DETECTION_MAX_INSTANCES)
    mask = int(config.MASK_REFINEMENT_SIZE or config.MASK_SHAPE[0])
    masks = {
        "shape": ["B", detections, mask, mask],
        "meaning": "probabilities of the mask of each detection in its box; with MASK_REFINEMENT_SIZE, the box is "
        "enlarged on each side by the fraction MASK_REFINEMENT_PADDING of its height or width",
    }
    keypoints = {
        "shape": ["B", detections, *[4 * int(config.MASK_POOL_SIZE)] * 2, int(config.NUM_KEYPOINTS)],
        "meaning": "logits of the position of each keypoint in the box of each detection, enlarged on each side by "
        f"the fraction {BOX_PADDING} of its height or width",
    }
    return {
        "inputs": {
            "images": {
                "shape": ["B", side, side, channels],
                "meaning": "RGB 0..255 minus MEAN_PIXEL, resized to the longer side and padded",
            },
            "windows": {
                "shape": ["B", 4],
                "meaning": "y1, x1, y2, x2 of the image inside its padding, pixels, half-open",
            },
            "min_confidence": {"shape": ["B"], "meaning": "score threshold"},
        },
        "outputs": {
            "detections": {
                "shape": ["B", detections, 6],
                "meaning": "y1, x1, y2, x2, class id, score; boxes are (pixels - [0, 0, 1, 1]) / (side - 1); highest "
                "score first, zero-padded",
            },
            **({"masks": masks} if config.MASK_HEAD else {}),
            **({"keypoints": keypoints} if config.NUM_KEYPOINTS else {}),
        },
        "dtype": "float32",
    }


def write_metadata(folder: Path, metadata: dict[str, Any]) -> None:
    """Writes `metadata.json` with the SHA-256 of all other files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    hashes = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
    metadata = metadata | {"files": hashes}
    text = json.dumps(metadata | {"checksum": _checksum(metadata)}, indent=2)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Reads the metadata of an exported model. `check_files` compares them with the other files of the folder.

    Raises:
        ExportError: if `metadata.json` is missing, invalid or changed.
    """
    folder = Path(path)
    try:
        metadata = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"{folder}: {FILE} is missing. Export the model again with nike export.") from None
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{folder / FILE}: not valid JSON ({error}). Export the model again.") from None
    valid = isinstance(metadata, dict) and all(isinstance(metadata.get(key), type_) for key, type_ in KEYS.items())
    if not valid or metadata["format"] not in FORMATS or not metadata["files"]:
        raise ExportError(f"{folder / FILE}: not the metadata of an exported model. Export the model again.")
    if metadata.pop("checksum", None) != _checksum(metadata):
        raise ExportError(f"{folder / FILE}: changed after the export. Export the model again with the new settings.")
    return metadata


def check_files(folder: Path, metadata: dict[str, Any]) -> None:
    """Compares the SHA-256 of the files of an exported model with its metadata.

    Raises:
        ExportError: if a file is missing, truncated or from a different model.
    """
    for name, expected in metadata["files"].items():
        file = folder / name
        if not file.is_file():
            raise ExportError(f"{file}: the file is missing. Export the model again.")
        if sha256_of(file) != expected:
            raise ExportError(f"{file}: truncated, or from a different model than {FILE}. Export the model again.")


def _checksum(metadata: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()
