"""Writes videos with PyAV if it is installed, else with OpenCV. `mrcnn.data.video_files` reads videos.

Both packages are imported on first use. Browsers can play the MP4 files. PyAV encodes H.264, which is ten times faster
and produces smaller files. OpenCV encodes VP9, because its wheels contain no H.264 encoder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from mrcnn.atomic import replacing
from mrcnn.data.video_files import import_opencv
from mrcnn.errors import UserError
from nike.formatting import printable

if TYPE_CHECKING:
    from av.container import OutputContainer

H264 = "libx264"
# Visually nearly lossless, and fast compared with detection. The color matrix of libswscale is specified, because
# players would otherwise guess it.
H264_OPTIONS = {"crf": "20", "preset": "veryfast", "x264-params": "colormatrix=smpte170m"}
MP4_AUDIO_CODECS = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")  # audio codecs that can be copied to MP4
CODECS = ("vp09", "mp4v")  # OpenCV codecs: browsers play the first, and every OpenCV build can write the second

AddFrame = Callable[[np.ndarray], None]


@contextmanager
def new_video(
    path: str | os.PathLike, rate: float, shape: tuple[int, ...], sound: str | os.PathLike | None = None
) -> Iterator[AddFrame]:
    """Context manager that writes a video. The file is moved into place when the block ends.

    With H.264, frames are cropped to even sides, as 4:2:0 subsampling requires.

    Args:
        path: output file (.mp4).
        rate: frame rate in frames per second.
        shape: (height, width, ...) of every frame.
        sound: video file whose audio is copied if its codec is in MP4_AUDIO_CODECS. Requires PyAV.

    Yields:
        A function that appends a frame, uint8 RGB `[H, W, 3]`.

    Raises:
        ValueError: if the video cannot be written, or neither PyAV nor OpenCV is installed.
    """
    try:
        from av import codecs_available
    except ImportError:
        codecs_available = ()
    with replacing(path) as temporary:
        if H264 in codecs_available:
            writing = _write_h264(str(temporary), rate, shape, sound)
        else:
            writing = _write_with_opencv(str(temporary), rate, shape, printable(path))
        with writing as add:
            yield add


@contextmanager
def _write_h264(file: str, rate: float, shape: tuple[int, ...], sound: str | os.PathLike | None) -> Iterator[AddFrame]:
    import av

    height, width = shape[0] // 2 * 2, shape[1] // 2 * 2
    with ExitStack() as stack:
        # With faststart, the video can be played while it is downloaded.
        container = stack.enter_context(av.open(file, "w", options={"movflags": "+faststart"}))
        stream = container.add_stream(H264, rate=Fraction(rate).limit_denominator(1001), options=H264_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        copy_audio = _audio_copier(sound, container, stack)
        count = 0

        def add(frame: np.ndarray) -> None:
            nonlocal count
            pixels = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            count += 1
            copy_audio(count / rate)

        yield add
        container.mux(stream.encode())  # flushes the encoder


def _audio_copier(
    source: str | os.PathLike | None, container: OutputContainer, stack: ExitStack
) -> Callable[[float], None]:
    """Returns a function that copies the audio of a video, if it has any, up to a time in seconds.

    Packets are copied without decoding, so the quality does not change.
    """
    import av

    try:
        video = stack.enter_context(av.open(os.fspath(source))) if source is not None else None
    except (OSError, ValueError):  # FFmpeg cannot read the file, although OpenCV could
        video = None
    usable = [audio for audio in video.streams.audio if audio.codec_context.name in MP4_AUDIO_CODECS] if video else []
    if not usable:
        return lambda until: None
    copy = container.add_stream_from_template(usable[0])
    packets = (packet for packet in video.demux(usable[0]) if packet.dts is not None)
    packet = next(packets, None)

    def copy_audio(until: float) -> None:
        nonlocal packet
        while packet is not None and packet.dts * packet.time_base < until:
            packet.stream = copy
            container.mux(packet)
            packet = next(packets, None)

    return copy_audio


@contextmanager
def _write_with_opencv(file: str, rate: float, shape: tuple[int, ...], name: str) -> Iterator[AddFrame]:
    cv2 = import_opencv()
    size = (int(shape[1]), int(shape[0]))
    for codec in CODECS:
        writer = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*codec), rate, size)
        if writer.isOpened():
            break
    else:
        raise UserError(f"{name}: OpenCV found no encoder for a video of {size[0]}x{size[1]} pixels.")
    try:
        yield lambda frame: writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    finally:
        writer.release()
