"""Computes the next items of an iterator in background threads."""

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
        The items in their original order.
    """
    pool = ThreadPoolExecutor(1)
    try:
        futures = deque(pool.submit(next, items, _END) for _ in range(depth))
        while (item := futures.popleft().result()) is not _END:
            futures.append(pool.submit(next, items, _END))
            yield item
            del item  # otherwise this frame would keep one more image in memory
    finally:
        pool.shutdown(cancel_futures=True)


def prefetch_map(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Computes `map(function, items)` in several threads, in order.

    Args:
        function: function that is called in the threads.
        items: iterable that is read in the caller's thread.
        threads: number of threads. At most `threads` + 1 results are computed ahead of the consumer.
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
