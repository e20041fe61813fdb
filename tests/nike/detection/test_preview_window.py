"""`nike detect` on a stream: preview window, files, and the error without a display."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mrcnn.detections import Detections
from nike import detect
from nike.detection import preview_window
from nike.detection.sources import Source
from nike.detection.video_writing import new_video

SHAPE = (48, 64)


@pytest.fixture
def stream(tmp_path, monkeypatch):
    """Simulates a stream of 5 frames with a detected square. Returns the displayed frames."""
    path = tmp_path / "clip.mp4"
    with new_video(path, 10, SHAPE) as add:
        for grey in range(0, 250, 50):
            add(np.full((*SHAPE, 3), grey, np.uint8))
    live = Source("rtsp://host/door", None, True, str(path))
    monkeypatch.setattr(detect, "find_sources", lambda paths, excluded: [live])
    square = Detections([(8, 8, 40, 40)], [1], [0.9], [np.ones((32, 32), bool)], SHAPE)
    detector = SimpleNamespace(
        class_names=["BG", "nike"], min_confidence=0.5, detect=lambda photos: (square for _ in photos)
    )
    monkeypatch.setattr(detect, "load_chosen_detector", lambda arguments, threshold_factor: detector)
    shown = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *arguments: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, pixels: shown.append(pixels))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda title, name: 1.0)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: shown.append("closed"))
    monkeypatch.chdir(tmp_path)
    return shown


@pytest.fixture
def display(monkeypatch):
    monkeypatch.setattr(detect, "has_display", lambda: True)


def test_all_frames_with_their_detections(stream, display, tmp_path, capsys):
    assert detect.main(["0"]) == 0
    assert len(stream) == 6 and stream.pop() == "closed"
    assert stream[0].shape == (*SHAPE, 3) and np.ptp(stream[0][24, 24]) > 20 > np.ptp(stream[0][46, 2])  # tinted square
    assert "5 detections in 5 of 5 images.\n" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]  # no files are written


@pytest.mark.parametrize("key, visible, frames", [(ord("q"), 1.0, 1), (27, 1.0, 1), (-1, 0.0, 1), (ord("x"), 1.0, 5)])
def test_keys_and_the_button_close_it(stream, display, monkeypatch, key, visible, frames):
    monkeypatch.setattr(cv2, "waitKey", lambda delay: key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda title, name: visible)
    assert detect.main(["0"]) == 0
    assert len(stream) == frames + 1 and stream[-1] == "closed"


def test_files_and_window(stream, display, tmp_path, capsys):
    assert detect.main(["0", "--output", "found", "--save=csv"]) == 0
    assert len(stream) == 6 and len((tmp_path / "found/detections.csv").read_text().splitlines()) == 6


def test_without_a_display_files_only(stream, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(detect, "has_display", lambda: False)
    assert detect.main(["0"]) == 2
    expected = "error: rtsp://host/door: no display for a window. Write the results with --output DIR.\n"
    assert capsys.readouterr().err == expected
    assert detect.main(["0", "--output", "found", "--save=csv"]) == 0
    assert stream == [] and (tmp_path / "found/detections.csv").is_file()


def test_presence_of_a_display(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not preview_window.has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    for gui, expected in (("QT5", True), ("NONE", False)):
        monkeypatch.setattr(cv2, "getBuildInformation", lambda gui=gui: f"General\n  GUI:      {gui}\n")
        assert preview_window.has_display() is expected
