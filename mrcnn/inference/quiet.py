"""Drops messages of TensorFlow's graph optimizer that only confuse users."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = threading.Lock()  # one thread at a time redirects the process's stderr


@contextmanager
def without_cost_warnings() -> Iterator[None]:
    """Holds stderr back and writes it afterwards without the lines about `PredictCost()`.

    Grappler's cost estimator fails on an unknown number of boxes and prints eight lines at the first detection. The
    failure has no effect. The messages come from C++, so Python's `sys.stderr` and `warnings` do not see them.
    """
    with _STDERR, tempfile.TemporaryFile() as held:
        try:
            terminal = os.dup(2)
        except OSError:  # stderr is closed
            yield
            return
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            held.seek(0)
            os.write(terminal, b"".join(line for line in held if b"PredictCost()" not in line))
            os.close(terminal)
