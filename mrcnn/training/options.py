"""Everything about a training run that is not in `Config`: optimiser, schedule, validation, checkpoints, data."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

from mrcnn.training.optimizers import OPTIMIZERS
from mrcnn.training.schedules import SCHEDULES

LOSS_GROUPS = ("all", "rpn", "mrcnn")


@dataclass(frozen=True)
class TrainOptions:
    """Options of `mrcnn.training.train`. The defaults train as the original did, and validate by COCO AP.

    Attributes:
        optimizer: "sgd" or "adamw".
        schedule: "constant", "cosine" or "step", over the epochs of one call of `train`.
        warmup_steps: steps over which the learning rate rises from 0.
        losses: "all"; or "rpn" or "mrcnn": only those of the proposals, or of the heads, count.
        average: momentum of a moving average of the weights (EMA), for example 0.999; 0: none. The average is what
            gets validated and written to checkpoints.
        accumulate: batches whose gradients are averaged for one update.
        seed: of the order of the photos, of augmentation and of sampling.
        workers: threads that prepare batches; None: as many as there are cores.
        strict: True: a photo that cannot be read stops the run; False: it is skipped and listed at the end.
        validate_every: epochs from one validation to the next; 0: never.
        validation_photos: images for validation AP at most, a fixed random subset; 0: all; None: `VALIDATION_STEPS`
            batches, or VALIDATION_PHOTOS if VALIDATION_STEPS is 0.
        patience: validations without a better mask AP after which training stops; 0: never.
        keep: weights of the last epochs to keep, beside the best; 0: all.
        save_minutes: minutes between saves within an epoch, for a resume after a crash; 0: only at its end.
        verbose: 0: silent, 1: progress bar, 2: a line for each epoch; None: 1 on a terminal
            and in a notebook, else 2.
        deterministic: True: equal seeds give equal weights, bit for bit. It is a switch of TensorFlow for the whole
            process, and GPUs cannot do it; None: on machines without a GPU.
        eager: run step by step in Python, to debug.
    """

    optimizer: str = "sgd"
    schedule: str = "constant"
    warmup_steps: int = 0
    losses: str = "all"
    average: float = 0.0
    accumulate: int = 1
    seed: int = 0
    workers: int | None = None
    strict: bool = False
    validate_every: int = 1
    validation_photos: int | None = None
    patience: int = 0
    keep: int = 0
    save_minutes: float = 10.0
    verbose: int | None = None
    deterministic: bool | None = None
    eager: bool = False

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> TrainOptions:
        """Checked options. Raises TypeError for an unknown name, ValueError for an impossible value."""
        names = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}."
                raise TypeError(f"train() has no option {name!r}; {hint}")
        checked = cls(**options)
        checked._check()
        return checked

    def _check(self) -> None:
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("losses", LOSS_GROUPS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        if not 0 <= self.average < 1:
            raise ValueError(f"average: expected 0 (off) or a momentum below 1, got {self.average!r}.")
        if self.validation_photos is not None and self.validation_photos < 0:
            raise ValueError(f"validation_photos: expected 0 (all) or more, got {self.validation_photos!r}.")
        if self.accumulate < 1:
            raise ValueError(f"accumulate: expected at least 1 batch, got {self.accumulate!r}.")
        for name in ("warmup_steps", "seed", "validate_every", "patience", "keep", "save_minutes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)!r}.")
