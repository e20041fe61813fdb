"""A network, images and a training run of a few seconds.

This module is also a program for tests that kill the process.

python tiny_training.py LOGS RESULT.npz [resume] [option=value ...]
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from mrcnn.backbones.resnet import conv_norm
from mrcnn.data.dataset import Dataset
from tiny_config import TinyConfig

SIDE = 64


def backbone(image, stage5, train_bn):
    """Returns five convolutions of stride 2. The names of the layers match the layer sets of a ResNet."""
    features, x = [], image
    for stage, channels in zip(range(1, 6), (8, 12, 16, 16, 16), strict=True):
        names = (f"res{stage}a", f"bn{stage}a") if stage > 1 else ("conv1", "bn_conv1")
        x = conv_norm(x, channels, 3, names, strides=2, padding="same", activation="relu", train_bn=train_bn)
        features.append(x)
    return features


def backbone_shape(image_shape):
    return np.array([[image_shape[0] // stride, image_shape[1] // stride] for stride in (4, 8, 16, 32, 64)])


class TrainingConfig(TinyConfig):
    """Config with a backbone of five convolutions. Every head has targets in every step."""

    BACKBONE = staticmethod(backbone)
    COMPUTE_BACKBONE_SHAPE = staticmethod(backbone_shape)
    NUM_CLASSES = 2
    RPN_ANCHOR_SCALES = (8, 16, 24, 32, 48)
    POST_NMS_ROIS_INFERENCE = 20
    RPN_TRAIN_ANCHORS_PER_IMAGE = 64
    MAX_GT_INSTANCES = 4
    DETECTION_MAX_INSTANCES = 5
    DETECTION_MIN_CONFIDENCE = 0.7
    STEPS_PER_EPOCH = 4
    RPN_POSITIVE_IOU = 0.5
    ADD_GT_BOXES = True
    ROI_NEGATIVES = "fill"
    VALIDATION_STEPS = 0


class Squares(Dataset):
    """Images with one or two bright rectangles on dark noise."""

    def __init__(self, count=8, seed=0, side=SIDE):
        super().__init__()
        self.add_class("squares", 1, "square")
        rng = np.random.default_rng(seed)
        for number in range(count):
            boxes = []
            for left in (0, side // 2)[: 1 + number % 2]:
                (y1, x1), (height, width) = rng.integers(2, side // 8, 2), rng.integers(side // 5, side // 3, 2)
                boxes.append((y1, left + x1, y1 + height, left + x1 + width))
            self.add_image("squares", f"square_{number}", None, seed=seed * 1000 + number, boxes=boxes, side=side)
        self.prepare()

    def load_image(self, image_id):
        info = self.image_info[image_id]
        image = np.random.default_rng(info["seed"]).integers(0, 60, (info["side"], info["side"], 3), dtype=np.uint8)
        for y1, x1, y2, x2 in info["boxes"]:
            image[y1:y2, x1:x2] = 220
        return image

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        masks = np.zeros((info["side"], info["side"], len(info["boxes"])), bool)
        for i, (y1, x1, y2, x2) in enumerate(info["boxes"]):
            masks[y1:y2, x1:x2, i] = True
        return masks, np.ones(len(info["boxes"]), np.int32)


def build(logs, **changes):
    """Returns a MaskRCNN with fixed initial weights."""
    from mrcnn.model import MaskRCNN

    keras.utils.set_random_seed(7)
    return MaskRCNN("training", TrainingConfig().copy(**changes), logs)


class StepCounter(keras.callbacks.Callback):
    """Writes the number of completed steps to a file. The test reads it to kill the process at a certain step."""

    def __init__(self, path):
        super().__init__()
        self.path, self.count = Path(path), 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        self.path.write_text(str(self.count))


def main(logs, result, *arguments):
    """Trains in two stages and writes all weights and the history to `result`."""
    from mrcnn import training

    options = dict(json.loads(f'["{name}", {value}]') for name, value in (a.split("=") for a in arguments if "=" in a))
    model = build(logs)
    if "resume" in arguments:
        training.resume(model)
    common = dict(custom_callbacks=[StepCounter(Path(logs) / "steps")], verbose=0, seed=3, **options)
    data, val = Squares(7), Squares(2, seed=1)  # 7 images in batches of 2, so data epochs and training epochs differ
    Path(logs).mkdir(exist_ok=True)
    model.train(data, None, 0.02, 2, "heads", **common)
    progress = model.train(data, val, 0.02, 4, "all", schedule="cosine", average=0.9, **common)
    arrays = {variable.path: variable.numpy() for variable in model.keras_model.weights}
    losses = [[row["loss"], row.get("val_mask_AP", -1)] for row in progress.rows]
    np.savez(result, losses=losses, **{path.replace("/", ":"): array for path, array in arrays.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
