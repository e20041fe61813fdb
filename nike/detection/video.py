"""Reads videos with OpenCV and writes them with PyAV if it is installed, else with OpenCV.

Both packages are imported on first use. The written MP4 files play in browsers. PyAV encodes H.264, which is smaller
and ten times faster. OpenCV encodes VP9, because its wheels contain no H.264 encoder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from types import ModuleType

import numpy as np

from nike.atomic import replacing
from nike.text import printable

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"))
DEFAULT_RATE = 25.0  # frames per second, for files without a valid frame rate
H264 = "libx264"
# Visually nearly lossless and fast compared with the network. The colour matrix is that of libswscale; without the
# tag, players guess it.
H264_OPTIONS = {"crf": "20", "preset": "veryfast", "x264-params": "colormatrix=smpte170m"}
CODECS = ("vp09", "mp4v")  # OpenCV codecs: browsers play the first, and every OpenCV build can write the second

AddFrame = Callable[[np.ndarray], None]


def _opencv() -> ModuleType:
    # OpenCV and FFmpeg messages are suppressed, because errors are raised as exceptions.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise ValueError("videos require OpenCV. Install it with: pip install opencv-python-headless") from None
    return cv2


def frames(path: str | os.PathLike) -> Iterator[tuple[np.ndarray, float]]:
    """Reads the frames of a video, upright, one at a time.

    Args:
        path: video file.

    Yields:
        The frame, uint8 RGB `[H, W, 3]`, and the frame rate in frames per second.

    Raises:
        ValueError: no frame can be read, or OpenCV is not installed.
    """
    cv2 = _opencv()
    name = printable(path)
    capture = cv2.VideoCapture(os.fspath(path))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate < 1000 else DEFAULT_RATE
        good, frame = capture.read()
        if not good:
            raise ValueError(f"{name}: no frame can be read. The file is damaged or its format is not supported.")
        while good:
            yield np.ascontiguousarray(frame[:, :, ::-1]), rate
            good, frame = capture.read()
    finally:
        capture.release()


@contextmanager
def new_video(path: str | os.PathLike, rate: float, shape: tuple[int, ...]) -> Iterator[AddFrame]:
    """Context manager that writes a video. The file is moved into place when the block ends.

    With H.264, frames are cropped to even sides, as 4:2:0 subsampling requires.

    Args:
        path: output file (.mp4).
        rate: frame rate in frames per second.
        shape: (height, width, ...) of every frame.

    Yields:
        A function that appends a frame, uint8 RGB `[H, W, 3]`.

    Raises:
        ValueError: the video cannot be written, or neither PyAV nor OpenCV is installed.
    """
    try:
        from av import codecs_available
    except ImportError:
        codecs_available = ()
    with replacing(path) as temporary:
        if H264 in codecs_available:
            writing = _write_h264(str(temporary), rate, shape)
        else:
            writing = _write_with_opencv(str(temporary), rate, shape, printable(path))
        with writing as add:
            yield add


@contextmanager
def _write_h264(file: str, rate: float, shape: tuple[int, ...]) -> Iterator[AddFrame]:
    import av

    height, width = shape[0] // 2 * 2, shape[1] // 2 * 2
    with av.open(file, "w", options={"movflags": "+faststart"}) as container:  # can be played during the download
        stream = container.add_stream(H264, rate=Fraction(rate).limit_denominator(1001), options=H264_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"

        def add(frame: np.ndarray) -> None:
            pixels = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

        yield add
        container.mux(stream.encode())  # flushes the encoder


@contextmanager
def _write_with_opencv(file: str, rate: float, shape: tuple[int, ...], name: str) -> Iterator[AddFrame]:
    cv2 = _opencv()
    size = (int(shape[1]), int(shape[0]))
    for codec in CODECS:
        writer = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*codec), rate, size)
        if writer.isOpened():
            break
    else:
        raise ValueError(f"{name}: OpenCV found no encoder for a video of {size[0]}x{size[1]} pixels.")
    try:
        yield lambda frame: writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    finally:
        writer.release()
