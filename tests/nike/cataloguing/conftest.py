"""A local web server with faults that serves small images with one red spot each."""

import http.server
import io
import threading
import time

import numpy as np
import PIL.Image
import pytest


def jpeg(number: int, height: int = 48, width: int = 64) -> bytes:
    """Returns an image with a red spot. The position depends on the number of the image."""
    pixels = np.full((height, width, 3), 230, np.uint8)
    y, x = number * 7 % max(1, height - 16), number * 11 % (width - 16)
    pixels[y : y + 16, x : x + 16] = (220, 20, 20)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Responds to `/<number>.jpg`, and to `/<fault>/<number>.jpg` with the fault."""

    def do_GET(self):
        server, (fault, _, name) = self.server, self.path[1:].rpartition("/")
        with server.changed:
            server.requests[self.path] = server.requests.get(self.path, 0) + 1
            server.active += 1
            server.most_active = max(server.most_active, server.active)
            count = server.requests[self.path]
        if fault == "slow":
            time.sleep(0.05)
        with server.changed:  # before the response, because the client then sends the next request
            server.active -= 1
        self.answer(fault, int(name.removesuffix(".jpg")), count)

    def answer(self, fault, number, request):
        data = jpeg(number)
        if fault == "missing" or (fault == "busy" and request < 3):
            self.send_response(404 if fault == "missing" else 503)
            self.send_header("Retry-After", "7")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if fault == "page" else "image/jpeg")
        self.send_header("Content-Length", str(len(data) + (9 if fault == "cut" else 0)))
        self.end_headers()
        self.wfile.write(b"\0" * len(data) if fault == "noise" else data)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, *arguments):
        pass


@pytest.fixture
def server():
    """Returns a running server. `server.url` is its address."""
    server = Server(("127.0.0.1", 0), Handler)
    server.changed, server.requests, server.active, server.most_active = threading.Lock(), {}, 0, 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make_jpeg():
    """Returns the function that makes images."""
    return jpeg
