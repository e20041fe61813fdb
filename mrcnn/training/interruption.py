"""Handling of Ctrl-C: the first Ctrl-C ends training after the current step, and the second ends it immediately."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import keras

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """Raised if the user stops training. `path` is the saved file from which training can be resumed."""

    def __init__(self, path: Path):
        super().__init__(f"Interrupted. The state up to this step is saved in {path}. Resume from this file.")
        self.path = path


class StopOnInterrupt(keras.callbacks.Callback):
    """Stops training after an epoch in which Ctrl-C was pressed. Must be the last callback.

    Args:
        interruption: the context manager that receives Ctrl-C.
        latest: function that returns the path of the latest checkpoint.
    """

    def __init__(self, interruption: Interruption, latest: Callable[[], Path]):
        super().__init__()
        self.interruption, self.latest = interruption, latest

    def on_epoch_end(self, epoch, logs=None):
        if self.interruption.requested:
            raise TrainingInterrupted(self.latest())


class Interruption:
    """Context manager in which Ctrl-C (or SIGTERM) only sets `requested`.

    It has no effect outside the main thread, because Python allows signal handlers only in the main thread.
    """

    def __init__(self):
        self.requested = False
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle_signal) for number in SIGNALS}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle_signal(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nStopping after this step, then saving. Press Ctrl-C again to stop at once.", file=sys.stderr)
