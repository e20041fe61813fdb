"""Background writer: order of writes, bounded queue, propagation of errors."""

import threading
import time

import pytest

from nike.detection.background_writer import BackgroundWriter


def test_writer_runs_calls_in_order_and_completes_them():
    done = []
    with BackgroundWriter(max_unfinished=2) as writer:
        for i in range(20):
            writer.call(lambda i=i: (time.sleep(0.001), done.append(i)))
            assert i - len(done) <= 3
    assert done == list(range(20))


def test_writer_raises_the_error_of_a_call():
    def fail():
        raise OSError("disk full")

    done = []
    with pytest.raises(OSError, match="disk full"), BackgroundWriter() as writer:
        writer.call(fail)
        writer.call(done.append, 1)
    with pytest.raises(OSError, match="disk full"), BackgroundWriter(max_unfinished=1) as writer:
        for _ in range(5):
            writer.call(fail)
        pytest.fail("the error came too late")


def test_writer_discards_waiting_calls_after_an_error_of_the_caller():
    started, release = threading.Event(), threading.Event()
    done = []
    with pytest.raises(KeyError), BackgroundWriter(max_unfinished=5) as writer:
        writer.call(lambda: (started.set(), release.wait(5)))
        writer.call(done.append, 1)
        started.wait(5)
        threading.Timer(0.05, release.set).start()
        raise KeyError
    assert done == []
