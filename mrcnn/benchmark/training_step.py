"""One training step on random images: time per step and peak memory."""

import json

import keras
import numpy as np
import tensorflow as tf

from mrcnn.benchmark import measure
from mrcnn.config import Config
from mrcnn.layer_sets import layer_regex
from mrcnn.matterport.targets_numpy import build_rpn_targets
from mrcnn.model import MaskRCNN
from mrcnn.network import conv_norms
from mrcnn.ops.anchors import pixel_anchors
from mrcnn.ops.image_meta import compose_image_meta
from mrcnn.training.freezing import set_trainable
from mrcnn.training.progress import Stage
from mrcnn.training.trainer import compile_model, make_deterministic

OBJECTS = np.array([[100, 100, 300, 300], [20, 40, 90, 200], [300, 300, 500, 480]])  # boxes in pixels


def random_batch(config: Config) -> tuple:
    """Returns the inputs of the training graph for a batch: one random image with three objects, repeated."""
    rng, size = np.random.default_rng(0), config.IMAGE_MAX_DIM
    anchors = pixel_anchors(config, config.IMAGE_SHAPE)
    class_ids = np.zeros(config.MAX_GT_INSTANCES, np.int32)
    class_ids[: len(OBJECTS)] = 1
    boxes = np.zeros((config.MAX_GT_INSTANCES, 4), np.float32)
    boxes[: len(OBJECTS)] = OBJECTS
    match, deltas = build_rpn_targets(config.IMAGE_SHAPE, anchors, np.ones(len(OBJECTS), int), OBJECTS, config)
    shape, active = (size, size, 3), np.ones(config.NUM_CLASSES)
    meta = compose_image_meta(0, shape, shape, (0, 0, size, size), 1.0, active)
    masks = rng.random((*config.MINI_MASK_SHAPE, config.MAX_GT_INSTANCES)) > 0.5
    image = rng.uniform(-100, 100, shape)
    parts = (np.float32(image), np.float32(meta), match[:, None], np.float32(deltas), class_ids, boxes, masks)
    return tuple(np.stack([part] * config.BATCH_SIZE) for part in parts)


def main() -> None:
    options = measure.parse_arguments(backbone="resnet50", layers="heads", batch=1, size=512, precision="float32")
    measure.set_precision(options.precision)
    make_deterministic(0)
    keras.utils.set_random_seed(0)
    config = Config().copy(
        NAME="bench",
        BACKBONE=options.backbone,
        NUM_CLASSES=2,
        IMAGES_PER_GPU=options.batch,
        IMAGE_MIN_DIM=options.size,
        IMAGE_MAX_DIM=options.size,
    )
    model = MaskRCNN("training", config, "logs")
    measure.classify_all(model.keras_model)
    set_trainable(model.keras_model, layer_regex(options.layers))
    stage = Stage(
        layers=layer_regex(options.layers),
        epochs=1,
        learning_rate=1e-4,
        optimizer="sgd",
        schedule="constant",
        warmup_steps=0,
        losses="all",
        average=0.0,
        accumulate=1,
        steps_per_epoch=1,
        batch_size=options.batch,
        seed=0,
        first_epoch=0,
    )
    fitted = compile_model(model, stage)
    fitted.make_train_function()
    batch = tuple(tf.constant(part) for part in random_batch(config))
    batches = iter(tf.data.Dataset.from_tensors((batch,)).repeat())
    seconds = measure.measure_medians(
        dict(step=lambda: fitted.train_function(batches), bare=measure.make_bare_convolution(options.precision))
    )
    figures = dict(
        step=round(seconds["step"], 3),
        per_image=round(seconds["step"] / options.batch, 3),
        bare_gflops=round(measure.BARE_OPERATIONS / seconds["bare"] / 1e9),
        matmul_gradient=next(conv_norms(model.keras_model)).matmul_gradient,
        peak_mib=measure.peak_memory(),
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
