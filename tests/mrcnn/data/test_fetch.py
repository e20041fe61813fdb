"""Downloads: restriction to http and https, also after redirects, limits on size and time, errors that name the URL."""

import contextlib
import http.server
import io
import socket
import threading
import time

import numpy as np
import PIL.Image
import pytest

from mrcnn.config import Config
from mrcnn.data import fetch as fetching
from mrcnn.data.fetch import FetchError, check_url, fetch, is_public, is_url, read_path_or_url
from mrcnn.detections import Detections
from mrcnn.inference.processing import preprocess

TARGETS = {
    "/to/invalid": "http://[",
    "/to/photo": "/photo.png",
    "/to/file": "file:///etc/passwd",
    "/to/ftp": "ftp://127.0.0.1/photo.png",
}


def png(height=20, width=30):
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.full((height, width, 3), 77, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, data, kind = self.path, png(), "image/png"
        if path == "/missing":
            self.send_error(404)
            return
        if path.startswith("/to"):
            self.send_response(302)
            self.send_header("Location", TARGETS[path])
            self.end_headers()
            return
        if path.startswith("/echo"):
            data = path.encode()
        if path == "/cut2":
            data = png()[:40]
        if path == "/page":
            data, kind = b"<html>", "text/html; charset=utf-8"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if path == "/cut":
            self.send_header("Content-Length", str(len(data) + 10))
        self.end_headers()
        if path == "/slow":
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.02)
        elif path == "/endless":
            for _ in range(100):
                self.wfile.write(bytes(1 << 16))
        else:
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *arguments: None  # suppresses errors, because the tests disconnect early
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_images_of_paths_and_urls(server, tmp_path, monkeypatch):
    np.testing.assert_array_equal(read_path_or_url(f"{server}/photo.png?size=2"), np.full((20, 30, 3), 77))
    (tmp_path / "http:").mkdir()
    (tmp_path / "http:" / "photo.png").write_bytes(png(8, 9))
    monkeypatch.chdir(tmp_path)
    for path in ("http:/photo.png", tmp_path / "http:" / "photo.png", PIL.Image.open(io.BytesIO(png(8, 9)))):
        assert read_path_or_url(path, channels=1).shape == (8, 9, 1)
    with pytest.raises(ValueError, match=f"^{server}/cut2: "):
        read_path_or_url(f"{server}/cut2")


def test_detect_takes_urls(server):
    """Keras and exported models accept URLs. `detections.image()` reads the image again."""
    image = preprocess(f"{server}/photo.png", Config())
    assert image.original_shape == (20, 30, 3)
    found = Detections([], [], [], [], (20, 30))
    found.source = f"{server}/photo.png"
    assert found.image().shape == (20, 30, 3)


@pytest.mark.parametrize(
    "path, sent",
    [
        ("/echo/schuh größe 42.jpg?color=weiß", "/echo/schuh%20gr%C3%B6%C3%9Fe%2042.jpg?color=wei%C3%9F"),
        ("/echo/a%20b%2Fc.jpg?x=1|2&y=[3]+4 ", "/echo/a%20b%2Fc.jpg?x=1|2&y=[3]+4"),
    ],
)
def test_urls_are_quoted_as_in_browsers(server, path, sent):
    buffer = io.BytesIO()
    fetch(server + path, buffer)
    assert buffer.getvalue().decode() == sent


def test_redirects_between_http_urls(server):
    buffer = io.BytesIO()
    fetch(f"{server}/to/photo", buffer)
    assert buffer.getvalue() == png()


@pytest.mark.parametrize(
    "path, message",
    [
        ("/missing", "HTTP error 404"),
        ("/page", "got an HTML page"),
        ("/to/file", "file:///etc/passwd' is not allowed"),
        ("/to/ftp", "unknown url type: ftp"),
        ("/cut", "connection closed after"),
    ],
)
def test_errors_name_the_url(server, path, message):
    with pytest.raises(ValueError, match=message) as caught:
        fetch(server + path, io.BytesIO())
    assert "\n" not in str(caught.value)


