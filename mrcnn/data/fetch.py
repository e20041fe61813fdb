"""Downloads images and videos from untrusted URLs: http and https only, with limits on size and time."""

from __future__ import annotations

import http.client
import io
import ipaddress
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import BinaryIO

import numpy as np
from PIL import Image

from mrcnn.checkpoints.download import web_opener
from mrcnn.data.image_files import read_image
from mrcnn.errors import UserError, printable

MAX_PHOTO_BYTES = 64 << 20
MAX_VIDEO_BYTES = 2 << 30
PHOTO_SECONDS = 30
VIDEO_SECONDS = 900
HEADER_SECONDS = 10  # socket timeout, and the time limit for the response headers
CHUNK = 1 << 16  # bytes
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
TRANSIENT_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))
GONE_STATUS = frozenset((404, 410))
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # the last 32 bits are the IPv4 address (RFC 6052)
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # not public (RFC 8215), unlike in Python before 3.12.4


class FetchError(UserError):
    """Raised if a download fails.

    Attributes:
        reason: one of "refused" (invalid URL, scheme, private address), "missing" (404, 410), "http_error", "timeout",
            "network", "too_large", "not_an_image" (a web page or a live stream).
        is_transient: whether another attempt may succeed.
        retry_after: delay in seconds that the server requests before another attempt, or None.
    """

    def __init__(self, message: str, reason: str, is_transient: bool = False, retry_after: float | None = None):
        super().__init__(message)
        self.reason, self.is_transient, self.retry_after = reason, is_transient, retry_after


class _PrivateAddressError(OSError):
    """Raised if a host name resolves to an address that is not public."""


