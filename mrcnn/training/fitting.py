"""Calls Keras's `fit` with the batches and callbacks of a stage, and replaces TensorFlow errors with their causes."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import keras
import tensorflow as tf

from mrcnn.data.augmentation import Augmentation
from mrcnn.data.dataset import Dataset
from mrcnn.data.dataset_errors import DatasetError
from mrcnn.data.pipeline import DataProblems, training_batches
from mrcnn.training.callbacks import (
    CurvePlot,
    EarlyStop,
    HistoryFile,
    ProgressTracker,
    StopOnNaN,
    Stopwatch,
    ValidationOverlays,
)
from mrcnn.training.checkpointing import Checkpoints, CheckpointWriter, RestoreLossMeans
from mrcnn.training.display import EpochDisplay
from mrcnn.training.interruption import Interruption, StopOnInterrupt
from mrcnn.training.run_state import RunState
from mrcnn.training.tensorboard import TensorBoardEvents
from mrcnn.training.training_model import TrainingModel
from mrcnn.training.validation import VALIDATION_PHOTOS, Validation, Validator


class TrainingData(NamedTuple):
    """Prepared datasets, and the augmentation of training images; see `MaskRCNN.train`."""

    train: Dataset
    val: Dataset | None = None
    augmentation: Augmentation | None = None
    no_augmentation_sources: Collection[str] | None = None


def fit(
    model,
    fitted: TrainingModel,
    writer: CheckpointWriter,
    data: TrainingData,
    custom_callbacks: list[keras.callbacks.Callback],
) -> None:
    """Trains until the end of the current stage or until early stopping.

    Args:
        model: the MaskRCNN.
        fitted: the compiled training model.
        writer: checkpoint writer with the progress and the options of the stage.
        data: datasets and augmentation.
        custom_callbacks: callbacks that run after the epoch has been saved.
    """
    options, progress, config = writer.options, writer.progress, model.config
    epochs, steps = progress.stage["epochs"], progress.stage["steps_per_epoch"]
    verbose = options.verbose if options.verbose is not None else (1 if can_redraw_lines() else 2)
    done = progress.epoch * steps + progress.step
    on_error = "raise" if options.strict else "skip"
    seed = progress.stage["seed"]
    problems, val_problems = DataProblems(), DataProblems()
    common = dict(seed=seed, workers=options.workers, on_error=on_error)
    batches = training_batches(
        data.train,
        config,
        augmentation=data.augmentation,
        no_augmentation_sources=data.no_augmentation_sources,
        start_step=done,
        problems=problems,
        **common,
    )
    val_batches, val_steps = None, int(config.VALIDATION_STEPS)  # scripts may set a float
    if data.val is not None and val_steps:
        val_batches = training_batches(
            data.val, config, shuffle=False, steps=val_steps, problems=val_problems, **common
        )
    validator = _get_validator(model, data.val, options, verbose)
    fitted.skip = progress.step
    display = EpochDisplay(steps, epochs, bar=verbose == 1)

    with (
        Interruption() as interruption,
        closing(display),
        raise_causes(problems, val_problems),
        fitted.strategy.scope(),
    ):
        callbacks = [
            SeedSampling(model.keras_model, seed, steps, progress.step),
            *([RestoreLossMeans(model.run.resumed.path)] if progress.step else []),
            Stopwatch(epochs * steps - done, verbose > 0),
            *([display] if verbose else []),
            StopOnNaN(data.train, model.log_dir),
            *([Validation(validator, options.validate_every, epochs, verbose > 0)] if validator else []),
            ProgressTracker(progress),
            Checkpoints(writer, interruption),
            *_report_callbacks(model, writer, validator),
            EarlyStop(progress, options.patience),
            *custom_callbacks,
            StopOnInterrupt(interruption, lambda: writer.latest),
        ]
        fitted.fit(
            _as_inputs(batches),
            validation_data=_as_inputs(val_batches) if val_batches is not None else None,
            validation_steps=val_steps or None,
            shuffle=False,  # the pipeline shuffles
            initial_epoch=progress.epoch,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=0,
        )
    model.keras_model.history = fitted.history  # Matterport scripts read this attribute
    _report_problems(problems, validator, verbose)


def can_redraw_lines() -> bool:
    """Returns whether standard output is a terminal or a notebook cell, where a progress bar can overwrite its line."""
    return sys.stdout.isatty() or type(sys.stdout).__module__.startswith("ipykernel.")


class SeedSampling(keras.callbacks.Callback):
    """Seeds the sampling of RoIs in each epoch, so that the sampling depends only on the seed and the step.

    Args:
        network: the training graph.
        seed: seed of the run.
        steps_per_epoch: number of steps per epoch.
        skipped: number of steps of the first epoch that were completed before the run was resumed.
    """

    def __init__(self, network: keras.Model, seed: int, steps_per_epoch: int, skipped: int):
        super().__init__()
        self.generator = network.get_layer("proposal_targets").seed_generator
        self.seed, self.steps_per_epoch, self.skipped = seed % 2**32, steps_per_epoch, skipped

    def on_epoch_begin(self, epoch, logs=None):
        if self.generator is not None:
            # Keras increments the second number of the state at every use.
            self.generator.state.assign([self.seed, epoch * self.steps_per_epoch + self.skipped])
        self.skipped = 0


def _as_inputs(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Wraps batches as (x,), so that `fit` does not unpack them as (x, y)."""
    sharding = tf.data.Options()
    # Each worker reads all images and uses its part of every batch.
    sharding.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # repeat() marks the dataset as infinite. Otherwise Keras checks for partial batches and fails on several devices.
    return batches.map(lambda *inputs: (inputs,)).repeat().with_options(sharding)


