"""`MaskRCNN`, the class that users import, and every public name of the original's `model` module.

    model = MaskRCNN(mode="inference", config=config, model_dir="logs")
    model.load_weights("mask_rcnn_coco.h5", by_name=True)
    result = model.detect([photo])[0]  # Detections: result["rois"], result["masks"], ...

The work is done elsewhere: `network` builds the graphs, `inference` detects, `training` trains, `checkpoints` reads and
writes weights.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from mrcnn import checkpoints, utils
from mrcnn.backbones.resnet import conv_block, identity_block
from mrcnn.checkpoints import log_dirs
from mrcnn.config import Config
from mrcnn.data.image import mold_image, unmold_image
from mrcnn.data.loading import load_image_gt
from mrcnn.detections import Detections
from mrcnn.inference import introspection
from mrcnn.inference.predictor import Predictor, detect_stream, mold, pixel_anchors, require_eager, unmold
from mrcnn.layers.common import BatchNorm
from mrcnn.layers.detection import DetectionLayer
from mrcnn.layers.heads import build_rpn_model
from mrcnn.layers.proposals import ProposalLayer
from mrcnn.layers.roi_align import PyramidROIAlign
from mrcnn.layers.targets import DetectionTargetLayer
from mrcnn.losses import smooth_l1_loss
from mrcnn.matterport.arrays import parse_image_meta
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
from mrcnn.matterport.targets_numpy import build_detection_targets, build_rpn_targets
from mrcnn.network import NetworkBuilder, flatten_layers, named_layers
from mrcnn.ops.anchors import compute_backbone_shapes
from mrcnn.ops.image_meta import compose_image_meta
from mrcnn.ops.random_rois import generate_random_rois


def log(text: str, array: np.ndarray | None = None) -> None:
    """Prints `text` and, if given, an array's shape, range and dtype."""
    if array is not None:
        bounds = f"min: {array.min():10.5f}  max: {array.max():10.5f}" if array.size else f"min: {'':10}  max: {'':10}"
        text = f"{text:25}  shape: {array.shape!s:20}  {bounds}  {array.dtype}"
    print(text)


