"""A background thread with a bounded queue, for writing files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BackgroundWriter:
    """Runs calls in order in one background thread.

    Use it in a `with` statement, which waits for all calls when it ends. An exception in a call is raised by a later
    `call` or at the end of the `with` statement, and the remaining calls are dropped.

    Args:
        waiting: maximum number of unfinished calls. `call` blocks while there are more.
    """

    def __init__(self, waiting: int = 2):
        self.waiting = waiting
        self._pool = ThreadPoolExecutor(1)
        self._unfinished: deque[Future] = deque()

    def call(self, function: Callable, *arguments: Any) -> None:
        """Queues `function(*arguments)`."""
        self._unfinished.append(self._pool.submit(function, *arguments))
        self._settle(self.waiting)

    def _settle(self, left: int) -> None:
        while len(self._unfinished) > left:
            self._unfinished.popleft().result()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        try:
            if kind is None:
                self._settle(0)
        finally:
            self._pool.shutdown(cancel_futures=True)
