"""`nike serve` with the bundled weights in its own process: detections, and shutdown after SIGTERM."""

import argparse
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import PIL.Image
import pytest

pytest.importorskip("fastapi", reason="pip install -e '.[serve,test]' brings FastAPI")
from fastapi.testclient import TestClient

from mrcnn.data.image_files import read_image
from nike import serve
from nike.detection.options import load_chosen_detector
from nike.serving.app import create_app

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "nike" / "sample_data" / "val" / "synthetic_8_00001.jpg"
TOKEN = "correct-horse-battery"


class Server:
    """`nike serve` in a process."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "nike", "serve", "--port", "0", *arguments]
        environment = os.environ | {"NIKE_TOKEN": TOKEN, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError("".join(self.lines))

    def post(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", path, body, {"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, response.read()


@pytest.fixture(scope="module")
def server():
    running = Server("--queue", "8")
    yield running
    running.process.kill()
    running.process.stderr.close()
    running.process.wait()


def test_accepted_requests_are_completed_after_sigterm(server):
    status, body = server.post("/v1/detect", PHOTO.read_bytes())
    assert status == 200 and len(json.loads(body)["detections"]) > 0
    assert server.post("/v1/detect", b"no image")[0] == 422
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(server.post("/v1/detect", PHOTO.read_bytes())[0]))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    while metric(server, "nike_requests_in_progress") + len(answers) < 6:
        time.sleep(0.02)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(120)
    assert answers == [200] * 6
    assert server.process.wait(60) == 0


def test_detections_are_those_of_nike_detect(float32):
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    options = parser.parse_args([])
    (expected,) = load_chosen_detector(options).detect([read_image(PHOTO)])
    detector, threshold = serve.load(options)
    with TestClient(create_app(detector, default_confidence=threshold)) as client:
        found = client.post("/v1/detect", content=PHOTO.read_bytes()).json()["detections"]
        drawn = client.post("/v1/detect?format=png", content=PHOTO.read_bytes()).content
    assert len(expected) > 0 and [entry["class_id"] for entry in found] == expected.class_ids.tolist()
    assert [entry["box"] for entry in found] == [[x1, y1, x2, y2] for y1, x1, y2, x2 in expected.boxes.tolist()]
    assert [entry["score"] for entry in found] == pytest.approx(expected.scores.tolist(), abs=1e-4)
    assert [entry["area"] for entry in found] == [int(crop.sum()) for crop in expected.mask_crops]
    assert PIL.Image.open(io.BytesIO(drawn)).size == expected.image_shape[::-1]


def metric(server, name):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    text = connection.getresponse().read().decode()
    return float(re.search(rf"^{name} (.*)$", text, re.MULTILINE)[1])