class _PublicConnection(http.client.HTTPConnection):
    """A connection to public addresses only.

    It connects to the address that was checked, which prevents DNS rebinding.
    """

    def connect(self) -> None:
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        if private := [address[0] for *_, address in addresses if not is_public(address[0])]:
            raise _PrivateAddressError(f"{self.host} has the private address {private[0]}")
        error: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(self.timeout)
                connection.connect(address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as caught:
                connection.close()
                error = caught
            else:
                self.sock = connection
                return
        raise error or OSError(f"{self.host} has no address")

    def getresponse(self) -> http.client.HTTPResponse:
        """Returns the response, or raises TimeoutError if the headers do not arrive in time.

        The socket timeout alone is not sufficient, because it restarts with every received byte.
        """
        timer = threading.Timer(HEADER_SECONDS, self.sock.shutdown, [socket.SHUT_RDWR])
        timer.daemon = True
        start = time.monotonic()
        timer.start()
        try:
            response = super().getresponse()
            # HTTPConnection accepts truncated headers, so the elapsed time is checked. `timer.finished` is not
            # reliable, because the timer thread sets it only after the shutdown.
            if time.monotonic() - start >= HEADER_SECONDS:
                raise TimeoutError(f"no response within {HEADER_SECONDS} seconds")
            return response
        finally:
            timer.cancel()


class _PublicSecureConnection(http.client.HTTPSConnection, _PublicConnection):
    """A TLS connection to public addresses only.

    `HTTPSConnection.connect` calls the `connect` of `_PublicConnection`, the next base class, and adds TLS.
    """


class _PublicHandler(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(http.client.HTTPConnection if _uses_proxy(request) else _PublicConnection, request)


class _PublicSecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, request):
        connection = http.client.HTTPSConnection if _uses_proxy(request) else _PublicSecureConnection
        return self.do_open(connection, request)


def _uses_proxy(request: urllib.request.Request) -> bool:
    """Returns whether a request is sent to a proxy. A proxy usually has a private address and resolves host names."""
    proxies = urllib.request.getproxies().values()
    return request.host in {proxy.rpartition("://")[2].partition("/")[0].rpartition("@")[2] for proxy in proxies}


def is_public(address: str) -> bool:
    """Returns whether an IP address is public, that is, neither private, loopback, link-local nor multicast.

    An IPv6 address that embeds an IPv4 address (mapped, 6to4, NAT64) is public if the embedded address is public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])  # without the interface name of a link-local address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in LOCAL_NAT64:
            return False
        translated = ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else None
        ip = translated or ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


def is_url(text: str) -> bool:
    """Returns whether a string is a URL rather than a path such as `C:\\photos`."""
    return SCHEME.match(text) is not None


def check_url(url: str) -> None:
    """Raises FetchError, a ValueError, if a URL is neither http nor https."""
    try:
        scheme = urllib.parse.urlsplit(url).scheme.lower()
    except ValueError as error:
        raise FetchError(f"{printable(url)}: {error}.", "refused") from None
    if scheme not in ("http", "https"):
        raise FetchError(f"{printable(url)}: expected an http or https URL.", "refused")


def fetch(
    url: str,
    file: BinaryIO,
    max_bytes: int = MAX_PHOTO_BYTES,
    seconds: float = PHOTO_SECONDS,
    allow_private: bool = True,
) -> None:
    """Downloads a URL into an open file.

    Args:
        url: http or https URL. Redirects must also be http or https.
        file: binary file, open for writing.
        max_bytes: maximum size of the download.
        seconds: maximum duration of the download.
        allow_private: whether servers in private networks and on this machine are allowed, also after a redirect. Use
            False for URLs that do not come from the user. Behind a proxy, the proxy's rules apply instead.

    Raises:
        FetchError: (a ValueError) if the URL is not http or https or is refused, if the server returns an error or an
            HTML page, or if a limit is exceeded.
    """
    check_url(url)
    name = printable(url)
    try:
        _fetch(url, file, name, max_bytes, time.monotonic() + seconds, seconds, allow_private)
    except urllib.error.HTTPError as error:
        with error:
            retry_after = error.headers.get("Retry-After", "")
        raise FetchError(
            f"{name}: HTTP error {error.code} {printable(error.reason)}.",
            "missing" if error.code in GONE_STATUS else "http_error",
            error.code in TRANSIENT_STATUS,
            float(retry_after) if retry_after.isdecimal() else None,
        ) from None
    except FetchError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: invalid URL, also in a redirect
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        if isinstance(cause, _PrivateAddressError):
            raise FetchError(f"{name}: {printable(text)}, which is refused.", "refused") from None
        is_refused = not isinstance(cause, (OSError, http.client.HTTPException)) or isinstance(
            cause, http.client.InvalidURL
        )
        reason = "refused" if is_refused else "timeout" if isinstance(cause, TimeoutError) else "network"
        message = f"{name}: download failed ({printable(text)[:100]})."
        raise FetchError(message, reason, not is_refused) from None


def read_path_or_url(image: str | os.PathLike | Image.Image, channels: int = 3) -> np.ndarray:
    """Reads an image like `read_image`, or downloads it if it is a URL.

    Use this function only for URLs entered by the user, because it allows servers in private networks.
    """
    if not (isinstance(image, str) and is_url(image)):
        return read_image(image, channels)
    file = io.BytesIO()
    fetch(image, file)
    file.seek(0)
    file.name = printable(image)  # for error messages
    return read_image(file, channels)


def _quote(url: str) -> str:
    """Encodes spaces and non-ASCII characters after the host, as browsers do. The host is unchanged."""
    host = re.match(r"[^/?#]*//[^/?#]*", url)
    start = host.end() if host else 0
    return url[:start] + re.sub(r"[^\x00-\x1f\x21-\x7f]", lambda match: urllib.parse.quote(match[0]), url[start:])


def _fetch(
    url: str, file: BinaryIO, name: str, max_bytes: int, deadline: float, seconds: float, allow_private: bool
) -> None:
    headers = {"User-Agent": "nike-mrcnn", "Accept-Encoding": "identity"}
    request = urllib.request.Request(_quote(url.strip()), headers=headers)
    public = () if allow_private else (_PublicHandler(), _PublicSecureHandler())
    opener = web_opener(urllib.request.HTTPRedirectHandler(), *public)
    with opener.open(request, timeout=min(HEADER_SECONDS, seconds)) as response:
        if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            message = f"{name}: expected an image or video, got an HTML page. Pass the URL of the file itself."
            raise FetchError(message, "not_an_image")
        if response.headers.get_content_type() == "multipart/x-mixed-replace":
            message = f"{name} is a live stream. Add #.mjpg to the URL to read it as a video."
            raise FetchError(message, "not_an_image")
        size = 0
        while chunk := response.read1(CHUNK):
            size += len(chunk)
            if size > max_bytes:
                message = f"{name}: larger than {max_bytes >> 20} MiB. Download it and pass the file."
                raise FetchError(message, "too_large")
            if time.monotonic() > deadline:
                message = f"{name}: download exceeded {seconds:g} seconds. Download it and pass the file."
                raise FetchError(message, "timeout", is_transient=True)
            file.write(chunk)
        if response.length:  # not all announced bytes were received
            message = f"{name}: connection closed after {size:,} bytes. Try again."
            raise FetchError(message, "network", is_transient=True)
