"""One training run of the command line: says what it will do, does it stage by stage, says what came out."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nike import cli  # noqa: F401  first: it quiets TensorFlow
from nike.config import NikeConfig
from nike.datasets.safe_json import read_json, write_json
from nike.datasets.settings import read_settings_file
from nike.quiet import import_tensorflow
from nike.training.data import TrainingData, error_lines, load_training_data, photo_with_object, summary_lines
from nike.training.options import parse
from nike.training.run_photos import read_run_photos
from nike.training.stages import Stage, plan_stages
from nike.training.start_weights import StartWeights, find_start_weights, load_start_weights

RUN_FILE = "run.json"  # the command line of a run, in its log folder
# A photo in a batch, so 1.5e-4 at 2 photos. On 207 product photos, ResNet-50 from ImageNet, three epochs of AdamW at
# this rate reached a mask AP50 of 0.42, where five epochs of SGD at 0.005, with gradients clipped as in the original,
# had not begun to find masks.
ADAMW_RATE = 7.5e-5
HIGH_RATES = {"sgd": 0.1, "adamw": 0.005}  # above which a warning is due
MIN_STEPS = 20  # of an epoch: with few photos, validation would take longer than training


@dataclass
class Run:
    """All that is known before the network is built.

    Attributes:
        arguments: the options.
        argv: the command line that `--resume` goes on with; written when training begins.
        config: settings of the network.
        data: the photos.
        stages: what to do.
        weights: to start from; None on a resume.
        state: of the run to be continued; None for a new run.
    """

    arguments: argparse.Namespace
    argv: list[str]
    config: NikeConfig
    data: TrainingData
    stages: list[Stage]
    weights: StartWeights | None = None
    state: Any = None

    def start(self) -> None:
        """Builds the network, trains, and reports."""
        import_tensorflow()
        import keras

        from mrcnn.model import MaskRCNN
        from mrcnn.training import TrainingInterrupted, devices, distribution, resume

        device = devices.prepare_devices()
        strategy = distribution.choose_strategy(self.arguments.devices)
        policy = devices.set_precision(self.arguments.mixed_precision)
        keras.utils.set_random_seed(self.arguments.seed)  # of the first weights
        with strategy.scope():
            model = MaskRCNN("training", self.config, self.arguments.logs)
        if self.state is not None:
            resume(model, self.state.path)
            start = f"where {self.state.path} stopped: epoch {model.epoch}, step {self.state.progress.step}"
        else:
            start = load_start_weights(model, self.weights)
        for line in self.plan_lines(device, policy, start, model.log_dir):
            print(line)
        for stage in self.stages:
            print(f"\n== {stage.title}: to epoch {stage.epochs}", flush=True)
            try:
                self._train(model, stage)
            except TrainingInterrupted as stop:
                command = f"nike train --resume {shlex.quote(str(stop.path.parent))}"
                raise KeyboardInterrupt(f"Stopped, everything is saved. Go on with: {command}") from None
        for line in self.result_lines(model):
            print(line)

    def plan_lines(self, device: str, policy: str, start: str, log_dir: str) -> list[str]:
        """What the run will do."""
        config, arguments = self.config, self.arguments
        square = f"{config.IMAGE_SHAPE[0]} x {config.IMAGE_SHAPE[1]}"
        stages = "; ".join(f"{s.title} to epoch {s.epochs} at rate {s.learning_rate:g}" for s in self.stages)
        return [
            f"device      {device}, {policy}",
            *summary_lines(self.data),
            f"network     {config.BACKBONE}, {square} pixels, classes: {', '.join(self.data.train.class_names[1:])}",
            f"start       {start}",
            f"plan        {config.STEPS_PER_EPOCH} steps of {config.BATCH_SIZE} photos an epoch; {stages}",
            f"            {arguments.optimizer}, {arguments.lr_schedule} schedule, augmentation {arguments.augment}",
            *(f"            rate {s.learning_rate:g} is high: it may explode" for s in self.stages if self._is_high(s)),
            f"logs        {log_dir}",
        ]

    def _is_high(self, stage: Stage) -> bool:
        return stage.learning_rate > HIGH_RATES[self.arguments.optimizer]

    def _train(self, model, stage: Stage) -> None:
        arguments = self.arguments
        model.train(
            self.data.train,
            self.data.val,
            stage.learning_rate,
            stage.epochs,
            stage.layers,
            augmentation=self._augmentation(),
            custom_callbacks=[self._keep_command_line(model)],
            optimizer=arguments.optimizer,
            schedule=arguments.lr_schedule,
            warmup_steps=arguments.warmup,
            average=arguments.ema,
            accumulate=arguments.accumulate,
            seed=arguments.seed,
            workers=arguments.workers,
            strict=arguments.strict,
            validate_every=arguments.validate_every,
            validation_photos=arguments.validation_photos,
            patience=arguments.patience,
            keep=arguments.keep,
            **stage.options,
        )

    def _keep_command_line(self, model):
        """A callback for the moment when all options were found good: from here on they are those of the run."""
        import keras

        from mrcnn.training.distribution import is_chief

        def write(logs):
            if is_chief(model.keras_model.distribute_strategy):
                write_json(Path(model.log_dir) / RUN_FILE, {"argv": self.argv})
                self.data.write_photos(Path(model.log_dir))

        return keras.callbacks.LambdaCallback(on_train_begin=write)

    def _augmentation(self):
        if self.arguments.augment == "off":
            return None
        from nike.augmentation import LogoAugmentation

        return LogoAugmentation(int(self.config.IMAGE_SHAPE[0]), self.data.train, self.arguments.augment)

    def result_lines(self, model) -> list[str]:
        """How good it became, where the best weights are, and how to see what they find."""
        progress, _ = model.progress
        path = Path(model.checkpoint_path.format(epoch=model.epoch))
        lines = [""]
        if progress.best is not None:
            path = path.with_name(f"mask_rcnn_{self.config.NAME}_best.h5")
            best = progress.best
            lines.append(f"best mask AP {best['mask_AP']:.3f}, after epoch {best['epoch']}")
        label = "last" if progress.best is None else "best"
        logs = "" if self.arguments.logs == Path("logs") else f" --logs {shlex.quote(str(self.arguments.logs))}"
        photo = self.data.val.image_reference(photo_with_object(self.data.val))
        return [
            *lines,
            f"weights     {path}",
            f"            (--weights={label}{logs} in nike detect, evaluate, pack and train)",
            f"curves      {Path(model.log_dir) / 'curves.png'}",
            f"see it      nike detect --weights {shlex.quote(str(path))} {shlex.quote(str(photo))}",
            *error_lines(self.data),
        ]


def new_run(arguments: argparse.Namespace, argv: list[str]) -> Run:
    """A run from its options; everything that can be wrong is checked before the network is built.

    Raises:
        FileNotFoundError, ValueError, OSError: an option cannot be used.
    """
    _check_options(arguments)
    _check_writable(arguments.logs)
    data = _load_data(arguments)
    name = arguments.name or NikeConfig.NAME
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"--name: expected letters, digits, - and _, got {name!r}.")
    weights = find_start_weights(arguments.weights, arguments.logs, arguments.name)
    config = NikeConfig.from_dict(weights.settings, where=f"--weights={arguments.weights}")
    if arguments.weights == "none":  # frozen statistics of random weights are those of nothing
        config = config.copy(TRAIN_BN=None)
    if arguments.config is not None:
        config = type(config).from_dict(read_settings_file(arguments.config), where=str(arguments.config))
    config = config.copy(NAME=name.lower(), NUM_CLASSES=data.train.num_classes)
    config = apply_options(config, arguments, len(data.train.image_ids))
    return Run(arguments, argv, config, data, _stages(arguments, config), weights)


def continue_run(arguments: argparse.Namespace, argv: list[str]) -> Run:
    """The run that `--resume` names, with its own options and those of this command line on top.

    Raises:
        FileNotFoundError, ValueError: there is nothing to resume, or it cannot go on like this.
    """
    import_tensorflow()
    from mrcnn.training import find_state

    state = find_state(arguments.resume, arguments.logs, arguments.name)
    file = state.path.parent / RUN_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing, so the run cannot be resumed. Start a new one with --weights.")
    saved = _read_command_line(file)
    changed = arguments
    arguments = parse([*saved, *argv])
    _check_options(arguments)
    _check_writable(state.path.parent)
    data = _load_data(arguments)
    _check_same_classes(state.path, data.train.class_names[1:])
    config = NikeConfig.from_dict(state.record["config"], where=str(state.path))
    if changed.config is not None:
        config = type(config).from_dict(read_settings_file(changed.config), where=str(changed.config))
    config = apply_options(config, arguments, len(data.train.image_ids))
    return Run(arguments, _joined(saved, argv), config, data, _stages(arguments, config), state=state)


def _read_command_line(file: Path) -> list[str]:
    record = read_json(file)
    argv = record.get("argv") if isinstance(record, dict) else None
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise ValueError(f'{file}: expected {{"argv": [WORD, ...]}}. Start a new run with --weights.')
    return argv


def _check_same_classes(state: Path, classes: list[str]) -> None:
    """Raises ValueError if the labels in the files have changed since the run began."""
    record = read_run_photos(state)
    before = sorted(set(record.labels.values())) if record is not None else None
    if before is not None and before != sorted(classes):
        raise ValueError(
            f"--resume: the run began with the classes {', '.join(before)}, the files now hold {', '.join(classes)}. "
            "Name those of the run with --labels."
        )


def _joined(saved: list[str], more: list[str]) -> list[str]:
    """A command line and what a later one changes in it; `saved` itself if that is nothing."""
    before, after = ({**vars(parse(argv)), "resume": None} for argv in (saved, [*saved, *more]))
    return saved if before == after else [*saved, *more]


def apply_options(config: NikeConfig, arguments: argparse.Namespace, photos: int) -> NikeConfig:
    """The config with what the command line says; the length of an epoch follows from the number of photos.

    Raises:
        ValueError: the settings do not fit each other.
    """
    changes: dict[str, Any] = {}
    if arguments.backbone is not None:
        changes["BACKBONE"] = arguments.backbone
    if arguments.image_size is not None:
        changes |= {"IMAGE_MIN_DIM": arguments.image_size, "IMAGE_MAX_DIM": arguments.image_size}
    if arguments.batch is not None:
        changes["IMAGES_PER_GPU"] = arguments.batch
    config = config.copy(GPU_COUNT=_replicas(arguments.devices), **changes)
    config = config.copy(STEPS_PER_EPOCH=arguments.steps or max(math.ceil(photos / config.BATCH_SIZE), MIN_STEPS))
    config.validate()
    return config


def _replicas(devices: int) -> int:
    """In how many parts a batch is trained: devices of this machine, times workers if TF_CONFIG lists several."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        workers = sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError):
        raise ValueError('TF_CONFIG: expected JSON such as {"cluster": {"worker": ["host:port", ...]}, ...}.') from None
    return devices * max(workers, 1)


