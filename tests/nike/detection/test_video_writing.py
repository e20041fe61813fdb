"""Videos for browsers: codec and frames read back with OpenCV."""

import sys

import numpy as np
import pytest

from mrcnn.data.video_files import frames
from nike.detection import video_writing

# Names used by OpenCV. According to MDN, "Media container formats", all current browsers play MP4 with H.264 or VP9.
CODECS = {"with OpenCV": "VP90", "with PyAV": "h264"}
HEIGHT, WIDTH = 49, 65  # 4:2:0 subsampling needs even sides


def frame(number):
    pixels = np.full((HEIGHT, WIDTH, 3), (40, 140, 60), np.uint8)
    pixels[10:30, 5 + 3 * number : 25 + 3 * number] = (230, 20, 20)
    return pixels


@pytest.mark.parametrize("way", CODECS)
def test_a_new_video_plays_in_browsers(tmp_path, monkeypatch, way):
    cv2 = pytest.importorskip("cv2")
    if way == "with PyAV":
        pytest.importorskip("av")
    else:
        monkeypatch.setitem(sys.modules, "av", None)  # simulates that PyAV is not installed
    path = tmp_path / "clip.mp4"
    with video_writing.new_video(path, 12.5, (HEIGHT, WIDTH, 3)) as add:
        for number in range(8):
            add(frame(number))
    assert b"ftyp" in path.read_bytes()[:12]  # the file is an MP4
    capture = cv2.VideoCapture(str(path))
    assert int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode() == CODECS[way]
    read = list(frames(path))
    assert len(read) == 8 and read[0][1] == pytest.approx(12.5)
    for number, (pixels, _) in enumerate(read):
        assert pixels.shape == (HEIGHT - 1, WIDTH - 1, 3)
        assert np.abs(pixels[14:26, 9 + 3 * number : 21 + 3 * number].astype(int) - (230, 20, 20)).mean() < 12
        assert np.abs(pixels[35:].astype(int) - (40, 140, 60)).mean() < 12


def test_without_vp9_another_codec_is_used(tmp_path, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(video_writing, "CODECS", ("none", video_writing.CODECS[-1]))
    with video_writing.new_video(tmp_path / "clip.mp4", 25, (HEIGHT, WIDTH, 3)) as add:
        add(frame(0))
    assert cv2.VideoCapture(str(tmp_path / "clip.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 1


def test_error_of_an_unwritable_video_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(video_writing, "CODECS", ("none",))
    with pytest.raises(ValueError, match="clip.mp4: OpenCV found no encoder for a video of 65x49 pixels"):  # noqa: SIM117
        with video_writing.new_video(tmp_path / "clip.mp4", 25, (HEIGHT, WIDTH, 3)):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def clip(tmp_path):
    """Writes a video of 2 seconds with 20 frames and a tone."""
    av = pytest.importorskip("av")
    path = tmp_path / "tone.mp4"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=10)
        pictures.height, pictures.width, pictures.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for number in range(20):
            pixels = np.ascontiguousarray(frame(number % 5)[:48, :64])
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(pictures.encode())
        tone = np.sin(np.arange(32000) * 2 * np.pi * 440 / 16000).astype(np.float32)
        for start in range(0, 32000, 1024):
            samples = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 16000, start
            container.mux(sound.encode(samples))
        container.mux(sound.encode())
    return path


def seconds_of_sound(path):
    import av

    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        return sum(samples.samples for samples in container.decode(audio=0)) / 16000


@pytest.mark.parametrize("every", [1, 4])
def test_the_sound_is_kept_and_frames_are_skipped(clip, tmp_path, every):
    read = list(frames(clip, every))
    assert len(read) == 20 / every and read[0][1] == pytest.approx(10 / every)
    with video_writing.new_video(tmp_path / "out.mp4", read[0][1], read[0][0].shape, clip) as add:
        for pixels, _ in read:
            add(pixels)
    assert seconds_of_sound(tmp_path / "out.mp4") == pytest.approx(2, abs=0.15)
    written = list(frames(tmp_path / "out.mp4"))
    assert len(written) == len(read)
    assert all(np.abs(new[0].astype(int) - old[0]).mean() < 6 for new, old in zip(written, read, strict=True))


def test_sound_ends_with_the_frames(clip, tmp_path):
    """After Ctrl-C, the sound is as long as the written frames."""
    with video_writing.new_video(tmp_path / "out.mp4", 10, (48, 64, 3), clip) as add:
        for number in range(5):
            add(frame(number))
    assert seconds_of_sound(tmp_path / "out.mp4") == pytest.approx(0.5, abs=0.15)
