"""One stage of training: freeze layers, compile, restore a resumed run, fit, finish."""

from __future__ import annotations

import gc
import hashlib
import tempfile
from collections.abc import Collection
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mrcnn.data.augmentation import Augmentation
from mrcnn.data.dataset import Dataset
from mrcnn.errors import UserError
from mrcnn.layer_sets import layer_regex
from mrcnn.network import loss_names
from mrcnn.training.averaging import WeightAverage
from mrcnn.training.callbacks import patience_is_exhausted
from mrcnn.training.checkpointing import CheckpointWriter
from mrcnn.training.devices import choose_kernel_gradient
from mrcnn.training.distribution import is_chief
from mrcnn.training.fitting import TrainingData, fit
from mrcnn.training.freezing import set_trainable
from mrcnn.training.optimizers import build_optimizer, loss_weight_decay
from mrcnn.training.options import TrainOptions
from mrcnn.training.progress import Progress, Stage
from mrcnn.training.run_state import RunState
from mrcnn.training.saved_state import State, restore_variables
from mrcnn.training.schedules import Schedule
from mrcnn.training.training_model import TrainingModel


def train(
    model,
    train_dataset: Dataset,
    val_dataset: Dataset | None,
    learning_rate: float,
    epochs: int,
    layers: str,
    augmentation: Augmentation | None = None,
    custom_callbacks: list[keras.callbacks.Callback] | None = None,
    no_augmentation_sources: Collection[str] | None = None,
    options: TrainOptions | None = None,
) -> Progress:
    """Trains a MaskRCNN up to epoch `epochs`; see `MaskRCNN.train` for the arguments.

    The files are written to `model.log_dir`: checkpoints (see `checkpointing`), `history.csv`, `curves.png`, validation
    images with the detections of the best weights (`validation_1.jpg`, ...) and TensorBoard events.

    Args:
        options: the keyword arguments of `MaskRCNN.train`; None for the defaults.

    Returns:
        The progress of the run: history, best epoch.

    Raises:
        TypeError, ValueError: if an argument is invalid or the arguments differ from the run to resume.
        NonFiniteLossError: if the loss becomes NaN or infinite. The message names the images.
        OSError: if a file cannot be written.
        TrainingInterrupted: if Ctrl-C was pressed. The training state has been saved.
    """
    options = options or TrainOptions()
    check_datasets(model.config, train_dataset, val_dataset)
    identity = data_identity(train_dataset)
    run = RunState.for_model(model)
    progress, resumed = run.progress, run.resumed
    stage = _describe_stage(model, learning_rate, epochs, layers, options, resumed)
    if _is_done(stage, progress, resumed):
        if options.verbose != 0:
            print(f"Nothing to train up to epoch {stage.epochs}: the run is at epoch {progress.epoch}.")
        return progress
    if resumed is not None:
        _check_resumable(resumed, stage, identity)

    trained = set_trainable(model.keras_model, stage.layers)
    if is_chief(model.keras_model.distribute_strategy):
        _make_folder(Path(model.log_dir))
    if _is_deterministic(options):
        make_deterministic(stage.seed)
    gc.collect()  # frees the optimizer of the previous stage, which is as large as the network
    fitted = compile_model(model, stage, options.eager)
    if resumed is not None and progress.stage is not None:
        _restore(resumed, fitted)
    else:
        progress.begin(stage)
    model.class_names = list(train_dataset.class_names)  # replaces the names of the initial weights
    metadata = {"class_names": model.class_names}
    writer = CheckpointWriter(model, fitted, progress, options, identity, metadata)
    if options.verbose != 0:
        _print_start(model, progress, fitted, trained, _is_deterministic(options))
    if model.epoch < epochs and not patience_is_exhausted(progress, options.patience):
        data = TrainingData(train_dataset, val_dataset, augmentation, no_augmentation_sources)
        fit(model, fitted, writer, data, custom_callbacks or [])
    run.resumed = None
    if fitted.average is not None:
        fitted.average.overwrite_variables()
    progress.finish()
    writer.save_finished()
    return progress


def check_datasets(config, train_dataset, val_dataset) -> None:
    """Raises ValueError if the datasets are empty or their classes do not match the config or each other."""
    for name, dataset in (("train_dataset", train_dataset), ("val_dataset", val_dataset)):
        if dataset is None and name == "val_dataset":
            continue
        if len(getattr(dataset, "image_ids", ())) == 0:
            raise UserError(f"{name}: the dataset has no images. Add images and call prepare().")
        if dataset.num_classes != config.NUM_CLASSES:
            raise UserError(
                f"{name}: the dataset has {dataset.num_classes} classes including the background "
                f"({', '.join(dataset.class_names)}), but the network has {config.NUM_CLASSES}. Set NUM_CLASSES = "
                f"{dataset.num_classes}."
            )
    if val_dataset is not None and list(val_dataset.class_names) != list(train_dataset.class_names):
        raise UserError(
            f"val_dataset: expected the classes of train_dataset ({', '.join(train_dataset.class_names)}), got "
            f"{', '.join(val_dataset.class_names)}. Add the same classes in the same order to both."
        )


