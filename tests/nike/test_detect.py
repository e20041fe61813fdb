"""`nike detect` and `nike splash`, with a replacement for the network that detects red spots."""

import csv
import json
import sys
import weakref
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mrcnn.detections import Detections
from nike import detect, splash
from nike.detection.detector import Detector

RED = (230, 20, 20)
STATM = Path("/proc/self/statm").exists()  # exists on Linux only


@pytest.fixture
def command(monkeypatch, red_finder, capsys):
    """Returns a function that runs a command and returns (exit code, stdout, stderr).

    Example: `command(detect, "photo.jpg", "--save", "csv")`. Keywords are options of the Detector.
    """

    def run(module, *arguments, **options):
        detector = Detector(red_finder(), ["BG", "nike"], **options)
        monkeypatch.setattr(module, "load_chosen_detector", lambda arguments, threshold_factor=1.0: detector)
        try:
            code = module.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # raised for invalid options
            code = stop.code
        return code, *capsys.readouterr()

    return run


def red_photo(folder, name, *boxes, height=60, width=80, **options):
    pixels = np.full((height, width, 3), 120, np.uint8)
    for y1, x1, y2, x2 in boxes:
        pixels[y1:y2, x1:x2] = RED
    path = folder.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


def rows_of(output):
    with open(output / "detections.csv", newline="") as file:
        return [(row["file"].rpartition("/")[2], row["x1"], row["y1"]) for row in csv.DictReader(file)]


def test_a_folder_with_unusable_files(command, folder, tmp_path):
    red_photo(folder, "a.png", (5, 10, 25, 30), (40, 50, 50, 70))
    red_photo(folder, "b.png")
    (folder.root / "broken.jpg").write_bytes(b"\xff\xd8 no")
    red_photo(folder, "sub/a.png", (7, 8, 20, 20))
    before = {path: path.read_bytes() for path in folder.root.rglob("*.*")}
    code, out, err = command(detect, folder.root, "--output", tmp_path / "out")
    assert code == 1
    lines = out.splitlines()
    assert [line.partition(": ")[2][:8] for line in lines[:3]] == ["2 nike (", "nothing", "1 nike ("]
    written = f"{tmp_path}/out/overlay, {tmp_path}/out/detections.csv"
    assert lines[3] == f"3 detections in 2 of 3 images. Written: {written}"
    assert "1 of 4 images could not be used:" in err and "broken.jpg: is not an image" in err
    assert "\x1b" not in out + err and "\r" not in out + err
    assert sorted(path.name for path in (tmp_path / "out" / "overlay").iterdir()) == ["a-2.jpg", "a.jpg", "b.jpg"]
    assert rows_of(tmp_path / "out") == [("a.png", "10", "5"), ("a.png", "50", "40"), ("a.png", "8", "7")]
    assert {path: path.read_bytes() for path in folder.root.rglob("*.*")} == before


def test_detections_are_sorted_by_score_and_filtered(command, folder, tmp_path):
    path = red_photo(folder, "a.png", (5, 10, 25, 30), (40, 5, 50, 75), (0, 70, 3, 73))
    command(detect, path, "--output", tmp_path, "--save", "csv")
    assert rows_of(tmp_path) == [("a.png", "5", "40"), ("a.png", "10", "5"), ("a.png", "70", "0")]
    command(detect, path, "--output", tmp_path, "--save", "csv", max_detections=2)
    assert len(rows_of(tmp_path)) == 2
    command(detect, path, "--output", tmp_path, "--save", "csv", min_confidence=0.9)
    assert len(rows_of(tmp_path)) == 1
    with pytest.raises(ValueError, match="got adidas, puma"):
        command(detect, path, classes=["puma", "adidas"])


@pytest.fixture
def thresholds(monkeypatch, red_finder):
    """Returns the thresholds of the detectors that `nike detect` loads, in order. The default is 0.9."""
    used = []

    def load(arguments, threshold_factor=1.0):
        used.append(0.9 if arguments.min_confidence is None else arguments.min_confidence)
        print("--weights=best: some.h5", file=sys.stderr)
        return Detector(red_finder(), ["BG", "nike"], min_confidence=used[-1])

    monkeypatch.setattr(detect, "load_chosen_detector", load)
    return used


