"""Optimizers: SGD as in Matterport's code, and AdamW."""

import keras
import tensorflow as tf

from mrcnn.choices import OPTIMIZERS
from mrcnn.config import Config
from mrcnn.errors import UserError
from mrcnn.training.distribution import SGD, AdamW
from mrcnn.training.schedules import Schedule

ADAMW_WEIGHT_DECAY = 0.05  # as in He et al. 2022, "Masked Autoencoders"; common for detection with AdamW


def build_optimizer(
    name: str, learning_rate: float | Schedule, config: Config, accumulate: int = 1
) -> keras.optimizers.Optimizer:
    """Builds the optimizer of one stage of training.

    Args:
        name: "sgd" with momentum LEARNING_MOMENTUM, or "adamw" (Loshchilov & Hutter 2019) with decoupled weight decay
            on everything except biases and batch norm.
        learning_rate: a number, which callbacks may change during training, or a schedule.
        config: provides LEARNING_MOMENTUM and GRADIENT_CLIP_NORM (the maximum global norm of the gradients).
        accumulate: number of batches whose gradients are averaged for one update; above 1 only on one device.

    Raises:
        ValueError: if the name is unknown, or if `accumulate` is above 1 on several devices.
    """
    if name not in OPTIMIZERS:
        raise UserError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}, got {name!r}.")
    # With several replicas, the optimizers receive the sum of the gradients divided by the number of replicas.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if accumulate > 1 and replicas > 1:  # Keras updates in a conditional branch, where replicas cannot communicate
        raise UserError(
            f"accumulate: supported on one device only, got {replicas} devices. "
            "Remove this option, because one update already uses the batches of all devices."
        )
    options = dict(
        learning_rate=learning_rate,
        # In Keras 2.2 `clipnorm` was the norm over all variables, and 0 disabled it.
        global_clipnorm=config.GRADIENT_CLIP_NORM / replicas if config.GRADIENT_CLIP_NORM else None,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
    )
    if name == "sgd":
        return SGD(momentum=config.LEARNING_MOMENTUM, **options)
    optimizer = AdamW(weight_decay=ADAMW_WEIGHT_DECAY, **options)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def loss_weight_decay(name: str, config: Config) -> float:
    """Returns the rate of the L2 penalty in the loss; 0 for AdamW, which applies weight decay itself."""
    return config.WEIGHT_DECAY if name == "sgd" else 0.0
