"""A server with a replacement for the network, which detects red spots."""

import io
import threading

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("fastapi", reason="pip install -e '.[serve,test]' brings FastAPI")
from fastapi.testclient import TestClient

from nike.detection.detector import Detector
from nike.serving.app import create_app
from nike.serving.limits import Limits

RED = (230, 20, 20)


class Gate:
    """Detector that waits until a gate is open and counts batches."""

    def __init__(self, detector):
        self.detector, self.open = detector, threading.Event()
        self.class_names, self.min_confidence = detector.class_names, detector.min_confidence
        self.batches = []
        self.open.set()

    def detect(self, photos):
        photos = list(photos)
        assert self.open.wait(20)
        self.batches.append(len(photos))
        return self.detector.detect(photos)


@pytest.fixture
def gate(red_finder):
    """Returns a detector of red spots, class "nike". The score is 0.5 plus half of the relative length of the spot."""
    return Gate(Detector(red_finder(), ["BG", "nike"], min_confidence=0.1))


@pytest.fixture
def serve(gate):
    """Returns the function `serve(**options)`, which starts an application and returns its TestClient.

    The options are those of `create_app`, and limits by name. Clients are closed after the test.
    """
    clients = []

    def start(limits=None, **options):
        client = TestClient(create_app(gate, limits or Limits(), **options))
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def photo():
    """Returns the function `photo(box, ...)`, which makes the file of a grey image with red boxes (y1, x1, y2, x2)."""

    def make(*boxes, height=60, width=80, kind="PNG", **options):
        pixels = np.full((height, width, 3), 120, np.uint8)
        for y1, x1, y2, x2 in boxes:
            pixels[y1:y2, x1:x2] = RED
        buffer = io.BytesIO()
        PIL.Image.fromarray(pixels).save(buffer, kind, **options)
        return buffer.getvalue()

    return make
