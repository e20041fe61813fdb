"""Console output of training: a progress bar, and one line for each epoch."""

from __future__ import annotations

import sys

import keras
from tqdm import tqdm


class EpochDisplay(keras.callbacks.Callback):
    """Shows a progress bar with the mean loss during an epoch, and prints one line at the end of the epoch.

    The progress bar of Keras shows every loss. In a terminal that is too narrow, it is printed again after every step.
    All losses are in `history.csv` and `curves.png`.

    Args:
        steps: number of steps per epoch.
        epochs: number of the last epoch.
        bar: whether to show the bar.
    """

    def __init__(self, steps: int, epochs: int, bar: bool):
        super().__init__()
        self.steps, self.epochs, self.is_shown = steps, epochs, bar
        self._bar: tqdm | None = None

    def on_epoch_begin(self, epoch, logs=None):
        title = f"Epoch {epoch + 1}/{self.epochs}"
        self._bar = tqdm(
            total=self.steps,
            desc=title,
            unit="step",
            file=sys.stdout,
            leave=False,
            dynamic_ncols=True,
            disable=not self.is_shown,
        )

    def on_train_batch_end(self, batch, logs=None):
        self._bar.set_postfix_str(f"loss {logs['loss']:.3f}", refresh=False)
        self._bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self._bar.close()
        validation = f", validation loss {logs['val_loss']:.3f}" if "val_loss" in logs else ""
        pace = f", {logs['seconds_per_step']:.2f} s a step" if "seconds_per_step" in logs else ""
        print(f"Epoch {epoch + 1}/{self.epochs}: loss {logs['loss']:.3f}{validation}{pace}", flush=True)

    def close(self) -> None:
        """Removes the bar of an epoch that ended with an exception."""
        if self._bar is not None:
            self._bar.close()
