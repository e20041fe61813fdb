"""Suppresses misleading messages of TensorFlow's graph optimizer."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext

_STDERR = threading.Lock()  # one thread at a time redirects the process's stderr


@contextmanager
def without_cost_warnings() -> Iterator[None]:
    """Redirects stderr to a file and writes it back at the end without the lines about `PredictCost()`.

    Grappler's cost estimator fails on an unknown number of boxes and prints eight lines or more. The failure has no
    effect. The messages come from C++, so Python's `sys.stderr` and `warnings` do not see them.
    """
    with _STDERR, ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            terminal = os.dup(2)
        except OSError:  # no folder for temporary files, or stderr is closed
            yield
            return
        stack.callback(os.close, terminal)
        _flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(terminal, 2)
            held.seek(0)
            os.write(terminal, b"".join(line for line in held if b"PredictCost()" not in line))


def quiet_first_call(function: Callable) -> Callable:
    """Wraps a function so that its first call, in which TensorFlow optimizes the graph, prints no such lines."""
    is_called = False

    def call(*args):
        nonlocal is_called
        with nullcontext() if is_called else without_cost_warnings():
            result = function(*args)
        is_called = True
        return result

    return call


def _flush() -> None:
    if sys.stderr is not None:  # as in a process without a console
        sys.stderr.flush()
