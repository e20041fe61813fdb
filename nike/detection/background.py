"""Prefetching and writing in background threads with bounded queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_END: Any = object()


def prefetch(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """Computes the items of an iterator in a background thread.

    Args:
        items: the iterator. An exception that it raises is raised in place of the item.
        depth: maximum number of items computed in advance.

    Yields:
        The items in their order.
    """
    pool = ThreadPoolExecutor(1)
    try:
        futures = deque(pool.submit(next, items, _END) for _ in range(depth))
        while (item := futures.popleft().result()) is not _END:
            futures.append(pool.submit(next, items, _END))
            yield item
            del item  # otherwise this frame keeps one more image in memory
    finally:
        pool.shutdown(cancel_futures=True)


def prefetch_map(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """`map(function, items)` in several threads, in order.

    Args:
        function: called in the threads.
        items: read in the caller's thread.
        threads: number of threads. At most one more result than threads is computed ahead of the consumer.
    """
    pool, items = ThreadPoolExecutor(threads), iter(items)
    futures: deque[Future] = deque()
    try:
        while True:
            while len(futures) <= threads and (item := next(items, _END)) is not _END:
                futures.append(pool.submit(function, item))
            if not futures:
                return
            yield futures.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class BackgroundWriter:
    """Runs calls in order in one background thread.

    Use it in a `with` statement, which waits for all calls when it ends. An exception of a call is raised by a later
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
