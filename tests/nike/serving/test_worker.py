"""The worker thread of the model: batches, waiting, cancellation, failures, closing."""

import threading

import numpy as np
import pytest

from mrcnn.detections import Detections
from nike.serving.worker import DetectionWorker


class Model:
    """Model that returns the first pixel of an image as the class id. Marked batches and images cause errors."""

    def __init__(self, fails_on=()):
        self.batches, self.fails_on, self.may_go = [], fails_on, threading.Event()
        self.may_go.set()

    def detect(self, photos):
        assert self.may_go.wait(10)
        values = [int(photo[0, 0, 0]) for photo in photos]
        self.batches.append(values)
        if set(values) & set(self.fails_on):
            raise MemoryError("too much")
        return [Detections([[0, 0, 1, 1]], [value], [0.9], [np.ones((1, 1), bool)], (2, 2)) for value in values]


def image(value):
    return np.full((2, 2, 3), value, np.uint8)


def run(model, values, **options):
    """Submits images while the model processes a previous image, and returns the futures."""
    model.may_go.clear()
    worker = DetectionWorker(model, **options)
    futures = [worker.submit(image(1))]
    while worker._queue.qsize():  # until the worker has taken the first image
        pass
    futures += [worker.submit(image(value)) for value in values]
    return worker, futures


def test_waiting_images_form_a_batch_of_at_most_the_given_size():
    model = Model()
    worker, futures = run(model, [2, 3, 4, 5], batch=3)
    model.may_go.set()
    assert [future.result(10).class_ids[0] for future in futures] == [1, 2, 3, 4, 5]
    worker.close()
    assert model.batches == [[1], [2, 3, 4], [5]]


def test_a_batch_that_is_not_full_waits():
    model, sizes = Model(), []
    worker = DetectionWorker(model, batch=2, wait=10, on_batch=lambda images, seconds: sizes.append(images))
    first = worker.submit(image(1))
    second = worker.submit(image(2))
    assert first.result(5) is not None and second.result(5) is not None
    worker.close()
    assert model.batches == [[1, 2]] and sizes == [2]


def test_cancelled_images_are_not_detected():
    model = Model()
    worker, futures = run(model, [2, 3], batch=4)
    assert futures[1].cancel()
    model.may_go.set()
    worker.close()
    assert model.batches == [[1], [3]] and futures[2].result(0).class_ids[0] == 3


def test_a_failure_affects_its_image_only():
    model = Model(fails_on=[3])
    worker, futures = run(model, [2, 3, 4], batch=3)
    model.may_go.set()
    worker.close()
    assert model.batches == [[1], [2, 3, 4], [2], [3], [4]]
    assert [future.exception(0) is None for future in futures] == [True, True, False, True]
    assert isinstance(futures[2].exception(0), MemoryError)


def test_closing_completes_submitted_images_and_rejects_more():
    model = Model()
    worker, futures = run(model, range(2, 9), batch=2)
    model.may_go.set()
    worker.close()
    assert all(future.done() for future in futures) and not worker.is_ready
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(image(1))
