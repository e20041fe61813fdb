"""Reads the images of rows: downloads with retries, files, members of tar files, and decoding."""

from __future__ import annotations

import io
import random
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.data.fetch import FetchError, check_url, fetch, is_url
from mrcnn.data.image_files import read_image
from nike.cataloguing.rows import open_member
from nike.datasets import photos
from nike.formatting import printable

MAX_WAIT = 30.0  # maximum time between attempts in seconds, regardless of the server's Retry-After
FIRST_WAIT = 0.5


@dataclass(frozen=True)
class Limits:
    """Limits of the downloads.

    Attributes:
        threads: maximum number of simultaneous downloads.
        per_host: maximum number of simultaneous downloads from one host.
        attempts: maximum number of attempts per download, with increasing waits between them.
        seconds: timeout of an attempt in seconds.
        max_bytes: maximum size of a file in bytes.
        allow_private: whether servers in private networks are allowed.
    """

    threads: int = 16
    per_host: int = 8
    attempts: int = 3
    seconds: float = 30.0
    max_bytes: int = 64 << 20
    allow_private: bool = False


@dataclass
class Image:
    """A row of a shard and its processing state.

    Attributes:
        row: number of the row in the shard.
        id: id of the image.
        location: URL or path of the image.
        data: content of the file, or None before reading, after decoding and after a failure.
        pixels: uint8 RGB `[H, W, 3]`, upright, or None before decoding and after a failure.
        status: "ok" or the type of failure.
        error: error message, or None.
        bytes: size of the file.
        read_seconds: time to download or read the file.
        decode_seconds: time to decode the image.
    """

    row: int
    id: str
    location: str | None
    data: io.BytesIO | None = None
    pixels: np.ndarray | None = None
    status: str = "ok"
    error: str | None = None
    bytes: int = 0
    read_seconds: float = 0.0
    decode_seconds: float = 0.0

    def fail(self, status: str, error: object) -> None:
        """Records a failure."""
        self.status, self.error, self.data, self.pixels = status, printable(error)[:500], None, None


class Reader:
    """Reads the files of rows. The class is thread-safe.

    Args:
        limits: limits of the downloads.
        wait: function that sleeps for a number of seconds.
    """

    def __init__(self, limits: Limits, wait: Any = time.sleep):
        self.limits, self._wait = limits, wait
        self._hosts: Counter[str] = Counter()  # running downloads by host
        self._changed = threading.Condition()

    def read(self, numbered: tuple[int, Mapping[str, Any]]) -> Image:
        """Reads the file of a row. Failures are recorded as a status instead of being raised.

        Statuses: "no_location"; "missing" (no such file, HTTP 404 or 410); "refused" (invalid URL or scheme, private
        address); "http_error"; "timeout"; "network"; "too_large"; "not_an_image" (a web page); "unreadable" (file).
        """
        row, values = numbered
        image = Image(row, values["id"], values["location"])
        start = time.monotonic()
        try:
            if image.location is None:
                image.fail("no_location", "the row has neither a URL nor a path.")
            else:
                image.data = self._open(image.location, values["offset"], values["size"])
                image.bytes = image.data.getbuffer().nbytes
        except FetchError as error:
            image.fail(error.reason, error)
        except (OSError, ValueError) as error:
            image.fail("missing" if isinstance(error, FileNotFoundError) else "unreadable", error)
        image.read_seconds = time.monotonic() - start
        return image

    def _open(self, location: str, offset: int | None, size: int | None) -> io.BytesIO:
        if is_url(location):
            return self._download(location)
        path = Path(location)
        if offset is None and not photos.is_file(path):  # excludes pipes and devices, which could block
            raise FileNotFoundError(f"{location}: no such file.")
        size = path.stat().st_size if size is None else size
        if size > self.limits.max_bytes:
            raise FetchError(f"{location}: more than {self.limits.max_bytes >> 20} MiB.", "too_large")
        return open_member(location, offset or 0, size)

    def _download(self, url: str) -> io.BytesIO:
        check_url(url)
        limits = self.limits
        for attempt in range(1, limits.attempts + 1):
            buffer = io.BytesIO()
            try:
                with self._host_slot(urllib.parse.urlsplit(url).netloc.lower()):
                    fetch(url, buffer, limits.max_bytes, limits.seconds, limits.allow_private)
                return buffer
            except FetchError as error:
                if not error.is_transient or attempt == limits.attempts:
                    raise
                # Random waits prevent workers from retrying at the same time.
                pause = random.uniform(0.5, 1.5) * FIRST_WAIT * 2 ** (attempt - 1)
                self._wait(min(MAX_WAIT, max(pause, error.retry_after or 0)))
        raise AssertionError("attempts is at least 1")

    @contextmanager
    def _host_slot(self, host: str) -> Iterator[None]:
        """Waits until fewer than `per_host` downloads from a host are running."""
        with self._changed:
            self._changed.wait_for(lambda: self._hosts[host] < self.limits.per_host)
            self._hosts[host] += 1
        try:
            yield
        finally:
            with self._changed:
                self._hosts[host] -= 1
                if not self._hosts[host]:
                    del self._hosts[host]
                self._changed.notify_all()


def decode(image: Image) -> Image:
    """Decodes the file of an image. Sets the status "undecodable" on failure."""
    if image.data is None:
        return image
    start = time.monotonic()
    try:
        image.data.name = image.location  # for messages
        image.data.seek(0)
        image.pixels = read_image(image.data)
        image.data = None
    except (ValueError, MemoryError) as error:
        image.fail("undecodable", error or "out of memory")
    image.decode_seconds = time.monotonic() - start
    return image
