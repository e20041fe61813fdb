"""Shared parts of the benchmarks: a local web server that simulates faults, a detector that only waits, and plans.

The images are the sample data at half size. The waiting detector simulates a network on a GPU: it waits for a fixed
time without using a core, which leaves the cores to the measured stages.
"""

from __future__ import annotations

import http.server
import io
import multiprocessing
import os
import signal
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa

from mrcnn.data.image_files import read_image
from mrcnn.detections import Detections
from nike.cataloguing.plan import Plan, write_plan
from nike.cataloguing.rows import SCHEMA
from nike.datasets import photos

SAMPLES = Path(__file__).parents[2] / "sample_data"
CRASH_HEIGHT = 13  # height in pixels of the image that kills its worker


class WaitingDetector:
    """A detector that waits, then returns one box whose size depends on the image."""

    class_names = ("BG", "nike")

    def __init__(self, seconds: float):
        self.seconds = seconds

    def detect(self, images: Iterable[np.ndarray]) -> Iterator[Detections]:
        for image in images:
            if image.shape[0] == CRASH_HEIGHT:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
            size = 1 + int(image[0, 0].sum()) % 20
            yield Detections([[0, 0, size, size]], [1], [0.9], [np.ones((size, size), bool)], image.shape)


def load_waiting_detector(seconds: float, cpus: int) -> WaitingDetector:
    """Returns the detector of an actor. `cpus` is not used."""
    return WaitingDetector(seconds)


def _encode_jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _make_bomb() -> bytes:
    """Returns a decompression bomb: a PNG file of a few hundred kilobytes with 400 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = 20_000
    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes(side * (side + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _serve(port: Any, latency: float) -> None:
    """Runs a web server for paths such as `/ok/7` and `/missing/7`. Its port is sent through the pipe `port`."""
    samples = [_encode_jpeg(read_image(path)[::2, ::2]) for path in photos.find_files(SAMPLES)]
    crashing_image, bomb = _encode_jpeg(np.zeros((CRASH_HEIGHT, 40, 3), np.uint8)), _make_bomb()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, number = self.path[1:].partition("/")
            time.sleep(60 if kind == "hang" else latency)
            data = {"bomb": bomb, "crash": crashing_image}.get(kind, samples[int(number) % len(samples)])
            self.send_response(404 if kind == "missing" else 200)
            self.send_header("Content-Length", str(len(data) + (5 if kind == "cut" else 0)))
            self.end_headers()
            self.wfile.write(bytes(len(data)) if kind == "noise" else data)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size, daemon_threads = 256, True

        def handle_error(self, *arguments: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_port)
        server.serve_forever()


def start_server(latency: float) -> tuple[Any, str]:
    """Starts the web server in a separate process.

    Args:
        latency: seconds before each response.

    Returns:
        The process and the URL of the server.
    """
    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(sender, latency), daemon=True)
    process.start()
    return process, f"http://127.0.0.1:{receiver.recv()}"


def write_benchmark_plan(output: Path, kinds: list[str], url: str, shard_size: int) -> Plan:
    """Writes a plan with one image for each element of `kinds` ("ok" or a fault that the server simulates)."""
    urls = [f"{url}/{kind}/{i}" for i, kind in enumerate(kinds)]
    columns = [[f"image-{i}" for i in range(len(kinds))], urls, *[[None] * len(kinds)] * 2]
    return write_plan(output, [pa.table(columns, schema=SCHEMA)], shard_size, {"model": "waits"})
