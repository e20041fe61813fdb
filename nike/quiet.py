"""Imports TensorFlow without the start messages that its native libraries write to stderr."""

from __future__ import annotations

import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Imports TensorFlow and lists the devices, with stderr redirected to a temporary file.

    The environment variables that `nike.cli` sets do not suppress these messages. They are shown if the import fails.
    """
    if "tensorflow" in sys.modules:
        return
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # initialises CUDA, which prints messages too
        except Exception:  # not KeyboardInterrupt
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
