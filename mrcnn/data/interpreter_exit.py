"""Allows the interpreter to exit while tf.data threads call Python functions.

At shutdown Python terminates the threads of C++ libraries that try to run Python code, and TensorFlow then hangs or
aborts ("terminate called without an active exception"), for example after Ctrl-C. For this reason, guarded functions
return immediately at exit until the buffers of tf.data are full and its threads stop calling them.
"""

import atexit
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

IDLE_SECONDS = 0.5  # seconds without a call after which the threads are considered idle
MAX_EXIT_DELAY = 20.0  # maximum time in seconds that the exit is delayed

_lock = threading.Lock()
_active = 0
_last_end = 0.0
_closing = False


def skip_at_exit(function: Callable[..., Any], fallback: Callable[[], Any]) -> Callable[..., Any]:
    """Wraps a function so that it returns `fallback()` during the shutdown of Python."""

    @functools.wraps(function)
    def guarded(*args: Any) -> Any:
        global _active, _last_end
        with _lock:
            _active += 1
        try:
            return fallback() if _closing else function(*args)
        finally:
            with _lock:
                _active -= 1
                _last_end = time.monotonic()

    return guarded


@atexit.register
def _wait_until_idle() -> None:
    global _closing
    _closing = True
    start = time.monotonic()
    while time.monotonic() - start < MAX_EXIT_DELAY and (_active or time.monotonic() - _last_end < IDLE_SECONDS):
        time.sleep(0.02)
