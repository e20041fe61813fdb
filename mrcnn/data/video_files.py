"""Reads the frames of videos with OpenCV, which is imported on first use."""

from __future__ import annotations

import os
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from types import ModuleType
from typing import Any

import numpy as np

from mrcnn.data import fetch
from mrcnn.errors import UserError, printable

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"))
STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp")
HTTP_STREAMS = (".mjpg", ".mjpeg", ".m3u8")  # suffixes of http and https URLs of streams
DEFAULT_RATE = 25.0  # frames per second, for files without a valid frame rate


def is_video(source: Any) -> bool:
    """Returns whether a value is a path or a URL with the suffix of a video."""
    if not isinstance(source, (str, os.PathLike)):
        return False
    path = os.fspath(source)
    if isinstance(path, str) and fetch.is_url(path):
        path = _split(path).path
    return PurePath(os.fsdecode(path)).suffix.lower() in SUFFIXES


def is_stream(source: Any) -> bool:
    """Returns whether a value is the address of a stream, which may be endless: RTSP, RTMP, MJPEG or HLS."""
    if not isinstance(source, str) or not fetch.is_url(source):
        return False
    scheme, _, path, _, fragment = _split(source)
    return scheme in STREAM_SCHEMES or (
        scheme in ("http", "https") and (path.lower().endswith(HTTP_STREAMS) or fragment.lower().endswith(HTTP_STREAMS))
    )


def _split(url: str) -> urllib.parse.SplitResult:
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:  # `fetch` raises an error that names the URL
        return urllib.parse.urlsplit("")


def count_frames(path: str | os.PathLike) -> int | None:
    """Returns the number of frames according to the header of a video file, or None if it is missing or invalid."""
    cv2 = import_opencv()
    capture = cv2.VideoCapture(_opencv_name(os.fsdecode(path)))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count if 0 < count < 1 << 31 else None


def frames(source: str | os.PathLike | int, stride: int = 1) -> Iterator[tuple[np.ndarray, float]]:
    """Reads the frames of a video one at a time, in upright orientation.

    Args:
        source: video file, its http or https URL, address of a stream (see `is_stream`), or number of a camera.
        stride: N to yield every N-th frame. All other frames are skipped without conversion to pixels.

    Yields:
        The frame, uint8 RGB `[H, W, 3]`, and the rate of the yielded frames in frames per second.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if OpenCV is not installed, if no frame can be read, or if an MP4 or MOV file is truncated. For a
            truncated file, the error is raised after the last readable frame.
    """
    cv2 = import_opencv()
    name = f"camera {source}" if isinstance(source, int) else printable(os.fsdecode(source))
    with _as_opencv_source(source) as place:
        capture = cv2.VideoCapture(_opencv_name(place) if isinstance(place, str) else place)
        try:
            rate = capture.get(cv2.CAP_PROP_FPS)
            rate = rate if 0 < rate < 1000 else DEFAULT_RATE
            good, frame = capture.read()
            if not good:
                reason = "The file is not a video, its format is not supported, or it is damaged or truncated."
                if isinstance(source, int):
                    reason = "Check its connection and close other programs that use it."
                raise UserError(f"{name}: no frame can be read. {reason}")
            count = 0
            while good:
                yield np.ascontiguousarray(frame[:, :, ::-1]), rate / stride
                count += 1
                good = all(capture.grab() for _ in range(stride - 1))
                if good:
                    good, frame = capture.read()
        finally:
            capture.release()
        if isinstance(place, str) and (sizes := _find_truncation(place)):
            raise UserError(
                f"{name}: truncated: {sizes[0]:,} of at least {sizes[1]:,} bytes, {count} frames read. Copy or "
                "download it again."
            )


@contextmanager
def _as_opencv_source(source: str | os.PathLike | int) -> Iterator[str | int]:
    """Yields the source in a form that OpenCV can open. The file at a URL is downloaded to a temporary file first."""
    path = source if isinstance(source, int) else os.fsdecode(source)
    if isinstance(path, int):
        yield path
    elif is_stream(path):
        yield urllib.parse.urldefrag(path).url
    elif fetch.is_url(path):
        with tempfile.NamedTemporaryFile(suffix=".video") as file:
            fetch.fetch(path, file, fetch.MAX_VIDEO_BYTES, fetch.VIDEO_SECONDS)
            file.flush()
            yield file.name
    elif os.path.isfile(path):
        yield path
    else:
        raise FileNotFoundError(f"{printable(path)}: no such file. Check the path.")


def _opencv_name(path: str) -> str | bytes:
    """Returns a path as bytes if it is not valid UTF-8. OpenCV crashes the process on such a str."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def _find_truncation(path: str) -> tuple[int, int] | None:
    """Returns the actual and the declared size in bytes of a truncated MP4 or MOV file; None for other files.

    OpenCV does not report truncated files. Source: ISO/IEC 14496-12, section 4.2.
    """
    if not os.path.isfile(path):
        return None
    size, end = os.path.getsize(path), 0
    with open(path, "rb") as file:
        if file.read(8)[4:] != b"ftyp":
            return None
        while end + 8 <= size:
            file.seek(end)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # the next 8 bytes contain the length
                length = int.from_bytes(header[8:], "big")
            if length < 8 or not header[4:8].isalnum():  # 0: the box ends with the file; else: not a box
                return None
            end += length
    return (size, end) if end > size else None


def import_opencv() -> ModuleType:
    """Returns the module cv2. Its messages are suppressed, because errors are raised as exceptions."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise UserError("videos require OpenCV. Install it with: pip install opencv-python-headless") from None
    return cv2
