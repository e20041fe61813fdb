"""What loading a weights file did, layer by layer, and the one-line explanation where file and model do not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mrcnn.checkpoints.convert import BEYOND_BACKBONE, is_backbone_only
from mrcnn.checkpoints.layout import LayerWeights

# The layers whose last axis grows with NUM_CLASSES, and how many outputs a class has there.
HEAD_OUTPUTS = {"mrcnn_class_logits": 1, "mrcnn_bbox_fc": 4, "mrcnn_mask": 1}
# What to leave out for another number of classes ("mrcnn_bbox" only reshapes; the original's scripts list it too).
HEADS = ["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"]
REBUILD = "Build the model with the settings that the file was made with"
SHOWN = 4  # names in a one-line message


@dataclass(frozen=True, repr=False)
class LoadReport:
    """What became of each layer. Names are layers with weights; inner layers of `rpn_model` count by themselves.

    Attributes:
        file: the weights file.
        loaded: layers whose weights were set.
        excluded: layers of the model that `exclude` named.
        missing: layers of the model that the file has not.
        unexpected: layers of the file that the model has not.
        mismatched: layers of both that do not fit, as "layer/weight: file shape, model shape".
        tensors: how many weights were set.
        notes: conversions that were made, and what the caller should know.
    """

    file: str
    loaded: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    tensors: int = 0
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line with the counts."""
        return (
            f"{self.file}: {len(self.loaded)} layers ({self.tensors} weights) loaded, {len(self.excluded)} excluded, "
            f"{len(self.missing)} missing, {len(self.unexpected)} unexpected"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary()}>"

    def __str__(self) -> str:
        lines = [self.summary()]
        for field in ("excluded", "missing", "unexpected", "mismatched"):
            if names := getattr(self, field):
                lines.append(f"  {field}: {', '.join(names)}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


class WeightsMismatchError(ValueError):
    """The file does not fit the model. `report` says layer by layer; no weight was changed."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message)
        self.report = report


def explain(
    report: LoadReport, model: Mapping[str, LayerWeights], file: Mapping[str, LayerWeights], strict: bool
) -> str:
    """Says what is wrong and what to do, or returns an empty text if the file fits the model.

    Args:
        report: the outcome, before anything is loaded.
        model: layers of the model that are not excluded.
        file: layers of the file that are not excluded.
        strict: whether layers that only the file has are wrong too.
    """
    only_backbone = is_backbone_only(file)
    missing = [name for name in report.missing if not (only_backbone and BEYOND_BACKBONE.fullmatch(name))]
    if (strict or missing or report.mismatched) and (other := _other_backbone(model, file)):
        return f"{other}. Set BACKBONE to what the file has, or start from a file that fits the model."
    if missing and not report.loaded and not report.mismatched:
        return (
            f"no layer of the model is in the file, which has {_some(file)}; the model expects {_some(missing)}. "
            "Is this a Mask R-CNN checkpoint?"
        )
    if report.mismatched:
        return _explain_shapes(report.mismatched, model, file)
    if missing:
        return (
            f"{len(missing)} layers of the model are not in the file: {_some(missing)}. {REBUILD}, or name these "
            "layers in `exclude` to keep their present weights."
        )
    if report.unexpected and strict:
        return (
            f"{len(report.unexpected)} layers of the file are not in the model: {_some(report.unexpected)}. Pass "
            "by_name=True to leave them out."
        )
    return ""


def backbone_warning(report: LoadReport, model: Mapping[str, LayerWeights], file: Mapping[str, LayerWeights]) -> str:
    """Says that weights that fit by name and shape come from another backbone; empty if they do not.

    A ResNet-101 file has all layers of a ResNet-50, but the blocks of its stage 4 have learnt other functions. The
    arguments are those of `explain`.
    """
    other = _other_backbone(model, file)
    return other and (
        f"{other}: {len(report.loaded)} layers loaded by name, {len(report.unexpected)} left out. Train before you "
        "detect, or set BACKBONE to what the file has."
    )


def _other_backbone(model: Iterable[str], file: Iterable[str]) -> str:
    in_file, in_model = _backbone(file), _backbone(model)
    differ = in_file and in_model and in_file != in_model
    return f"the file has backbone {in_file}, the model {in_model}" if differ else ""


def _explain_shapes(
    mismatched: Iterable[str], model: Mapping[str, LayerWeights], file: Mapping[str, LayerWeights]
) -> str:
    names = {text.split("/")[0] for text in mismatched}
    if names <= set(HEAD_OUTPUTS):
        in_file, in_model = _class_count(file, names), _class_count(model, names)
        if in_file != in_model:
            return (
                f"the file has {in_file} classes, the model {in_model}. To start from everything but the heads, pass "
                f"exclude={json.dumps(HEADS)} (on the command line: --weights=coco); to use the heads, set "
                f"NUM_CLASSES = {in_file}."
            )
    return (
        f"{len(names)} layers have other shapes than in the model: {_some(mismatched)}. {REBUILD}, or name these "
        "layers in `exclude`."
    )


def _backbone(layers: Iterable[str]) -> str:
    """The backbone that has these layers, in words; empty if there is none that is known."""
    layers = list(layers)
    if "mnv2_conv1" in layers:
        return "mobilenet_v2"
    blocks = sum(re.fullmatch(r"res4[a-z]_branch2a", name) is not None for name in layers)
    return {0: "", 6: "resnet50", 23: "resnet101"}.get(blocks, f"a ResNet with {blocks} blocks in stage 4")


def _class_count(layers: Mapping[str, LayerWeights], heads: Iterable[str]) -> int:
    """Number of classes by the last axis of one of the heads; 0 if it has none."""
    head = min(heads)
    shape = next(iter(layers[head].weights.values())).shape
    return shape[-1] // HEAD_OUTPUTS[head] if shape else 0


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
