"""Training on several devices: the `tf.distribute` strategy, and optimizers that clip the gradient of the batch."""

from __future__ import annotations

import os

import keras
import tensorflow as tf

from mrcnn.errors import UserError


def choose_strategy(devices: int = 1, split_cpu: bool = False) -> tf.distribute.Strategy:
    """Returns the strategy for building and training a model. Call it before the first tensor is created.

    Args:
        devices: number of GPUs. If the environment variable TF_CONFIG is set, the workers in it train together, each on
            all of its GPUs.
        split_cpu: whether to use logical CPU devices instead of GPUs, for tests on machines without GPUs.

    Raises:
        ValueError: if the machine has fewer GPUs.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices == 1:
        return tf.distribute.get_strategy()
    if split_cpu:
        return tf.distribute.MirroredStrategy(_split_cpu(devices))
    gpus = tf.config.list_logical_devices("GPU") if tf.config.get_visible_devices("GPU") else []
    if devices > len(gpus):
        raise UserError(f"--devices: {devices} GPUs requested, but TensorFlow finds {len(gpus) or 'none'}.")
    return tf.distribute.MirroredStrategy([device.name for device in gpus[:devices]])


def _split_cpu(count: int) -> list[str]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [device.name for device in tf.config.list_logical_devices("CPU")[:count]]


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the files."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_id is None:
        return True
    # In a cluster with a task "chief", worker 0 is not the chief.
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else resolver.task_type
    return (resolver.task_type, resolver.task_id) == (chief, 0)


class SumThenClip:
    """Optimizer mixin that sums the gradients of the replicas before they are clipped.

    Keras clips the gradient of each replica and sums the results, so the step depends on how a batch is split. With
    this mixin, every replica clips the same sum. Keras then adds the results of all replicas, so the sum is first
    divided by the number of replicas.
    """

    def apply(self, grads, trainable_variables=None):
        """Applies the gradients of this replica's part of the batch."""
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            present = [gradient for gradient in grads if gradient is not None]
            summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
            grads = [None if g is None else next(summed) / context.num_replicas_in_sync for g in grads]
        super().apply(grads, trainable_variables)


@keras.saving.register_keras_serializable(package="mrcnn")
class SGD(SumThenClip, keras.optimizers.SGD):
    """SGD for any number of replicas."""


@keras.saving.register_keras_serializable(package="mrcnn")
class AdamW(SumThenClip, keras.optimizers.AdamW):
    """AdamW for any number of replicas."""