class MaskRCNN:
    """Mask R-CNN: builds the network, loads weights, trains and detects.

    Args:
        mode: "training" or "inference": which graph `keras_model` is. Both share one set of weights, so a model that
            trains can also detect.
        config: settings; validated here.
        model_dir: folder that holds the log folders of runs.

    Attributes:
        keras_model: the Keras model of the mode; inputs and outputs as `NetworkBuilder.training` / `.inference`.
        log_dir, checkpoint_path, epoch: of the current run, see `set_log_dir`.

    Raises:
        ValueError: the mode is unknown or the settings do not fit each other.
    """

    def __init__(self, mode: str, config: Config, model_dir: str | Path):
        if mode not in ("training", "inference"):
            raise ValueError(f"mode must be 'training' or 'inference', got {mode!r}.")
        require_eager()
        config.validate()
        self.mode, self.config, self.model_dir = mode, config, str(model_dir)
        self.class_names: list[str] | None = None  # by class id, background first; as the loaded weights have them
        self.set_log_dir()
        self.keras_model = self.build(mode, config)

    @classmethod
    def from_checkpoint(cls, path: str | Path, mode: str = "inference", model_dir: str | Path = "logs", **changes):
        """A model with the Config and the weights of one file.

        Args:
            path: a checkpoint that carries its Config, as this project writes them.
            mode: as for the class.
            model_dir: as for the class.
            changes: settings to replace.

        Raises:
            ValueError: the file is damaged, or it carries no Config (an original checkpoint does not).
        """
        settings = checkpoints.read_checkpoint(path).config
        if settings is None:
            raise ValueError(
                f"{path}: the file does not carry its settings, as checkpoints of the original do not. "
                "Build MaskRCNN with the Config it was trained with, then load_weights."
            )
        model = cls(mode, Config.from_dict({**settings, **changes}, where=str(path)), model_dir)
        model.load_weights(path, by_name=True)
        return model

    def build(self, mode: str, config: Config) -> keras.Model:
        """The graph of the mode; called once by the constructor."""
        self.builder = NetworkBuilder(config)
        self._predictor: Predictor | None = None
        self._separate_graph: keras.Model | None = None
        self._inference_model = self.builder.inference() if mode == "inference" else None
        return self._inference_model or self.builder.training()

    @property
    def inference_model(self) -> keras.Model:
        """The inference graph, over the same weights as `keras_model`."""
        if self._inference_model is None:
            self._inference_model = self.builder.inference()
        return self._inference_model

    @property
    def predictor(self) -> Predictor:
        """The inference graph, compiled."""
        if self._predictor is None:
            self._predictor = Predictor(self.inference_model, self.config)
        return self._predictor

    # --- Weights and log folders ---

    def load_weights(
        self, filepath: str | Path, by_name: bool = False, exclude: Iterable[str] | None = None
    ) -> checkpoints.LoadReport:
        """Loads weights from a checkpoint of this project or of the original, or ImageNet weights of the backbone.

        Args:
            filepath: HDF5 file.
            by_name: False: layers of the file that the model does not have are an error. True: weights of a deeper
                backbone (ResNet-101 into ResNet-50) are loaded as far as they fit, with a UserWarning.
            exclude: layer names (or regular expressions) to leave as they are, for example the heads when the
                classes differ.

        Returns:
            The report (also printed as one line): which layers were loaded, excluded, missing, unexpected.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or does not fit; the message says what to do. No weight has changed.
        """
        report = checkpoints.load_weights(self.named_layers(), filepath, exclude=exclude, by_name=by_name)
        print(report.summary())
        with checkpoints.read_checkpoint(filepath) as checkpoint:
            names = checkpoint.metadata.get("class_names")
        if isinstance(names, list) and len(names) == self.config.NUM_CLASSES:
            self.class_names = [str(name) for name in names]
        self.set_log_dir(filepath)
        return report

    def save_weights(self, filepath: str | Path, metadata: dict | None = None, dtype: str = "float32") -> None:
        """Writes the weights in the original's layout, with the Config inside; see `checkpoints.save_weights`."""
        checkpoints.save_weights(self.named_layers(), filepath, config=self.config, metadata=metadata, dtype=dtype)

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """The layers that hold weights, by name."""
        return named_layers(self.keras_model)

    def get_imagenet_weights(self) -> str:
        """Path of ImageNet weights for the config's backbone, downloaded if need be."""
        return str(checkpoints.imagenet_weights(self.config.BACKBONE))

    def find_last(self) -> str:
        """Path of the newest checkpoint of the newest run of this NAME. Raises FileNotFoundError if there is none.

        Also `find_last()[1]`, as scripts for release 2.1 of the original write it.
        """
        return log_dirs.CheckpointPath(log_dirs.find_last(self.model_dir, self.config.NAME or ""))

    def set_log_dir(self, model_path: str | Path | None = None) -> None:
        """Sets `log_dir`, `checkpoint_path` and `epoch`: those of `model_path` if a run wrote it, else of a new run."""
        parsed = log_dirs.parse_checkpoint(model_path) if model_path else None
        folder, self.epoch = parsed or (log_dirs.new_log_dir(self.model_dir, self.config.NAME), 0)
        self.log_dir = str(folder)
        self.checkpoint_path = log_dirs.checkpoint_pattern(folder, self.config.NAME)

    # --- Training ---

    def train(
        self,
        train_dataset,
        val_dataset,
        learning_rate: float,
        epochs: int,
        layers: str,
        augmentation=None,
        custom_callbacks: list | None = None,
        no_augmentation_sources: list | None = None,
        **options,
    ):
        """Trains up to epoch `epochs` (a total, earlier calls counted in).

        Args:
            train_dataset: prepared Dataset.
            val_dataset: prepared Dataset, or None.
            learning_rate: of the first step.
            epochs: last epoch.
            layers: "heads", "3+", "4+", "5+", "all", or a regular expression on layer names.
            augmentation: imgaug augmenter, albumentations transform, or an augmenter of this project.
            custom_callbacks: Keras callbacks.
            no_augmentation_sources: sources of the dataset whose photos are not augmented.
            options: further settings of `mrcnn.training.train`.
        """
        from mrcnn import training  # only who trains waits for what training imports

        if self.mode != "training":
            raise ValueError("train() needs a model built with mode='training'.")
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
            **options,
        )

    def compile(self, learning_rate: float, momentum: float) -> None:
        """Compiles `keras_model` with SGD and the five losses, for scripts that call `keras_model.fit` themselves.

        `train` needs no call of it. Call `set_trainable` first.
        """
        from mrcnn.training.optimizers import build_optimizer

        if self.mode != "training":
            raise ValueError("compile() needs a model built with mode='training'.")
        optimizer = build_optimizer("sgd", learning_rate, self.config.copy(LEARNING_MOMENTUM=momentum))
        self.keras_model.compile(optimizer=optimizer, jit_compile=False)  # crop_and_resize has no XLA kernel

    def set_trainable(self, layer_regex: str, keras_model=None, indent: int = 0, verbose: int = 1) -> None:
        """Makes the layers whose name matches (fully) trainable, freezes all others. Compile the model again after."""
        layers = list(flatten_layers(keras_model or self.keras_model))
        if verbose and keras_model is None:
            log("Selecting layers to train")
        for layer in layers:
            if not layer.weights:
                continue
            layer.trainable = bool(re.fullmatch(layer_regex, layer.name))
            if layer.trainable and verbose:
                log(f"{' ' * indent}{layer.name:20}   ({layer.__class__.__name__})")

    # --- Detection ---

    def detect(self, images: Iterable, verbose: int = 0, on_error: str = "raise") -> list[Detections]:
        """Detects objects in images.

        Args:
            images: any number of images of any sizes. An image is a path, a PIL image, or a `[H, W, channels]` or
                `[H, W]` array in 0..255 (floats also in 0..1).
            verbose: 1 prints shapes and ranges of the images.
            on_error: "raise", or "skip": an image that cannot be used gives empty detections with `error` set.

        Returns:
            One `Detections` an image. The original's keys work: "rois" int32 `[N, 4]` pixels, "class_ids" int32
            `[N]`, "scores" float32 `[N]`, "masks" bool `[H, W, N]`.

        Raises:
            ValueError, TypeError, FileNotFoundError: a photo cannot be used; names the file or position.
        """
        if isinstance(images, (str, Path)) or (isinstance(images, np.ndarray) and images.ndim < 4):
            raise TypeError(f"detect() takes a list of photos, got one {type(images).__name__}. Write detect([photo]).")
        if verbose:
            images = list(images)
            log(f"Processing {len(images)} images")
            for image in images:
                if isinstance(image, np.ndarray):
                    log("image", image)
        results = list(self.detect_stream(images, on_error))
        for result, image in zip(
            results, images if isinstance(images, (list, tuple, np.ndarray)) else (), strict=False
        ):
            result.source = image
        return results

    def detect_stream(self, images: Iterable, on_error: str = "raise") -> Iterator[Detections]:
        """`detect` for a stream of images, of which only a batch is in memory.

        Args:
            images: as for `detect`; may be endless, and is read only as far as needed.
            on_error: as for `detect`.

        Yields:
            The detections of each image, in order.
        """
        require_eager()
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
        results = detect_stream(images, self.predictor, self.config.BATCH_SIZE, on_error == "skip")
        return map(self._with_names, results)

    def _with_names(self, result: Detections) -> Detections:
        result.class_names = self.class_names
        return result

    def detect_molded(self, molded_images: np.ndarray, image_metas: np.ndarray, verbose: int = 0) -> list[Detections]:
        """`detect` for images that `mold_inputs` prepared; boxes and masks are of the molded image's size.

        Args:
            molded_images: `[B, S, S, channels]`.
            image_metas: `[B, 12+C]`.
            verbose: 1 prints what goes through.
        """
        if verbose:
            log(f"Processing {len(molded_images)} images")
            log("molded_images", molded_images)
        shape = molded_images.shape[1:]
        window = (0, 0, shape[0], shape[1])
        predicted = self.predictor(molded_images, image_metas)
        padding = self.predictor.mask_padding
        return [unmold(*image, shape, shape, window, padding) for image in zip(*predicted, strict=True)]

    def mold_inputs(self, images: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Molded images `[B, S, S, channels]`, metas `[B, 12+C]` and windows `[B, 4]` pixels of a list of photos.

        Raises:
            ValueError: the photos do not come out at one size (resize mode "none" or "pad64").
        """
        molded = [mold(image, self.config, number) for number, image in enumerate(images)]
        if len({item.image.shape for item in molded}) > 1:
            shapes = ", ".join(str(item.image.shape) for item in molded)
            raise ValueError(f"mold_inputs: the photos come out at different sizes ({shapes}); mold them one by one.")
        return tuple(np.stack([getattr(item, part) for item in molded]) for part in ("image", "meta", "window"))

    def unmold_detections(self, detections, mrcnn_mask, original_image_shape, image_shape, window):
        """Boxes int32 `[N, 4]` pixels, class ids, scores and masks bool `[H, W, N]` of one image in the original photo.

        Args:
            detections: `[D, 6]`, mrcnn_mask: `[D, M, M, C]`: outputs of the network for this image. The scores are
                those of the classes, also if DETECTION_MASK_SCORES is set.
            original_image_shape: (H, W, channels) of the photo; image_shape: of the molded image.
            window: `[4]` pixels: the photo inside the molded image.
        """
        masks = mrcnn_mask[np.arange(len(detections)), :, :, detections[:, 4].astype(np.int32)]
        result = unmold(detections, masks, original_image_shape, image_shape, window)
        return result["rois"], result["class_ids"], result["scores"], result["masks"]

    def get_anchors(self, image_shape) -> np.ndarray:
        """Normalised anchors `[A, 4]` float32 of a molded image."""
        return self.predictor.anchors(image_shape)[0].numpy()

    @property
    def anchors(self) -> np.ndarray:
        """Anchors `[A, 4]` in pixels of the molded image that was looked at last; before that, of the config's."""
        shape = self._predictor.latest_shape if self._predictor else self.config.IMAGE_SHAPE
        return pixel_anchors(self.config, shape)

    # --- Looking inside ---

    def _graph_to_look_into(self) -> keras.Model:
        """An inference graph whose layers are in no other graph, so that each has one output.

        A model in training shares its layers between two graphs, and gets a third; `run_graph` copies the weights.
        """
        if self.mode == "inference":
            return self.inference_model
        if self._separate_graph is None:
            self._separate_graph = NetworkBuilder(self.config).inference()
        return self._separate_graph

    def ancestor(self, tensor, name: str, checked=None):
        """The tensor called `name` that `tensor` is computed from, or None.

        See `introspection.find_tensor` for the names.
        """
        return introspection.find_tensor(self._graph_to_look_into(), name)

    def find_trainable_layer(self, layer):
        """The layer that holds the weights: the inner one of a wrapper."""
        return self.find_trainable_layer(layer.layer) if hasattr(layer, "layer") else layer

    def get_trainable_layers(self) -> list:
        """All layers that hold weights."""
        return [layer for layer in flatten_layers(self.keras_model) if layer.weights]

    def run_graph(self, images, outputs, image_metas=None) -> OrderedDict:
        """Runs part of the inference graph and returns what it computes there.

        Args:
            images: list of photos; with `image_metas` `[B, 12+C]` given, molded images `[B, S, S, channels]`.
            outputs: list of (name, Keras tensor); the tensor may also be a layer's name.

        Returns:
            NumPy arrays by name, in the order asked for; printed with shape and range.
        """
        if image_metas is None:
            images, image_metas, _ = self.mold_inputs(images)
        anchors = self.predictor.anchors(images.shape[1:3])
        inputs = [np.float32(images), np.float32(image_metas), anchors]
        graph = self._graph_to_look_into()
        if graph is not self.inference_model:
            weights = {weight.path: weight for weight in self.inference_model.weights}
            for weight in graph.weights:
                weight.assign(weights[weight.path])
        results = introspection.run_graph(graph, inputs, outputs)
        for name, array in results.items():
            log(name, array)
        return results
