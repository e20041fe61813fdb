"""Fake Keras layers, and an HDF5 writer independent of the code under test."""

import http.server
import threading

import h5py
import numpy as np
import pytest

from mrcnn.checkpoints import locate


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    """Returns the only folder in which weights are searched for and to which they are downloaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locate, "REPOSITORY_FOLDER", tmp_path / "none")
    monkeypatch.setenv("MRCNN_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    return tmp_path


class FakeVariable:
    """The part of the Keras variable interface that the checkpoint code uses."""

    def __init__(self, path, value):
        self.path = path
        self.value = np.asarray(value, np.float32)
        self.shape = self.value.shape

    def assign(self, value):
        assert value.shape == self.shape and value.dtype == np.float32
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return self.value.astype(dtype or np.float32)


class FakeLayer:
    def __init__(self, weights):
        self.weights = weights


@pytest.fixture
def make_layers():
    """Returns a function that makes fake layers by name.

    Example: `make_layers({"conv1": {"kernel": array or shape}})`. A shape gives an array of zeros.
    """

    def make(spec):
        def value(item):
            return np.zeros(item, np.float32) if isinstance(item, tuple) else item

        return {
            name: FakeLayer([FakeVariable(f"{name}/{role}", value(item)) for role, item in weights.items()])
            for name, weights in spec.items()
        }

    return make


@pytest.fixture
def write_h5(tmp_path):
    """Returns a function that writes an HDF5 file in the layout of Keras 2 and returns its path.

    Example: `write_h5({"conv1": {"conv1/kernel:0": array}})`.
    """

    def write(groups, name="weights.h5", root="/", text=np.bytes_, **attributes):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            base = file.require_group(root)
            base.attrs["layer_names"] = [text(group) for group in groups]
            for attribute, value in attributes.items():
                base.attrs[attribute] = value
            for group, weights in groups.items():
                member = base.create_group(group)
                member.attrs["weight_names"] = [text(weight) for weight in weights]
                for weight, array in weights.items():
                    member.create_dataset(weight, data=array)
        return path

    return write


class Server:
    """A local web server that serves `content`, optionally with errors.

    Attributes:
        url: address of the file.
        ranges: Range header of each request, or None for a request without this header.
        supports_range: whether requests with a Range header get status 206.
        bytes_per_answer: number of bytes after which each response is cut off.
        content_type, status, location: values in the header of the response.
    """

    def __init__(self):
        self.content = bytes(range(256)) * 40
        self.supports_range = True
        self.bytes_per_answer = None
        self.content_type = "application/octet-stream"
        self.status = 200
        self.location = None
        self.ranges = []
        state = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                state.answer(self)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.h5"

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.ranges.append(wanted)
        body, status = self.content, self.status
        if wanted and self.supports_range and status == 200:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            body, status = self.content[start:], 206 if start < len(self.content) else 416
        request.send_response(status)
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.location:
            request.send_header("Location", self.location)
        request.send_header("Content-Type", self.content_type)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.bytes_per_answer])


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture(autouse=True)
def no_weights_elsewhere(tmp_path_factory, monkeypatch):
    """Isolates the tests from local weights files and download folders."""
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(empty)
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty / "cache"))
    monkeypatch.delenv("MRCNN_WEIGHTS_DIR", raising=False)
    monkeypatch.setattr("mrcnn.checkpoints.locate.REPOSITORY_FOLDER", empty / "repository")
