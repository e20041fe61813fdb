"""Exponential moving average of the weights (EMA)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


class WeightAverage:
    """Exponential moving average of variables: `average += (1 - momentum) * (variable - average)` after each step.

    The momentum is min(momentum, (1 + steps) / (10 + steps)), so the initial weights lose their influence quickly.

    Args:
        variables: the variables to average, usually the trainable variables of a model.
        momentum: number in 0..1; 0.999 averages over about 1,000 steps.

    Source: Polyak & Juditsky 1992. The momentum of the first steps follows `tf.train.ExponentialMovingAverage`.
    """

    def __init__(self, variables: Iterable[keras.Variable], momentum: float):
        self.sources = list(variables)
        self.momentum = momentum
        self.steps = tf.Variable(0.0, trainable=False, name="average_steps")
        self.averages = [tf.Variable(source, trainable=False, name="average") for source in self.sources]

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that an exact resume restores."""
        return [self.steps, *self.averages]

    def update(self) -> None:
        """Adds the current weights to the average. Called in the compiled step."""
        self.steps.assign(self.steps + 1.0)
        momentum = tf.minimum(self.momentum, (1.0 + self.steps) / (10.0 + self.steps))
        for average, source in zip(self.averages, self.sources, strict=True):
            average.assign(average + (1.0 - momentum) * (tf.convert_to_tensor(source) - average))

    @contextmanager
    def swap_in(self) -> Iterator[None]:
        """Context manager in which the variables hold the averages."""
        latest = [source.numpy() for source in self.sources]
        self.overwrite_variables()
        try:
            yield
        finally:
            for source, value in zip(self.sources, latest, strict=True):
                source.assign(value)

    def overwrite_variables(self) -> None:
        """Overwrites the variables with the averages."""
        for source, average in zip(self.sources, self.averages, strict=True):
            source.assign(average)
