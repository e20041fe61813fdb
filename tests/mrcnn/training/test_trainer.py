"""train() end to end on a tiny network: files, trained and frozen weights, error messages."""

import csv
import io
import os
import sys
import traceback

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mrcnn import checkpoints
from mrcnn.training import TrainingInterrupted, fitting, trainer
from mrcnn.training.callbacks import NonFiniteLossError
from mrcnn.training.fitting import raise_causes
from mrcnn.training.interruption import Interruption
from mrcnn.training.options import TrainOptions
from mrcnn.training.progress import Stage
from mrcnn.training.trainer import compile_model
from mrcnn.training.validation import Validator

QUIET = dict(verbose=0, seed=1)


def snapshot(model):
    return {variable.path: variable.numpy() for variable in model.keras_model.weights}


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """Trains the heads to epoch 1 and all layers to epoch 3. Returns the weights before, between and after."""
    model = tiny.build(tmp_path_factory.mktemp("logs"))
    train, val = tiny.Squares(6), tiny.Squares(2, seed=1)
    weights = [snapshot(model)]
    model.train(train, val, 0.02, 1, "heads", **QUIET)
    weights.append(snapshot(model))
    moving = [layer for layer in model.get_trainable_layers() if layer.trainable]
    progress = model.train(train, val, 0.02, 3, "all", keep=2, validate_every=2, **QUIET)
    weights.append(snapshot(model))
    return model, progress, weights, moving


