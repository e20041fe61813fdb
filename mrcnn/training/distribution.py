"""More than one device: a strategy of `tf.distribute`, and optimisers that clip the gradient of the whole batch."""

from __future__ import annotations

import os

import keras
import tensorflow as tf


def choose_strategy(devices: int = 1) -> tf.distribute.Strategy:
    """The strategy to build and train a model under; call it before the first tensor is made.

    Args:
        devices: GPUs of this machine to use; on a machine without GPUs, parts of the CPU, to try things out. With the
            environment variable TF_CONFIG the workers it lists train together, each on all of its GPUs.

    Raises:
        ValueError: there are not so many GPUs.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if devices == 1:
        return tf.distribute.get_strategy()
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus and devices > len(gpus):
        raise ValueError(f"--devices: this machine has {len(gpus)} GPUs, {devices} were asked for.")
    return tf.distribute.MirroredStrategy([device.name for device in gpus[:devices]] or _split_cpu(devices))


def _split_cpu(count: int) -> list[str]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [device.name for device in tf.config.list_logical_devices("CPU")[:count]]


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files and validates."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_id is None:
        return True
    # Where the cluster names a task "chief", there is a first worker beside it.
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else resolver.task_type
    return (resolver.task_type, resolver.task_id) == (chief, 0)


class SummedFirst:
    """Mixed into an optimiser: replicas add up their gradients before anything else is done with them.

    Keras clips the gradient of each replica and adds up what is left, so that the step would depend on how a batch is
    split. Here every replica clips the same sum. Keras's own sum follows all the same; hence the division.
    """

    def apply(self, grads, trainable_variables=None):
        """As Keras's; `grads` are those of this replica's share of the batch."""
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            present = [gradient for gradient in grads if gradient is not None]
            summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
            grads = [None if g is None else next(summed) / context.num_replicas_in_sync for g in grads]
        super().apply(grads, trainable_variables)


@keras.saving.register_keras_serializable(package="mrcnn")
class SGD(SummedFirst, keras.optimizers.SGD):
    """SGD for any number of replicas."""


@keras.saving.register_keras_serializable(package="mrcnn")
class AdamW(SummedFirst, keras.optimizers.AdamW):
    """AdamW for any number of replicas."""
