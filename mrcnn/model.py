"""The `MaskRCNN` class and all public names of Matterport's `model` module.

    model = MaskRCNN(mode="inference", config=config, model_dir="logs")
    model.load_weights("mask_rcnn_coco.h5", by_name=True)
    result = model.detect([image])[0]  # Detections: result["rois"], result["masks"], ...

`MaskRCNN` delegates to `network` (graphs), `inference`, `training` and `checkpoints` (reading and writing weights).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mrcnn import checkpoints, utils
from mrcnn.backbones.resnet import conv_block, identity_block
from mrcnn.checkpoints import log_dirs
from mrcnn.config import Config
from mrcnn.data.augmentation import Augmentation
from mrcnn.data.dataset import Dataset
from mrcnn.data.training_examples import load_image_gt
from mrcnn.detections import Detections
from mrcnn.errors import UserError
from mrcnn.inference.predictor import Predictor, require_eager
from mrcnn.inference.streams import check_images, detect_list, detect_stream, pair_with_proposals
from mrcnn.layers.common import BatchNorm
from mrcnn.layers.detection import DetectionLayer
from mrcnn.layers.heads import build_rpn_model
from mrcnn.layers.proposals import ProposalLayer
from mrcnn.layers.roi_align import PyramidROIAlign
from mrcnn.layers.targets import DetectionTargetLayer
from mrcnn.losses import smooth_l1_loss
from mrcnn.matterport.arrays import mold_image, parse_image_meta, unmold_image
from mrcnn.matterport.data_generator import data_generator
from mrcnn.matterport.graphs import (
    apply_box_deltas_graph,
    batch_pack_graph,
    build_fpn_mask_graph,
    clip_boxes_graph,
    denorm_boxes_graph,
    detection_targets_graph,
    fpn_classifier_graph,
    log2_graph,
    mrcnn_bbox_loss_graph,
    mrcnn_class_loss_graph,
    mrcnn_mask_loss_graph,
    norm_boxes_graph,
    overlaps_graph,
    parse_image_meta_graph,
    refine_detections_graph,
    resnet_graph,
    rpn_bbox_loss_graph,
    rpn_class_loss_graph,
    rpn_graph,
    trim_zeros_graph,
)
from mrcnn.matterport.model_methods import MatterportMethods, log
from mrcnn.matterport.names import KE, KL, KM, K, OrderedDict, datetime, logging, math, multiprocessing, random, re, tf
from mrcnn.matterport.targets_numpy import build_detection_targets, build_rpn_targets
from mrcnn.network import NetworkBuilder, named_layers
from mrcnn.ops.anchors import compute_backbone_shapes
from mrcnn.ops.image_meta import compose_image_meta
from mrcnn.ops.random_rois import generate_random_rois

if TYPE_CHECKING:  # importing training is slow, and detection does not need it
    from mrcnn.training import Progress, RunState


class MaskRCNN(MatterportMethods):
    """Mask R-CNN model for training and detection.

    Args:
        mode: graph of `keras_model`: "training" or "inference". Both graphs share their weights, so a model in training
            mode can also detect objects.
        config: settings, which the constructor validates.
        model_dir: parent folder of the log folders of runs.

    Attributes:
        keras_model: the Keras model for `mode`. See `NetworkBuilder.training` and `.inference` for inputs and outputs.
        log_dir: log folder of the current run; see `set_log_dir`.
        checkpoint_path: path of its checkpoints, with a placeholder for the epoch.
        epoch: number of finished epochs of the current run.
        run: training state that is kept between calls of `train`; None before the first call.

    Raises:
        ValueError: if the mode is unknown or the settings are inconsistent.
    """

    # Defaults for subclasses that override `__init__` or `build` without calling the base method.
    class_names: list[str] | None = None  # by class id, background first; of the weights file or the training dataset
    run: RunState | None = None
    builder: NetworkBuilder | None = None
    _predictor: Predictor | None = None
    _separate_graph: keras.Model | None = None
    _inference_model: keras.Model | None = None

    def __init__(self, mode: str, config: Config, model_dir: str | Path):
        if mode not in ("training", "inference"):
            raise UserError(f"mode must be 'training' or 'inference', got {mode!r}.")
        require_eager()
        config.validate()
        self.mode, self.config, self.model_dir = mode, config, str(model_dir)
        self.set_log_dir()
        self.keras_model = self.build(mode, config)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        mode: str = "inference",
        model_dir: str | Path = "logs",
        settings: Mapping[str, Any] | None = None,
    ) -> MaskRCNN:
        """Creates a model from the Config and the weights in one file.

        Args:
            path: a checkpoint that contains its Config, such as any checkpoint of this package, or `hf://owner/name`
                for a file on the Hugging Face Hub (see `checkpoints.hub`).
            mode: see the class.
            model_dir: see the class.
            settings: settings by name that override those in the file, such as `{"DETECTION_MIN_CONFIDENCE": 0.9}`.

        Raises:
            ValueError: if the file is damaged or contains no Config (Matterport's checkpoints have none).
        """
        path = checkpoints.hub_weights(str(path)) if checkpoints.is_hub_reference(path) else path
        stored = checkpoints.read_checkpoint(path).config
        if stored is None:
            raise UserError(
                f"{path}: no Config stored in this file (Matterport's checkpoints have none). "
                "Create MaskRCNN with the Config used for training, then call load_weights."
            )
        model = cls(mode, Config.from_dict({**stored, **(settings or {})}, where=str(path)), model_dir)
        model.load_weights(path, by_name=True)
        return model

    def build(self, mode: str, config: Config) -> keras.Model:
        """Builds the graph for `mode`. Called once, by the constructor."""
        self.builder = NetworkBuilder(config)
        self._predictor = self._separate_graph = None
        self._inference_model = self.builder.inference() if mode == "inference" else None
        return self._inference_model or self.builder.training()

    @property
    def inference_model(self) -> keras.Model:
        """The inference graph, which shares its weights with `keras_model`."""
        if self._inference_model is None:
            self._inference_model = self.builder.inference() if self.builder else self.keras_model
        return self._inference_model

    @property
    def predictor(self) -> Predictor:
        """The compiled inference graph."""
        if self._predictor is None:
            self._predictor = Predictor(self.inference_model, self.config)
        return self._predictor

    def summary(self) -> None:
        """Prints the layers of `keras_model` with their output shapes and weights, and whether they are trainable."""
        self.keras_model.summary(line_length=120, show_trainable=True)  # the default width of 80 truncates layer names

    # --- Weights and log folders ---

    def load_weights(
        self, filepath: str | Path, by_name: bool = False, exclude: Iterable[str] | None = None
    ) -> checkpoints.LoadReport:
        """Loads weights from a checkpoint of this package or of Matterport, or ImageNet weights of the backbone.

        Loading a checkpoint in the log folder of a run continues that run: `log_dir` and `epoch` are set accordingly.
        Other files do not change these attributes.

        Args:
            filepath: HDF5 file.
            by_name: bool, whether to skip layers of the file that are not in the model. If False, they raise an
                error. For example, True loads ResNet-101 weights into a ResNet-50 and issues a UserWarning.
            exclude: layer names, or regular expressions on them, whose weights are not loaded, for example the heads if
                the classes differ.

        Returns:
            A report of the loaded, excluded, missing and unexpected layers. It is also printed as one line.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if the file is damaged or does not match the model. No weights are changed in this case.
        """
        report = checkpoints.load_weights(self.named_layers(), filepath, exclude=exclude, by_name=by_name)
        print(report.summary())
        names = report.metadata.get("class_names")
        if isinstance(names, list) and len(names) == self.config.NUM_CLASSES:
            self.class_names = [str(name) for name in names]
        if log_dirs.parse_checkpoint(filepath) is not None:
            self.set_log_dir(filepath)
        return report

    def save_weights(self, filepath: str | Path, metadata: dict | None = None, dtype: str = "float32") -> None:
        """Writes the weights and the Config in Matterport's layout; see `checkpoints.save_weights`."""
        checkpoints.save_weights(self.named_layers(), filepath, config=self.config, metadata=metadata, dtype=dtype)

    def export(
        self,
        path: str | Path,
        format: str = "openvino",
        images: Iterable | None = None,
        calibration: Iterable = (),
        accept: Callable[[Path], dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Exports the network for an inference runtime and compares its detections with the Keras model.

        `mrcnn.load_model(path)` loads the exported model. Only "saved_model" requires TensorFlow at run time.

        Args:
            path: folder to write. An existing export in this folder is replaced.
            format: "openvino", "openvino-int8", "onnx", "litert" or "saved_model".
            images: images with objects for the comparison, in any form that `detect` accepts. None: the calibration
                images if there are any, else two noise images.
            calibration: a few dozen typical images for "openvino-int8", in any form that `detect` accepts.
            accept: function called with the folder of the exported model before it is moved to `path`. It returns
                values to add to the result, or raises VerificationError to reject the model.

        Returns:
            The result of the comparison; see `mrcnn.export.verify.compare`.

        Raises:
            VerificationError: if the detections differ too much or there are none. Nothing is written.
            ValueError: if the format is unknown, its package is missing, or the model cannot be exported.
        """
        from mrcnn.export.write import write_export  # slow to import and rarely needed

        return write_export(self, path, format, images, calibration, accept)

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """Returns the layers that hold weights, by name."""
        return named_layers(self.keras_model)

    def get_imagenet_weights(self) -> str:
        """Returns the path of the ImageNet weights for the backbone of the Config. Downloads them if necessary."""
        return str(checkpoints.imagenet_weights(self.config.BACKBONE))

    def find_last(self) -> str:
        """Returns the latest checkpoint of the latest run with the NAME of the Config.

        `find_last()[1]` is the same path, for scripts written for Matterport's release 2.1.

        Raises:
            FileNotFoundError: if there is no checkpoint.
        """
        return log_dirs.CheckpointPath(log_dirs.find_last(self.model_dir, self.config.NAME or ""))

    def set_log_dir(self, model_path: str | Path | None = None) -> None:
        """Sets `log_dir`, `checkpoint_path` and `epoch` for the checkpoint `model_path`, or for a new run."""
        parsed = log_dirs.parse_checkpoint(model_path) if model_path else None
        folder, self.epoch = parsed or (log_dirs.new_log_dir(self.model_dir, self.config.NAME), 0)
        self.log_dir = str(folder)
        self.checkpoint_path = log_dirs.checkpoint_pattern(folder, self.config.NAME)

    # --- Training ---

    def train(
        self,
        train_dataset: Dataset,
        val_dataset: Dataset | None,
        learning_rate: float,
        epochs: int,
        layers: str,
        augmentation: Augmentation | None = None,
        custom_callbacks: list[keras.callbacks.Callback] | None = None,
        no_augmentation_sources: Collection[str] | None = None,
        *,
        optimizer: str = "sgd",
        schedule: str = "constant",
        warmup_steps: int = 0,
        losses: str = "all",
        average: float = 0.0,
        accumulate: int = 1,
        seed: int | None = None,
        deterministic: bool | None = None,
        workers: int | None = None,
        strict: bool = False,
        validate_every: int = 1,
        validation_photos: int | None = None,
        patience: int = 0,
        keep: int = 0,
        save_minutes: float = 10.0,
        verbose: int | None = None,
        eager: bool = False,
    ) -> Progress:
        """Trains up to epoch `epochs`, counting the epochs of earlier calls.

        The defaults train like Matterport's code and report COCO AP on `val_dataset` after every epoch.

        Args:
            train_dataset: prepared dataset.
            val_dataset: prepared dataset with the same classes, or None.
            learning_rate: initial learning rate of the schedule, reached after the warm-up.
            epochs: number of the last epoch.
            layers: "heads", "3+", "4+", "5+", "all", or a regular expression on layer names.
            augmentation: imgaug augmenter, albumentations transform, or `PhotoAugmenter`; see
                `mrcnn.data.augmentation`.
            custom_callbacks: Keras callbacks, called after the callbacks of this library.
            no_augmentation_sources: sources of the dataset whose images are not augmented.
            optimizer: "sgd" or "adamw".
            schedule: "constant", "cosine" or "step", over the epochs of one call.
            warmup_steps: steps over which the learning rate rises linearly from 0.
            losses: "all", "rpn" (only the losses of the RPN) or "mrcnn" (only the losses of the heads).
            average: momentum of a moving average of the weights (EMA), for example 0.999; 0: off. Validation and
                checkpoints use the average.
            accumulate: number of batches whose gradients are averaged for one update.
            seed: random seed for the order of the images, augmentation and sampling. None: like 0, but `deterministic`
                is off by default.
            deterministic: True: equal seeds give bit-identical weights on the same machine. This enables TensorFlow's
                deterministic operations for the whole process; some of them have no GPU kernel. None: True if a seed is
                given and there is no GPU. A message is printed if this mode is on.
            workers: number of threads that prepare batches; None: one per core, at least 2 and at most 8.
            strict: True: stop training at an image that cannot be read. False: skip these images and list them at the
                end.
            validate_every: epochs between validations; 0: never.
            validation_photos: maximum number of images for validation AP, chosen as a fixed random subset; 0: all;
                None: the images of VALIDATION_STEPS batches, or 500 images if VALIDATION_STEPS is 0.
            patience: number of validations without an improvement in mask AP (box AP without MASK_HEAD) after which
                training stops; 0: never.
            keep: number of latest checkpoints to keep in addition to the best one; 0: all.
            save_minutes: minutes between saves within an epoch, for resuming after a crash; 0: save only after epochs.
            verbose: 0: silent; 1: progress bar; 2: one line per epoch; None: 1 on a terminal and in a notebook, else 2.
            eager: whether to run the step in eager mode, for debugging.

        Returns:
            The progress of the run: epoch, history, best epoch.

        Raises:
            TypeError, ValueError: if an argument is invalid or the arguments differ from the run to resume.
            NonFiniteLossError: if the loss becomes NaN or infinite. The message names the images.
            OSError: if a file cannot be written.
            TrainingInterrupted: if Ctrl-C was pressed. The training state has been saved.
        """
        from mrcnn import training  # slow to import, and detection does not need it

        if self.mode != "training":
            raise UserError("train() requires a model built with mode='training'.")
        options = training.TrainOptions(
            optimizer=optimizer,
            schedule=schedule,
            warmup_steps=warmup_steps,
            losses=losses,
            average=average,
            accumulate=accumulate,
            seed=seed,
            deterministic=deterministic,
            workers=workers,
            strict=strict,
            validate_every=validate_every,
            validation_photos=validation_photos,
            patience=patience,
            keep=keep,
            save_minutes=save_minutes,
            verbose=verbose,
            eager=eager,
        )
        return training.train(
            self,
            train_dataset,
            val_dataset,
            learning_rate,
            epochs,
            layers,
            augmentation,
            custom_callbacks,
            no_augmentation_sources,
            options,
        )

    # --- Detection ---

    def detect(
        self,
        images: Iterable | str | os.PathLike,
        verbose: int = 0,
        on_error: str = "raise",
        proposals: Iterable | None = None,
    ) -> list[Detections]:
        """Detects objects in images, or in all frames of a video.

        Args:
            images: an iterable of images of any sizes, or the path or URL of one image or one video (.mp4, .mov, .avi,
                .mkv, .webm, ...). An image is a path, an http or https URL, a PIL image, or an array
                `[H, W, channels]` or `[H, W]` in 0..255 (float arrays also in 0..1).
            verbose: 1: print the shapes and ranges of the images.
            on_error: "raise", or "skip" to return empty detections with `error` set for images that cannot be used. A
                video that cannot be read always raises an exception.
            proposals: boxes `[K, 4]` (y1, x1, y2, x2) of each image in its pixels, best first, for networks without an
                RPN (`Config.PROPOSALS`).

        Returns:
            One `Detections` per image or frame. It supports Matterport's keys: "rois" int32 `[N, 4]` pixels,
            "class_ids" int32 `[N]`, "scores" float32 `[N]`, "masks" bool `[H, W, N]`. The frames of a video are not
            kept; use `detect_stream` to obtain results with their frames.

        Raises:
            ValueError, TypeError, FileNotFoundError: if an image cannot be used (the message names its file or
                position), or a video cannot be read or is truncated.
        """
        check_images(images)
        if verbose and not isinstance(images, (str, os.PathLike)):
            images = list(images)
            log(f"Processing {len(images)} images")
            for image in images:
                if isinstance(image, np.ndarray):
                    log("image", image)
        return detect_list(self.detect_stream(images, on_error, proposals), images)

    def detect_stream(
        self, images: Iterable | str | os.PathLike, on_error: str = "raise", proposals: Iterable | None = None
    ) -> Iterator[Detections]:
        """Detects objects in a stream of images or in a video. Only one batch is kept in memory.

            for result in model.detect_stream("clip.mp4"):
                frame = result.draw()

        Args:
            images: see `detect`. The iterable may be infinite. Stream URLs such as `rtsp://host/door` also work.
            on_error: see `detect`.
            proposals: see `detect`. The iterable is read together with `images`.

        Yields:
            The detections of each image or frame, in order. `source` is the frame for videos and None for images. A
            truncated video raises an exception after the last readable frame.
        """
        require_eager()
        if on_error not in ("raise", "skip"):
            raise UserError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
        images = pair_with_proposals(images, proposals, self.config)
        results = detect_stream(images, self.predictor, self.config.BATCH_SIZE, on_error == "skip")
        return (self._set_names(result) for result in results)

    def _set_names(self, result: Detections) -> Detections:
        result.class_names = self.class_names
        result.keypoint_names = list(self.config.KEYPOINT_NAMES) or None
        return result
