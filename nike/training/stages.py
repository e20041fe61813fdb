"""Plans the stages of a training run: trained layers, epochs and learning rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mrcnn.errors import UserError

STAGE_SCHEDULES = ("heads-then-all", "alternating")
HEADS_DIVISOR = 6  # the heads are trained alone for 1/6 of the epochs
WARMUP_STEPS = 100  # maximum number of warm-up steps
WARMUP_FRACTION = 0.05  # number of warm-up steps as a fraction of the steps of the run, up to WARMUP_STEPS


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


def plan_stages(
    epochs: int, learning_rate: float, layers: str | None, schedule: str, from_scratch: bool = False
) -> list[StagePlan]:
    """Plans the stages of a run.

    Args:
        epochs: total number of epochs.
        learning_rate: learning rate of all stages.
        layers: layer set or regular expression for a single stage, or None.
        schedule: stages if `layers` is None. "heads-then-all" trains the heads first, because their random
            initialization would otherwise disturb the backbone. "alternating" follows the 4-step training of Faster
            R-CNN (Ren et al. 2015, section 3.2): RPN and backbone, detector and backbone, RPN alone, detector alone.
            Unlike in the paper, the detector starts from the backbone of the RPN.
        from_scratch: whether the backbone also has random weights. "heads-then-all" then trains all layers from the
            start.

    Raises:
        ValueError: if there are too few epochs for the schedule.
    """
    if layers is not None:
        return [StagePlan(layers, layers, epochs, learning_rate)]
    if schedule == "heads-then-all":
        if epochs < 2 or from_scratch:
            return [StagePlan("all layers", "all", epochs, learning_rate)]
        first = max(1, epochs // HEADS_DIVISOR)
        return [
            # The learning rate schedule applies to the second stage.
            StagePlan("heads", "heads", first, learning_rate, {"schedule": "constant"}),
            StagePlan("all layers", "all", epochs, learning_rate),
        ]
    if epochs < 4:
        raise UserError(f"--epochs: --schedule=alternating requires at least 4, got {epochs}.")
    steps = (
        ("RPN and backbone", r"(?!mrcnn\_).*", "rpn"),
        ("detector and backbone", r"(?!rpn\_).*", "mrcnn"),
        ("RPN", r"rpn\_.*", "rpn"),
        ("detector", r"mrcnn\_.*", "mrcnn"),
    )
    ends = [epochs * number // 4 for number in (1, 2, 3, 4)]
    return [
        StagePlan(title, layers, end, learning_rate, {"losses": losses})
        for (title, layers, losses), end in zip(steps, ends, strict=True)
    ]


def default_warmup(steps: int) -> int:
    """Returns the default number of warm-up steps of each stage for a run of `steps` steps."""
    return min(WARMUP_STEPS, int(WARMUP_FRACTION * steps))
