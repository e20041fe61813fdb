"""Prefetching and background writing: order, bounded queues, errors, and ends of threads."""

import threading
import time

import pytest

from nike.detection.background import BackgroundWriter, prefetch


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


def test_prefetch_raises_errors_at_their_position():
    def items():
        yield 1
        raise ValueError("broken")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_prefetch_stops_if_abandoned():
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


def test_writer_runs_calls_in_order_and_completes_them():
    done = []
    with BackgroundWriter(waiting=2) as writer:
        for i in range(20):
            writer.call(lambda i=i: (time.sleep(0.001), done.append(i)))
            assert i - len(done) <= 3
    assert done == list(range(20))


def test_writer_raises_what_a_call_raised():
    def fail():
        raise OSError("disk full")

    done = []
    with pytest.raises(OSError, match="disk full"), BackgroundWriter() as writer:
        writer.call(fail)
        writer.call(done.append, 1)
    with pytest.raises(OSError, match="disk full"), BackgroundWriter(waiting=1) as writer:
        for _ in range(5):
            writer.call(fail)
        pytest.fail("the error came too late")


def test_writer_drops_what_waits_after_an_error_of_the_caller():
    started, release = threading.Event(), threading.Event()
    done = []
    with pytest.raises(KeyError), BackgroundWriter(waiting=5) as writer:
        writer.call(lambda: (started.set(), release.wait(5)))
        writer.call(done.append, 1)
        started.wait(5)
        threading.Timer(0.05, release.set).start()
        raise KeyError
    assert done == []
