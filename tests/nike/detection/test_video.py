"""Videos that browsers play: the codec as OpenCV reads it back, and every frame where it belongs."""

import sys

import numpy as np
import pytest

from nike.detection import video

# As OpenCV names them. MDN's page "Media container formats" lists MP4 with H.264 and VP9 for all current browsers.
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
        monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    path = tmp_path / "clip.mp4"
    with video.new_video(path, 12.5, (HEIGHT, WIDTH, 3)) as add:
        for number in range(8):
            add(frame(number))
    assert b"ftyp" in path.read_bytes()[:12]  # an MP4
    capture = cv2.VideoCapture(str(path))
    assert int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode() == CODECS[way]
    read = list(video.frames(path))
    assert len(read) == 8 and read[0][1] == pytest.approx(12.5)
    for number, (pixels, _) in enumerate(read):
        assert pixels.shape == (HEIGHT - 1, WIDTH - 1, 3)
        assert np.abs(pixels[14:26, 9 + 3 * number : 21 + 3 * number].astype(int) - (230, 20, 20)).mean() < 12
        assert np.abs(pixels[35:].astype(int) - (40, 140, 60)).mean() < 12


def test_an_opencv_that_cannot_write_vp9_writes_what_it_can(tmp_path, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(video, "CODECS", ("none", video.CODECS[-1]))
    with video.new_video(tmp_path / "clip.mp4", 25, (HEIGHT, WIDTH, 3)) as add:
        add(frame(0))
    assert cv2.VideoCapture(str(tmp_path / "clip.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 1


def test_a_video_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(video, "CODECS", ("none",))
    with pytest.raises(ValueError, match="clip.mp4: OpenCV found no encoder for a video of 65x49 pixels"):  # noqa: SIM117
        with video.new_video(tmp_path / "clip.mp4", 25, (HEIGHT, WIDTH, 3)):
            pass
    assert list(tmp_path.iterdir()) == []
