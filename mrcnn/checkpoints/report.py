"""Report of loading a weights file, and explanations of mismatches between file and model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mrcnn.checkpoints.convert import NON_BACKBONE_LAYER, is_backbone_only
from mrcnn.checkpoints.layout import LayerWeights
from mrcnn.errors import UserError

# Number of outputs per class in the layers whose last axis depends on NUM_CLASSES.
HEAD_OUTPUTS = {"mrcnn_class_logits": 1, "mrcnn_bbox_fc": 4, "mrcnn_mask": 1}
# Layers to exclude if the number of classes differs. "mrcnn_bbox" has no weights, but Matterport's scripts list it.
HEADS = ["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"]
# Layers of branches that may be missing in the initial weights of a model.
BRANCHES = {"masks": re.compile(r"mrcnn_(mask|refine).*"), "keypoints": re.compile(r"mrcnn_keypoint.*")}
REBUILD_ADVICE = "Build the model with the settings of the file"
MAX_NAMES = 4  # maximum number of names in a message


@dataclass(frozen=True, repr=False)
class LoadReport:
    """Result of loading a weights file. Only layers with weights are counted, including those inside `rpn_model`.

    Attributes:
        file: path of the weights file.
        loaded: names of the layers that were loaded.
        excluded: names of the layers of the model that `exclude` matched.
        missing: names of the layers that only the model has.
        unexpected: names of the layers that only the file has.
        mismatched: differences in shape, such as "layer/kernel: file (3, 3, 64), model (3, 3, 32)".
        tensors: number of weights that were loaded.
        notes: notes on conversions, and warnings.
        metadata: metadata stored in the file; see `hdf5.Checkpoint`.
    """

    file: str
    loaded: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    tensors: int = 0
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """Returns the counts as one line of text."""
        return (
            f"{self.file}: {len(self.loaded)} layers ({self.tensors} weights) loaded, {len(self.excluded)} excluded, "
            f"{len(self.missing)} missing, {len(self.unexpected)} unexpected"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary()}>"

    def __str__(self) -> str:
        lines = [self.summary()]
        for name in ("excluded", "missing", "unexpected", "mismatched"):
            if names := getattr(self, name):
                lines.append(f"  {name}: {', '.join(names)}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


class WeightsMismatchError(UserError):
    """Raised if a weights file does not match the model. No weights are changed. `report` contains the details."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message)
        self.report = report


def explain_mismatch(
    report: LoadReport, model: Mapping[str, LayerWeights], file: Mapping[str, LayerWeights], strict: bool
) -> str:
    """Returns an error message for a file that does not match the model, or "".

    Args:
        report: result of the comparison.
        model: layers of the model that are not excluded.
        file: layers of the file that are not excluded.
        strict: bool, whether layers that exist only in the file are an error.
    """
    may_lack = [] if strict else [BRANCHES[name] for name in missing_branches(file)]
    may_lack += [NON_BACKBONE_LAYER] * is_backbone_only(file)
    missing = [name for name in report.missing if not any(pattern.fullmatch(name) for pattern in may_lack)]
    if (strict or missing or report.mismatched) and (other := _other_backbone(model, file)):
        return f"{other}. Set BACKBONE to the backbone of the file, or use a file that matches the model."
    if missing and not report.loaded and not report.mismatched:
        return (
            f"no layer of the model is in the file. Expected {_join_names(missing)}, got {_join_names(file)}. Use a "
            "Mask R-CNN checkpoint."
        )
    if report.mismatched:
        return _explain_shapes(report.mismatched, model, file)
    if missing:
        return (
            f"{len(missing)} layers of the model are not in the file: {_join_names(missing)}. {REBUILD_ADVICE}, or "
            "list these layers in `exclude` to keep their current weights."
        )
    if report.unexpected and strict:
        return (
            f"{len(report.unexpected)} layers of the file are not in the model: {_join_names(report.unexpected)}. "
            "Pass by_name=True to skip them."
        )
    return ""


def missing_branches(layers: Iterable[str]) -> list[str]:
    """Returns the names of the branches missing from a file; empty if the file contains only a backbone."""
    if is_backbone_only(layers):
        return []
    return [branch for branch, pattern in BRANCHES.items() if not any(pattern.fullmatch(name) for name in layers)]


def branch_warning(report: LoadReport, file: Iterable[str]) -> str:
    """Returns a warning if the model has branches that the file does not have, or ""."""
    layers = {
        branch: [name for name in report.missing if BRANCHES[branch].fullmatch(name)]
        for branch in missing_branches(file)
    }
    layers = {branch: names for branch, names in layers.items() if names}
    if not layers:
        return ""
    counts = " and ".join(f"{len(names)} layers of {branch}" for branch, names in layers.items())
    missing = [name for names in layers.values() for name in names]
    return (
        f"the file comes from a model without {' and '.join(layers)}: {counts} keep their current weights "
        f"({_join_names(missing)}). Train these layers before detection."
    )


def backbone_warning(report: LoadReport, model: Mapping[str, LayerWeights], file: Mapping[str, LayerWeights]) -> str:
    """Returns a warning if names and shapes match but the file has a different backbone, or "".

    A ResNet-101 file contains all layers of a ResNet-50, but blocks with the same name in stage 4 compute different
    features. See `explain_mismatch` for the arguments.
    """
    other = _other_backbone(model, file)
    return other and (
        f"{other}: {len(report.loaded)} layers loaded by name, {len(report.unexpected)} skipped. Train the model, "
        "or set BACKBONE to the backbone of the file."
    )


def _other_backbone(model: Iterable[str], file: Iterable[str]) -> str:
    in_file, in_model = backbone_name(file), backbone_name(model)
    differ = in_file and in_model and in_file != in_model
    return f"the file has backbone {in_file}, but the model has {in_model}" if differ else ""


def _explain_shapes(
    mismatched: Iterable[str], model: Mapping[str, LayerWeights], file: Mapping[str, LayerWeights]
) -> str:
    names = {text.split("/")[0] for text in mismatched}
    if names <= set(HEAD_OUTPUTS):
        in_file, in_model = _class_count(file, names), _class_count(model, names)
        if in_file != in_model:
            return (
                f"the file has {in_file} classes, but the model has {in_model}. To load all layers except the heads, "
                f"pass exclude={json.dumps(HEADS)} (on the command line: --weights=coco). To load the heads, set "
                f"NUM_CLASSES = {in_file}."
            )
    return (
        f"{len(names)} layers have different shapes in file and model: {_join_names(mismatched)}. {REBUILD_ADVICE}, "
        "or list these layers in `exclude`."
    )


def backbone_name(layers: Iterable[str]) -> str:
    """Returns the name of the backbone that has the given layers, or "" if it is unknown."""
    layers = list(layers)
    if "mnv2_conv1" in layers:
        return "mobilenet_v2"
    blocks = sum(re.fullmatch(r"res4[a-z]_branch2a", name) is not None for name in layers)
    return {0: "", 6: "resnet50", 23: "resnet101"}.get(blocks, f"a ResNet with {blocks} blocks in stage 4")


def _class_count(layers: Mapping[str, LayerWeights], heads: Iterable[str]) -> int:
    """Returns the number of classes according to the last axis of a head, or 0 for a scalar."""
    head = min(heads)
    shape = next(iter(layers[head].weights.values())).shape
    return shape[-1] // HEAD_OUTPUTS[head] if shape else 0


def _join_names(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
