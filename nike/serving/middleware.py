"""ASGI middleware: metrics, authentication, and limits on the number, size and duration of requests.

The size of a body is checked while it is received, so the rest of a request that is too large is not stored.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from nike.serving.limits import Limits
from nike.serving.metrics import Metrics

Scope = Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
RETRY_SECONDS = "1"


def _error(status: int, message: str, **headers: str) -> JSONResponse:
    return JSONResponse({"detail": message}, status, {name.replace("_", "-"): text for name, text in headers.items()})


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return dict(scope["headers"])


class MeasureRequests:
    """Counts requests by path and status and measures their duration.

    Paths that are not in `paths` are counted as "other", which limits the number of time series.
    """

    def __init__(self, app: App, metrics: Metrics, paths: Iterable[str]):
        self.app, self.metrics, self.paths = app, metrics, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"] if scope["path"] in self.paths else "other"
        status, start = 500, time.perf_counter()

        async def send_and_record(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, send_and_record)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)


class RequireToken:
    """Responds with 401 to requests without the token, except for `open_paths`.

    The token is accepted as `Authorization: Bearer TOKEN`, as the password of `Authorization: Basic` (Label Studio) and
    as `Token: TOKEN` (X-AnyLabeling).
    """

    def __init__(self, app: App, token: str, open_paths: Iterable[str]):
        self.app, self.token, self.open_paths = app, token.encode(), frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["path"] in self.open_paths
            or self._is_valid(_extract_token(_headers(scope)))
        ):
            return await self.app(scope, receive, send)
        response = _error(401, "A token is required: Authorization: Bearer TOKEN.", WWW_Authenticate="Bearer")
        await response(scope, receive, send)

    def _is_valid(self, token: bytes) -> bool:
        # Constant-time comparison prevents timing attacks.
        return hmac.compare_digest(token, self.token)


def _extract_token(headers: dict[bytes, bytes]) -> bytes:
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return headers.get(b"token", b"")


class LimitRequests:
    """Limits the number (503), size (413) and duration (408, 503) of requests with a body.

    The whole body is received before the application is called, so slow clients do not block the application.
    """

    def __init__(self, app: App, limits: Limits, metrics: Metrics):
        self.app, self.limits, self.metrics = app, limits, metrics
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self.app(scope, receive, send)
        if self._in_progress >= self.limits.queue:
            response = _error(503, "The queue is full. Try again later.", Retry_After=RETRY_SECONDS)
            return await response(scope, receive, send)
        self._in_progress += 1
        self.metrics.in_progress.set(self._in_progress)
        try:
            await self._handle(scope, receive, send)
        finally:
            self._in_progress -= 1
            self.metrics.in_progress.set(self._in_progress)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        deadline = asyncio.get_running_loop().time() + self.limits.seconds
        try:
            async with asyncio.timeout_at(deadline):
                body = await self._read(scope, receive)
        except _TooLargeError:
            response = _error(413, f"The request is larger than {self.limits.bytes:,} bytes.", Connection="close")
            return await response(scope, receive, send)
        except TimeoutError:
            response = _error(408, f"The body was not received within {self.limits.seconds:g} s.", Connection="close")
            return await response(scope, receive, send)
        except ConnectionAbortedError:  # the client has disconnected
            return
        started = False

        async def send_and_record(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout_at(deadline):
                await self.app(scope, _replay(body, receive), send_and_record)
        except TimeoutError:
            if started:  # the response can no longer be replaced; the exception closes the connection
                raise
            message = f"No result after {self.limits.seconds:g} s. Try again later."
            await _error(503, message, Retry_After=RETRY_SECONDS)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """Receives the body of a request. Raises `_TooLargeError` above the limit."""
        content_length = _headers(scope).get(b"content-length", b"0")
        if not content_length.isdigit() or int(content_length) > self.limits.bytes:
            raise _TooLargeError
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionAbortedError
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self.limits.bytes:
                raise _TooLargeError
            more = message.get("more_body", False)
        return b"".join(chunks)


class _TooLargeError(Exception):
    """The body of a request exceeds the size limit."""


def _replay(body: bytes, receive: Receive) -> Receive:
    """Returns a `receive` function that starts with the given body."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
