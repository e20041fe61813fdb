import json
import signal

import numpy as np
import pytest
from PIL import Image

from nike import synthesize
from nike.datasets.labelme import read_folder
from nike.synthesize import Settings, main

SMALL = ["--size", "128x96"]


def read_files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def run(folder, *options):
    assert main(["--output", str(folder), *SMALL, *map(str, options)]) == 0
    return read_files(folder)


def test_output_is_independent_of_workers_and_count(tmp_path):
    expected = run(tmp_path / "a", "--count", 5, "--seed", 3)
    assert len({data for name, data in expected.items() if name.endswith(".jpg")}) == 5
    assert run(tmp_path / "b", "--count", 5, "--seed", 3, "--workers", 2) == expected
    fewer = run(tmp_path / "c", "--count", 3, "--seed", 3)
    assert fewer.items() <= expected.items() and len(fewer) == 6
    other = run(tmp_path / "d", "--count", 1, "--seed", 4)
    assert not set(other.values()) & set(expected.values())


def test_workers_leave_ctrl_c_to_the_main_process(tmp_path, monkeypatch):
    """A terminal sends SIGINT to all processes. Idle workers would print tracebacks."""
    handlers = {}
    monkeypatch.setattr("signal.signal", handlers.__setitem__)
    monkeypatch.setattr("cv2.setNumThreads", lambda count: None)
    monkeypatch.setattr(synthesize, "_worker", None)
    synthesize._start_worker(Settings(tmp_path))
    assert handlers == {signal.SIGINT: signal.SIG_IGN}


def test_output_is_a_valid_labelme_dataset(tmp_path, capsys):
    run(tmp_path, "--count", 8, "--negatives", 0.25)
    collection = read_folder(tmp_path)
    assert len(collection.photos) == 8 and not collection.unlabelled
    assert not list(collection.all_problems())
    for photo in collection.photos:
        assert (photo.height, photo.width) == (96, 128)
        assert {i.label for i in photo.instances} <= {"nike", "ignore"}
        assert photo.draw().shape == (96, 128, len(photo.instances))
        document = json.loads((tmp_path / photo.file).with_suffix(".json").read_text())
        assert document["imageData"] is None and document["imagePath"] == photo.file
    assert capsys.readouterr().out.startswith("8 images in ")


@pytest.mark.parametrize(("fraction", "expected"), [(0, 0), (0.3, 3), (0.5, 5), (1, 10)])
def test_fraction_of_negatives_is_exact(tmp_path, fraction, expected):
    run(tmp_path, "--count", 10, "--negatives", fraction, "--size", "64x64")
    empty = [p for p in tmp_path.glob("*.json") if not json.loads(p.read_text())["shapes"]]
    assert len(empty) == expected


def test_custom_label_and_logo(tmp_path):
    logo = tmp_path / "mine.svg"
    logo.write_text('<svg><path d="M0 0h10v10h-10z"/></svg>')
    run(tmp_path / "out", "--count", 6, "--label", "square", "--logo", logo, "--negatives", 0)
    labels = {i.label for photo in read_folder(tmp_path / "out").photos for i in photo.instances}
    assert "square" in labels and labels <= {"square", "ignore"}


def test_polygons_of_one_instance_have_a_common_group_id(tmp_path):
    triangle = np.array([(0, 0), (9, 0), (0, 9)], np.float32)
    one, two = synthesize.Instance("nike", [triangle]), synthesize.Instance("nike", [triangle, triangle + 20])
    groups = [shape["group_id"] for shape in synthesize.to_shapes([one, two])]
    assert groups == [None, 2, 2]


def write_background(folder, name, shapes=None):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.full((50, 70, 3), (0, 250, 0), np.uint8)).save(folder / f"{name}.png")
    if shapes is not None:
        (folder / f"{name}.json").write_text(json.dumps({"shapes": shapes, "imagePath": f"{name}.png"}))


def test_backgrounds_and_cutouts_are_used(tmp_path):
    write_background(tmp_path / "bg", "green")
    square = {"label": "nike", "points": [[5, 5], [60, 5], [60, 45], [5, 45]], "shape_type": "polygon"}
    write_background(tmp_path / "cut", "photo", [square])
    run(tmp_path / "out", "--count", 6, "--backgrounds", tmp_path / "bg", "--cutouts", tmp_path / "cut")
    colors = [np.median(np.asarray(Image.open(p)), axis=(0, 1)) for p in sorted((tmp_path / "out").glob("*.jpg"))]
    assert any(c[1] > c[0] + 60 and c[1] > c[2] + 60 for c in colors)


def test_files_are_written_only_to_the_output_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_background(tmp_path / "bg", "green")
    before = read_files(tmp_path / "bg")
    run(tmp_path / "out", "--count", 2, "--backgrounds", "bg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bg", "out"]
    assert read_files(tmp_path / "bg") == before
    names = sorted(read_files(tmp_path / "out"))
    assert names == [f"synthetic_0_0000{i}.{kind}" for i in (0, 1) for kind in ("jpg", "json")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--count", "0"], "--count must be 1 or more, got 0"),
        (["--workers", "0"], "--workers must be 1 or more"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--negatives", "15"], "--negatives must be a fraction from 0 to 1"),
        (["--negatives", "nan"], "--negatives must be a fraction from 0 to 1"),
        (["--size", "8x8"], "--size must be 64 to 4096 pixels per side, got 8x8"),
        (["--size", "99999x99999"], "--size must be 64 to 4096"),
        (["--label", "ignore"], "--label must be a name other than"),
        (["--logo", "nowhere.svg"], "nowhere.svg: no such logo file"),
        (["--backgrounds", "nowhere"], "nowhere: no such folder of backgrounds"),
        (["--cutouts", "nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_invalid_options_print_one_line_and_write_no_files(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["--output", "out", "--count", "1", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_logo_with_document_type_is_rejected(tmp_path, capsys):
    bomb = tmp_path / "bomb.svg"
    bomb.write_text('<!DOCTYPE s [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><svg><path d="&b;"/></svg>')
    assert main(["--output", str(tmp_path / "out"), "--logo", str(bomb)]) == 2
    error = capsys.readouterr().err
    assert "document types and entities are not supported" in error and error.count("\n") == 1


def test_invalid_size_format(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--output", str(tmp_path), "--size", "large"])
    assert caught.value.code == 2 and "WIDTHxHEIGHT" in capsys.readouterr().err


def test_unreadable_background_raises(tmp_path):
    (tmp_path / "bg").mkdir()
    (tmp_path / "bg" / "broken.jpg").write_bytes(b"not an image")
    settings = Settings(tmp_path / "out", backgrounds=tmp_path / "bg", height=64, width=64)
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        list(synthesize.synthesize(settings, 20))


def test_an_output_that_is_a_file_is_named(tmp_path, capsys):
    (tmp_path / "out").write_text("kept")
    assert main(["--output", str(tmp_path / "out"), "--count", "1", *SMALL]) == 2
    assert f"--output: {tmp_path / 'out'} is not a writable folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "kept"
