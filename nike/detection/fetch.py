"""Downloads images and videos from untrusted URLs: http and https only, with limits on size and time."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import BinaryIO

from mrcnn.checkpoints.download import web_opener
from nike.text import printable

MAX_PHOTO_BYTES = 64 << 20
MAX_VIDEO_BYTES = 2 << 30
PHOTO_SECONDS = 30
VIDEO_SECONDS = 900
ANSWER_SECONDS = 10  # socket timeout
CHUNK = 1 << 16  # bytes
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(text: str) -> bool:
    """Returns whether a text is a URL and not a path such as `C:\\photos`."""
    return SCHEME.match(text) is not None


def check_url(url: str) -> None:
    """Raises ValueError if a URL is neither http nor https."""
    if urllib.parse.urlsplit(url).scheme.lower() not in ("http", "https"):
        raise ValueError(f"{printable(url)}: expected an http or https URL.")


def fetch(url: str, file: BinaryIO, max_bytes: int = MAX_PHOTO_BYTES, seconds: float = PHOTO_SECONDS) -> None:
    """Downloads a URL into an open file.

    Args:
        url: http or https URL. Redirects must be http or https too.
        file: binary file, open for writing.
        max_bytes: maximum size of the download.
        seconds: maximum duration of the download.

    Raises:
        ValueError: the URL is not http or https, the server returns an error or an HTML page, or a limit is exceeded.
    """
    check_url(url)
    name, deadline = printable(url), time.monotonic() + seconds
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "nike-mrcnn", "Accept-Encoding": "identity"})
        opener = web_opener(urllib.request.HTTPRedirectHandler())
        with opener.open(request, timeout=min(ANSWER_SECONDS, seconds)) as response:
            if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
                raise ValueError(
                    f"{name}: expected an image or video, got an HTML page. Pass the URL of the file itself."
                )
            size = 0
            while chunk := response.read1(CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise ValueError(f"{name}: larger than {max_bytes >> 20} MiB. Download it and pass the file.")
                if time.monotonic() > deadline:
                    raise ValueError(f"{name}: download exceeded {seconds:g} seconds. Download it and pass the file.")
                file.write(chunk)
            if response.length:  # announced bytes that were not received
                raise ValueError(f"{name}: connection closed after {size:,} bytes. Try again.")
    except urllib.error.HTTPError as error:
        raise ValueError(f"{name}: HTTP error {error.code} {printable(error.reason)}.") from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise ValueError(f"{name}: download failed ({printable(reason)[:100]}).") from None
