"""Which weights a training starts from: the file, the settings that come with it, the layers that cannot be taken."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mrcnn import checkpoints
from mrcnn.checkpoints import log_dirs

SHIPPED = "mask_rcnn_nike.h5"
PACKAGE_FOLDER = Path(str(resources.files("nike") / "weights"))  # filled in wheels, see setup.py
CHOICES = ("coco", "imagenet", "nike", "last", "best", "none")
# Settings that belong to the weights: the shapes of layers, and what their outputs mean.
BOUND = (
    "BACKBONE",
    "TOP_DOWN_PYRAMID_SIZE",
    "FPN_CLASSIF_FC_LAYERS_SIZE",
    "RPN_CHANNELS",
    "RPN_ANCHOR_SCALES",
    "RPN_ANCHOR_RATIOS",
    "RPN_ANCHOR_STRIDE",
    "MASK_HEAD_CHANNELS",
    "MASK_HEAD_CONVOLUTIONS",
    "POOL_SIZE",
    "MASK_POOL_SIZE",
    "MASK_SHAPE",
    "MEAN_PIXEL",
    "RPN_BBOX_STD_DEV",
    "BBOX_STD_DEV",
    "ROI_POOLING",
)


@dataclass(frozen=True)
class StartWeights:
    """Weights to start from.

    Attributes:
        name: as the user called them.
        path: the file; None: random weights, or ImageNet's, whose file depends on the backbone.
        settings: of the Config, that the weights were made with.
        classes: number of classes in the file, background included; None if it has no heads.
    """

    name: str
    path: Path | None
    settings: dict[str, Any]
    classes: int | None


def find_start_weights(name: str, logs: Path, run_name: str | None = None) -> StartWeights:
    """Finds what `--weights` names; COCO weights are downloaded if need be.

    Args:
        name: one of CHOICES or a path.
        logs: folder of the log folders, for "last" and "best".
        run_name: name of the runs that "last" and "best" choose from; None: any.

    Raises:
        FileNotFoundError, ValueError: there are none, or the file is damaged.
    """
    if name in ("none", "imagenet"):
        return StartWeights(name, None, {}, None)
    if name == "coco":
        path = checkpoints.coco_weights()
    elif name == "last":
        path = log_dirs.find_last(logs, run_name)
    elif name == "best":
        path = log_dirs.find_best(logs, run_name)
    elif name == "nike":
        path = bundled_weights()
    else:
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(f"--weights: {path} is not a file, nor one of {', '.join(CHOICES)}.")
    settings, classes = _look_into(path)
    if name == "coco":
        settings = {"BACKBONE": "resnet101"}
    return StartWeights(name, path, settings, classes)


def bundled_weights() -> Path:
    """The bundled weights: the first in the folders searched for weights, otherwise the copy in an installed package.

    Raises:
        FileNotFoundError: not found.
    """
    path = checkpoints.find_weights(SHIPPED) or PACKAGE_FOLDER / SHIPPED
    if not path.is_file():
        raise FileNotFoundError(
            f"--weights=nike: {SHIPPED} is neither in the folder weights/ nor in {PACKAGE_FOLDER}. Reinstall the "
            "package, or pass the path of a weights file."
        )
    return path


def _look_into(path: Path) -> tuple[dict[str, Any], int | None]:
    if path.suffix == ".npz":
        return {}, None
    with checkpoints.read_checkpoint(path) as checkpoint:
        head = checkpoint.layers.get("mrcnn_class_logits")
        classes = head.weights["bias"].shape[0] if head is not None and "bias" in head.weights else None
        config = checkpoint.config or {}
    return {field: config[field] for field in BOUND if field in config}, classes


def load_start_weights(model, weights: StartWeights) -> str:
    """Loads the weights into a MaskRCNN, without the heads where the classes differ; says in words what was loaded."""
    path = weights.path
    if weights.name == "imagenet":
        path = Path(model.get_imagenet_weights())
    if path is None:
        return "random"
    other_classes = weights.classes is not None and weights.classes != model.config.NUM_CLASSES
    model.load_weights(path, by_name=True, exclude=checkpoints.HEADS if other_classes else None)
    model.set_log_dir()  # a new run, also where the file is of an earlier one
    if other_classes:
        return f"{path}, without its heads: they know {weights.classes - 1} classes, not {model.config.NUM_CLASSES - 1}"
    return str(path)
