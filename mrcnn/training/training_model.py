"""The model that Keras trains: the losses of the training graph, their weighted sum, and the compiled step."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mrcnn.inference.cost_warnings import silence_first_call
from mrcnn.losses import weight_decay_loss
from mrcnn.network import Network, loss_names
from mrcnn.training.averaging import WeightAverage


class TrainingModel(Network):
    """Maps the inputs of the training graph to its losses. The model shares the layers of the graph.

    Args:
        network: the training graph; see `NetworkBuilder.training`.
        loss_weights: weights by name of the loss.
        weight_decay: rate of the L2 penalty; see `losses.weight_decay_loss`.
        average: moving average of the weights to update after every step, or None.

    `trainer.compile_model` creates this model outside the scope of the `tf.distribute` strategy and trains it inside.

    Attributes:
        image_ids: `[B]` indices of the images of the latest batch in the dataset.
        strategy: the `tf.distribute` strategy of the graph.
        waited: total seconds spent waiting for data.
        skip: number of steps that `fit` still counts without running them, because they were completed before a resume.
    """

    def __init__(
        self,
        network: Network,
        loss_weights: Mapping[str, float],
        weight_decay: float,
        average: WeightAverage | None = None,
    ):
        names = loss_names(network.config)
        super().__init__(tuple(network.inputs), network.outputs[-len(names) :], name=network.name)
        # Only the variables are created in the scope of the strategy. If the model were created in this scope, Keras's
        # `fit` would average the batches of all devices, which fails for bool masks.
        self.strategy = network.distribute_strategy
        self.config = network.config
        self.save_network = network.save
        self.loss_weights = [float(loss_weights[name]) for name in names]
        self.weight_decay = weight_decay
        self.average = average
        with self.strategy.scope():
            self.loss_means = [keras.metrics.Mean(name=name) for name in names]
        self.image_ids: list[int] = []
        self.waited = 0.0
        self.skip = 0

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self.optimizer.learning_rate.numpy())

    def save(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the training graph. Callbacks such as `ModelCheckpoint` call this method."""
        self.save_network(filepath, overwrite, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the sum of the weighted losses and the L2 penalty. The weighted losses are reported as metrics.

        The sum is divided by the number of replicas, because Keras sums the gradients of the replicas.
        """
        weighted = [weight * loss for weight, loss in zip(self.loss_weights, y_pred, strict=True)]
        for mean, loss in zip(self.loss_means, weighted, strict=True):
            mean.update_state(loss)
        total = tf.add_n(weighted) + weight_decay_loss(self.trainable_variables, self.weight_decay)
        return total / tf.distribute.get_strategy().num_replicas_in_sync

    def make_train_function(self, force: bool = False) -> None:
        """Sets `train_function(iterator)`, which `fit` calls for every step.

        Unlike Keras's function, it takes the batch from the iterator outside the compiled step, which makes the image
        ids and the waiting time available. It also supports several workers, whose metrics Keras's function cannot
        reduce.
        """
        if self.train_function is not None and not force:
            return
        run = self._compile_step(self.train_step, self.average)

        def train_function(iterator):
            if self.skip:
                self.skip -= 1
                return self.get_metrics_result()
            started = time.perf_counter()
            batch = next(iterator)
            self.waited += time.perf_counter() - started
            metas = self.strategy.experimental_local_results(batch[0][1])
            self.image_ids = [int(number) for meta in metas for number in np.asarray(meta)[:, 0]]
            return run(batch)

        self.train_function = train_function

    def make_test_function(self, force: bool = False) -> None:
        """Sets `test_function(iterator)`, which computes the losses of validation batches."""
        if self.test_function is None or force:
            run = self._compile_step(self.test_step)
            self.test_function = lambda iterator: run(next(iterator))

    def _compile_step(self, step: Callable, average: WeightAverage | None = None) -> Callable:
        """Returns a compiled function `batch -> logs` that runs the step on all devices and updates the average."""

        def run(batch):
            logs = self.strategy.run(step, args=(batch,))
            if average is not None:
                average.update()
            return {name: self.strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

        # Without AutoGraph, which takes a second, because no Python control flow depends on tensors.
        return run if self.run_eagerly else silence_first_call(tf.function(run, reduce_retracing=True, autograph=False))
