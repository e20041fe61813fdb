"""`nike check`: reports of all problem types as text, JSON and HTML."""

import json
import re

import PIL.Image
import pytest

from nike import train
from nike.check import main
from nike.datasets.coco import write_coco
from nike.datasets.labelme import read_folder
from nike.training.data import count_lines, load_training_data


def check(capsys, *arguments) -> tuple[int, str]:
    code = main([str(a) for a in arguments])
    return code, capsys.readouterr().out


def report(capsys, *arguments) -> dict:
    return json.loads(check(capsys, *arguments, "--json", "-")[1])


def found(result: dict) -> set:
    return {(p["severity"], p["code"], p["file"], p["where"]) for p in result["problems"]}


def good(folder, shape, part: str = "", seed: int = 0) -> None:
    folder.labelled(f"{part}good{seed}.jpg", [shape(points=[[5, 5], [60, 10], [40, 50]])], seed=seed)


def test_a_dataset_without_problems(folder, shape, capsys):
    for seed, part in enumerate(("train/", "train/", "val/")):
        good(folder, shape, part, seed)
    folder.labelled("train/negative.jpg", [], seed=9)
    code, text = check(capsys, folder.root)
    assert code == 0 and text.endswith("no errors, no warnings, no notes.\n")
    assert re.search(r"^train +3 +1 +0 +2 in 2 images$", text, re.MULTILINE)
    assert re.search(r"^val +1 +0 +0 +1 in 1 image$", text, re.MULTILINE)
    assert "\033" not in text  # no color codes if the output is not a terminal
    result = report(capsys, folder.root)
    assert result["counts"] == {"error": 0, "warning": 0, "note": 0}
    assert result["parts"]["train"]["classes"] == {"nike": {"instances": 2, "photos": 2}}
    assert sum(result["sizes"].values()) == 3


def test_problems_of_files_and_labels(folder, shape, capsys):
    good(folder, shape)
    good(folder, shape, seed=5)
    folder.labelled("label.jpg", [shape("Nike"), shape("adidas", [[50, 30], [70, 40]], "rectangle")], seed=1)
    folder.labelled("points.jpg", [shape(points=[[1, 2], [3, 4]])], seed=2)
    folder.labelled("cut.jpg", [], seed=3)
    (folder.root / "cut.jpg").write_bytes((folder.root / "cut.jpg").read_bytes()[:-200])
    (folder.root / "broken.json").write_text("{")
    folder.photo("without.jpg", seed=4)
    assert found(report(capsys, folder.root, "--labels", "nike")) == {
        ("error", "label-typo", "label.json", "shapes[0]"),
        ("warning", "label-unknown", "label.json", "shapes[1]"),
        ("error", "points-count", "points.json", "shapes[0]"),
        ("error", "photo-unreadable", "cut.jpg", ""),
        ("error", "json-unreadable", "broken.json", ""),
        ("warning", "photo-unlabelled", "without.jpg", ""),
    }
    code, text = check(capsys, folder.root, "--labels=nike")
    assert code == 1
    assert "label.json, shapes[0]: label 'Nike' is unknown and ignored; did you mean 'nike'?" in text
    assert text.endswith("4 errors, 2 warnings, no notes.\n")


def test_sizes_against_the_anchors(folder, shape, capsys):
    """Images of 640 x 640 pixels are not resized. The default anchor scales are 12 to 192 pixels at 512 pixels."""
    squares = {
        "tiny": (100, 100, 140, 100),
        "small": (100, 100, 103, 105),
        "right": (9, 9, 99, 99),
        "huge": (0, 0, 639, 639),
    }
    for i, (name, (x1, y1, x2, y2)) in enumerate(squares.items()):
        folder.labelled(f"{name}.png", [shape(points=[[x1, y1], [x2, y2]], shape_type="rectangle")], 640, 640, seed=i)
    config = folder.json("config.json", {"RPN_ANCHOR_SCALES": [12, 24, 48, 96, 192]})
    result = report(capsys, folder.root, "--image-size", 640, "--config", config)
    assert found(result) == {
        ("warning", "tiny", "tiny.json", "shapes[0]"),
        ("note", "small", "small.json", "shapes[0]"),
        ("warning", "huge", "huge.json", "shapes[0]"),
    }
    assert result["sizes"]["64-128"] == 1 and result["sizes"]["from 512"] == 1


def test_shapes_drawn_twice(folder, shape, capsys):
    ring = [[5, 5], [60, 10], [40, 50]]
    folder.labelled("a.jpg", [shape(points=ring), shape(points=[[5, 5], [60, 10], [40, 49]]), shape("ignore", ring)])
    good(folder, shape, seed=1)
    assert found(report(capsys, folder.root)) == {("warning", "drawn-twice", "a.json", "shapes[1]")}