def _load_data(arguments: argparse.Namespace) -> TrainingData:
    given = {"dataset": [arguments.dataset], "val": [arguments.val], "also": arguments.also}
    for option, folders in {**given, "negatives": arguments.negatives}.items():
        for folder in filter(None, folders):
            if not folder.exists():
                raise FileNotFoundError(f"--{option}: {folder}: no such folder. Check the path.")
    return load_training_data(
        arguments.dataset,
        arguments.labels,
        val=arguments.val,
        val_split=arguments.val_split,
        also=arguments.also,
        negatives=arguments.negatives,
        seed=arguments.seed,
        strict=arguments.strict,
    )


def _stages(arguments: argparse.Namespace, config: NikeConfig) -> list[Stage]:
    rate = arguments.lr
    if rate is None:
        rate = config.BATCH_SIZE * (ADAMW_RATE if arguments.optimizer == "adamw" else config.LEARNING_RATE)
    return plan_stages(arguments.epochs, rate, arguments.layers, arguments.schedule)


def _check_options(arguments: argparse.Namespace) -> None:
    """Raises ValueError for what would else be found out after minutes."""
    positive = ("epochs", "steps", "batch", "accumulate", "image_size", "workers", "devices")
    not_negative = ("warmup", "seed", "patience", "keep", "validate_every", "validation_photos")
    for least, names in ((1, positive), (0, not_negative)):
        for name in names:
            value = getattr(arguments, name)
            if value is not None and value < least:
                raise ValueError(f"--{name.replace('_', '-')}: expected at least {least}, got {value}.")
    if arguments.lr is not None and not 0 < arguments.lr < math.inf:
        raise ValueError(f"--lr: expected a number above 0, got {arguments.lr}.")
    if not 0 <= arguments.ema < 1:
        raise ValueError(f"--ema: expected 0 (off) or a momentum below 1, got {arguments.ema}.")
    if arguments.accumulate > 1 and _replicas(arguments.devices) > 1:
        raise ValueError("--accumulate: with one device only; the batches of several are one update already.")
    try:
        re.compile(arguments.layers or "")
    except re.error as error:
        raise ValueError(
            f"--layers: expected heads, 3+, 4+, 5+, all or a regular expression, got {arguments.layers!r} ({error})."
        ) from None


def _check_writable(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OSError(
            f"--logs: {existing} is not a folder that can be written to ({error.strerror}). Choose another with "
            "--logs DIR."
        ) from None
