"""Suppresses misleading messages of TensorFlow's graph optimizer."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

_STDERR = threading.Lock()  # only one thread at a time can redirect the stderr of the process


@contextmanager
def suppress_cost_warnings() -> Iterator[None]:
    """Drops the lines about `PredictCost()` from stderr. A thread passes on all other lines immediately.

    Grappler's cost estimator fails on an unknown number of boxes and prints at least eight lines. The failure has no
    effect. The messages come from C++ and bypass Python's `sys.stderr` and `warnings`.
    """
    with _STDERR:
        try:
            terminal, copy = os.dup(2), os.dup(2)
        except OSError:  # stderr is closed
            yield
            return
        read, write = os.pipe()
        thread = threading.Thread(target=_forward_lines, args=(read, copy), daemon=True)
        thread.start()
        _flush()
        os.dup2(write, 2)
        os.close(write)
        try:
            yield
        finally:
            _flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            thread.join(timeout=1)  # a child process that was started in the block keeps the pipe open


def _forward_lines(read: int, write: int) -> None:
    with open(read, "rb") as lines, open(write, "wb", buffering=0) as terminal:
        for line in lines:
            if b"PredictCost()" not in line:
                terminal.write(line)


def silence_first_call(function: Callable) -> Callable:
    """Wraps a function to suppress the cost warnings in its first call, in which TensorFlow optimizes the graph."""
    is_called = False

    def call(*args):
        nonlocal is_called
        with nullcontext() if is_called else suppress_cost_warnings():
            result = function(*args)
        is_called = True
        return result

    return call


def _flush() -> None:
    if sys.stderr is not None:  # None in a process without a console
        sys.stderr.flush()
