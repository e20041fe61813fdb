"""Resolves the value of `--weights` to a file, reads its settings and class names, and loads the model."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcnn.errors import UserError
from mrcnn.export import export_folder, is_export, read_metadata
from nike import cli  # noqa: F401  imported first to suppress TensorFlow's messages
from nike.datasets.config_file import read_config_file
from nike.quiet import import_tensorflow
from nike.training.start_weights import REFINEMENT_LAYERS, bundled_weights

COCO_CLASSES = 81
# Layers of a weights file that are skipped if the setting disables them.
OPTIONAL_LAYERS = {
    "MASK_HEAD": r"mrcnn_mask.*",
    "MASK_REFINEMENT_SIZE": REFINEMENT_LAYERS,
    "NUM_KEYPOINTS": r"mrcnn_keypoint.*",
}


def resolve_weights(name: str, logs: Path = Path("logs"), run_name: str | None = None) -> Path:
    """Returns the weights file for a value of `--weights`.

    Args:
        name: "nike" (bundled), "coco" (downloaded if necessary), "last" or "best" (of the newest run), a path, the log
            folder of a run or its name in `logs` (best weights, else the last), an exported model (folder or file), or
            `hf://owner/name[@revision][/file][#sha256=HEX]` on the Hugging Face Hub.
        logs: parent folder of the log folders.
        run_name: name of the run for "last" and "best", or None for a run of any name.

    Raises:
        FileNotFoundError: if the file or the run does not exist.
        HubError: if the file cannot be downloaded from the Hub. HubError is a ValueError.
    """
    from mrcnn import checkpoints
    from mrcnn.checkpoints import log_dirs

    if name == "coco":
        return Path(checkpoints.coco_weights())
    if name == "last":
        return log_dirs.find_last(logs, run_name)
    if name == "best":
        return log_dirs.find_best(logs, run_name)
    if name == "nike":
        return bundled_weights()
    if checkpoints.is_hub_reference(name):
        return checkpoints.hub_weights(name)
    if is_export(name):
        return export_folder(name)
    for folder in (Path(name), logs / name):
        if folder.is_dir() and (found := log_dirs.best_or_last(folder)) is not None:
            return found
    if not Path(name).is_file():
        raise FileNotFoundError(
            f"--weights: expected nike, coco, last, best, hf://owner/name or an existing file, got {name}."
        )
    return Path(name)


def read_settings(path: Path, config_file: Path | None = None) -> tuple[Any, list[str]]:
    """Reads the Config and the class names of a weights file.

    Args:
        path: weights file, or the folder of an exported model.
        config_file: JSON or YAML file with settings that override the settings in the weights file. It is required for
            a weights file without settings, unless the file has the 81 COCO classes.

    Returns:
        The Config, and the class names by class id, background first.

    Raises:
        ValueError: if the file is damaged, `config_file` is invalid or missing, or it is given for an exported model.
    """
    from mrcnn.checkpoints import read_checkpoint
    from mrcnn.config import Config
    from mrcnn.data.coco_classes import COCO_CLASS_NAMES

    if is_export(path):
        if config_file is not None:
            raise UserError(
                f"--config: the settings of the exported model {path} are fixed. Export it again with --config."
            )
        metadata = read_metadata(path)
        config = Config.from_dict(metadata["config"], str(path))
        return config, _class_names(metadata, config.NUM_CLASSES, COCO_CLASS_NAMES)
    with read_checkpoint(path) as checkpoint:
        settings, metadata, classes = checkpoint.config, checkpoint.metadata, checkpoint.num_classes
    changes = {} if config_file is None else read_config_file(config_file)
    if settings is None and config_file is None and classes != COCO_CLASSES:
        raise UserError(
            f"{path}: no Config stored in this file (checkpoints from other tools have none). Pass the training "
            'settings with --config FILE, such as {"BACKBONE": "resnet101", "IMAGE_MAX_DIM": 512} in JSON.'
        )
    config = Config.from_dict({"NAME": "weights", "NUM_CLASSES": classes or 2, **(settings or {})}, str(path))
    config = config.from_dict(changes, str(config_file))
    return config, _class_names(metadata, config.NUM_CLASSES, COCO_CLASS_NAMES)


def _class_names(metadata: Mapping[str, Any], count: int, coco: Sequence[str]) -> list[str]:
    """Returns the class names in the metadata, else the COCO names for 81 classes, else generic names."""
    names = metadata.get("class_names")
    if isinstance(names, list) and len(names) == count and all(isinstance(name, str) for name in names):
        return names
    if count == COCO_CLASSES:
        return list(coco)
    return ["BG", "nike"] if count == 2 else ["BG", *(f"class {i}" for i in range(1, count))]


def load_keras_model(path: Path, config: Any, device: str | None = None, precision: str = "auto") -> Any:
    """Builds a `MaskRCNN` in inference mode and loads its weights. Messages are printed to stderr.

    Args:
        path: weights file. Its OPTIONAL_LAYERS are skipped if `config` disables them.
        config: settings of the network.
        device: see `mrcnn.training.devices.prepare_devices`.
        precision: "on" for bfloat16, "off" for float32, "auto" for the faster of the two; see
            `mrcnn.training.devices.set_precision`.
    """
    import_tensorflow()
    import keras

    from mrcnn.model import MaskRCNN
    from mrcnn.training.devices import prepare_devices, set_precision

    policy = keras.config.dtype_policy()
    with contextlib.redirect_stdout(sys.stderr):  # stdout is reserved for results
        print(f"device {prepare_devices(device)}, {set_precision(precision)}")
        try:
            model = MaskRCNN("inference", config, "logs")
        finally:  # restores the global policy; the layers of the model keep their policies
            keras.config.set_dtype_policy(policy)
        disabled = [layers for setting, layers in OPTIONAL_LAYERS.items() if not getattr(config, setting)]
        model.load_weights(path, exclude=disabled)  # loading by name would accept the weights of a deeper backbone
    return model
