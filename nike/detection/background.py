"""Work beside the main thread, with bounded queues: reading ahead and writing behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
_END: Any = object()


def ahead(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """The same items, computed in a thread while the caller works, at most `depth` in advance.

    An exception of `items` is raised where its item would have come.
    """
    pool = ThreadPoolExecutor(1)
    try:
        futures = deque(pool.submit(next, items, _END) for _ in range(depth))
        while (item := futures.popleft().result()) is not _END:
            futures.append(pool.submit(next, items, _END))
            yield item
            del item  # or this frame would keep one photo more in memory
    finally:
        pool.shutdown(cancel_futures=True)


class Behind:
    """Runs calls one after another in a thread; the caller waits only while more than `waiting` are unfinished.

    Use it in a `with` statement: leaving it waits for all calls. An exception of a call is raised by a later `call`,
    or on leaving; calls after it are not run.
    """

    def __init__(self, waiting: int = 2):
        self.waiting = waiting
        self._pool = ThreadPoolExecutor(1)
        self._unfinished: deque[Future] = deque()

    def call(self, function: Callable, *arguments: Any) -> None:
        """Runs `function(*arguments)` soon."""
        self._unfinished.append(self._pool.submit(function, *arguments))
        self._settle(self.waiting)

    def _settle(self, left: int) -> None:
        while len(self._unfinished) > left:
            self._unfinished.popleft().result()

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        try:
            if kind is None:
                self._settle(0)
        finally:
            self._pool.shutdown(cancel_futures=True)
