"""A training run of `nike train`: prints the plan, trains the stages and prints the results."""

from __future__ import annotations

import argparse
import shlex
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mrcnn.layer_sets import layer_regex
from nike import cli  # noqa: F401  imported first to suppress TensorFlow's messages
from nike.config import NikeConfig
from nike.datasets.safe_json import write_json
from nike.datasets.selective_search import CACHE
from nike.formatting import plural
from nike.quiet import import_tensorflow
from nike.training.batch_size import TRIAL_STEPS, choose_batch, device_memory
from nike.training.data import TrainingData, error_lines, find_image_with_object, summary_lines
from nike.training.options import EPOCHS, MIN_STEPS, parse
from nike.training.preview import PREVIEW, write_preview
from nike.training.run_config import apply_options
from nike.training.score_threshold import store_threshold
from nike.training.stages import StagePlan, default_warmup, min_epochs, plan_given_stages, plan_stages
from nike.training.start_weights import StartWeights, load_start_weights
from nike.training.time_budget import Speed, measure_speed, measure_stages, plan_epochs
from nike.training.trackers import TRACKERS, Tracker, keras_callback
from nike.training.trial import trial

RUN_FILE = "run.json"  # command line of a run, in its log folder
# Learning rates per image of a batch (linear scaling rule, Goyal et al. 2017). For 2 images, they are 1.5e-4 and 0.005.
# On 207 product photos with ResNet-50 from ImageNet, mask AP50 was 0.42 after three epochs of AdamW at this rate, and
# near 0 after five epochs of SGD with the gradient clipping of the original.
RATES = {"adamw": 7.5e-5, "sgd": 0.0025}
IMAGENET_RATE = 1e-4  # the same for AdamW with --weights=imagenet, measured with ResNet-50; see docs/benchmarks.md
HIGH_RATES = {"sgd": 0.1, "adamw": 0.005}  # a warning is printed for higher learning rates


