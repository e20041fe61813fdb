"""Reads the images of Label Studio tasks, which are embedded in the task or downloaded from a Label Studio server.

The image path or URL in a task is untrusted. Only paths below `/data/` of the configured server are downloaded, and
redirects are not followed.
"""

from __future__ import annotations

import http.client
import json
import posixpath
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from mrcnn.checkpoints.download import web_opener
from mrcnn.errors import UserError
from nike.formatting import short
from nike.serving.images import UnusableImageError, decode_base64

SECONDS = 20
MAX_TOKEN_BYTES = 1 << 16


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Treats redirects as errors, because they could send the token to another server."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


class TaskImages:
    """Reads the image files of tasks.

    Args:
        url: URL of Label Studio, such as `http://localhost:8080`, or None to accept only data URIs.
        api_key: access token of Label Studio, legacy or personal.
        max_bytes: maximum size of an image file.

    Raises:
        ValueError: if `url` is not an http or https URL.
    """

    def __init__(self, url: str | None = None, api_key: str = "", max_bytes: int = 32 << 20):
        parts = urllib.parse.urlsplit(url or "")
        if url is not None and (parts.scheme not in ("http", "https") or not parts.netloc):
            raise UserError(f"--label-studio: expected an http or https URL, got {short(url)}.")
        self._origin = None if url is None else f"{parts.scheme}://{parts.netloc}"
        self._api_key, self._max_bytes = api_key, max_bytes
        self._opener = web_opener(_NoRedirects())

    def read(self, value: Any) -> bytes:
        """Returns the content of an image file.

        Args:
            value: image of a task: a data URI, or a path or URL below `/data/` of Label Studio.

        Raises:
            UnusableImageError: if `value` is invalid, or if the download fails.
        """
        if not isinstance(value, str):
            raise UnusableImageError(f"task: expected an image, got {short(value)}.")
        if value.startswith("data:"):
            return decode_base64(value)
        return self._fetch(self._path(value))

    def _path(self, value: str) -> str:
        """Returns the path and query on the Label Studio server."""
        if self._origin is None:
            raise UnusableImageError(
                f"task: the image {short(value)} is not part of the request. To download images from Label Studio, "
                "start the server with --label-studio URL and LABEL_STUDIO_API_KEY."
            )
        parts = urllib.parse.urlsplit(value.removeprefix(self._origin))
        path = urllib.parse.unquote(parts.path)
        if (
            parts.scheme
            or parts.netloc
            or not path.startswith("/data/")
            or posixpath.normpath(path) != path.rstrip("/")
        ):
            raise UnusableImageError(
                f"task: the image {short(value)} is not below {self._origin}/data/. Upload the images to Label Studio, "
                "or add them to Label Studio as local files."
            )
        return urllib.parse.quote(path) + (f"?{urllib.parse.quote(parts.query, safe='=&%+/')}" if parts.query else "")

    def _fetch(self, path: str) -> bytes:
        request = urllib.request.Request(self._origin + path, headers=self._authorization())
        return self._read(request, self._max_bytes)

    def _authorization(self) -> dict[str, str]:
        """Returns the authorization header. A personal access token (a JWT) is exchanged for a short-lived token."""
        if self._api_key.count(".") != 2:
            return {"Authorization": f"Token {self._api_key}"} if self._api_key else {}
        body = json.dumps({"refresh": self._api_key}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._read(urllib.request.Request(f"{self._origin}/api/token/refresh", body, headers), MAX_TOKEN_BYTES)
        try:
            return {"Authorization": f"Bearer {json.loads(answer)['access']}"}
        except (ValueError, KeyError, TypeError):
            raise UnusableImageError("Label Studio: no access token received for LABEL_STUDIO_API_KEY.") from None

    def _read(self, request: urllib.request.Request, max_bytes: int) -> bytes:
        name = short(request.full_url)
        try:
            with self._opener.open(request, timeout=SECONDS) as response:
                data = response.read(max_bytes + 1)
        except urllib.error.HTTPError as error:
            raise UnusableImageError(
                f"task: Label Studio responded with {error.code} for {name}. Check the API key."
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnusableImageError(f"task: {name} could not be fetched ({type(error).__name__}).") from None
        if len(data) > max_bytes:
            raise UnusableImageError(f"task: {name} is larger than {max_bytes >> 20} MiB.", 413)
        return data