def test_duplicates(folder, shape, capsys):
    good(folder, shape, "train/", 1)
    good(folder, shape, "val/", 2)
    folder.labelled("train/twin.jpg", [], seed=1)  # the same bytes as good1.jpg
    folder.labelled("val/leak.jpg", [], seed=1)
    scaled = PIL.Image.open(folder.root / "train" / "good1.jpg").resize((70, 52))
    folder.labelled("val/scaled.jpg", [], 52, 70)
    scaled.save(folder.root / "val" / "scaled.jpg", quality=60)
    assert found(report(capsys, folder.root)) == {
        ("warning", "duplicate", "train/twin.jpg", ""),
        ("error", "duplicate-across", "val/leak.jpg", ""),
        ("warning", "near-duplicate-across", "val/scaled.jpg", ""),
    }
    separate = report(capsys, folder.root / "train", "--val", folder.root / "val")
    assert ("error", "duplicate-across", "leak.jpg", "") in found(separate)


def test_images_in_no_subset(folder, shape, capsys):
    for seed, part in enumerate(("train/", "val/", "negatives/", "negatives/more/", "")):
        good(folder, shape, part, seed)
    result = report(capsys, folder.root)
    assert found(result) == {("warning", "unused", "negatives", ""), ("warning", "unused", ".", "")}
    assert {p["message"] for p in result["problems"]} == {
        "2 images in neither train/ nor val/.",
        "1 image in neither train/ nor val/.",
    }
    folder.json("split.json", {"val": {"val": ["good1"]}})
    assert not found(report(capsys, folder.root))


def test_images_of_one_color_are_not_duplicates(folder, shape, capsys):
    for part, height in (("train", 60), ("val", 61)):
        folder.photo(f"{part}/a.png", height, 80, seed=None)
        folder.json(f"{part}/a.json", {"shapes": [shape()], "imagePath": "a.png"})
    assert not found(report(capsys, folder.root))


def test_class_balance(folder, shape, capsys):
    spots = [[[x, y], [x + 6, y + 6]] for x in range(0, 80, 8) for y in range(0, 50, 8)]
    shapes = [shape("nike", spot, "rectangle") for spot in spots[:-1]] + [shape("puma", spots[-1], "rectangle")]
    folder.labelled("a.jpg", shapes)
    result = report(capsys, folder.root, "--labels", "nike,puma,adidas")
    codes = {(p["severity"], p["code"]) for p in result["problems"]}
    assert {("error", "class-missing"), ("warning", "class-rare")} <= codes


def test_page_is_safe_and_self_contained(folder, shape, capsys, tmp_path):
    good(folder, shape)
    evil = "<script>alert(1)</script>"
    folder.labelled(
        "x&y.jpg",
        [shape(evil), shape("nikee", [[0, 0], [3, 0], [3, 3]]), shape("nikes", [[70, 50], [99, 99], [70, 99]])],
        seed=1,
    )
    good(folder, shape, seed=2)
    page = tmp_path / "out" / "page.html"
    check(capsys, folder.root, "--labels=nike", "--html", page, "--json", tmp_path / "report.json")
    text = page.read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and "x&amp;y.json" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and "http" not in text
    assert text.count('<img src="data:image/jpeg;base64,') == 4  # 3 labels, 1 image with points outside
    assert json.loads((tmp_path / "report.json").read_text())["counts"]["error"] == 2


