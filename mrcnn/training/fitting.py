"""The call of Keras's `fit`: the batches, the callbacks in their order, and errors in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from mrcnn.data.dataset_errors import DatasetError
from mrcnn.data.pipeline import DataProblems, training_batches
from mrcnn.training.callbacks import Curves, EarlyStop, HistoryFile, Recorder, StopOnNaN, Stopwatch
from mrcnn.training.checkpointing import Checkpoints, CheckpointWriter, RestoreMeans
from mrcnn.training.interruption import Interruption, StopWhenAsked
from mrcnn.training.objective import TrainingModel
from mrcnn.training.tensorboard import TensorBoardEvents
from mrcnn.training.validation import VALIDATION_PHOTOS, Validation, Validator


def fit(
    model,
    fitted: TrainingModel,
    writer: CheckpointWriter,
    train_dataset,
    val_dataset,
    custom_callbacks: list[keras.callbacks.Callback],
    data_options: dict,
) -> None:
    """Trains to the end of the stage under way, or until early stopping.

    Args:
        model: the MaskRCNN.
        fitted: its compiled training model.
        writer: of the checkpoints; has the progress and the options too.
        train_dataset, val_dataset: prepared datasets; the latter may be None.
        custom_callbacks: run after all others, when everything of an epoch is known and saved.
        data_options: further arguments of `training_batches`.
    """
    options, progress, config = writer.options, writer.progress, model.config
    epochs, steps = progress.stage["epochs"], progress.stage["steps_per_epoch"]
    verbose = options.verbose if options.verbose is not None else (1 if can_redraw_lines() else 2)
    done = progress.epoch * steps + progress.step
    on_error = "raise" if options.strict else "skip"
    common = dict(seed=options.seed, workers=options.workers, on_error=on_error)
    batches = training_batches(train_dataset, config, start_step=done, **common, **data_options)
    val_batches, val_steps = None, int(config.VALIDATION_STEPS)  # scripts make a float of it by dividing
    if val_dataset is not None and val_steps:
        val_batches = training_batches(val_dataset, config, shuffle=False, steps=val_steps, **common)
    problems = [part.problems for part in (batches, val_batches) if part is not None]
    validator = _validator(model, val_dataset, options, verbose)
    fitted.skip = progress.step

    with Interruption() as interruption, errors_in_words(*problems), fitted.strategy.scope():
        callbacks = [
            SeedSampling(model.keras_model, options.seed, steps, progress.step),
            *([RestoreMeans(model.resumed.path)] if progress.step else []),
            Stopwatch(epochs * steps - done, verbose > 0),
            StopOnNaN(train_dataset, model.log_dir),
            *([Validation(validator, options.validate_every, epochs, verbose > 0)] if validator else []),
            Recorder(progress),
            Checkpoints(writer, interruption),
            *_reports(model, writer, validator),
            EarlyStop(progress, options.patience),
            *custom_callbacks,
            StopWhenAsked(interruption, lambda: writer.latest),
        ]
        fitted.fit(
            _as_inputs(batches),
            validation_data=_as_inputs(val_batches) if val_batches is not None else None,
            validation_steps=val_steps or None,
            shuffle=False,  # it is, in the pipeline
            initial_epoch=progress.epoch,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=verbose,
        )
    model.keras_model.history = fitted.history  # where scripts look for it
    _report_problems(batches.problems, validator, verbose)


def can_redraw_lines() -> bool:
    """Whether standard output is a terminal or a notebook cell, where a progress bar can return to its line."""
    return sys.stdout.isatty() or type(sys.stdout).__module__.startswith("ipykernel.")


class SeedSampling(keras.callbacks.Callback):
    """Sets the random numbers with which RoIs are sampled: they depend on the seed and the step alone.

    Args:
        network: the training graph.
        seed: of the run.
        steps_per_epoch: steps of an epoch.
        skipped: steps of the first epoch that were done before a resume.
    """

    def __init__(self, network: keras.Model, seed: int, steps_per_epoch: int, skipped: int):
        super().__init__()
        self.generator = network.get_layer("proposal_targets").seed_generator
        self.seed, self.steps_per_epoch, self.skipped = seed % 2**32, steps_per_epoch, skipped

    def on_epoch_begin(self, epoch, logs=None):
        if self.generator is not None:
            # Keras adds 1 to the second number at every use.
            self.generator.state.assign([self.seed, epoch * self.steps_per_epoch + self.skipped])
        self.skipped = 0


def _as_inputs(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches in the form (x,), so that `fit` does not take them for (x, y)."""
    sharding = tf.data.Options()
    # Several workers read all photos, and each takes its part of every batch.
    sharding.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # repeat(): what is known to have no end needs no checks for incomplete batches, which several devices cannot do.
    return batches.map(lambda *inputs: (inputs,)).repeat().with_options(sharding)


def _validator(model, dataset, options, verbose: int) -> Validator | None:
    """The validator of this model and dataset; that of an earlier stage if there is one, as compiling takes time."""
    if dataset is None or not options.validate_every:
        return None
    photos = options.validation_photos
    if photos is None:
        photos = int(model.config.VALIDATION_STEPS) * model.config.BATCH_SIZE or VALIDATION_PHOTOS
    earlier = getattr(model, "validator", None)
    if earlier is None or earlier.dataset is not dataset or earlier.limit != photos:
        model.validator = Validator(model, dataset, photos, model.config.BATCH_SIZE)
        count, total = len(model.validator.image_ids), len(dataset.image_ids)
        if verbose and count < total:
            print(f"Validation AP on a fixed random subset: {count} of {total} images (validation_photos=0: all)")
    model.validator.strict = options.strict
    return model.validator


def _reports(model, writer: CheckpointWriter, validator: Validator | None) -> list:
    """The callbacks that write files for people to look at."""
    if not writer.enabled:
        return []
    pictures = validator.pictures if validator else []
    return [
        HistoryFile(writer.progress, model.log_dir),
        Curves(writer.progress, model.log_dir),
        TensorBoardEvents(writer.progress, model.log_dir, pictures),
    ]


@contextmanager
def errors_in_words(*problems: DataProblems) -> Iterator[None]:
    """Turns TensorFlow's errors into what caused them; `problems` are those of the batches that are read inside."""
    try:
        yield
    except DatasetError as error:
        raise error from error.original
    except tf.errors.OpError as error:
        first = str(error).splitlines()[0][:200]
        if "No space left" in first:  # to TensorFlow, the disk is a resource like memory
            raise OSError(f"A file could not be written ({first}). Free space, then resume.") from None
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise MemoryError(f"The device has too little memory ({first}). Use smaller batches or images.") from None
        cause = next((each.error for each in problems if each.error is not None), None)
        if cause is None:
            raise
        raise cause from cause.__cause__  # its own cause instead of TensorFlow's error


def _report_problems(problems, validator: Validator | None, verbose: int) -> None:
    if verbose and (problems.skipped or problems.too_small):
        print(f"\nIn the training photos: {problems}")
    if verbose and validator is not None and validator.unreadable:
        print(f"\n{len(validator.unreadable)} validation photos could not be read:")
        for reason in validator.unreadable.values():
            print(f"  {reason}")
