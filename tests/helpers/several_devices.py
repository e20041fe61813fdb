"""Trains the tiny network on several devices.

This is a program, because TensorFlow cannot change its devices after initialisation. If TF_CONFIG is set, the program
is one of several workers.

python several_devices.py DEVICES LOGS RESULT.npz
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import tiny_training as tiny
from mrcnn.network import LOSSES
from mrcnn.training import distribution

BATCH = 2


class FirstStep(keras.callbacks.Callback):
    """Records the losses of the first step and the change of the weights in this step."""

    def on_train_begin(self, logs=None):
        self.before = self.trained()

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.losses = [float(logs[name]) for name in ("loss", *LOSSES)]
            self.update = self.trained() - self.before

    def trained(self):
        """Returns all trainable weights as one array."""
        return np.concatenate([weights.numpy().ravel() for weights in self.model.trainable_weights])


def clipped_update(strategy):
    """Applies the gradients (60, 0) and (0, 80) of two replicas. Their mean (30, 40) is clipped to norm 5."""
    from mrcnn.training.optimizers import build_optimizer

    with strategy.scope():
        weights = keras.Variable([0.0, 0.0])
        optimizer = build_optimizer("sgd", 1.0, tiny.TrainingConfig())
        optimizer.build([weights])

    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        optimizer.apply([tf.one_hot(replica, 2) * [30.0, 40.0]], [weights])

    strategy.run(tf.function(step))
    return weights.numpy()


def main(devices, logs, result):
    strategy = distribution.choose_strategy(int(devices), split_cpu=True)
    replicas = strategy.num_replicas_in_sync
    clipped = clipped_update(strategy) if replicas == 2 else []
    with strategy.scope():
        model = tiny.build(logs, GPU_COUNT=replicas, IMAGES_PER_GPU=BATCH // replicas, STEPS_PER_EPOCH=2)
    first = FirstStep()
    progress = model.train(
        tiny.Squares(4), tiny.Squares(1, seed=1), 0.01, 1, "all", verbose=0, custom_callbacks=[first], average=0.9
    )
    weights = {v.path.replace("/", ":"): v.numpy() for v in model.keras_model.weights}
    ap = progress.rows[-1]["val_mask_AP"]
    np.savez(result, clipped=clipped, losses=first.losses, update=first.update, ap=ap, **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
