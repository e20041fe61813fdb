"""A clean end for Python functions that threads of tf.data call.

When Python shuts down, it ends any foreign thread that asks to run Python code, and TensorFlow does not survive that:
the process hangs or aborts ("terminate called without an active exception"), for example after Ctrl-C. So at exit each
call returns at once, which soon fills tf.data's buffers, and then its threads are silent.
"""

import atexit
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

SILENCE = 0.5  # seconds without a call after which none is expected any more
PATIENCE = 20.0  # seconds after which Python shuts down whatever the threads do

_lock = threading.Lock()
_active = 0
_last_end = 0.0
_closing = False


def skipped_at_exit(function: Callable[..., Any], instead: Callable[[], Any]) -> Callable[..., Any]:
    """`function`; once Python shuts down, a call returns `instead()`."""

    @functools.wraps(function)
    def guarded(*args: Any) -> Any:
        global _active, _last_end
        with _lock:
            _active += 1
        try:
            return instead() if _closing else function(*args)
        finally:
            with _lock:
                _active -= 1
                _last_end = time.monotonic()

    return guarded


@atexit.register
def _wait_for_silence() -> None:
    global _closing
    _closing = True
    start = time.monotonic()
    while time.monotonic() - start < PATIENCE and (_active or time.monotonic() - _last_end < SILENCE):
        time.sleep(0.02)
