"""Keras callbacks: NaN checks, step times, history, curves, validation overlays and early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from keras import ops
from PIL import Image
from tqdm import tqdm

from mrcnn.atomic import replacing
from mrcnn.errors import UserError
from mrcnn.training.history import write_history
from mrcnn.training.progress import Progress

FIRST_STEPS = 5  # number of steps after the first step that are used to estimate the total time


class NonFiniteLossError(UserError):
    """Raised if the loss or a weight becomes NaN or infinite."""


class StopOnNaN(keras.callbacks.Callback):
    """Raises NonFiniteLossError after a step with a NaN or infinite loss. The message names the images of the batch.

    The weights are checked at the end of each epoch.

    Args:
        dataset: training dataset, for the names of the images.
        log_dir: folder of the checkpoints.
    """

    def __init__(self, dataset, log_dir: str):
        super().__init__()
        self.dataset, self.log_dir = dataset, log_dir
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if math.isfinite(loss):
            return
        self._raise_error(f"epoch {self.epoch + 1}, step {batch + 1}: the loss is {loss}")

    def on_epoch_end(self, epoch, logs=None):
        # The last step can make weights NaN although its loss is finite. These weights must not be saved.
        for variable in self.model.trainable_variables:
            if not bool(ops.all(ops.isfinite(variable))):
                self._raise_error(f"epoch {epoch + 1}: weights of {variable.path.split('/')[0]} are NaN or infinite")

    def _raise_error(self, problem: str) -> None:
        photos = [image_name(self.dataset, number) for number in self.model.image_ids]
        raise NonFiniteLossError(
            f"{problem} at learning rate {self.model.learning_rate:g}. Images of this batch: {', '.join(photos)}. "
            "Train with a lower learning rate, or check these images and their masks. Checkpoints of earlier epochs "
            f"are intact in {self.log_dir}."
        )


def image_name(dataset, number: int) -> str:
    """Returns the reference of an image, or its id if there is no reference."""
    if not 0 <= number < len(dataset.image_info):
        return f"number {number}"
    return str(dataset.image_reference(number) or dataset.image_info[number]["id"])


class Stopwatch(keras.callbacks.Callback):
    """Measures step times, prints an estimate of the total time, and adds `seconds_per_step` and `waiting` to the logs.

    `waiting` is the fraction of the step time that is spent waiting for data.

    Args:
        total_steps: number of steps until the end of the stage.
        verbose: whether to print the estimate.
    """

    def __init__(self, total_steps: int, verbose: bool = True):
        super().__init__()
        self.total_steps, self.verbose = total_steps, verbose
        self.durations: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self.durations = []
        self.waited_before = self.model.waited

    def on_train_batch_begin(self, batch, logs=None):
        self.is_skipped = self.model.skip > 0
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if self.is_skipped:
            return
        self.durations.append(time.perf_counter() - self.started)
        if len(self.durations) == 1:
            self.waited_before = self.model.waited  # the first step includes compilation and the start of the pipeline
        if self.verbose and self.total_steps and len(self.durations) == FIRST_STEPS + 1:
            rest = duration_text(self.seconds_per_step * self.total_steps)
            pace = f"{self.seconds_per_step:.2f} s a step"
            tqdm.write(f"{pace}: about {rest} for {self.total_steps} steps, plus validation")
            self.total_steps = 0  # print the estimate only once

    @property
    def seconds_per_step(self) -> float:
        """Mean duration of the steps of this epoch, without the first step."""
        durations = self.durations[1:] or self.durations
        return sum(durations) / max(len(durations), 1)

    def on_epoch_end(self, epoch, logs=None):
        spent = sum(self.durations[1:])
        logs["seconds_per_step"] = self.seconds_per_step
        logs["waiting"] = (self.model.waited - self.waited_before) / spent if spent else 0.0


def duration_text(seconds: float) -> str:
    """Formats a duration: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class ProgressTracker(keras.callbacks.Callback):
    """Adds the logs of an epoch to the progress of the run. Must come after all callbacks that add to the logs."""

    def __init__(self, progress: Progress):
        super().__init__()
        self.progress = progress

    def on_epoch_end(self, epoch, logs=None):
        rate = self.model.learning_rate
        figures = {name: float(value) for name, value in logs.items()}
        self.progress.end_epoch({"epoch": epoch + 1, "learning_rate": rate, **figures})


class HistoryFile(keras.callbacks.Callback):
    """Writes `history.csv` after every epoch."""

    def __init__(self, progress: Progress, folder: str | Path):
        super().__init__()
        self.progress, self.folder = progress, folder

    def on_epoch_end(self, epoch, logs=None):
        write_history(self.progress.rows, self.folder)


class CurvePlot(keras.callbacks.Callback):
    """Draws `curves.png` after every epoch."""

    def __init__(self, progress: Progress, folder: str | Path):
        super().__init__()
        self.progress, self.path = progress, Path(folder) / "curves.png"

    def on_epoch_end(self, epoch, logs=None):
        from mrcnn.visualization.plots import plot_training_curves  # Matplotlib is slow to import

        columns = dict.fromkeys(name for row in self.progress.rows for name in row)
        curves = {name: [row.get(name, math.nan) for row in self.progress.rows] for name in columns}
        plot_training_curves(curves, self.path)


class ValidationOverlays(keras.callbacks.Callback):
    """Saves some validation images with their detections (`validation_1.jpg`, ...) whenever the AP improves.

    Args:
        progress: progress of the run.
        folder: log folder.
        pictures: iterable of (name, uint8 `[H, W, 3]` image), iterated whenever the AP improves.
    """

    def __init__(self, progress: Progress, folder: str | Path, pictures: Iterable[tuple[str, np.ndarray]]):
        super().__init__()
        self.progress, self.folder, self.pictures = progress, Path(folder), pictures

    def on_epoch_end(self, epoch, logs=None):
        if self.progress.is_best:
            for name, picture in self.pictures:
                with replacing(self.folder / f"validation_{name}.jpg") as temporary:
                    Image.fromarray(picture).save(temporary, "JPEG", quality=90)


class EarlyStop(keras.callbacks.Callback):
    """Stops training after `patience` validations without improvement in mask AP (box AP without a mask head)."""

    def __init__(self, progress: Progress, patience: int):
        super().__init__()
        self.progress, self.patience = progress, patience

    def on_epoch_end(self, epoch, logs=None):
        if patience_is_exhausted(self.progress, self.patience):
            self.model.stop_training = True
            best = self.progress.best_of_stage
            print(f"Stopped early: no better {self.progress.kind} AP than {best:.3f} in {self.patience} validations")


def patience_is_exhausted(progress: Progress, patience: int) -> bool:
    """Returns whether early stopping has ended the stage."""
    return bool(patience) and progress.without_gain >= patience
