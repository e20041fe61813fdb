"""Imports TensorFlow without the page of messages that its libraries write past Python."""

from __future__ import annotations

import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for GPUs, holding back what is written to stderr meanwhile.

    The environment variables that `nike.cli` sets quiet only what comes after these messages. If the import fails,
    they are shown.
    """
    if "tensorflow" in sys.modules:
        return
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed: nothing to hold back
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # CUDA's libraries speak up here
        except Exception:  # Ctrl-C is no failure
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
