"""The model that Keras trains: the losses of the training graph, their weighted sum, and one compiled step."""

import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from mrcnn.losses import weight_decay_loss
from mrcnn.network import Network, loss_names
from mrcnn.training.averaging import WeightAverage


class TrainingModel(Network):
    """From the inputs of the training graph to its losses; shares all layers with the graph.

    Args:
        network: the training graph, see `NetworkBuilder.training`.
        loss_weights: by name of the loss.
        weight_decay: rate of the L2 penalty, see `losses.weight_decay_loss`.
        average: moving average of the weights to update after every step, or None.

    It is made by `trainer.compile_model`, outside of the scope of `tf.distribute`'s strategy, and trained inside.

    Attributes:
        image_ids: `[B]` of the latest batch, as the dataset numbers its photos.
        strategy: of `tf.distribute`, that the graph was built under.
        waited: seconds spent waiting for data since the model was made.
        skip: steps that `fit` has still to count without doing them, because they were done before a resume.
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
        # The model itself is not made in the scope of the strategy: if it were, Keras's `fit` would average a batch of
        # all devices, which bool masks cannot be. Only what holds variables is.
        self.strategy = network.distribute_strategy
        self.config = network.config
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
        """That of the next step."""
        return float(self.optimizer.learning_rate.numpy())

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Sum of the weighted losses and the L2 penalty; the weighted losses are reported as metrics.

        With several replicas each takes its share: Keras adds up their gradients.
        """
        weighted = [weight * loss for weight, loss in zip(self.loss_weights, y_pred, strict=True)]
        for mean, loss in zip(self.loss_means, weighted, strict=True):
            mean.update_state(loss)
        total = tf.add_n(weighted) + weight_decay_loss(self.trainable_variables, self.weight_decay)
        return total / tf.distribute.get_strategy().num_replicas_in_sync

    def make_train_function(self, force: bool = False) -> None:
        """Sets `train_function(iterator)`, which `fit` calls for every step.

        Unlike Keras's own it takes the batch from the iterator outside of the compiled step. So the photos of a batch
        and the time that it took to come are known, and it works with several workers, whose metrics Keras's own
        function cannot reduce.
        """
        if self.train_function is not None and not force:
            return
        run = self._compiled(self.train_step, self.average)

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
        """Sets `test_function(iterator)`, for the losses of validation batches."""
        if self.test_function is None or force:
            run = self._compiled(self.test_step)
            self.test_function = lambda iterator: run(next(iterator))

    def _compiled(self, step: Callable, average: WeightAverage | None = None) -> Callable:
        """`batch -> logs`: the step on all devices, compiled; then the moving average of the weights."""

        def run(batch):
            logs = self.strategy.run(step, args=(batch,))
            if average is not None:
                average.update()
            return {name: self.strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

        return run if self.run_eagerly else tf.function(run, reduce_retracing=True)