def moved(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_heads_stage_trains_the_heads_only(run):
    model, _, (first, second, _), heads = run
    trainable = {variable.path for layer in heads for variable in layer.trainable_weights}
    assert moved(first, second) == trainable
    assert not any("res" in path or "conv1/conv1" in path for path in trainable)


def test_all_stage_trains_all_weights_except_frozen_statistics(run):
    _, _, (_, second, third), _ = run
    assert set(second) - moved(second, third) == {path for path in second if "/moving_" in path}


def test_files_of_a_run(run):
    model, progress, _, _ = run
    names = sorted(os.listdir(model.log_dir))
    events = [name for name in names if name.startswith("events.out.tfevents")]
    kept = ["mask_rcnn_tiny_0002.h5", "mask_rcnn_tiny_0003.h5", "training_tiny_0003.state"]
    assert len(events) == 2
    overlays = [f"validation_{number + 1}.jpg" for number in range(len(model.run.validator.pictures))]
    assert set(names) - set(events) == {*kept, "mask_rcnn_tiny_best.h5", "curves.png", "history.csv", *overlays}
    assert overlays and all(Image.open(os.path.join(model.log_dir, name)).size == (64, 64) for name in overlays)
    assert model.epoch == progress.epoch == 3


def test_checkpoint_has_weights_config_and_metrics(run, tiny):
    model, _, (*_, last), _ = run
    with checkpoints.read_checkpoint(model.checkpoint_path.format(epoch=3)) as checkpoint:
        assert checkpoint.config["NAME"] == "tiny" and checkpoint.metadata["class_names"] == ["BG", "square"]
        assert checkpoint.metadata["epoch"] == 3 and "val_mask_AP" in checkpoint.metadata
        stored = checkpoint.layers["fpn_p2"].weights["kernel"][()]
    np.testing.assert_array_equal(stored, last["fpn_p2/fpn_p2/kernel"])
    assert model.class_names == ["BG", "square"]  # also of detections and exports


def test_history_has_a_row_per_epoch_and_ap_where_validated(run):
    model, progress, _, _ = run
    with open(os.path.join(model.log_dir, "history.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(row["val_mask_AP"] for row in rows)  # every 2 epochs and after the last epoch
    assert float(rows[0]["loss"]) == pytest.approx(progress.rows[0]["loss"], rel=1e-5)
    names = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
    # Only weight decay remains of the loss.
    assert 0 < float(rows[0]["loss"]) - sum(float(rows[0][name]) for name in names) < 0.01


def test_events_can_be_read_back(run):
    model, _, _, _ = run
    name = next(name for name in sorted(os.listdir(model.log_dir)) if name.startswith("events"))
    tags = set()
    for event in tf.compat.v1.train.summary_iterator(os.path.join(model.log_dir, name)):
        tags |= {value.tag for value in event.summary.value}
    assert {"step/loss", "epoch/loss", "epoch/learning_rate", "epoch/val_mask_AP", "validation/1"} <= tags


def test_a_finished_stage_returns_immediately(run, tiny, capsys):
    model, progress, (*_, last), _ = run
    assert model.train(tiny.Squares(6), None, 0.02, 2, "all", seed=1).epoch == 3
    assert "Nothing to train up to epoch 2: the run is at epoch 3" in capsys.readouterr().out
    assert not moved(last, snapshot(model))


@pytest.fixture(scope="module")
def built(tiny, tmp_path_factory):
    model = tiny.build(tmp_path_factory.mktemp("logs"), STEPS_PER_EPOCH=3)
    return model, snapshot(model)


@pytest.fixture
def model(built, tmp_path):
    """Returns a model before its first step."""
    model, weights = built
    for variable in model.keras_model.weights:
        variable.assign(weights[variable.path])
    model.model_dir, model.run = str(tmp_path / "logs"), None
    model.set_log_dir()
    return model


def test_determinism_is_switched_on_by_a_seed_and_announced(model, tiny, capsys, monkeypatch):
    seeds = []
    monkeypatch.setattr(trainer, "make_deterministic", seeds.append)
    monkeypatch.setattr(trainer.tf.config, "get_visible_devices", lambda kind=None: [])  # no GPU
    for epoch, (options, seed) in enumerate(
        (({}, None), ({"deterministic": True}, 0), ({"seed": 3}, 3), ({"seed": 3, "deterministic": False}, None)), 1
    ):
        seeds.clear()
        model.train(tiny.Squares(2), None, 0.01, epoch, "heads", verbose=2, **options)
        assert seeds == ([] if seed is None else [seed])
        assert (f"Deterministic operations are on for this process, seed {seed}" in capsys.readouterr().out) == bool(
            seeds
        )


def test_interruption_completes_the_step_and_saves_a_resumable_state(model, tiny, monkeypatch):
    class PressCtrlC(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                os.kill(os.getpid(), 2)

    with pytest.raises(TrainingInterrupted, match=r"saved in .*training_tiny_partial\.state"):
        model.train(tiny.Squares(4), None, 0.02, 1, "heads", custom_callbacks=[PressCtrlC()], **QUIET)
    assert [name for name in os.listdir(model.log_dir) if "events" not in name] == ["training_tiny_partial.state"]


def test_a_second_ctrl_c_stops_immediately():
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        os.kill(os.getpid(), 2)
        assert interruption.requested
        os.kill(os.getpid(), 2)


def test_nan_loss_stops_and_names_the_images(model, tiny):
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    with pytest.raises(NonFiniteLossError) as error:
        model.train(tiny.Squares(4), None, 1e30, 9, "heads", custom_callbacks=[count], **QUIET)
    assert len(steps) < 4
    message = str(error.value)
    assert "epoch 1, step" in message and "learning rate 1e+30" in message and message.count("square_") == 2


def test_non_finite_weights_are_not_saved(model, tiny):
    """The gradient can explode in the last step of an epoch, when the loss is still finite."""

    class Explode(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                weight = self.model.trainable_variables[0]
                weight.assign(weight * np.nan)

    with pytest.raises(NonFiniteLossError, match=r"epoch 1: weights of fpn_c5p5 are NaN or infinite at learning rate"):
        model.train(tiny.Squares(4), None, 0.01, 1, "heads", custom_callbacks=[Explode()], **QUIET)
    assert not [name for name in os.listdir(model.log_dir) if name.endswith((".h5", ".state"))]


def test_an_unreadable_image(model, tiny, capsys, monkeypatch):
    class Broken(tiny.Squares):
        def load_image(self, image_id):
            if image_id == 1:
                raise ValueError("square_1.jpg: not a photo.")
            return super().load_image(image_id)

    for train, val in ((Broken(4), None), (tiny.Squares(4), Broken(2))):
        with pytest.raises(ValueError, match=r"square_1.jpg: not a photo"):
            model.train(train, val, 0.01, 1, "heads", strict=True, **QUIET)
    model.set_log_dir()
    monkeypatch.setattr(model.config, "VALIDATION_STEPS", 1)  # losses of validation batches
    with pytest.raises(ValueError, match=r"square_1.jpg: not a photo"):
        model.train(tiny.Squares(4), Broken(2), 0.01, 1, "heads", strict=True, validate_every=0, **QUIET)
    monkeypatch.setattr(model.config, "VALIDATION_STEPS", 0)
    model.set_log_dir()
    model.train(Broken(4), Broken(2), 0.01, 1, "heads", seed=1, verbose=2)
    printed = capsys.readouterr().out
    assert "skipped images: 1" in printed and "1 validation images could not be read" in printed
    assert "Validation on 1 image:" in printed


@pytest.mark.parametrize("part", ["training", "validation"])
def test_an_error_in_dataset_code_names_its_line(model, tiny, part):
    class Faulty(tiny.Squares):
        def load_mask(self, image_id):
            return {}["polygon"]  # raises

    number = Faulty.load_mask.__code__.co_firstlineno + 1
    train, val = (Faulty(4), None) if part == "training" else (tiny.Squares(4), Faulty(2))
    with pytest.raises(ValueError, match=r"image \d \(square_\d\), load_mask\(\): KeyError: 'polygon' ") as error:
        model.train(train, val, 0.01, 1, "heads", strict=True, **QUIET)
    assert str(error.value).endswith(f"({__file__}, line {number}, in load_mask)")
    assert isinstance(error.value.__cause__, KeyError)
    assert traceback.extract_tb(error.value.__cause__.__traceback__)[-1].lineno == number


def test_validation_on_a_subset_is_announced(model, tiny, capsys):
    data = tiny.Squares(5, seed=1)
    model.train(tiny.Squares(2), data, 0.01, 1, "heads", seed=1, validation_photos=2)
    first, printed = model.run.validator.image_ids, capsys.readouterr().out
    assert printed.count("Validation AP on a fixed random subset: 2 of 5 images (validation_photos=0: all)") == 1
    assert "Validation on 2 images" in printed and first == Validator(model, data, 2).image_ids == sorted(set(first))
    model.train(tiny.Squares(2), data, 0.01, 2, "heads", seed=1, validation_photos=0)
    printed = capsys.readouterr().out
    assert "random subset" not in printed and "Validation on 5 images" in printed


def test_validation_is_bounded_by_default(model, tiny, monkeypatch):
    monkeypatch.setattr(fitting, "VALIDATION_PHOTOS", 3)
    data, count = tiny.Squares(9, seed=1), lambda: len(fitting._get_validator(model, data, TrainOptions(), 0).image_ids)
    assert count() == 3
    monkeypatch.setattr(model.config, "VALIDATION_STEPS", 2)  # of two images
    assert count() == 4


def test_progress_bar_is_shown_in_terminals_and_notebooks(monkeypatch):
    class OutStream(io.StringIO):
        pass

    monkeypatch.setattr(sys, "stdout", OutStream())
    assert not fitting.can_redraw_lines()
    OutStream.__module__ = "ipykernel.iostream"  # as in a notebook
    assert fitting.can_redraw_lines()


def test_full_disk_is_a_one_line_error_and_keeps_the_earlier_checkpoint(model, tiny, monkeypatch):
    model.train(tiny.Squares(4), None, 0.01, 1, "heads", **QUIET)
    before = {name: os.stat(os.path.join(model.log_dir, name)).st_mtime_ns for name in os.listdir(model.log_dir)}

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=r"_0002.h5: the weights could not be written \(No space left on device\)"):
        model.train(tiny.Squares(4), None, 0.01, 2, "heads", **QUIET)
    for name in ("mask_rcnn_tiny_0001.h5", "training_tiny_0001.state"):
        assert os.stat(os.path.join(model.log_dir, name)).st_mtime_ns == before[name]
    assert not [name for name in os.listdir(model.log_dir) if ".tmp" in name]


def test_full_disk_while_tensorboard_writes():
    with pytest.raises(OSError, match="No space left on device"), raise_causes():
        raise tf.errors.ResourceExhaustedError(None, None, "/logs/events.v2; No space left on device")
    with pytest.raises(MemoryError, match="device is out of memory.*smaller batches"), raise_causes():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_an_unwritable_folder_is_an_error_before_training(model, tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(model, "log_dir", str(tmp_path / "file" / "tiny20260101T0000"))
    with pytest.raises(OSError, match=r"tiny20260101T0000: the log folder is not writable .*model_dir"):
        model.train(tiny.Squares(4), None, 0.01, 1, "heads", **QUIET)


def test_layers_without_a_match(model, tiny):
    with pytest.raises(ValueError, match="no layer name matches 'typo'"):
        model.train(tiny.Squares(4), None, 0.01, 1, "typo", **QUIET)
    assert not os.path.exists(model.log_dir)


def test_the_averaged_weights_are_kept(model, tiny):
    model.train(tiny.Squares(4), None, 0.05, 1, "heads", average=0.5, accumulate=2, optimizer="adamw", **QUIET)
    with checkpoints.read_checkpoint(model.checkpoint_path.format(epoch=1)) as checkpoint:
        stored = checkpoint.layers["mrcnn_mask"].weights["kernel"][()]
    layer = model.keras_model.get_layer("mrcnn_mask")
    np.testing.assert_array_equal(stored, layer.layer.kernel.numpy() if hasattr(layer, "layer") else layer.kernel)


def test_patience(model, tiny):
    progress = model.train(tiny.Squares(4), tiny.Squares(1, seed=1), 1e-9, 9, "heads", patience=2, **QUIET)
    assert progress.epoch == 3 and progress.stage is None and progress.best["epoch"] == 1


@pytest.mark.parametrize("layers, loss", [("rpn", "mrcnn_class_loss"), ("mrcnn", "rpn_class_loss")])
def test_losses_of_the_rpn_or_of_the_heads_only(model, layers, loss):
    stage = Stage(".*", 1, 0.01, "sgd", "constant", 0, layers, 0.0, 1, 3, 2, 0)
    weights = compile_model(model, stage).loss_weights
    assert sum(weights) == (2 if layers == "rpn" else 3) and not weights[0 if layers == "mrcnn" else 2]


def test_datasets_are_checked_before_training(model, tiny):
    two = tiny.Squares(2)
    two.add_class("squares", 2, "circle")
    two.prepare()
    other = tiny.Squares(2)
    other.class_info[1]["name"] = "circle"
    other.prepare()
    for train, val, message in (
        (tiny.Squares(0), None, "train_dataset: the dataset has no images"),
        (two, None, r"3 classes including the background \(BG, square, circle\), but the network has 2"),
        (tiny.Squares(1), other, r"val_dataset: expected the classes of train_dataset \(BG, square\), got BG, circle"),
    ):
        with pytest.raises(ValueError, match=message):
            model.train(train, val, 0.01, 1, "heads", **QUIET)
    with pytest.raises(ValueError, match="learning_rate: expected a number above 0, got 0"):
        model.train(tiny.Squares(1), None, 0, 1, "heads", **QUIET)
    assert not os.path.exists(model.log_dir)


def test_continuing_from_a_checkpoint_as_in_scripts_for_the_original(model, tiny):
    model.train(tiny.Squares(4), None, 0.01, 1, "heads", **QUIET)
    folder = model.log_dir
    model.set_log_dir()
    model.load_weights(model.find_last(), by_name=True)
    assert (model.log_dir, model.epoch) == (folder, 1)
    progress = model.train(tiny.Squares(4), None, 0.01, 2, "heads", **QUIET)
    assert [row["epoch"] for row in progress.rows] == [1, 2]


def test_losses_of_validation_batches(model, tiny, monkeypatch):
    monkeypatch.setattr(model.config, "VALIDATION_STEPS", 1)
    data = tiny.Squares(2, seed=1)
    progress = model.train(tiny.Squares(4), data, 1e-9, 1, "heads", validate_every=0, **QUIET)
    row = progress.rows[0]
    # At this learning rate the weights hardly change, so the losses differ only because of the images.
    assert row["val_loss"] == pytest.approx(row["loss"], rel=0.5) and "val_rpn_class_loss" in row
    assert "val_mask_AP" not in row


def test_mixed_precision(tiny, tmp_path):
    before = keras.config.dtype_policy()
    losses = {}
    try:
        for policy in ("float32", "mixed_bfloat16"):
            keras.config.set_dtype_policy(policy)
            model = tiny.build(tmp_path, STEPS_PER_EPOCH=1)
            losses[policy] = model.train(tiny.Squares(4), None, 0.01, 1, "all", **QUIET).rows[0]["loss"]
            assert all(variable.dtype == "float32" for variable in model.keras_model.trainable_variables)
    finally:
        keras.config.set_dtype_policy(before)
    assert losses["mixed_bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["mixed_bfloat16"] != losses["float32"]
