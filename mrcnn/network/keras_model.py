"""The Keras model of both graphs, and the lookup of its layers by name."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from mrcnn import checkpoints, losses
from mrcnn.config import Config
from mrcnn.layers.common import ConvNorm, PerRoI, register
from mrcnn.network.loss_layers import loss_names


class InputImage(keras.KerasTensor):
    """Keras tensor of the input image that TensorFlow operations convert to a string, the name of the input.

    Scripts for TensorFlow 1 request the input from `run_graph` as `tf.identity(input_image)`. TensorFlow 2 raises an
    error for other Keras tensors but accepts this class, and `run_graph` finds the input by its name.
    """

    def __tf_tensor__(self, dtype=None, name=None):
        return tf.constant(self.name)


@register
class Network(keras.Model):
    """A functional Keras model with the interface of Matterport's flat graph.

    `get_layer` finds nested layers by name, and weights are saved in Matterport's layout under any file name.

    Attributes:
        config: the Config that is stored with the weights, or None.
    """

    config: Config | None = None

    def get_layer(self, name: str | None = None, index: int | None = None) -> keras.layers.Layer:
        """Returns a layer by name, including layers of nested models. Raises ValueError if it does not exist."""
        if name is not None and name not in {layer.name for layer in self.layers}:
            for layer in flatten_layers(self):
                if layer.name == name:
                    return layer
        return super().get_layer(name=name, index=index)

    def save(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the model; see `keras.Model.save`. HDF5 files (.h5, .hdf5) contain only the weights and the Config.

        Keras would also write the layers to an HDF5 file, but could not load them.
        """
        if Path(filepath).suffix in (".h5", ".hdf5"):
            warnings.warn(
                f"{filepath}: HDF5 files contain only the weights and the Config. Load them with load_weights(), or "
                "save a .keras file for keras.models.load_model().",
                stacklevel=2,
            )
            self.save_weights(filepath, overwrite)
        else:
            super().save(filepath, overwrite=overwrite, **kwargs)

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Writes a checkpoint; see `checkpoints.save_weights`."""
        checkpoints.save_weights(named_layers(self), filepath, config=self.config, overwrite=overwrite)

    def load_weights(
        self, filepath: str | Path, by_name: bool = False, exclude: Iterable[str] | None = None
    ) -> checkpoints.LoadReport:
        """Loads a checkpoint; see `checkpoints.load_weights`."""
        return checkpoints.load_weights(named_layers(self), filepath, exclude=exclude, by_name=by_name)

    def _make_predict_function(self) -> None:
        """Does nothing. Scripts for Keras 2 call this method before they detect objects in several threads."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the weighted sum of the losses, which are the last elements of `y_pred`, plus the L2 penalty."""
        weights = [self.config.LOSS_WEIGHTS.get(name, 1.0) for name in loss_names(self.config)]
        weighted = [weight * loss for weight, loss in zip(weights, y_pred[-len(weights) :], strict=True)]
        return tf.add_n(weighted) + losses.weight_decay_loss(self.trainable_variables, self.config.WEIGHT_DECAY)


def flatten_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers (Conv2D, BatchNorm, Dense, ...) of a model and its nested models in order, without wrappers."""
    for layer in _nested_layers(model):
        parts = (layer.conv, layer.norm) if isinstance(layer, ConvNorm) else (layer,)
        yield from (part for part in parts if part is not None)


def conv_norms(model: keras.Model) -> Iterator[ConvNorm]:
    """Yields the ConvNorm layers of a model and of its nested models."""
    return (layer for layer in _nested_layers(model) if isinstance(layer, ConvNorm))


def _nested_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, PerRoI) else layer
        if isinstance(inner, keras.Model):
            yield from _nested_layers(inner)
        else:
            yield inner


def named_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns the layers that have weights, by the name under which checkpoints store them."""
    return {layer.name: layer for layer in flatten_layers(model) if layer.weights}
