"""Frames of video files written by OpenCV and PyAV, and errors for incomplete videos."""

import io
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from mrcnn.data.fetch import read_path_or_url
from mrcnn.data.video_files import count_frames, frames, is_stream, is_video

RATE, COUNT, HEIGHT, WIDTH = 10, 20, 48, 64


def color(number):
    """Returns the color of a frame, which differs strongly from that of the next frame."""
    return (10 * number, 200 - 10 * number, 40)


@pytest.fixture
def clip(tmp_path):
    """Writes a video of 2 seconds with 20 frames of one color each. Its index is at the end of the file."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for number in range(COUNT):
        writer.write(np.full((HEIGHT, WIDTH, 3), color(number)[::-1], np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("every", [1, 4, 7])
def test_frames_in_order(clip, every):
    read = list(frames(clip, every))
    numbers = range(0, COUNT, every)
    assert len(read) == len(numbers) and read[0][1] == pytest.approx(RATE / every)
    for number, (frame, _) in zip(numbers, read, strict=True):
        assert frame.dtype == np.uint8 and frame.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(frame.mean(axis=(0, 1)) - color(number)).max() < 8


def test_frames_are_counted(clip, tmp_path):
    assert count_frames(clip) == COUNT
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert count_frames(tmp_path / "broken.mp4") is None


def test_a_name_that_is_not_utf8(clip):
    """Such names come from archives of other systems: "Schuh über.mp4" in Latin-1."""
    renamed = clip.rename(clip.with_name(os.fsdecode(b"Schuh \xfcber.mp4")))
    assert count_frames(renamed) == COUNT and len(list(frames(renamed))) == COUNT


def test_reading_is_lazy(clip):
    stream = frames(clip)
    next(stream)
    stream.close()  # closes the file
    clip.unlink()


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"clip\.mp4: no such file\. Check the path\.$"):
        next(frames(tmp_path / "clip.mp4"))


@pytest.mark.parametrize("content", [b"", b"no video" * 100, b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_not_a_video(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"clip\.mp4: no frame can be read\. The file is not a video[^\n]*$"):
        next(frames(path))


def test_a_truncated_file_with_its_index_at_the_end_has_no_frames(clip):
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ValueError, match=r"clip\.mp4: no frame can be read.* truncated"):
        next(frames(clip))


@pytest.fixture
def streamable(tmp_path):
    """Writes a video with frames of noise. Its index is at the start of the file."""
    av = pytest.importorskip("av")
    path = tmp_path / "streamable.mp4"
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for seed in range(COUNT):
            pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("every", [1, 3])
def test_a_truncated_file_is_an_error_after_its_frames(streamable, every):
    data = streamable.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(list(frames(streamable, every))) == -(-COUNT // every)
    streamable.write_bytes(data[: len(data) * 2 // 3])
    read = []
    expected = rf"streamable\.mp4: truncated: {len(data) * 2 // 3:,} of at least {len(data):,} bytes, \d+ frames read\."
    with pytest.raises(ValueError, match=expected):
        read.extend(frames(streamable, every))  # the frames read before the error are kept
    assert COUNT / 3 / every < len(read) < COUNT / every


@pytest.mark.parametrize("end", [b"\x00" * 64, b"\xff" * 64, b"end"])
def test_bytes_after_the_video_are_ignored(clip, end):
    clip.write_bytes(clip.read_bytes() + end)
    assert len(list(frames(clip))) == COUNT


def test_a_url_is_downloaded_to_a_file_that_is_deleted(clip, monkeypatch):
    files = []

    def fetch(url, file, *limits):
        files.append(file)
        file.write(clip.read_bytes())

    monkeypatch.setattr("mrcnn.data.fetch.fetch", fetch)
    assert len(list(frames("https://x.org/clip.mp4?size=2"))) == COUNT
    assert files[0].closed
    monkeypatch.setattr("mrcnn.data.fetch.fetch", lambda url, file, *limits: file.write(b"<html>"))
    with pytest.raises(ValueError, match=r"^https://x\.org/clip\.mp4: no frame can be read"):
        next(frames("https://x.org/clip.mp4"))
    with pytest.raises(ValueError, match="expected an http or https URL"):
        monkeypatch.undo()
        next(frames("ftp://x.org/clip.mp4"))


def test_a_missing_camera_is_a_one_line_error():
    pytest.importorskip("cv2")
    with pytest.raises(ValueError, match="^camera 98: no frame can be read. Check its connection"):
        next(frames(98))


def test_videos_are_recognised_by_their_suffix(tmp_path):
    assert all(map(is_video, ("a.mp4", "b/c.MOV", tmp_path / "d.webm", "https://x.org/e.avi?name=f.jpg#top")))
    assert not any(map(is_video, ("a.jpg", "mp4", "", "https://x.org/a.jpg?b=c.mp4", 0, np.zeros(3), b"a", None)))


@pytest.fixture
def camera():
    """Returns the URL of a server that sends five JPEG images like a camera (MJPEG) and closes the connection."""
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), color(9)).save(file, "JPEG", quality=95)

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/video":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for _ in range(5):
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n")
                self.wfile.write(b"Content-Length: %d\r\n\r\n%s\r\n" % (file.tell(), file.getvalue()))

        def log_message(self, *values):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/video"
        server.shutdown()


def test_a_camera_with_an_http_address(camera):
    read = [frame for frame, _ in frames(f"{camera}#.mjpg")]
    assert len(read) == 5 and np.abs(read[4].mean(axis=(0, 1)) - color(9)).max() < 8
    with pytest.raises(ValueError, match=r"/gone\.mjpg: no frame can be read"):
        next(frames(camera.replace("video", "gone.mjpg")))
    with pytest.raises(ValueError, match=r"/video is a live stream\. Add #\.mjpg to the URL"):
        read_path_or_url(camera)


def test_addresses_of_streams():
    streams = ["rtsp://a/b", "RTMP://a/b", "http://a/b.mjpg", "https://a/b.M3U8?key=1", "http://a/b?c=d#.mjpg"]
    assert all(map(is_stream, streams))
    assert not any(map(is_stream, ("http://a/b.mp4", "http://a/b.jpg?c=d.mjpg.jpg", "b.mjpg", "ftp://a/b.mjpg", 0)))