def _get_validator(model, dataset, options, verbose: int) -> Validator | None:
    """Returns the validator, or None if there is no validation. A validator of an earlier stage is reused."""
    if dataset is None or not options.validate_every:
        return None
    photos = options.validation_photos
    if photos is None:
        photos = int(model.config.VALIDATION_STEPS) * model.config.BATCH_SIZE or VALIDATION_PHOTOS
    run = RunState.for_model(model)
    earlier = run.validator
    validator = run.validator_for(model, dataset, photos)
    validator.strict = options.strict
    count, total = len(validator.image_ids), len(dataset.image_ids)
    if verbose and validator is not earlier and count < total:
        print(f"Validation AP on a fixed random subset: {count} of {total} images (validation_photos=0: all)")
    return validator


def _report_callbacks(model, writer: CheckpointWriter, validator: Validator | None) -> list:
    """Returns the callbacks that write the history, curves, validation images and TensorBoard events."""
    if not writer.enabled:
        return []
    pictures = validator.pictures if validator else []
    return [
        HistoryFile(writer.progress, model.log_dir),
        CurvePlot(writer.progress, model.log_dir),
        ValidationOverlays(writer.progress, model.log_dir, pictures),
        TensorBoardEvents(writer.progress, model.log_dir, pictures),
    ]


@contextmanager
def raise_causes(*problems: DataProblems) -> Iterator[None]:
    """Context manager that replaces TensorFlow errors with the errors recorded in `problems`."""
    try:
        yield
    except DatasetError as error:
        raise error from error.original
    except tf.errors.OpError as error:
        first = str(error).splitlines()[0][:200]
        if "No space left" in first:  # TensorFlow may raise a ResourceExhaustedError for a full disk
            raise OSError(f"A file could not be written ({first}). Free space, then resume.") from None
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise MemoryError(f"The device is out of memory ({first}). Use smaller batches or images.") from None
        cause = next((each.error for each in problems if each.error is not None), None)
        if cause is None:
            raise
        raise cause from cause.__cause__  # hides TensorFlow's error


def _report_problems(problems, validator: Validator | None, verbose: int) -> None:
    if verbose and (problems.skipped or problems.too_small):
        print(f"\nIn the training images: {problems}")
    if verbose and validator is not None and validator.unreadable:
        print(f"\n{len(validator.unreadable)} validation images could not be read:")
        for reason in validator.unreadable.values():
            print(f"  {reason}")
