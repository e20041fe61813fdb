"""TensorBoard events: losses, learning rate, AP, and some validation images with their detections.

The package `tensorboard` is not needed to write the events. To view them, run `pip install tensorboard` and
`tensorboard --logdir logs`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from mrcnn.training.progress import Progress

LOG_INTERVAL = 10  # number of steps between two logged losses
MAX_SIDE = 800  # maximum side of an image in pixels

Summary = tf.compat.v1.Summary


class TensorBoardEvents(keras.callbacks.Callback):
    """Writes `events.out.tfevents.*`: loss by step, all metrics and images by epoch.

    Args:
        progress: progress of the run.
        folder: log folder.
        pictures: iterable of (name, uint8 `[H, W, 3]` image), iterated after every epoch.
    """

    def __init__(self, progress: Progress, folder: str | Path, pictures: Iterable[tuple[str, np.ndarray]]):
        super().__init__()
        self.progress, self.folder, self.pictures = progress, str(folder), pictures

    def on_train_begin(self, logs=None):
        self.writer = tf.summary.create_file_writer(self.folder)

    def on_train_batch_end(self, batch, logs=None):
        if batch % LOG_INTERVAL == 0 and not self.model.skip:
            values = {"loss": logs["loss"], "learning_rate": self.model.learning_rate}
            step = self.progress.epoch * self.progress.stage["steps_per_epoch"] + batch
            self._write([_scalar_value(f"step/{name}", value) for name, value in values.items()], step)

    def on_epoch_end(self, epoch, logs=None):
        values = [
            _scalar_value(f"epoch/{name}", value) for name, value in self.progress.rows[-1].items() if name != "epoch"
        ]
        values += [_image_value(f"validation/{name}", picture) for name, picture in self.pictures]
        self._write(values, epoch + 1)
        self.writer.flush()

    def _write(self, values: list, step: int) -> None:
        with self.writer.as_default():
            tf.summary.experimental.write_raw_pb(Summary(value=values).SerializeToString(), step=step)


def _scalar_value(tag: str, value):
    return Summary.Value(tag=tag, simple_value=float(value))


def _image_value(tag: str, picture: np.ndarray):
    image = Image.fromarray(picture)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    content = Summary.Image(width=image.width, height=image.height, colorspace=3, encoded_image_string=file.getvalue())
    return Summary.Value(tag=tag, image=content)