@dataclass
class Run:
    """A run that has been checked and can be started.

    Attributes:
        arguments: parsed options.
        argv: command line for `--resume`. It is written to the log folder when training begins.
        config: settings of the network.
        data: training and validation data.
        stages: stages of the run.
        weights: initial weights, or None for a resumed run.
        state: saved state of the resumed run, or None for a new run.
        trackers: experiment trackers of `--log`.
    """

    arguments: argparse.Namespace
    argv: list[str]
    config: NikeConfig
    data: TrainingData
    stages: list[StagePlan]
    weights: StartWeights | None = None
    state: Any = None
    trackers: list[Tracker] = field(default_factory=list)

    def start(self) -> None:
        """Builds the network, prints the plan, trains all stages and prints the results."""
        started = time.monotonic()
        import_tensorflow()
        import keras

        from mrcnn.model import MaskRCNN
        from mrcnn.training import TrainingInterrupted, devices, distribution, resume
        from mrcnn.training.freezing import layers_to_train

        device = devices.prepare_devices(self.arguments.device)
        strategy = distribution.choose_strategy(self.arguments.devices)
        policy = devices.set_precision(self.arguments.mixed_precision)
        keras.utils.set_random_seed(self.arguments.seed)  # for the initial weights
        with strategy.scope():
            model = MaskRCNN("training", self.config, self.arguments.logs)
        if self.state is not None:
            resume(model, self.state.path)
            start = f"resumed from {self.state.path}: epoch {model.epoch}, step {self.state.progress.step}"
        else:
            start = load_start_weights(model, self.weights)
        for spec in self.arguments.stages:  # before hours of training in earlier stages
            layers_to_train(model.keras_model, layer_regex(spec.layers))
        if self.arguments.batch == "auto":
            self._choose_batch(model)
        if self.arguments.time is not None and self.state is None:
            self._choose_epochs(model, started)
        for line in self.plan_lines(device, policy, start, model.log_dir):
            print(line)
        self._start_trackers(model)
        for stage in self.stages:
            print(f"\n== {stage.title}: to epoch {stage.epochs}", flush=True)
            try:
                self._train(model, stage)
            except TrainingInterrupted as stop:
                self._finish_trackers(model)
                command = f"nike train --resume {shlex.quote(str(stop.path.parent))}"
                raise KeyboardInterrupt(f"Interrupted. The state is saved. Continue with: {command}") from None
        threshold = store_threshold(model, self._best_weights(model))
        self._finish_trackers(model)
        for line in self.result_lines(model, threshold):
            print(line)

    def _choose_batch(self, model) -> None:
        """Chooses the images per step for `--batch auto`, and records them as an option.

        Args:
            model: MaskRCNN with the initial weights.
        """
        print("Measuring the memory of training steps for --batch auto ...", flush=True)
        memory, photos = device_memory(), len(self.data.train.image_ids)
        stage = StagePlan("trial", self.arguments.layers or "all", 1, self.stages[0].learning_rate)

        def peak(batch: int) -> float:
            with trial(model, self.arguments.logs, IMAGES_PER_GPU=batch, STEPS_PER_EPOCH=TRIAL_STEPS):
                memory.reset_peak()
                self._train(model, stage, validate_every=0, verbose=0, custom_callbacks=[])
                return memory.peak()

        batch, reason = choose_batch(peak, memory.available, photos)
        self.argv = [*self.argv, f"--batch={batch}"]
        self.arguments = parse(self.argv)
        self.config = model.config = apply_options(self.config, self.arguments, photos)
        self.stages = plan_run_stages(self.arguments, self.config)
        print(f"batch       {reason}")

    def _choose_epochs(self, model, started: float) -> None:
        """Chooses the epochs and the steps per epoch for `--time`, and records them as options.

        Args:
            model: MaskRCNN with the initial weights.
            started: `time.monotonic()` at the beginning of the run.
        """
        from mrcnn.training.callbacks import duration_text
        from mrcnn.training.validation import VALIDATION_PHOTOS

        arguments, config = self.arguments, self.config
        print("Measuring the duration of steps, validation and checkpoints for --time ...", flush=True)
        every, available = arguments.validate_every, len(self.data.val.image_ids)

        def measure(stage: StagePlan, is_validated: bool) -> Speed:
            train = partial(self._train, model, replace(stage, epochs=2), validate_every=int(is_validated))
            return measure_speed(model, train, available, arguments.logs)

        speeds = measure_stages(self.stages, measure, every > 0)
        limit = arguments.validation_photos
        if limit is None:
            limit = int(config.VALIDATION_STEPS) * config.BATCH_SIZE or VALIDATION_PHOTOS
        photos = min(limit or available, available)
        epochs, steps = plan_epochs(
            speeds,
            arguments.time - (time.monotonic() - started),
            plan=lambda epochs: plan_run_stages(arguments, config, epochs),
            steps=config.STEPS_PER_EPOCH,
            is_fixed=arguments.steps is not None,
            min_epochs=min_epochs(arguments.stages, arguments.layers, arguments.schedule),
            min_steps=min(MIN_STEPS, config.STEPS_PER_EPOCH),
            photos=photos,
            every=every,
        )
        self.argv = [*self.argv, f"--epochs={epochs}", f"--steps={steps}"]
        self.arguments = parse(self.argv)
        self.config = model.config = config.copy(STEPS_PER_EPOCH=steps)
        self.stages = plan_run_stages(self.arguments, self.config)
        last = speeds[self.stages[-1].layers]
        per_step = ", ".join(f"{speed.step:.2f} s per step ({layers})" for layers, speed in speeds.items())
        print(
            f"time        {duration_text(arguments.time)}: {plural(epochs, 'epoch')} of {plural(steps, 'step')}; "
            f"{per_step}; {photos * last.validation:.0f} s per validation; {last.epoch:.0f} s per checkpoint"
        )

    def _start_trackers(self, model) -> None:
        """Starts the experiment trackers of `--log`, in one of several workers only."""
        from mrcnn.training.distribution import is_chief

        if not is_chief(model.keras_model.distribute_strategy):
            return
        names = [name for name in self.arguments.log if name in TRACKERS]  # TensorBoard is always written
        self.trackers = [TRACKERS[name](Path(model.log_dir), self._tracked_settings()) for name in names]

    def _tracked_settings(self) -> dict[str, Any]:
        """Returns the options and the settings of the network."""
        options = {f"option_{key}": value for key, value in vars(self.arguments).items()}
        return options | {key: value for key, value in self.config.to_dict().items() if not callable(value)}

    def _best_weights(self, model) -> Path:
        return Path(model.log_dir) / f"mask_rcnn_{self.config.NAME}_best.h5"

    def _finish_trackers(self, model) -> None:
        """Passes the best (else the last) weights, the curves and the images of the run to the trackers."""
        folder, weights = Path(model.log_dir), self._best_weights(model)
        weights = weights if weights.is_file() else Path(model.checkpoint_path.format(epoch=model.epoch))
        files = [weights, folder / "curves.png", folder / PREVIEW, folder / RUN_FILE, *folder.glob("validation_*.jpg")]
        for tracker in self.trackers:
            tracker.finish([file for file in files if file.is_file()])

    def plan_lines(self, device: str, policy: str, start: str, log_dir: str) -> list[str]:
        """Returns the lines printed before training: device, data, network, initial weights and stages."""
        config, arguments = self.config, self.arguments
        square = f"{config.IMAGE_SHAPE[0]} x {config.IMAGE_SHAPE[1]}"
        stages = "; ".join(f"{s.title} to epoch {s.epochs}, learning rate {s.learning_rate:g}" for s in self.stages)
        return [
            f"device      {device}, {policy}",
            *summary_lines(self.data),
            f"network     {config.BACKBONE}, {square} pixels, {'' if config.MASK_HEAD else 'boxes only, '}classes: "
            + ", ".join(self.data.train.class_names[1:]),
            *([] if config.has_rpn else [f"proposals   {config.PROPOSALS}, cached in {CACHE} in the datasets"]),
            f"start       {start}",
            f"plan        {config.STEPS_PER_EPOCH} steps per epoch, {config.BATCH_SIZE} images per step; {stages}",
            f"            {arguments.optimizer}, {arguments.lr_schedule} schedule, augmentation {arguments.augment}",
            *(
                f"warning     learning rate {s.learning_rate:g} is high; training may diverge"
                for s in self.stages
                if self._is_high(s)
            ),
            f"logs        {log_dir}",
        ]

    def _is_high(self, stage: StagePlan) -> bool:
        return stage.learning_rate > HIGH_RATES[self.arguments.optimizer]

    def _train(self, model, stage: StagePlan, **changes):
        """Trains a stage and returns the progress. `changes` replace arguments of `MaskRCNN.train`."""
        arguments, augmentation = self.arguments, self._augmentation()
        warmup = arguments.warmup
        if warmup is None:
            first = max((other.epochs for other in self.stages if other.epochs < stage.epochs), default=0)
            warmup = default_warmup((stage.epochs - first) * self.config.STEPS_PER_EPOCH)
        options = dict(
            augmentation=augmentation,
            custom_callbacks=[self._record_callback(model, augmentation), keras_callback(self.trackers)],
            optimizer=arguments.optimizer,
            schedule=arguments.lr_schedule,
            warmup_steps=warmup,
            average=arguments.ema,
            accumulate=arguments.accumulate,
            seed=arguments.seed,
            workers=arguments.workers,
            strict=arguments.strict,
            validate_every=arguments.validate_every,
            validation_photos=arguments.validation_photos,
            patience=arguments.patience,
            keep=arguments.keep,
        )
        options |= stage.options | changes
        return model.train(self.data.train, self.data.val, stage.learning_rate, stage.epochs, stage.layers, **options)

    def _record_callback(self, model, augmentation):
        """Returns a callback that records the command line, the images and a preview.

        It is called when training begins, after all options have been validated.
        """
        import keras

        from mrcnn.training.distribution import is_chief

        def write(logs):
            if not is_chief(model.keras_model.distribute_strategy):
                return
            folder = Path(model.log_dir)
            write_json(folder / RUN_FILE, {"argv": self.argv})
            self.data.write_photos(folder)
            preview = folder / PREVIEW
            if not preview.exists():
                count = write_preview(preview, self.data.train, self.config, augmentation, self.arguments.seed)
                print(f"First {plural(count, 'training image')} after augmentation: {preview}\n", flush=True)

        return keras.callbacks.LambdaCallback(on_train_begin=write)

    def _augmentation(self):
        if self.arguments.augment == "off":
            return None
        from nike.augmentation import LogoAugmentation

        side, flip = int(self.config.IMAGE_SHAPE[0]), self.config.KEYPOINT_FLIP
        return LogoAugmentation(side, self.data.train, self.arguments.augment, flip)

    def result_lines(self, model, threshold: list[str]) -> list[str]:
        """Returns the lines printed after training: best AP, threshold, paths and a `nike detect` command."""
        progress = model.run.progress
        path = Path(model.checkpoint_path.format(epoch=model.epoch))
        lines = [""]
        if progress.best is not None:
            path = self._best_weights(model)
            lines.append(f"best        {progress.kind} AP {progress.best_ap:.3f} after epoch {progress.best['epoch']}")
        label = "last" if progress.best is None else "best"
        logs = "" if self.arguments.logs == Path("logs") else f" --logs {shlex.quote(str(self.arguments.logs))}"
        photo = self.data.val.image_reference(find_image_with_object(self.data.val))
        return [
            *lines,
            *threshold,
            f"weights     {path}",
            f"            (--weights={label}{logs} in nike detect, evaluate, pack and train)",
            f"curves      {Path(model.log_dir) / 'curves.png'}",
            f"try         nike detect --weights {shlex.quote(str(path))} {shlex.quote(str(photo))}",
            *error_lines(self.data),
        ]


def plan_run_stages(arguments: argparse.Namespace, config: NikeConfig, epochs: int | None = None) -> list[StagePlan]:
    """Plans the stages of a run from its options and its batch size. `epochs` replaces the option of this name."""
    rate = arguments.lr
    if rate is None:
        is_imagenet = arguments.weights == "imagenet" and arguments.optimizer == "adamw"
        rate = config.BATCH_SIZE * (IMAGENET_RATE if is_imagenet else RATES[arguments.optimizer])
    epochs = epochs or arguments.epochs
    if arguments.stages:
        return plan_given_stages(arguments.stages, epochs, rate)
    from_scratch = arguments.weights == "none"
    return plan_stages(epochs or EPOCHS, rate, arguments.layers, arguments.schedule, from_scratch)
