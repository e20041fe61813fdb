"""Finds and loads the initial weights of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mrcnn import checkpoints
from mrcnn.checkpoints import log_dirs
from mrcnn.checkpoints.convert import is_backbone_only
from mrcnn.checkpoints.report import backbone_name
from mrcnn.choices import SETTINGS

BUNDLED_WEIGHTS = "mask_rcnn_nike.h5"
PACKAGE_FOLDER = Path(str(resources.files("nike") / "weights"))  # only in wheels, see setup.py
CHOICES = ("coco", "imagenet", "nike", "last", "best", "none")
# Settings that determine the shapes of the weights and the interpretation of the outputs.
WEIGHT_SETTINGS = (
    "BACKBONE",
    "TOP_DOWN_PYRAMID_SIZE",
    "FPN_CLASSIF_FC_LAYERS_SIZE",
    "RPN_CHANNELS",
    "RPN_ANCHOR_SCALES",
    "RPN_ANCHOR_RATIOS",
    "RPN_ANCHOR_STRIDE",
    "MASK_HEAD_CHANNELS",
    "MASK_HEAD_CONVOLUTIONS",
    "MASK_REFINEMENT_CHANNELS",
    "POOL_SIZE",
    "MASK_POOL_SIZE",
    "MASK_SHAPE",
    "MEAN_PIXEL",
    "RPN_BBOX_STD_DEV",
    "BBOX_STD_DEV",
    "ROI_POOLING",
    "MASK_ACTIVATION",
)

# Widths of the feature pyramid and the heads if they have no initial weights: at most half of the defaults of Config,
# which COCO weights require. A training step with ResNet-50 takes half as long; see docs/benchmarks.md.
NARROW = {
    "TOP_DOWN_PYRAMID_SIZE": 128,
    "RPN_CHANNELS": 128,
    "MASK_HEAD_CHANNELS": 128,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 512,
}
REFINEMENT_LAYERS = r"mrcnn_refine_.*"  # missing in older files and in files of the original


@dataclass(frozen=True)
class StartWeights:
    """Initial weights of a run.

    Attributes:
        name: value of `--weights`.
        path: weights file. None for random weights and for "imagenet", whose file depends on the backbone.
        settings: Config settings stored in the file, restricted to WEIGHT_SETTINGS. For a file without settings, the
            backbone that its layers belong to, and NARROW if it has no heads.
        classes: number of classes in the file, background included, or None if the file has no heads.
        refines_masks: whether the file has mask refinement layers.
    """

    name: str
    path: Path | None
    settings: dict[str, Any]
    classes: int | None
    refines_masks: bool = False


def find_start_weights(name: str, logs: Path, run_name: str | None = None) -> StartWeights:
    """Finds the initial weights for a value of `--weights`. COCO weights are downloaded if necessary.

    Args:
        name: one of CHOICES, a path, or `hf://owner/name` on the Hugging Face Hub; see `mrcnn.checkpoints.hub`.
        logs: parent folder of the log folders, for "last" and "best".
        run_name: name of the run for "last" and "best", or None for a run of any name.

    Raises:
        FileNotFoundError: if the weights do not exist.
        ValueError: if the file is damaged.
    """
    if name in ("none", "imagenet"):
        return StartWeights(name, None, NARROW, None)
    if name == "coco":
        path = checkpoints.coco_weights()
    elif name == "last":
        path = log_dirs.find_last(logs, run_name)
    elif name == "best":
        path = log_dirs.find_best(logs, run_name)
    elif name == "nike":
        path = bundled_weights()
    elif checkpoints.is_hub_reference(name):
        path = checkpoints.hub_weights(name)
    else:
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(
                f"--weights: expected {', '.join(CHOICES)}, hf://owner/name or an existing file, got {path}."
            )
    settings, classes, refines_masks = _read_settings(path)
    return StartWeights(name, path, settings, classes, refines_masks)


def bundled_weights() -> Path:
    """Returns the path of the bundled weights, in the weights folders or in the installed package.

    Raises:
        FileNotFoundError: if the file is missing.
    """
    path = checkpoints.find_weights(BUNDLED_WEIGHTS) or PACKAGE_FOLDER / BUNDLED_WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(
            f"--weights=nike: {BUNDLED_WEIGHTS} not found in weights/ or {PACKAGE_FOLDER}. Reinstall the package or "
            "pass the path of a weights file."
        )
    return path


def _read_settings(path: Path) -> tuple[dict[str, Any], int | None, bool]:
    if path.suffix == ".npz":
        return {"BACKBONE": "mobilenet_v2", **NARROW}, None, False
    with checkpoints.read_checkpoint(path) as checkpoint:
        classes = checkpoint.num_classes
        refines_masks = any(name.startswith("mrcnn_refine_") for name in checkpoint.layers)
        config = checkpoint.config or (NARROW if is_backbone_only(checkpoint.layers) else {})
        backbone = backbone_name(checkpoint.layers)
    if backbone in SETTINGS["BACKBONE"]:  # files of the original contain no settings
        config = {"BACKBONE": backbone, **config}
    return {field: config[field] for field in WEIGHT_SETTINGS if field in config}, classes, refines_masks


def load_start_weights(model, weights: StartWeights) -> str:
    """Loads initial weights into a MaskRCNN and returns their description.

    The heads are not loaded if the number of classes differs. If the file has no mask refinement layers, these keep
    their random initial weights.
    """
    path = weights.path
    if weights.name == "imagenet":
        path = Path(model.get_imagenet_weights())
    if path is None:
        return "random"
    other_classes = weights.classes is not None and weights.classes != model.config.NUM_CLASSES
    exclude = checkpoints.HEADS if other_classes else []
    if model.config.MASK_REFINEMENT_SIZE and not weights.refines_masks:
        exclude = [*exclude, REFINEMENT_LAYERS]
    model.load_weights(path, by_name=True, exclude=exclude or None)
    model.set_log_dir()  # creates a new log folder, even if the file is in the log folder of an earlier run
    if other_classes:
        return f"{path}, without the heads ({weights.classes - 1} instead of {model.config.NUM_CLASSES - 1} classes)"
    return str(path)
