"""Prefetching: order of items, bounded queue, position of errors, end of the thread."""

import threading
import time

import pytest

from mrcnn.inference.prefetch import prefetch


def test_prefetch_keeps_order_and_depth():
    made, seen = [], []

    def items():
        for i in range(50):
            made.append(i)
            yield i

    for i in prefetch(items(), depth=3):
        time.sleep(0.001)
        seen.append(i)
        assert len(made) <= i + 1 + 3
    assert seen == list(range(50))


def test_prefetch_runs_in_another_thread():
    threads = set(prefetch((threading.current_thread() for _ in range(3)), 2))
    assert threading.current_thread() not in threads and len(threads) == 1


def test_prefetch_raises_an_error_in_its_place():
    def items():
        yield 1
        raise ValueError("broken")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_prefetch_that_is_left_early_stops():
    before, made = threading.active_count(), []

    def items():
        while True:
            made.append(1)
            yield 1

    stream = prefetch(items(), 2)
    next(stream)
    stream.close()
    count = len(made)
    time.sleep(0.02)
    assert len(made) == count <= 4 and threading.active_count() == before
