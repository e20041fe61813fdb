"""Training options that are not in `Config`: optimizer, schedule, validation, checkpoints, data loading."""

from __future__ import annotations

from dataclasses import dataclass

from mrcnn.choices import LOSS_GROUPS, OPTIMIZERS, SCHEDULES
from mrcnn.errors import UserError


@dataclass(frozen=True)
class TrainOptions:
    """Validated keyword arguments of `MaskRCNN.train`. See that method for their meaning.

    Raises:
        ValueError: if an argument is out of range.
    """

    optimizer: str = "sgd"
    schedule: str = "constant"
    warmup_steps: int = 0
    losses: str = "all"
    average: float = 0.0
    accumulate: int = 1
    seed: int | None = None
    deterministic: bool | None = None
    workers: int | None = None
    strict: bool = False
    validate_every: int = 1
    validation_photos: int | None = None
    patience: int = 0
    keep: int = 0
    save_minutes: float = 10.0
    verbose: int | None = None
    eager: bool = False

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("losses", LOSS_GROUPS)):
            if getattr(self, name) not in choices:
                raise UserError(f"{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        if not 0 <= self.average < 1:
            raise UserError(f"average: expected 0 (off) or a momentum below 1, got {self.average!r}.")
        if self.validation_photos is not None and self.validation_photos < 0:
            raise UserError(f"validation_photos: expected 0 (all) or more, got {self.validation_photos!r}.")
        if self.accumulate < 1:
            raise UserError(f"accumulate: expected at least 1 batch, got {self.accumulate!r}.")
        for name in ("warmup_steps", "seed", "validate_every", "patience", "keep", "save_minutes"):
            if (getattr(self, name) or 0) < 0:
                raise UserError(f"{name}: expected 0 or more, got {getattr(self, name)!r}.")
