"""`nike train --time`: chooses the epochs and steps of a run for a time budget, from the speed of a short trial."""

from __future__ import annotations

import argparse
import bisect
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrcnn.errors import UserError
from nike.formatting import plural
from nike.training.stages import StagePlan
from nike.training.trial import trial

NUMBER = r"(\d+(?:\.\d+)?)"
UNITS = {"h": 3600, "m": 60, "s": 1}
TRIAL_STEPS = 5  # steps in each of the two epochs of the trial
TRIAL_PHOTOS = 4  # number of validation images of the trial
# With a small budget, epochs are shortened to reach this number. The heads can then be trained alone for one epoch, and
# the best of several epochs can be kept.
MIN_EPOCHS = 6
MARGIN = 0.03  # fraction of the remaining time that is kept in reserve


@dataclass(frozen=True)
class Speed:
    """Times of a trial of one stage in seconds.

    Attributes:
        step: time of a training step.
        validation: time to validate one image.
        epoch: time to write the checkpoint, history and curves after an epoch.
        start: time to start the stage, mostly compilation.
    """

    step: float
    validation: float
    epoch: float
    start: float


def parse_time(text: str) -> float:
    """Parses a duration such as 2h, 30m, 90s or 1h30m to seconds, for argparse."""
    match = re.fullmatch("".join(f"(?:{NUMBER}{unit})?" for unit in UNITS), text, re.ASCII)
    numbers = match.groups() if match else ()
    seconds = sum(float(number or 0) * unit for number, unit in zip(numbers, UNITS.values(), strict=False))
    if not seconds:
        raise argparse.ArgumentTypeError(f"expected a duration such as 2h, 30m, 90s or 1h30m, got {text!r}")
    return seconds


def measure_speed(model, train: Callable, photos: int, logs: Path) -> Speed:
    """Measures the times of two short epochs. The weights of the model and its log folder are restored.

    Args:
        model: MaskRCNN in training mode.
        train: function that calls `model.train` with the given arguments for 2 epochs, with validation if the run has
            validation.
        photos: number of images in the validation set.
        logs: parent of the log folders. The trial writes to a temporary folder there, on the same disk as the run.
    """
    import keras

    times: list[float] = []
    timer = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: times.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: times.append(time.perf_counter()),  # called after all other callbacks
    )
    with trial(model, logs, STEPS_PER_EPOCH=TRIAL_STEPS):
        started = time.perf_counter()
        row = train(validation_photos=TRIAL_PHOTOS, verbose=0, custom_callbacks=[timer]).rows[-1]
        total = time.perf_counter() - started
    step, validation = row["seconds_per_step"], row.get("validation_seconds", 0.0)
    second = times[3] - times[2]
    return Speed(
        step=step,
        validation=validation / min(photos, TRIAL_PHOTOS),
        epoch=max(second - TRIAL_STEPS * step - validation, 0.0),
        start=max(total - 2 * second, 0.0),
    )


def measure_stages(
    stages: Sequence[StagePlan], measure: Callable[[StagePlan, bool], Speed], has_validation: bool
) -> dict[str, Speed]:
    """Measures the speed of each layer set. Validation and checkpoints are measured once, in the last stage.

    Args:
        stages: the stages of the run.
        measure: function of a stage and whether its trial is validated.
        has_validation: whether the run has validation.

    Returns:
        The speeds by the `layers` of the stages.
    """
    last = measure(stages[-1], has_validation)
    speeds = {stages[-1].layers: last}
    for stage in stages[:-1]:
        if stage.layers not in speeds:
            speed = measure(stage, False)
            speeds[stage.layers] = replace(speed, validation=last.validation, epoch=last.epoch)
    return speeds


def plan_epochs(
    speeds: Mapping[str, Speed],
    seconds: float,
    *,
    plan: Callable[[int], list[StagePlan]],
    steps: int,
    is_fixed: bool,
    min_epochs: int,
    min_steps: int,
    photos: int,
    every: int,
) -> tuple[int, int]:
    """Chooses the number of epochs and the steps per epoch.

    Args:
        speeds: measured times by the `layers` of the stage.
        seconds: remaining time.
        plan: function that returns the stages of a run with a given number of epochs.
        steps: steps per epoch if the time suffices for at least MIN_EPOCHS epochs.
        is_fixed: whether `steps` must not change. Otherwise, epochs are shortened for a small budget and slightly
            extended for a large budget, so that the last epoch ends when the time is used up.
        min_epochs: minimum number of epochs that `plan` accepts.
        min_steps: minimum steps per epoch.
        photos: number of images of a validation.
        every: epochs between validations; 0: no validation. The last epoch of each stage is always validated.

    Raises:
        UserError: if the time is too short for `min_epochs`.
    """
    available = (1 - MARGIN) * seconds

    def costs(epochs: int) -> tuple[float, float]:
        """Returns the seconds for one step in each epoch, and the seconds for everything else."""
        one_step = other = 0.0
        first = 0
        for stage in plan(epochs):
            speed = speeds[stage.layers]
            one_step += (stage.epochs - first) * speed.step
            validations = math.ceil(stage.epochs / every) - first // every if every else 0
            other += speed.start + (stage.epochs - first) * speed.epoch + validations * photos * speed.validation
            first = stage.epochs
        return one_step, other

    def duration(epochs: int, steps: int) -> float:
        one_step, other = costs(epochs)
        return steps * one_step + other

    def most_epochs(steps: int) -> int:
        fastest = min(steps * speed.step + speed.epoch for speed in speeds.values())
        candidates = range(min_epochs, max(int(available / fastest), min_epochs) + 1)
        fitting = bisect.bisect_right(candidates, available, key=lambda epochs: duration(epochs, steps))
        return candidates[max(fitting - 1, 0)]

    epochs = most_epochs(steps)
    if is_fixed:
        min_steps = steps
    elif epochs < MIN_EPOCHS:
        epochs = min(most_epochs(min_steps), MIN_EPOCHS)
    missing = duration(epochs, min_steps) - available
    if missing > 0:
        raise UserError(
            f"--time: {math.ceil(missing / (1 - MARGIN))} s too short for {plural(epochs, 'epoch')} of {min_steps} "
            "steps with validation. Increase the time, or reduce --steps, --validation-photos or --image-size."
        )
    if not is_fixed:
        one_step, other = costs(epochs)
        steps = int((available - other) / one_step)
    return epochs, steps