def test_limits_on_size_and_time(server):
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        fetch(f"{server}/endless", io.BytesIO(), max_bytes=1 << 20)
    start = time.monotonic()
    with pytest.raises(ValueError, match="download exceeded 0.2 seconds"):
        fetch(f"{server}/slow", io.BytesIO(), seconds=0.2)
    assert time.monotonic() - start < 2


def test_no_server():
    message = r"http://127\.0\.0\.1:9/x\.jpg: download failed \(Connection refused\)"
    with pytest.raises(ValueError, match=message):
        fetch("http://127.0.0.1:9/x.jpg", io.BytesIO(), seconds=2)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a.jpg", "data://x", "gopher://x/1"])
def test_other_schemes_are_rejected_before_any_access(url):
    assert is_url(url)
    with pytest.raises(ValueError, match="expected an http or https URL"):
        check_url(url)


@pytest.mark.parametrize("path", ["photo.jpg", "C:\\photos\\a.jpg", "C:/photos/a.jpg", "./a", "http:photo", "a b://"])
def test_paths_are_not_urls(path):
    assert not is_url(path)


@pytest.mark.parametrize(
    "address, public",
    [("8.8.8.8", True), ("2606:4700:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False)]
    + [("192.168.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False)]
    + [("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("::ffff:10.0.0.1", False)]
    + [("::ffff:8.8.8.8", True), ("2002:0a00:0001::", False), ("fd00::1", False)]
    + [("64:ff9b::8.8.8.8", True), ("64:ff9b::169.254.169.254", False), ("64:ff9b:1::8.8.8.8", False)],  # NAT64
)
def test_public_addresses(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.0.0.%31", "127.1", "2130706433"])
def test_private_servers_are_rejected(server, name):
    port = server.rpartition(":")[2]
    with pytest.raises(FetchError) as caught:
        fetch(f"http://{name}:{port}/photo.png", io.BytesIO(), seconds=2, allow_private=False)
    assert caught.value.reason == "refused" and not caught.value.is_transient


def test_a_redirect_to_a_private_server_is_rejected(server, monkeypatch):
    """The first server is treated as public and redirects to `localhost`."""
    real = fetching.is_public
    checked = []

    def is_public(address):
        checked.append(address)
        return len(checked) == 1 or real(address)

    monkeypatch.setattr(fetching, "is_public", is_public)
    with pytest.raises(FetchError, match="private address"):
        fetch(f"{server}/to/photo", io.BytesIO(), allow_private=False)
    assert len(checked) == 2


def test_a_response_sent_byte_by_byte_times_out(monkeypatch):
    monkeypatch.setattr("mrcnn.data.fetch.is_public", lambda address: True)
    monkeypatch.setattr("mrcnn.data.fetch.HEADER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(30):
                    connection.sendall(b"A: b\r\n")
                    time.sleep(0.1)

        threading.Thread(target=answer, daemon=True).start()
        start = time.monotonic()
        with pytest.raises(FetchError, match="no response within 0.3 seconds") as caught:
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", io.BytesIO(), allow_private=False)
    assert caught.value.reason == "timeout" and time.monotonic() - start < 2


def test_public_servers_are_allowed(server, monkeypatch):
    monkeypatch.setattr(fetching, "is_public", lambda address: True)
    buffer = io.BytesIO()
    fetch(f"{server}/photo.png", buffer, allow_private=False)
    assert buffer.getvalue() == png()


@pytest.mark.parametrize(
    "path, reason, transient",
    [("/missing", "missing", False), ("/page", "not_an_image", False), ("/to/ftp", "refused", False)]
    + [("/to/invalid", "refused", False), ("/\udc80.jpg", "refused", False), ("/cut", "network", True)],
)
def test_reasons(server, path, reason, transient):
    with pytest.raises(FetchError) as caught:
        fetch(server + path, io.BytesIO())
    assert (caught.value.reason, caught.value.is_transient) == (reason, transient)
