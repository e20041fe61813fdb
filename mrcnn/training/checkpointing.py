"""Checkpoints of a run: weights in Matterport's layout, state for an exact resume, best epoch, clean-up."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from contextlib import nullcontext
from pathlib import Path

import keras

from mrcnn.atomic import replacing
from mrcnn.checkpoints import log_dirs
from mrcnn.training import saved_state as states
from mrcnn.training.distribution import is_chief
from mrcnn.training.interruption import Interruption, TrainingInterrupted
from mrcnn.training.options import TrainOptions
from mrcnn.training.progress import Progress
from mrcnn.training.training_model import TrainingModel


class CheckpointWriter:
    """Writes the files of a run into `model.log_dir`.

    * `mask_rcnn_<name>_<epoch>.h5` after every epoch.
    * `training_<name>_<epoch>.state` next to the latest checkpoint. It is at least twice as large as the checkpoint.
    * `mask_rcnn_<name>_best.h5`, the checkpoint with the best mask AP (box AP without masks).
    * `training_<name>_partial.state` within an epoch.

    Args:
        model: the MaskRCNN.
        fitted: the model that Keras trains.
        progress: progress of the run.
        options: options of the stage, such as `keep`.
        data: identity of the training data; see `trainer.data_identity`.
        metadata: further metadata for the weights files, such as the class names.

    Attributes:
        enabled: whether this process writes files. With several workers, only one worker does.
    """

    def __init__(
        self, model, fitted: TrainingModel, progress: Progress, options: TrainOptions, data: dict, metadata: dict
    ):
        self.model, self.fitted, self.progress, self.options = model, fitted, progress, options
        self.data, self.metadata = data, metadata
        self.folder = Path(model.log_dir)
        self.enabled = is_chief(fitted.strategy)
        if self.enabled:
            for prefix in (states.WEIGHTS_PREFIX, states.PREFIX):
                for unfinished in self.folder.glob(f".{prefix}*.tmp*"):  # left by a killed run
                    unfinished.unlink(missing_ok=True)

    def path(self, label: str) -> Path:
        """Returns the path `mask_rcnn_<name>_<label>.h5` in the folder of the run."""
        return self.folder / f"mask_rcnn_{(self.model.config.NAME or '').lower()}_{label}.h5"

    @property
    def latest(self) -> Path:
        """Path of the weights of the latest epoch."""
        return self.path(f"{self.progress.epoch:04d}")

    def save_epoch(self) -> None:
        """Writes weights and state after an epoch."""
        if not self.enabled:
            return
        path = self.latest
        state = states.state_path(path)
        identity = uuid.uuid4().hex
        state.unlink(missing_ok=True)  # the old state belongs to the previous weights
        average = self.fitted.average
        with average.swap_in() if average else nullcontext():
            self.model.save_weights(path, metadata={**self.metadata, **self._validation_metrics(), states.ID: identity})
        if self.progress.is_best:
            _link(path, self.path("best"))
        self._write_state(state, identity, holds_weights=average is not None)
        self._clean_up()

    def save_partial(self) -> Path:
        """Saves the weights and the state of an unfinished epoch, and returns the path."""
        path = states.state_path(self.path("partial"))
        if self.enabled:
            self._write_state(path, uuid.uuid4().hex, holds_weights=True)
        return path

    def save_finished(self) -> None:
        """Marks the stage as finished in the state of the latest epoch and removes all variables from this state."""
        path = states.state_path(self.latest)
        if self.enabled and path.exists():
            record = states.read_record(path)
            record |= {"progress": self.progress.to_dict(), "holds_weights": False}
            states.write_state(path, record, {})

    def _validation_metrics(self) -> dict:
        row = self.progress.rows[-1] if self.progress.rows else {}
        return {"epoch": self.progress.epoch, **{name: row[name] for name in row if name.startswith("val_")}}

    def _write_state(self, path: Path, identity: str, holds_weights: bool) -> None:
        record = {
            "id": identity,
            "holds_weights": holds_weights,
            "progress": self.progress.to_dict(),
            "config": json.loads(self.model.config.to_json()),
            "data": self.data,
            "metadata": self.metadata,
        }
        groups = {"optimizer": self.fitted.optimizer.variables}
        if self.fitted.average is not None:
            groups["average"] = self.fitted.average.variables
        if self.progress.step:
            groups["metrics"] = metric_variables(self.fitted)
        if holds_weights:
            groups["weights"] = self.model.keras_model.weights
        states.write_state(path, record, groups)

    def _clean_up(self) -> None:
        """Removes the states of earlier epochs and all but the latest `keep` weights files."""
        for state in states.state_files(self.folder):
            if state != states.state_path(self.latest):
                state.unlink(missing_ok=True)
        if self.options.keep:
            files = log_dirs.checkpoints(self.folder)
            earlier = files[: files.index(self.latest) + 1]  # files of later epochs belong to an earlier training
            for file in earlier[: -self.options.keep]:
                file.unlink(missing_ok=True)


class Checkpoints(keras.callbacks.Callback):
    """Calls a `CheckpointWriter` after every epoch, every few minutes, and on Ctrl-C."""

    def __init__(self, writer: CheckpointWriter, interruption: Interruption):
        super().__init__()
        self.writer, self.interruption = writer, interruption
        self.saved_at = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        progress = self.writer.progress
        progress.step = max(progress.step, batch + 1)  # a resumed epoch skips the completed steps
        if progress.step >= progress.stage["steps_per_epoch"]:
            return  # `on_epoch_end` saves the state
        minutes = self.writer.options.save_minutes
        is_due = minutes and time.monotonic() - self.saved_at > 60 * minutes
        if is_due or self.interruption.requested:
            path = self.writer.save_partial()
            self.saved_at = time.monotonic()
            if self.interruption.requested:
                raise TrainingInterrupted(path)

    def on_epoch_end(self, epoch, logs=None):
        self.writer.save_epoch()
        self.writer.model.epoch = self.writer.progress.epoch
        self.saved_at = time.monotonic()


class RestoreLossMeans(keras.callbacks.Callback):
    """Restores the running means of the losses of a resumed epoch, which Keras resets when the epoch starts."""

    def __init__(self, path: Path):
        super().__init__()
        self.path: Path | None = path

    def on_epoch_begin(self, epoch, logs=None):
        if self.path is not None:
            states.restore_variables(self.path, "metrics", metric_variables(self.model))
            self.path = None


def metric_variables(fitted: TrainingModel) -> list:
    """Returns the variables of the running means of the losses, which are restored in a resumed epoch."""
    return [variable for metric in fitted.metrics for variable in metric.variables]


def _link(source: Path, target: Path) -> None:
    """Replaces `target` atomically by a hard link to `source`, or by a copy if hard links are not supported."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
