"""A background thread with a bounded queue, for writing files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BackgroundWriter:
    """Context manager that runs calls in order in one background thread.

    Exiting the context waits for all calls. An exception in a call is raised again by a later `call` or on exit, and
    the remaining calls are dropped.

    Args:
        max_unfinished: maximum number of unfinished calls. `call` blocks while there are more.
    """

    def __init__(self, max_unfinished: int = 2):
        self.max_unfinished = max_unfinished
        self._pool = ThreadPoolExecutor(1)
        self._unfinished: deque[Future] = deque()

    def call(self, function: Callable, *arguments: Any) -> None:
        """Queues `function(*arguments)`."""
        self._unfinished.append(self._pool.submit(function, *arguments))
        self._wait_until(self.max_unfinished)

    def _wait_until(self, left: int) -> None:
        while len(self._unfinished) > left:
            self._unfinished.popleft().result()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        try:
            if kind is None:
                self._wait_until(0)
        finally:
            self._pool.shutdown(cancel_futures=True)