def _make_folder(folder: Path) -> None:
    """Creates the log folder and checks that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"{folder}: the log folder is not writable ({error.strerror}). Choose another model_dir or change the "
            "permissions."
        ) from None


def data_identity(dataset) -> dict:
    """Returns the number of images and a hash of their ids in order, which identify the training images."""
    ids = "\n".join(f"{info['source']}.{info['id']}" for info in dataset.image_info)
    return {"photos": len(dataset.image_info), "ids": hashlib.sha256(ids.encode("utf-8", "replace")).hexdigest()}


def compile_model(model, stage: Stage, eager: bool = False) -> TrainingModel:
    """Compiles the model that Keras trains in a stage. It shares the layers of `model.keras_model`."""
    config = model.config
    strategy = model.keras_model.distribute_strategy
    choose_kernel_gradient(model.keras_model)
    average = None
    if stage.average:
        with strategy.scope():
            average = WeightAverage(model.keras_model.trainable_variables, stage.average)
    weight_decay = loss_weight_decay(stage.optimizer, config)
    names = loss_names(config)
    counts = {name: stage.losses == "all" or name.startswith(stage.losses) for name in names}
    loss_weights = {name: config.LOSS_WEIGHTS.get(name, 1.0) * counts[name] for name in names}
    fitted = TrainingModel(model.keras_model, loss_weights, weight_decay, average)
    rate: float | Schedule = stage.learning_rate
    if stage.schedule != "constant" or stage.warmup_steps:
        total = (stage.epochs - stage.first_epoch) * stage.steps_per_epoch
        rate = Schedule(rate, total, stage.schedule, stage.warmup_steps)
    with strategy.scope():
        optimizer = build_optimizer(stage.optimizer, rate, config, stage.accumulate)
        # crop_and_resize has no XLA kernel, so the whole step cannot be compiled by XLA.
        fitted.compile(optimizer=optimizer, jit_compile=False, run_eagerly=eager)
        optimizer.build(fitted.trainable_variables)
    return fitted


def make_deterministic(seed: int) -> None:
    """Enables TensorFlow's deterministic operations for the whole process.

    Without these operations, the gradient of crop_and_resize is summed in the varying order in which threads finish.
    """
    tf.random.set_seed(seed)  # deterministic operations require a global seed
    tf.config.experimental.enable_op_determinism()


def _is_deterministic(options: TrainOptions) -> bool:
    if options.deterministic is None:
        return options.seed is not None and not tf.config.get_visible_devices("GPU")
    return options.deterministic


def _describe_stage(model, learning_rate: float, epochs: int, layers: str, options, resumed: State | None) -> Stage:
    if not learning_rate > 0:
        raise UserError(f"learning_rate: expected a number above 0, got {learning_rate!r}.")
    if options.losses == "rpn" and not model.config.has_rpn:
        raise UserError(f"losses: the network has no RPN (PROPOSALS = {model.config.PROPOSALS!r}). Use losses='all'.")
    stage = Stage(
        layers=layer_regex(layers),
        epochs=int(epochs),
        learning_rate=float(learning_rate),
        optimizer=options.optimizer,
        schedule=options.schedule,
        warmup_steps=options.warmup_steps,
        losses=options.losses,
        average=options.average,
        accumulate=options.accumulate,
        steps_per_epoch=int(model.config.STEPS_PER_EPOCH),
        batch_size=int(model.config.BATCH_SIZE),
        seed=options.seed or 0,
        first_epoch=model.epoch,
    )
    if resumed is not None and resumed.progress.stage is not None:
        stage.first_epoch = resumed.progress.stage["first_epoch"]
    return stage


def _is_done(stage: Stage, progress: Progress, resumed: State | None) -> bool:
    """Returns whether the stage is finished. A resumed stage may be unfinished although its last epoch was saved."""
    if resumed is None:
        return progress.epoch >= stage.epochs
    if any(stage.same_as(finished) for finished in progress.finished):
        return True
    is_current = progress.stage is not None and stage.same_as(progress.stage)
    return progress.epoch >= stage.epochs and not is_current


def _check_resumable(state: State, stage: Stage, identity: dict) -> None:
    saved = state.record["data"]
    if saved != identity:
        raise UserError(
            f"{state.path}: the training images differ from those of the run ({saved['photos']} -> "
            f"{identity['photos']} images, or different ids). Restore them, or start a new run from its weights."
        )
    current = state.progress.stage
    if current is not None and (different := stage.differences(current)):
        raise UserError(
            f"{state.path}: the current stage of the run has different settings ({'; '.join(different[:4])}). Resume "
            "with its settings, or start a new run from its weights."
        )


def _restore(state: State, fitted: TrainingModel) -> None:
    restore_variables(state.path, "optimizer", fitted.optimizer.variables)
    if fitted.average is not None:
        restore_variables(state.path, "average", fitted.average.variables)


def _print_start(model, progress: Progress, fitted: TrainingModel, trained: list[str], is_deterministic: bool) -> None:
    stage = progress.stage
    weights = sum(int(np.prod(variable.shape)) for variable in fitted.trainable_variables)
    where = f", step {progress.step}" if progress.step else ""
    print(f"\nStarting at epoch {model.epoch}{where}. LR={stage['learning_rate']}\n")
    print(f"Checkpoint Path: {model.checkpoint_path}")
    if is_deterministic:
        print(f"Deterministic operations are on for this process, seed {stage['seed']}")
    print(f"Training {len(trained)} layers, {weights / 1e6:.1f} million weights", flush=True)
