"""Requests that the server rejects: too many, too large, too slow, without a token. It keeps running afterwards."""

import asyncio
import base64
import threading
import time

import pytest

from nike.serving.limits import Limits
from nike.serving.metrics import Metrics
from nike.serving.middleware import LimitRequests

BOX = (5, 10, 25, 30)
TOKEN = "correct-horse-battery"


def until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("did not happen within 10 s")


def test_a_full_queue_responds_with_503_and_accepted_requests_are_completed(serve, gate, photo):
    client = serve(Limits(queue=3))
    gate.open.clear()
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/detect", content=photo(BOX)).status_code))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    until(lambda: "nike_requests_in_progress 3.0" in client.get("/metrics").text)
    refused = client.post("/v1/detect", content=photo(BOX))
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
    assert client.get("/healthz").status_code == 200  # health checks are not limited by the queue
    gate.open.set()
    for thread in threads:
        thread.join(10)
    assert answers == [200, 200, 200]
    assert client.post("/v1/detect", content=photo(BOX)).status_code == 200


def test_concurrent_requests_share_batches(serve, gate, photo):
    client = serve(Limits(batch=4))
    gate.open.clear()
    post = lambda: client.post("/v1/detect", content=photo(BOX))  # noqa: E731
    threads = [threading.Thread(target=post) for _ in range(9)]
    for thread in threads:
        thread.start()
    until(lambda: client.app.state.service._worker._queue.qsize() >= 4)
    gate.open.set()
    for thread in threads:
        thread.join(10)
    assert sum(gate.batches) == 9 and max(gate.batches) == 4


def test_the_size_of_a_request(serve, photo):
    client = serve(Limits(bytes=10_000))
    assert client.post("/v1/detect", content=photo(BOX)).status_code == 200
    assert client.post("/v1/detect", content=bytes(10_001)).status_code == 413
    chunks = (bytes(1000) for _ in range(11))  # without Content-Length
    assert client.post("/v1/detect", content=chunks).status_code == 413
    assert client.post("/v1/predict", content=bytes(10_001)).status_code == 413


def test_the_pixels_of_an_image(serve, gate, photo):
    client = serve(Limits(pixels=4799))
    answer = client.post("/v1/detect", content=photo(BOX))  # 60 * 80 = 4800 pixels
    assert answer.status_code == 413 and "80 x 60" in answer.json()["detail"] and gate.batches == []


def test_the_time_of_a_request(serve, gate, photo):
    client = serve(Limits(seconds=0.3))
    gate.open.clear()
    answer = client.post("/v1/detect", content=photo(BOX))
    assert answer.status_code == 503 and "retry-after" in answer.headers
    gate.open.set()
    until(lambda: client.post("/v1/detect", content=photo(BOX)).status_code == 200)


def test_a_body_that_does_not_arrive():
    async def forever():
        await asyncio.sleep(60)

    sent = []

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        raise AssertionError("must not start")

    scope = {"type": "http", "method": "POST", "path": "/v1/detect", "headers": []}
    asyncio.run(LimitRequests(app, Limits(seconds=0.05), Metrics())(scope, forever, send))
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("name", ["queue", "batch", "bytes", "pixels", "seconds", "wait"])
def test_limits_are_positive(name):
    with pytest.raises(ValueError, match="expected a positive number, got -1"):
        Limits(**{name: -1})


# --- token ---


def basic(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        (basic(f"anyone:{TOKEN}"), 200),
        ({"Token": TOKEN}, 200),
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic ???"}, 401),
        (basic(TOKEN), 401),
        ({"Token": "caf\xe9"}, 401),
    ],
)
def test_the_token(serve, photo, headers, status):
    client = serve(token=TOKEN)
    headers = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.post("/v1/detect", content=photo(BOX), headers=headers)
    assert answer.status_code == status
    for path in ("/v1/models", "/v1/info", "/metrics", "/openapi.json", "/docs"):
        assert client.get(path, headers=headers).status_code == status


def test_routes_without_a_token(serve):
    client = serve(token=TOKEN)
    for path in ("/", "/page.js", "/page.css", "/healthz", "/readyz", "/health"):
        assert client.get(path).status_code == 200
    for path in ("/setup", "/predict", "/webhook", "/v1/predict"):
        assert client.post(path, json={}).status_code == 401