def test_best_scores_are_reported_without_detections(thresholds, folder, tmp_path, capsys):
    red_photo(folder, "a.png", (5, 10, 25, 30), (40, 50, 45, 55))  # score 0.5 + 0.5 * 20 / 80 = 0.625
    red_photo(folder, "b.png")
    (folder.root / "broken.jpg").write_bytes(b"\xff\xd8 no")
    assert detect.main([str(folder.root), "--output", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == [
        f"{folder.root}/a.png: no detections; the best score is 0.62 (threshold 0.90). "
        "Use --min-confidence 0.6 to include it",
        f"{folder.root}/b.png: no detections, and no score of 0.01 or more",
    ]
    assert thresholds == [0.9, 0.01] and err.count("some.h5") == 1 and err.count("broken.jpg") == 1
    assert rows_of(tmp_path / "out") == []
    assert detect.main([str(folder.root / "a.png"), "--output", str(tmp_path / "out"), "--min-confidence", "0.6"]) == 0
    assert rows_of(tmp_path / "out") == [("a.png", "10", "5")]  # the result with the option of the message


def test_no_second_run_if_objects_are_detected(thresholds, folder, tmp_path, capsys):
    red_photo(folder, "a.png", (5, 5, 25, 75))  # score 0.5 + 0.5 * 70 / 80 = 0.94
    red_photo(folder, "b.png", (5, 10, 25, 30))
    assert detect.main([str(folder.root), "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.endswith(
        "No detections in 1 image at threshold 0.90. Lower it with --min-confidence.\n"
    )
    assert thresholds == [0.9]


@pytest.mark.parametrize(
    "score, shown, option", [(0.31, "0.31", "0.3"), (0.3, "0.30", "0.3"), (0.0499, "0.04", "0.04")]
)
def test_the_option_in_the_hint_is_not_above_the_score(score, shown, option):
    assert f"the best score is {shown} " in detect.format_hint("a.jpg", score, 0.5)
    assert detect.format_hint("a.jpg", score, 0.5).endswith(f"--min-confidence {option} to include it")


def test_overlays_match_photos_with_exif_rotation(command, folder, tmp_path):
    """Phones store portrait photos with rotated pixels. The mask is upright."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    path = red_photo(folder, "phone.jpg", (5, 50, 25, 75), exif=exif, quality=95)
    assert command(detect, path, "--output", tmp_path, "--save", "masks,labelme,overlay")[0] == 0
    mask = np.asarray(PIL.Image.open(tmp_path / "masks" / "phone.png"))
    assert mask.shape == (80, 60)  # row 5 of the file is column 60 - 1 - 5 of the mask
    assert (mask[52:73, 37:53] == 1).all() and mask.sum() < 1.1 * 20 * 25
    assert PIL.Image.open(tmp_path / "overlay" / "phone.jpg").size == (60, 80)
    labelme = json.loads((tmp_path / "labelme" / "phone.json").read_text())
    assert (labelme["imageHeight"], labelme["imageWidth"]) == (80, 60)
    assert (tmp_path / "labelme" / "phone.jpg").read_bytes() == path.read_bytes()


def test_tiles_and_test_time_augmentation(command, folder, tmp_path, red_finder):
    path = red_photo(folder, "wide.png", (5, 10, 12, 20), (30, 100, 50, 160), height=70, width=200)
    finder = red_finder()
    options = dict(tiles="auto", augmented=[finder.detect_stream])
    assert command(detect, path, "--output", tmp_path, "--save", "csv", **options)[0] == 0
    assert rows_of(tmp_path) == [("wide.png", "100", "30"), ("wide.png", "10", "5")]
    views = 1 + 2 * 4  # the image and 70 x 200 pixels in tiles of 64 that overlap by a fifth
    assert len(finder.shapes) == 2 * views


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nothing.jpg"], "no such file"),
        (["--save", "pictures", "x.jpg"], "expected one or more of overlay,splash"),
        (["--tiles", "x.jpg"], "expected a number or 'auto'"),
        ([], "PATH"),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(command, arguments, message):
    code, out, err = command(detect, *arguments)
    assert (code, out) == (2, "") and message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "arguments"),
    [(detect, ["a.jpg", "--output", "file/x"]), (splash, ["--image=a.jpg", "--output=file/x.png"])],
)
def test_output_is_checked_before_detection(folder, monkeypatch, capsys, module, arguments):
    monkeypatch.chdir(folder.root)
    monkeypatch.setattr(
        module, "load_chosen_detector", lambda arguments, threshold_factor=1.0: pytest.fail("detection has begun")
    )
    folder.photo("a.jpg")
    (folder.root / "file").touch()
    assert module.main(arguments) == 2
    assert "error: --output: " in (error := capsys.readouterr().err) and "file is not a writable folder" in error


def test_output_must_be_a_folder(command, folder):
    photo = red_photo(folder, "a.png")
    code, _, err = command(detect, photo, "--output", photo)
    assert code == 2 and err == f"error: --output: expected a folder, got the file {photo}.\n"


def test_no_usable_image(command, folder, tmp_path):
    fix = "Convert it to JPEG or PNG."
    (folder.root / "a.jpg").write_bytes(b"no photo")
    code, out, err = command(detect, folder.root, "--output", tmp_path / "out")
    assert (code, out) == (2, "") and err == f"error: {folder.root}/a.jpg: is not an image of a known format. {fix}\n"
    (folder.root / "b.jpg").write_bytes(b"no photo either")
    code, out, err = command(detect, folder.root, "--output", tmp_path / "out")
    assert (code, out) == (2, "") and err.count("is not an image") == 2
    assert err.startswith("No image or video could be used (2 of 2):\n")


def test_sources_are_never_overwritten(command, folder):
    photo = red_photo(folder, "overlay/a.jpg", (5, 5, 20, 20))
    before = photo.read_bytes()
    code, _, err = command(detect, photo, "--output", folder.root)
    assert code == 2 and "is in a subfolder of --output" in err
    assert photo.read_bytes() == before
    red_photo(folder, "b.jpg")
    command(detect, folder.root, "--output", folder.root)
    command(detect, folder.root, "--output", folder.root)
    assert sorted(str(p.relative_to(folder.root)) for p in folder.root.rglob("*.jpg")) == [
        *("b.jpg", "overlay/a.jpg", "overlay/b.jpg")
    ]
    assert photo.read_bytes() == before


def test_memory_is_flat_over_2000_photos(command, folder, tmp_path, monkeypatch, red_finder):
    """Images and masks of 2000 photos would take 240 MB. At most 12 of each may be in memory at any time."""
    path = red_photo(folder, "a.png", (10, 10, 30, 40), height=150, width=200)
    for i in range(2000):
        (folder.root / f"link{i}.png").hardlink_to(path)
    alive, most, resident = [], 0, []

    def detect_one(self, image):
        nonlocal alive, most
        masks = np.zeros((150, 200, 1), bool)
        masks[10:30, 10:40] = True
        alive = [reference for reference in alive if reference() is not None]
        alive += [weakref.ref(image), weakref.ref(masks)]
        most = max(most, len(alive))
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) if STATM else 0)
        boxes = np.array([[10, 10, 30, 40]])
        result = {"rois": boxes, "class_ids": np.ones(1, int), "scores": np.ones(1), "masks": masks}
        return Detections.from_result(result)

    monkeypatch.setattr(red_finder, "detect_one", detect_one)
    code, out, _ = command(detect, folder.root / "link*.png", "--output", tmp_path, "--save", "splash,coco,csv")
    assert code == 0 and out.count(": 1 nike") == 2000
    assert most <= 2 * 12
    assert resident[-1] - resident[200] < 30 << 20 >> 12  # pages of 4 KiB
    assert len(json.loads((tmp_path / "detections.json").read_text())["annotations"]) == 2000


def interrupted(stream, after):
    """Returns a stream that simulates Ctrl-C at item number `after`."""

    def run(*arguments):
        for number, item in enumerate(stream(*arguments)):
            if number == after:
                raise KeyboardInterrupt
            yield item

    return run


def test_ctrl_c_keeps_and_reports_the_results_so_far(command, folder, tmp_path, monkeypatch):
    for name in "abcd":
        red_photo(folder, f"{name}.png", (5, 10, 25, 30))
    (folder.root / "a0.jpg").write_bytes(b"no photo")
    monkeypatch.setattr(detect, "detect_pictures", interrupted(detect.detect_pictures, 2))
    code, out, err = command(detect, folder.root, "--output", tmp_path / "out")
    assert code == 130 and err.endswith("\nInterrupted.\n")
    assert "2 detections in 2 of 2 images. Written:" in out and "a0.jpg: is not an image" in err
    assert len(rows_of(tmp_path / "out")) == len(list((tmp_path / "out" / "overlay").iterdir())) == 2


# --- splash ---


def test_splash_of_a_photo(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = red_photo(folder, "a.png", (5, 10, 25, 30))
    code, out, _ = command(splash, "--image", path)
    assert code == 0
    (written,) = tmp_path.glob("splash_*.png")
    assert out == f"Saved to {written.name}\n"
    pixels = np.asarray(PIL.Image.open(written)).astype(int)
    assert (pixels[5:25, 10:30] == RED).all()
    assert (np.ptp(pixels, axis=2) > 0).sum() == 20 * 20


def test_splash_of_a_video(command, tmp_path):
    cv2 = pytest.importorskip("cv2")
    path, output = tmp_path / "clip.avi", tmp_path / "grey.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (64, 48))
    for number in range(7):
        frame = np.full((48, 64, 3), (60, 140, 40), np.uint8)
        frame[10:30, 5 + number : 25 + number] = RED[::-1]
        writer.write(frame)
    writer.release()
    assert command(splash, "--video", path, "--output", output)[0] == 0
    capture = cv2.VideoCapture(str(output))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    frames = [frame.astype(int) for good, frame in iter(capture.read, (False, None)) if good]
    assert len(frames) == 7
    for number, frame in enumerate(frames):
        assert np.ptp(frame[15:25, 10 + number : 20 + number], axis=2).min() > 120  # still red
        assert np.ptp(frame[35:, :], axis=2).max() < 30  # the green part is grey


def test_ctrl_c_keeps_the_frames_so_far(command, tmp_path, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    path, output = tmp_path / "clip.avi", tmp_path / "grey.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (64, 48))
    for _ in range(7):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    monkeypatch.setattr(splash, "detect_pictures", interrupted(splash.detect_pictures, 4))
    code, _, err = command(splash, "--video", path, "--output", output)
    assert code == 130 and f"The first 4 frames are saved to {output}" in err
    assert cv2.VideoCapture(str(output)).get(cv2.CAP_PROP_FRAME_COUNT) == 4


def test_errors_of_splash(command, folder):
    path = red_photo(folder, "a.png")
    assert "is the input file" in command(splash, "--image", path, "--output", path)[2]
    assert "ends in .mp4" in command(splash, "--video", path, "--output", "a.avi")[2]
    assert "ends in .png or .jpg" in command(splash, "--image", path, "--output", "a.txt")[2]
    red_photo(folder, "b.png")
    assert "Use nike detect" in command(splash, "--image", folder.root)[2]
    (folder.root / "clip.mp4").write_text("no video")
    code, out, err = command(splash, "--video", folder.root / "clip.mp4", "--output", folder.root / "a.mp4")
    assert code == 1 and out == "" and "no frame can be read" in err
    assert not (folder.root / "a.mp4").exists()


def test_no_class_is_an_error(command, tmp_path):
    code, _, error = command(detect, "a.jpg", "--output", tmp_path, "--classes", ",")
    assert code == 2 and error.startswith("error: argument --classes: expected one or more names, got ','.")
