"""Ctrl-C while training: the step is finished and saved, then training ends. A second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import keras

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by the user; `path` is what was saved, to be resumed from."""

    def __init__(self, path: Path):
        super().__init__(f"Interrupted. Everything up to this step is in {path}; resume from it.")
        self.path = path


class StopWhenAsked(keras.callbacks.Callback):
    """Ends training after an epoch in which Ctrl-C was pressed; comes last, when all is written.

    Args:
        interruption: knows about it.
        latest: returns the path of the latest checkpoint.
    """

    def __init__(self, interruption: Interruption, latest: Callable[[], Path]):
        super().__init__()
        self.interruption, self.latest = interruption, latest

    def on_epoch_end(self, epoch, logs=None):
        if self.interruption.requested:
            raise TrainingInterrupted(self.latest())


class Interruption:
    """A context in which Ctrl-C (or SIGTERM) only sets `requested`, so that nothing is torn apart.

    Outside of the main thread, where Python allows no signal handlers, it does nothing.
    """

    def __init__(self):
        self.requested = False
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._request) for number in SIGNALS}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nStopping after this step, then saving. Press Ctrl-C again to stop at once.", file=sys.stderr)
