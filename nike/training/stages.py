"""The stages of a training: which layers learn in which epochs, at which rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SCHEDULES = ("heads-then-all", "alternating")
HEADS_SHARE = 6  # one epoch in so many is for the heads alone


@dataclass(frozen=True)
class Stage:
    """Arguments of one call of `MaskRCNN.train`."""

    title: str
    layers: str
    epochs: int  # a total: the epoch this stage ends with
    learning_rate: float
    options: dict[str, Any] = field(default_factory=dict)


def plan_stages(epochs: int, learning_rate: float, layers: str | None, schedule: str) -> list[Stage]:
    """The stages that fill `epochs`.

    Args:
        epochs: in total.
        learning_rate: of the run.
        layers: a layer set or regular expression: one stage with these.
        schedule: without `layers`. "heads-then-all": new heads first, which would else disturb the backbone with
            their first, random gradients. "alternating": the four steps of Faster R-CNN (Ren et al. 2015,
            section 3.2): proposals with the backbone, detector with the backbone, then each alone on a frozen one.
            Differs from the paper: the detector's backbone goes on from that of the proposals.

    Raises:
        ValueError: too few epochs for the schedule.
    """
    if layers is not None:
        return [Stage(layers, layers, epochs, learning_rate)]
    if schedule == "heads-then-all":
        if epochs < 2:
            return [Stage("all layers", "all", epochs, learning_rate)]
        first = max(1, epochs // HEADS_SHARE)
        return [
            Stage("heads", "heads", first, learning_rate),
            Stage("all layers", "all", epochs, learning_rate),
        ]
    if epochs < 4:
        raise ValueError(f"--schedule=alternating has four steps, so --epochs must be at least 4, got {epochs}.")
    steps = (
        ("proposals and backbone", r"(?!mrcnn\_).*", "rpn"),
        ("detector and backbone", r"(?!rpn\_).*", "mrcnn"),
        ("proposals alone", r"rpn\_.*", "rpn"),
        ("detector alone", r"mrcnn\_.*", "mrcnn"),
    )
    ends = [epochs * number // 4 for number in (1, 2, 3, 4)]
    return [
        Stage(title, layers, end, learning_rate, {"losses": losses})
        for (title, layers, losses), end in zip(steps, ends, strict=True)
    ]
