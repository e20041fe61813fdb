"""Videos as streams of frames, read and written with OpenCV (which is imported only when a video comes)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from nike.atomic import replacing
from nike.text import printable

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"))
DEFAULT_RATE = 25.0  # frames a second, where a file does not say
CODEC = "mp4v"  # the one that every build of OpenCV can write into .mp4


def _opencv() -> ModuleType:
    # What is wrong with a file, we say ourselves.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise ValueError("videos need OpenCV. Install it: pip install opencv-python-headless") from None
    return cv2


def frames(path: str | os.PathLike) -> Iterator[tuple[np.ndarray, float]]:
    """The frames of a video, upright, one at a time.

    Yields:
        uint8 `[H, W, 3]` RGB, and the frame rate (frames a second).

    Raises:
        ValueError: no frame can be read, or OpenCV is missing.
    """
    cv2 = _opencv()
    name = printable(path)
    capture = cv2.VideoCapture(os.fspath(path))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate < 1000 else DEFAULT_RATE
        good, frame = capture.read()
        if not good:
            raise ValueError(f"{name}: no frame can be read. It is damaged, or no video that OpenCV knows.")
        while good:
            yield np.ascontiguousarray(frame[:, :, ::-1]), rate
            good, frame = capture.read()
    finally:
        capture.release()


@contextmanager
def new_video(path: str | os.PathLike, rate: float, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds a frame (uint8 `[H, W, 3]` RGB) to a new video; the file appears at the end of the block.

    Args:
        path: an .mp4.
        rate: frames a second.
        shape: (height, width, ...) of every frame.

    Raises:
        ValueError: it cannot be written, or OpenCV is missing.
    """
    cv2 = _opencv()
    with replacing(path) as temporary:
        size = (int(shape[1]), int(shape[0]))
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*CODEC), rate, size)
        try:
            if not writer.isOpened():
                raise ValueError(f"{printable(path)}: OpenCV cannot write a video of {size[0]}x{size[1]} here.")
            yield lambda frame: writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
        finally:
            writer.release()
