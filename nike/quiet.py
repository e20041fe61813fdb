"""Suppresses the startup messages that native libraries write directly to the file descriptor of stderr."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Imports TensorFlow and lists the devices without startup messages; see `quiet_stderr`.

    The environment variables that `nike.cli` sets do not suppress these messages.
    """
    if "tensorflow" in sys.modules:
        return
    with quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # initializes CUDA, which also prints messages


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Redirects stderr to a temporary file in the `with` block. The messages are shown if the block fails."""
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    with tempfile.TemporaryFile() as captured:
        sys.stderr.flush()
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except Exception:  # the messages are not shown after KeyboardInterrupt
            captured.seek(0)
            os.write(terminal, captured.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
