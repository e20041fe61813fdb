"""Videos as streams of frames: read with OpenCV, written with PyAV if it is installed, else with OpenCV.

Both are imported only when a video comes. What is written plays in browsers: MP4 with H.264 (PyAV, smaller and ten
times faster) or VP9 (OpenCV, whose wheels contain no H.264 encoder).
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
DEFAULT_RATE = 25.0  # frames a second, where a file does not say
H264 = "libx264"
# Near transparent, and quick next to the network; the matrix is that of libswscale, which players would else guess.
H264_OPTIONS = {"crf": "20", "preset": "veryfast", "x264-params": "colormatrix=smpte170m"}
CODECS = ("vp09", "mp4v")  # of OpenCV: browsers play the first, every build can write the second

AddFrame = Callable[[np.ndarray], None]


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
def new_video(path: str | os.PathLike, rate: float, shape: tuple[int, ...]) -> Iterator[AddFrame]:
    """A function that adds a frame (uint8 `[H, W, 3]` RGB) to a new video; the file appears at the end of the block.

    Sides are cut to an even number of pixels, as 4:2:0 subsampling requires.

    Args:
        path: an .mp4.
        rate: frames a second.
        shape: (height, width, ...) of every frame.

    Raises:
        ValueError: it cannot be written, or OpenCV is missing.
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
    with av.open(file, "w", options={"movflags": "+faststart"}) as container:  # plays before all is downloaded
        stream = container.add_stream(H264, rate=Fraction(rate).limit_denominator(1001), options=H264_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"

        def add(frame: np.ndarray) -> None:
            pixels = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

        yield add
        container.mux(stream.encode())  # the frames that the encoder has kept back


@contextmanager
def _write_with_opencv(file: str, rate: float, shape: tuple[int, ...], name: str) -> Iterator[AddFrame]:
    cv2 = _opencv()
    size = (int(shape[1]), int(shape[0]))
    for codec in CODECS:
        writer = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*codec), rate, size)
        if writer.isOpened():
            break
    else:
        raise ValueError(f"{name}: OpenCV cannot write a video of {size[0]}x{size[1]} here.")
    try:
        yield lambda frame: writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    finally:
        writer.release()
