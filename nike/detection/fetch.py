"""Downloads of photos and videos from addresses that nobody vouches for: http(s) only, limited in size and time."""

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
ANSWER_SECONDS = 10  # without a byte from the server
CHUNK = 1 << 16
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(text: str) -> bool:
    """Whether a text is an address rather than a path; `C:\\photos` is a path."""
    return SCHEME.match(text) is not None


def check_url(url: str) -> None:
    """Raises ValueError unless the address is http or https."""
    if urllib.parse.urlsplit(url).scheme.lower() not in ("http", "https"):
        raise ValueError(f"{printable(url)}: expected an http or https address.")


def fetch(url: str, file: BinaryIO, max_bytes: int = MAX_PHOTO_BYTES, seconds: float = PHOTO_SECONDS) -> None:
    """Downloads into an open file.

    Args:
        url: http or https; so must be what it redirects to.
        file: open for writing.
        max_bytes: more is refused.
        seconds: in all.

    Raises:
        ValueError: the address is not http(s), or it answers with a web page, an error, too much, or too slowly.
    """
    check_url(url)
    name, deadline = printable(url), time.monotonic() + seconds
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "nike-mrcnn", "Accept-Encoding": "identity"})
        opener = web_opener(urllib.request.HTTPRedirectHandler())
        with opener.open(request, timeout=min(ANSWER_SECONDS, seconds)) as response:
            if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
                raise ValueError(f"{name}: is a web page. Give the address of the picture itself.")
            size = 0
            while chunk := response.read1(CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise ValueError(f"{name}: more than {max_bytes >> 20} MiB. Give a downloaded file.")
                if time.monotonic() > deadline:
                    raise ValueError(f"{name}: not complete after {seconds:g} seconds. Download it yourself.")
                file.write(chunk)
            if response.length:  # bytes that the server announced and did not send
                raise ValueError(f"{name}: the connection broke off after {size:,} bytes. Try again.")
    except urllib.error.HTTPError as error:
        raise ValueError(f"{name}: the server answers {error.code} {printable(error.reason)}.") from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise ValueError(f"{name}: could not be downloaded ({printable(reason)[:100]}).") from None
