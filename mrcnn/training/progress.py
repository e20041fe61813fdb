"""The progress of a run: epoch, step, history and best epoch."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from mrcnn.errors import UserError
from mrcnn.evaluation.records import KINDS

MIN_GAIN = 1e-6  # smallest increase of AP that counts as an improvement


@dataclass
class Stage:
    """The arguments of one call of `train`."""

    layers: str
    epochs: int
    learning_rate: float
    optimizer: str
    schedule: str
    warmup_steps: int
    losses: str
    average: float
    accumulate: int
    steps_per_epoch: int
    batch_size: int
    seed: int
    first_epoch: int = 0

    def same_as(self, other: dict[str, Any]) -> bool:
        """Returns whether `other`, a stage of a saved run, equals this stage."""
        return self.differences(other) == []

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Returns the differences from `other` as "name: other -> this". The first epoch is ignored."""
        own = dataclasses.asdict(self)
        return [
            f"{name}: {other.get(name)} -> {own[name]}"
            for name in own
            if name != "first_epoch" and own[name] != other.get(name)
        ]


@dataclass(repr=False)
class Progress:
    """State of a run except weights and optimizer. All values are JSON-serializable.

    Attributes:
        epoch: number of completed epochs.
        step: number of completed steps in the current epoch.
        stage: the current stage, or None between stages.
        finished: completed stages.
        rows: the history, one dict per epoch.
        best: {"epoch", "mask_AP"} of the best validation ("box_AP" for a network without masks), or None.
        without_gain: number of validations since the best one of this stage.
        best_of_stage: best mask AP of this stage (box AP for a network without masks).
    """

    epoch: int = 0
    step: int = 0
    stage: dict[str, Any] | None = None
    finished: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    without_gain: int = 0
    best_of_stage: float = -1.0

    def __repr__(self) -> str:
        best = f", best {self.kind} AP {self.best_ap:.3f} at epoch {self.best['epoch']}" if self.best else ""
        return f"<{type(self).__name__} epoch {self.epoch}, step {self.step}{best}>"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Progress:
        """Creates a Progress from the result of `to_dict`. Raises ValueError for other dicts."""
        try:
            return cls(**values)
        except TypeError as error:
            raise UserError(f"not the state of a training run ({error})") from None

    @classmethod
    def from_rows(cls, epoch: int, rows: list[dict[str, Any]]) -> Progress:
        """Returns the progress of a run at `epoch`, reconstructed from its history."""
        progress = cls()
        for row in rows:
            progress.end_epoch(row)
        progress.epoch = epoch
        return progress

    def to_dict(self) -> dict[str, Any]:
        """Returns the state as a JSON-serializable dict."""
        return dataclasses.asdict(self)

    def begin(self, stage: Stage) -> None:
        """Starts a stage, at the beginning of an epoch."""
        self.stage, self.step = dataclasses.asdict(stage), 0
        self.without_gain, self.best_of_stage = 0, -1.0

    def finish(self) -> None:
        """Ends the stage."""
        if self.stage is not None:
            self.finished.append(self.stage)
        self.stage = None

    def end_epoch(self, row: dict[str, Any]) -> None:
        """Adds a completed epoch and its logs."""
        self.epoch, self.step = row["epoch"], 0
        self.rows.append(row)
        kind = next((kind for kind in KINDS if f"val_{kind}_AP" in row), KINDS[0])
        ap = row.get(f"val_{kind}_AP")
        if ap is None or math.isnan(ap) or ap < 0:  # -1: no validation image has an object
            return
        if ap > self.best_of_stage + MIN_GAIN:
            self.best_of_stage, self.without_gain = ap, 0
        else:
            self.without_gain += 1
        if self.best is None or ap > self.best_ap + MIN_GAIN:
            self.best = {"epoch": row["epoch"], f"{kind}_AP": ap}

    @property
    def kind(self) -> str:
        """ "mask" or "box": the kind of AP in `best`."""
        return next((kind for kind in KINDS if f"{kind}_AP" in (self.best or {})), KINDS[0])

    @property
    def best_ap(self) -> float:
        """AP of `best`; -1 before the first validation."""
        return (self.best or {}).get(f"{self.kind}_AP", -1.0)

    @property
    def is_best(self) -> bool:
        """Whether the latest epoch is the best epoch."""
        return self.best is not None and self.best["epoch"] == self.epoch