def test_number_of_pictures_is_limited(folder, shape, capsys, tmp_path, monkeypatch):
    folder.labelled("a.jpg", [shape("Nike", [[i, 5], [i + 9, 9]], "rectangle") for i in range(9)])
    monkeypatch.setattr("nike.reporting.check_page.MAX_PICTURES", 2)
    check(capsys, folder.root, "--labels=nike", "--html", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<img") == 2 and text.count('class="card framed"') == 11  # 9 labels, 2 parts


def test_long_lists_are_truncated_in_the_terminal(folder, shape, capsys):
    folder.labelled("a.jpg", [shape("Nike", [[i, 5], [i + 9, 9]], "rectangle") for i in range(9)])
    assert "... and 4 more; see --html FILE." in check(capsys, folder.root, "--labels=nike")[1]


def test_user_errors(folder, tmp_path, capsys):
    (tmp_path / "a.txt").touch()
    for arguments, message in (
        ([tmp_path / "nowhere"], "no such file or folder"),
        ([folder.root, "--image-size", "0"], "--image-size"),
        ([folder.root, "--config", tmp_path / "c.json"], "no such file"),
        ([folder.root, "--labels", "ignore"], "labels: expected"),
        ([folder.root, "--workers", "0"], "--workers: expected at least 1, got 0"),
        ([folder.root, "--html", tmp_path], f"--html: expected the name of a file, got the folder {tmp_path}"),
        ([folder.root, "--json", tmp_path], "--json: expected the name of a file"),
        ([folder.root, "--json", tmp_path / "a.txt" / "b.json"], "a.txt is not a writable folder (Not a directory)"),
    ):
        assert main([str(a) for a in arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda folder, shape: None,
        lambda folder, shape: folder.labelled("only.jpg", [shape()]),
        lambda folder, shape: [folder.labelled(f"{name}.jpg", [], seed=i) for i, name in enumerate("abc")],
        lambda folder, shape: [
            folder.labelled(f"{name}.jpg", [shape("ignore")], seed=i) for i, name in enumerate("ab")
        ],
        lambda folder, shape: (folder.root / "a.json").write_text("{"),
    ],
    ids=["empty", "one", "negatives", "ignored", "broken"],
)
def test_it_fails_with_the_same_message_as_training(folder, shape, capsys, tmp_path, make):
    make(folder, shape)
    code = main([str(folder.root)])
    error = capsys.readouterr().err
    assert train.main(["--dataset", str(folder.root), "--logs", str(tmp_path), "--weights=none"]) == code == 2
    assert error == capsys.readouterr().err and error.startswith("error: ")
    assert f"error: {report(capsys, folder.root)['train_error']}\n" == error


@pytest.mark.parametrize("options", [[], ["--val-split=0.5", "--seed=3"], ["--labels=puma,adidas=puma"]])
def test_split_and_counts_equal_those_of_training(folder, shape, capsys, options):
    for number in range(10):
        folder.labelled(f"IMG_{number:03}.jpg", [shape("puma" if number % 2 else "adidas")], seed=number)
    arguments = train.parse(["--dataset", str(folder.root), *options])
    data = load_training_data(folder.root, arguments.labels, val_split=arguments.val_split, seed=arguments.seed)
    text = check(capsys, folder.root, *options)[1]
    assert all(line in text.splitlines() for line in count_lines(data))
    parts = report(capsys, folder.root, *options)["parts"]
    for name, dataset in (("train", data.train), ("val", data.val)):
        classes = {name: counts["instances"] for name, counts in parts[name]["classes"].items()}
        assert parts[name]["photos"] == dataset.summary()["photos"] and classes.items() <= dataset.summary().items()


def test_a_single_file_is_split(folder, shape, capsys):
    for number in range(10):
        folder.labelled(f"IMG_{number:03}.jpg", [shape()], seed=number)
    write_coco(folder.root / "instances.json", read_folder(folder.root).photos)
    code, text = check(capsys, folder.root / "instances.json")
    assert code == 0 and "training    8 images" in text and "validation  2 images" in text


def test_one_file_per_subset(folder, shape, capsys):
    """COCO tools often export a folder with two annotation files and the images of both."""
    for number in range(6):
        folder.labelled(f"IMG_{number:03}.jpg", [shape()], seed=number)
    photos = read_folder(folder.root).photos
    for photo in photos:
        photo.annotation.unlink()
    write_coco(folder.root / "instances_train.json", photos[:4])
    write_coco(folder.root / "instances_val.json", photos[4:])
    code, text = check(capsys, folder.root)
    assert code == 0 and "training    4 images" in text and "validation  2 images" in text


def test_similar_labels(folder, shape, capsys):
    for number, label in enumerate(["nike"] * 4 + ["Nike", "nike ", "nikee", "nikee"]):
        folder.labelled(f"IMG_{number:03}.jpg", [shape(label)], seed=number)
    code, text = check(capsys, folder.root)
    assert code == 1 and text.splitlines()[:3] == [
        "labels      in the files: nike (5), nikee (2)",
        "            'nikee' (2) is similar to 'nike'. Merge them with --labels nike,nikee=nike",
        "            'Nike' (1) is similar to 'nike' and is ignored. Merge them with --labels nike,nikee,Nike=nike",
    ]
    merged = check(capsys, folder.root, "--labels", "nike,nikee=nike,Nike=nike")
    assert merged[0] == 0 and "training    6 images (0 without logos): 6 nike" in merged[1]


def test_real_photos_have_no_problems(real_photos, capsys):
    result = report(capsys, real_photos)
    assert result["counts"]["error"] == 0
    assert {p["code"] for p in result["problems"]} <= {"small", "self-crossing"}
