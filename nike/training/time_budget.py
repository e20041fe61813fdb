"""`nike train --time`: chooses the epochs and steps of a run for a time budget, from the speed of a short trial."""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrcnn.errors import UserError
from nike.training.trial import trial

NUMBER = r"(\d+(?:\.\d+)?)"
UNITS = {"h": 3600, "m": 60, "s": 1}
TRIAL_STEPS = 5  # steps in each of the two epochs of the trial
TRIAL_PHOTOS = 4  # number of validation images of the trial
# With a small budget, epochs are shortened to reach this number. The heads can then be trained alone for one epoch, and
# the best of several epochs can be kept.
MIN_EPOCHS = 6
MARGIN = 0.05  # fraction of the remaining time that is kept in reserve


@dataclass(frozen=True)
class Speed:
    """Times of a trial in seconds.

    Attributes:
        step: time of a training step.
        validation: time to validate one image.
        epoch: time to write the checkpoint, history and curves after an epoch.
        start: time to start a stage, mostly compilation.
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


def plan_epochs(
    speed: Speed, seconds: float, *, stages: int, steps: int, is_fixed: bool, min_steps: int, photos: float
) -> tuple[int, int]:
    """Chooses the number of epochs and the steps per epoch.

    Args:
        speed: measured times.
        seconds: remaining time.
        stages: number of stages.
        steps: steps per epoch if the time suffices for at least MIN_EPOCHS epochs.
        is_fixed: whether `steps` must not change. Otherwise, epochs are shortened for a small budget and slightly
            extended for a large budget, so that the last epoch ends when the time is used up.
        min_steps: minimum steps per epoch.
        photos: validation images per epoch.

    Raises:
        UserError: if the time is too short for an epoch.
    """
    seconds = (1 - MARGIN) * seconds - stages * speed.start  # available for the epochs
    rest = speed.epoch + photos * speed.validation  # duration of an epoch without its steps
    epochs = int(seconds / (steps * speed.step + rest))
    if is_fixed:
        min_steps = steps
    elif epochs < MIN_EPOCHS:
        epochs = min(int(seconds / (min_steps * speed.step + rest)), MIN_EPOCHS)
    if epochs < 1:
        missing = (min_steps * speed.step + rest - seconds) / (1 - MARGIN)
        raise UserError(
            f"--time: {math.ceil(missing)} s too short for an epoch of {min_steps} steps with validation. Increase the "
            "time, or reduce --steps, --validation-photos or --image-size."
        )
    if not is_fixed:
        steps = int((seconds / epochs - rest) / speed.step)
    return epochs, steps
