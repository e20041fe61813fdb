"""Plans the stages of a training run: trained layers, epochs and learning rates."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mrcnn.errors import UserError
from mrcnn.layer_sets import layer_regex

STAGE_SCHEDULES = ("heads-first", "alternating")
HEADS_DIVISOR = 6  # the heads are trained alone for 1/6 of the epochs
ALTERNATING = (  # title, layers and losses of each stage
    ("RPN and backbone", r"(?!mrcnn\_).*", "rpn"),
    ("detector and backbone", r"(?!rpn\_).*", "mrcnn"),
    ("RPN", r"rpn\_.*", "rpn"),
    ("detector", r"mrcnn\_.*", "mrcnn"),
)
WARMUP_STEPS = 100  # maximum number of warm-up steps
WARMUP_FRACTION = 0.05  # number of warm-up steps as a fraction of the steps of the stage, up to WARMUP_STEPS


@dataclass(frozen=True)
class StagePlan:
    """Arguments of one call of `MaskRCNN.train`.

    Attributes:
        title: name of the stage in messages.
        layers: layer set or regular expression on layer names.
        epochs: number of the last epoch, counted from the start of the run.
        learning_rate: initial learning rate.
        options: further arguments.
    """

    title: str
    layers: str
    epochs: int
    learning_rate: float
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageSpec:
    """A stage of `--stages`.

    Attributes:
        layers: layer set or regular expression on layer names.
        epochs: number of epochs of the stage.
        learning_rate: initial learning rate, or None for the learning rate of the run.
    """

    layers: str
    epochs: int
    learning_rate: float | None = None

    def __str__(self) -> str:
        values = (self.layers, self.epochs, self.learning_rate)
        return ",".join(str(value) for value in values if value is not None)


def parse_stage(text: str) -> StageSpec:
    """Parses LAYERS,EPOCHS or LAYERS,EPOCHS,RATE, for argparse. The layers cannot contain commas."""
    try:
        layers, epochs, *rates = (part.strip() for part in text.split(","))
        spec = StageSpec(layers, int(epochs), *map(float, rates))
        layer_regex(layers)
        is_valid = layers and layers[0] != "-" and spec.epochs >= 1 and all(0 < float(rate) < 1 for rate in rates)
    except (ValueError, TypeError):
        is_valid = False
    if not is_valid:
        raise argparse.ArgumentTypeError(
            "expected LAYERS,EPOCHS or LAYERS,EPOCHS,RATE with at least 1 epoch and a rate between 0 and 1, such as "
            f"heads,5 or all,25,1e-4, got {text!r}"
        )
    return spec


def plan_given_stages(specs: Sequence[StageSpec], epochs: int | None, learning_rate: float) -> list[StagePlan]:
    """Plans the stages of `--stages`.

    Args:
        specs: the stages.
        epochs: total number of epochs, or None for the sum over the stages. Another number is divided among the stages
            in proportion to their epochs, with at least one epoch per stage.
        learning_rate: learning rate of the stages without their own.

    Raises:
        UserError: if there are fewer epochs than stages.
    """
    counts, ends = [spec.epochs for spec in specs], [0]
    total = sum(counts) if epochs is None else epochs
    if total < len(specs):
        raise UserError(f"--epochs: {len(specs)} stages require at least {len(specs)} epochs, got {total}.")
    for number in range(1, len(specs) + 1):
        end = round(total * sum(counts[:number]) / sum(counts))
        ends.append(min(max(end, ends[-1] + 1), total - len(specs) + number))
    return [
        StagePlan(f"stage {number}: {spec.layers}", spec.layers, end, spec.learning_rate or learning_rate)
        for number, (spec, end) in enumerate(zip(specs, ends[1:], strict=True), 1)
    ]


def plan_stages(
    epochs: int, learning_rate: float, layers: str | None, schedule: str, from_scratch: bool = False
) -> list[StagePlan]:
    """Plans the stages of a run.

    Args:
        epochs: total number of epochs.
        learning_rate: learning rate of all stages.
        layers: layer set or regular expression for a single stage, or None.
        schedule: stages if `layers` is None. "heads-first" trains the heads first, because their random
            initialization would otherwise disturb the backbone. The second stage trains "3+" instead of all layers,
            which keeps the general features of the first stages of the backbone and makes a step faster. "alternating"
            follows the 4-step training of Faster R-CNN (Ren et al. 2015, section 3.2): RPN and backbone, detector and
            backbone, RPN alone, detector alone. Unlike in the paper, the detector starts from the backbone of the RPN.
        from_scratch: whether the backbone also has random weights. "heads-first" then trains all layers from the
            start.

    Raises:
        ValueError: if there are too few epochs for the schedule.
    """
    if layers is not None:
        return [StagePlan(layers, layers, epochs, learning_rate)]
    if schedule == "heads-first":
        if from_scratch:
            return [StagePlan("all layers", "all", epochs, learning_rate)]
        second = StagePlan("3+", "3+", epochs, learning_rate)
        if epochs < 2:
            return [second]
        first = max(1, epochs // HEADS_DIVISOR)
        return [
            # The learning rate schedule applies to the second stage.
            StagePlan("heads", "heads", first, learning_rate, {"schedule": "constant"}),
            second,
        ]
    if epochs < len(ALTERNATING):
        raise UserError(f"--epochs: --schedule=alternating requires at least {len(ALTERNATING)}, got {epochs}.")
    ends = [epochs * number // len(ALTERNATING) for number in range(1, len(ALTERNATING) + 1)]
    return [
        StagePlan(title, layers, end, learning_rate, {"losses": losses})
        for (title, layers, losses), end in zip(ALTERNATING, ends, strict=True)
    ]


def min_epochs(specs: Sequence[StageSpec], layers: str | None, schedule: str) -> int:
    """Returns the minimum number of epochs of a run."""
    if specs:
        return len(specs)
    return len(ALTERNATING) if layers is None and schedule == "alternating" else 1


def default_warmup(steps: int) -> int:
    """Returns the default number of warm-up steps of a stage of `steps` steps."""
    return min(WARMUP_STEPS, int(WARMUP_FRACTION * steps))
