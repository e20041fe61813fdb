"""Methods of Matterport's `MaskRCNN` that this package does not call itself."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

import keras
import numpy as np

from mrcnn.config import Config
from mrcnn.detections import Detections
from mrcnn.errors import UserError
from mrcnn.inference import introspection
from mrcnn.inference.predictor import Predictor
from mrcnn.inference.processing import postprocess, preprocess
from mrcnn.network import NetworkBuilder, flatten_layers
from mrcnn.ops.anchors import pixel_anchors


def log(text: str, array: np.ndarray | None = None) -> None:
    """Prints `text` and, if given, an array's shape, range and dtype."""
    if array is not None:
        bounds = f"min: {array.min():10.5f}  max: {array.max():10.5f}" if array.size else f"min: {'':10}  max: {'':10}"
        text = f"{text:25}  shape: {array.shape!s:20}  {bounds}  {array.dtype}"
    print(text)


class MatterportMethods:
    """Mixin of `mrcnn.model.MaskRCNN`, which sets and documents the attributes below."""

    mode: str
    config: Config
    keras_model: keras.Model
    _predictor: Predictor | None
    _separate_graph: keras.Model | None

    if TYPE_CHECKING:

        @property
        def inference_model(self) -> keras.Model: ...

        @property
        def predictor(self) -> Predictor: ...

    def compile(self, learning_rate: float, momentum: float) -> None:
        """Compiles `keras_model` with SGD and its losses, for scripts that call `keras_model.fit` themselves.

        Call `set_trainable` first. `train` compiles the model itself.

        Raises:
            ValueError: if the model is not in training mode.
        """
        from mrcnn.training.optimizers import build_optimizer  # slow to import and rarely needed

        if self.mode != "training":
            raise UserError("compile() requires a model built with mode='training'.")
        optimizer = build_optimizer("sgd", learning_rate, self.config.copy(LEARNING_MOMENTUM=momentum))
        self.keras_model.compile(optimizer=optimizer, jit_compile=False)  # crop_and_resize has no XLA kernel

    def set_trainable(self, layer_regex: str, keras_model=None, indent: int = 0, verbose: int = 1) -> None:
        """Makes the layers whose full name matches `layer_regex` trainable and freezes all other layers.

        Compile the model afterwards. An expression that matches no layer is accepted, as in Matterport's code. In
        contrast, `mrcnn.training.freezing.set_trainable` raises an error.
        """
        layers = list(flatten_layers(keras_model or self.keras_model))
        if verbose and keras_model is None:
            log("Selecting layers to train")
        for layer in layers:
            if not layer.weights:
                continue
            layer.trainable = bool(re.fullmatch(layer_regex, layer.name))
            if layer.trainable and verbose:
                log(f"{' ' * indent}{layer.name:20}   ({layer.__class__.__name__})")

    # --- Preprocessing and postprocessing ---

    def detect_molded(self, molded_images: np.ndarray, image_metas: np.ndarray, verbose: int = 0) -> list[Detections]:
        """Runs detection on images from `mold_inputs`. Boxes and masks are in pixels of the preprocessed image.

        Args:
            molded_images: `[B, S, S, channels]`.
            image_metas: `[B, 12+C]`.
            verbose: 1: print the number of images, and the shape and range of `molded_images`.
        """
        molded_images = np.asarray(molded_images)  # notebooks also pass lists
        if verbose:
            log(f"Processing {len(molded_images)} images")
            log("molded_images", molded_images)
        shape = molded_images.shape[1:]
        window = (0, 0, shape[0], shape[1])
        predicted = self.predictor(molded_images, image_metas)
        padding = self.predictor.mask_padding
        return [
            postprocess(rows, masks, shape, shape, window, padding, keypoints)
            for rows, masks, keypoints in zip(*predicted, strict=True)
        ]

    def mold_inputs(self, images: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Preprocesses images. Returns images `[B, S, S, channels]`, metas `[B, 12+C]` and windows `[B, 4]` in pixels.

        Raises:
            ValueError: if the preprocessed images have different sizes (IMAGE_RESIZE_MODE "none" or "pad64").
        """
        molded = [preprocess(image, self.config, number) for number, image in enumerate(images)]
        if len({item.image.shape for item in molded}) > 1:
            shapes = ", ".join(str(item.image.shape) for item in molded)
            raise UserError(
                f"mold_inputs: the images have different sizes after resizing ({shapes}). Pass them one by one."
            )
        return tuple(np.stack([getattr(item, part) for item in molded]) for part in ("image", "meta", "window"))

    def unmold_detections(self, detections, mrcnn_mask, original_image_shape, image_shape, window):
        """Returns boxes int32 `[N, 4]`, class ids, scores and masks bool `[H, W, N]` in pixels of the original image.

        Args:
            detections: `[D, 6]`, output of the network. The scores are class scores, even if DETECTION_MASK_SCORES is
                set.
            mrcnn_mask: `[D, M, M, C]`, output of the network.
            original_image_shape: (H, W, channels) of the original image.
            image_shape: (H, W, channels) of the preprocessed image.
            window: `[4]` pixels, region of the image inside the padding.
        """
        masks = mrcnn_mask[np.arange(len(detections)), :, :, detections[:, 4].astype(np.int32)]
        result = postprocess(detections, masks, original_image_shape, image_shape, window)
        return result["rois"], result["class_ids"], result["scores"], result["masks"]

    def get_anchors(self, image_shape) -> np.ndarray:
        """Returns the normalized anchors `[A, 4]` float32 for the shape of a preprocessed image."""
        return self.predictor.anchors(image_shape)[0].numpy()

    @property
    def anchors(self) -> np.ndarray:
        """Anchors `[A, 4]` in pixels for the shape of the latest preprocessed image, else for `config.IMAGE_SHAPE`."""
        shape = self._predictor.latest_shape if self._predictor else self.config.IMAGE_SHAPE
        return pixel_anchors(self.config, shape)

    # --- Intermediate outputs ---

    def _introspection_graph(self) -> keras.Model:
        """Returns an inference graph that shares no layers with other graphs, so that each layer has one output.

        In training mode the training graph and the inference graph share their layers, so a separate graph is built.
        `run_graph` copies the weights to it.
        """
        if self.mode == "inference":
            return self.inference_model
        if self._separate_graph is None:
            self._separate_graph = NetworkBuilder(self.config).inference()
        return self._separate_graph

    def ancestor(self, tensor, name: str, checked=None):
        """Returns the tensor called `name` in the inference graph, or None; see `introspection.find_tensor`.

        `tensor` and `checked` are ignored.
        """
        return introspection.find_tensor(self._introspection_graph(), name)

    def find_trainable_layer(self, layer):
        """Returns the layer inside a wrapper, or the layer itself if it is not wrapped."""
        return self.find_trainable_layer(layer.layer) if hasattr(layer, "layer") else layer

    def get_trainable_layers(self) -> list:
        """Returns all layers that have weights, without their wrappers."""
        return [layer for layer in flatten_layers(self.keras_model) if layer.weights]

    def run_graph(self, images, outputs, image_metas=None) -> OrderedDict:
        """Runs part of the inference graph and returns intermediate outputs.

        Args:
            images: list of images, or preprocessed images `[B, S, S, channels]` if `image_metas` is given.
            outputs: list of (name, Keras tensor or name of a layer).
            image_metas: `[B, 12+C]`, or None.

        Returns:
            NumPy arrays by name, in the order of `outputs`. Their shapes and ranges are printed.
        """
        if image_metas is None:
            images, image_metas, _ = self.mold_inputs(images)
        images = np.float32(images)  # notebooks also pass lists
        inputs = [images, np.float32(image_metas), self.predictor.anchors(images.shape[1:3])]
        graph = self._introspection_graph()
        if graph is not self.inference_model:
            weights = {weight.path: weight for weight in self.inference_model.weights}
            for weight in graph.weights:
                weight.assign(weights[weight.path])
        results = introspection.run_graph(graph, inputs, outputs)
        for name, array in results.items():
            log(name, array)
        return results
