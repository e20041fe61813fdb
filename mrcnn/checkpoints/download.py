"""Downloads weights files over HTTP, with resume, verification and atomic replacement."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from mrcnn.checkpoints.hdf5 import CheckpointError, read_checkpoint
from mrcnn.checkpoints.locate import WeightsNotFoundError, download_folder, find_weights
from mrcnn.errors import UserError

COCO_NAME = "mask_rcnn_coco.h5"
COCO_URL = f"https://github.com/matterport/Mask_RCNN/releases/download/v2.0/{COCO_NAME}"
COCO_BYTES = 257_557_808

MAX_ATTEMPTS = 10  # a retry requires that the previous attempt received data
TIMEOUT = 30  # seconds without data after which an attempt fails
CHUNK = 1 << 18  # bytes


class _BadContentError(UserError):
    """Raised if the response is not the requested file. The partial file must then be discarded."""


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects except from https to http. `web_opener` has no handlers for other schemes."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.full_url.startswith("https:") and newurl.startswith("http:"):
            raise _BadContentError(f"the server redirects to the insecure address {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def coco_weights() -> Path:
    """Returns Matterport's COCO weights (ResNet-101, 81 classes). Downloads them if no search folder contains them.

    Returns:
        Path of `mask_rcnn_coco.h5`. The layers of the file are verified.

    Raises:
        WeightsNotFoundError: (a FileNotFoundError) if the file is not found and cannot be downloaded.
        CheckpointError: if the local file is damaged.
    """
    found = find_weights(COCO_NAME)
    if found is not None:
        _verify_coco(found)
        return found
    return download(COCO_URL, download_folder() / COCO_NAME, COCO_BYTES, _verify_coco)


def download_trained_weights(coco_model_path: str | os.PathLike, verbose: int = 1) -> None:
    """Downloads Matterport's COCO weights to a path. Source: Matterport's `utils`."""
    download(COCO_URL, coco_model_path, COCO_BYTES, _verify_coco, verbose > 0)


def download(
    url: str,
    path: str | os.PathLike,
    expected_size: int | None = None,
    verify: Callable[[Path], None] | None = None,
    verbose: bool = True,
) -> Path:
    """Downloads a file. An interrupted download is kept as `<path>.part` and resumed by the next call.

    Args:
        url: str, http or https URL.
        path: destination path. An existing file is replaced after the download has been verified.
        expected_size: int, size in bytes, or None if unknown.
        verify: function that takes the path of the downloaded file and raises ValueError if the file is invalid.
        verbose: bool, whether to show a progress bar.

    Returns:
        The path.

    Raises:
        ValueError: if the URL is not http or https.
        WeightsNotFoundError: if the download fails. The message contains the reason, the URL and the destination.
    """
    path = Path(path)
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{url}: expected an http or https address.")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        resumes = _size(part) > 0
        try:
            _fetch_and_verify(url, part, expected_size, verify, verbose)
        except ValueError:
            if not resumes:
                raise
            part.unlink(missing_ok=True)  # the partial file may belong to a different version, so start again
            _fetch_and_verify(url, part, expected_size, verify, verbose)
        os.replace(part, path)
    except (ValueError, OSError, http.client.HTTPException) as error:
        if isinstance(error, ValueError):
            part.unlink(missing_ok=True)
        message = f"{path}: could not be downloaded ({_error_reason(error)}). Download {url} and save it as {path}."
        raise WeightsNotFoundError(message) from None
    return path


def _error_reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code} {error.reason}"
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    return " ".join(str(reason).split()).rstrip(".")


def _fetch_and_verify(
    url: str, part: Path, expected_size: int | None, verify: Callable[[Path], None] | None, verbose: bool
) -> None:
    for _ in range(MAX_ATTEMPTS):
        before = _size(part)
        try:
            _fetch(url, part, expected_size, verbose)
            break
        except urllib.error.HTTPError:
            raise  # an HTTP error status is not retried
        except (OSError, http.client.HTTPException):
            if _size(part) <= before:
                raise
    if expected_size is not None and _size(part) != expected_size:
        raise _BadContentError(f"expected {expected_size:,} bytes, got {_size(part):,}")
    if verify is not None:
        verify(part)


def _fetch(url: str, part: Path, expected_size: int | None, verbose: bool) -> None:
    """Downloads the rest of the file to `part`."""
    start = _size(part)
    if expected_size is not None and start == expected_size:
        return
    # A compressed response cannot be resumed, and its length differs from the length of the file.
    headers = {"User-Agent": "mrcnn", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = web_opener(_SecureRedirects()).open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # the requested range starts beyond the end of the file
            raise _BadContentError("the partial file belongs to another file") from None
        raise
    with response:
        if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise _BadContentError("expected a file, got an HTML page")
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _BadContentError("the server returned a different range than requested")
        start = start if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else expected_size
        if expected_size is not None and total != expected_size:
            raise _BadContentError(f"expected {expected_size:,} bytes, the server reports {total:,}")
        _copy(response, part, start, total, verbose)


def _copy(response: http.client.HTTPResponse, part: Path, start: int, total: int | None, verbose: bool) -> None:
    name = part.name.removesuffix(".part")
    bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, disable=not verbose)
    with bar, open(part, "ab" if start else "wb") as file:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
            if total is not None and file.tell() > total:
                raise _BadContentError(f"expected {total:,} bytes, got more")
    if total is not None and _size(part) < total:
        raise ConnectionError(f"connection lost after {_size(part):,} of {total:,} bytes; run again to resume")


def web_opener(
    redirects: urllib.request.HTTPRedirectHandler,
    plain: urllib.request.HTTPHandler | None = None,
    secure: urllib.request.HTTPSHandler | None = None,
) -> urllib.request.OpenerDirector:
    """Returns an opener that supports only http and https, including for redirects.

    Args:
        redirects: handler of redirects.
        plain: handler of http requests, or None for the default.
        secure: handler of https requests, or None for the default.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        plain or urllib.request.HTTPHandler(),
        secure or urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        redirects,
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _verify_coco(path: Path) -> None:
    """Raises CheckpointError unless the file has the layers of a ResNet-101 Mask R-CNN."""
    with read_checkpoint(path) as checkpoint:
        layers = checkpoint.layers
    missing = [name for name in ("conv1", "res4w_branch2a", "fpn_p2", "rpn_conv_shared") if name not in layers]
    head = layers.get("mrcnn_class_logits")
    if missing or head is None or "bias" not in head.weights:
        raise CheckpointError(
            f"{path}: expected Matterport's COCO weights (ResNet-101 Mask R-CNN), missing layers: "
            f"{', '.join(missing) or 'mrcnn_class_logits'}. Delete the file and run again to download it."
        )
