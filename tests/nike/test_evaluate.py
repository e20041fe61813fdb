"""`nike evaluate`: metrics derived by hand, output files, and the HTML page in Chromium."""

import html.parser
import json
import shutil
import subprocess

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as rle_lib

from nike import evaluate
from nike.datasets.coco import write_coco
from nike.datasets.labelme import read_folder
from nike.detection.detector import Detector
from nike.training.run_split import PHOTOS_FILE, write_run_photos

RED, GREEN = (230, 20, 20), (30, 160, 60)


@pytest.fixture
def command(monkeypatch, red_finder, capsys):
    """Returns the function `command("--dataset", folder, ...)`, which returns (exit code, stdout, stderr).

    Only red spots are detected.
    """

    def run(*arguments, names=("BG", "nike"), path=None):
        finder = red_finder()
        monkeypatch.setattr(evaluate, "load_chosen_detector", lambda arguments: Detector(finder, names, path=path))
        code = evaluate.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def add(folder, shape, name, labelled=(), spots=(), height=100, width=100):
    """Writes an image with red `spots` and a labelme file with labels and boxes. Boxes are (y1, x1, y2, x2)."""
    shapes = [
        # The outline is part of the mask in labelme, so the last row and column belong to the polygon.
        shape(label, [[x1, y1], [x2 - 1, y1], [x2 - 1, y2 - 1], [x1, y2 - 1]])
        for label, (y1, x1, y2, x2) in labelled
    ]
    folder.labelled(name, shapes, height=height, width=width)
    pixels = np.full((height, width, 3), GREEN, np.uint8)
    for y1, x1, y2, x2 in spots:
        pixels[y1:y2, x1:x2] = RED
    PIL.Image.fromarray(pixels).save(folder.root / name)


@pytest.fixture
def dataset(folder, shape):
    """Returns a dataset with four instances (one detected exactly, one roughly, two missed), a false positive and an
    ignore region.
    """
    add(folder, shape, "exact.png", [("nike", (10, 10, 40, 90))], [(10, 10, 40, 90)])  # score .9
    add(folder, shape, "rough.png", [("nike", (10, 10, 40, 70))], [(16, 10, 46, 70)])  # score .8, IoU 24/36
    add(folder, shape, "missed.png", [("nike", (10, 10, 20, 30)), ("nike", (60, 10, 70, 30))])
    add(folder, shape, "background.png", [], [(10, 10, 20, 80)])  # score .85
    add(folder, shape, "quiet.png")
    add(folder, shape, "ignore.png", [("ignore", (10, 10, 50, 50))], [(10, 10, 50, 30)])
    return folder.root


def test_metrics_derived_by_hand(command, dataset):
    code, out, err = command("--dataset", dataset, "--json", "-")
    assert (code, err) == (0, "")
    scores = json.loads(out)
    assert scores["counts"] == {"photos": 6, "negatives": 2, "instances": 4, "ignored": 1, "detections": 4}
    # The ranking is true (.9), false (.85), true (.8) of 4 instances. Precision is 1 at recall .25 and 2/3 at .5.
    voc = scores["voc"]["mask"]["nike"]
    assert voc["ap_11_point"] == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)  # recalls 0 .1 .2 and .3 .4 .5
    assert voc["ap_all_points"] == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert scores["mask"]["AP50"] == pytest.approx((26 * 1 + 25 * 2 / 3) / 101)
    assert scores["mask"]["AP75"] == pytest.approx(26 / 101)  # IoU 2/3 is below the threshold
    assert scores["mask"]["AP"] == pytest.approx((4 * (26 + 50 / 3) + 6 * 26) / 1010)  # IoU 2/3 reaches .5 .55 .6 .65
    assert scores["box"]["AP"] == pytest.approx(scores["mask"]["AP"])  # all masks are rectangles
    assert voc["best_f1"] == pytest.approx({"threshold": 0.8, "f1": 4 / 7, "precision": 2 / 3, "recall": 0.5})
    at = scores["at_threshold"]
    assert {name: at[name] for name in ("true", "false", "duplicates", "missed")} == {
        **dict(true=2, false=1, duplicates=0, missed=2)
    }
    assert at["confusion"] == [[0, 1], [2, 2]]
    interval = pytest.approx((0.0945, 0.9055), abs=1e-4)  # Wilson interval of 1 of 2
    assert at["negative_images"] == {
        **dict(images=2, images_with_detections=1, detections=1, per_image=0.5, interval_95=interval)
    }
    assert (at["median_iou"], at["accurate"]) == (pytest.approx(5 / 6), 0.5)  # IoU 1 and 2/3
    assert scores["operating_points"][0]["precision"] == 0.9
    assert [(photo["file"], photo["error_score"]) for photo in scores["photos"][:3]] == [
        *(("missed.png", 2), ("background.png", 1), ("rough.png", pytest.approx(1 / 3, abs=1e-4)))
    ]
    assert {photo["error_score"] for photo in scores["photos"][3:]} == {0}


def test_the_threshold_does_not_affect_ap(command, dataset):
    low, high = (
        json.loads(command("--dataset", dataset, "--json", "-", "--threshold", threshold)[1])
        for threshold in (0.5, 0.87)
    )
    assert high["mask"] == low["mask"] and high["voc"] == low["voc"]
    assert (high["at_threshold"]["true"], high["at_threshold"]["missed"]) == (1, 3)
    assert high["at_threshold"]["negative_images"]["images_with_detections"] == 0


def test_terminal_output(command, dataset):
    code, out, _ = command("--dataset", dataset)
    lines = out.splitlines()
    assert sorted(lines[:6])[0] == "background.png: 1 detection, no instances"  # one per image without a progress bar
    lines = lines[6:]
    assert code == 0 and max(map(len, lines[2:])) < 110
    assert lines[1].endswith("all: 6 images (2 negatives), 4 instances, 1 ignored")
    mask = next(line for line in lines if line.startswith("mask  "))
    assert mask.split()[1:4] == ["0.323", "0.422", "0.257"]
    assert mask.split()[6] == "-"  # undefined without a large instance
    assert "At score 0.5 and mask IoU 0.5: 2 true, 1 false (no duplicates), 2 missed" in out
    assert "on 1 of 2 negative images (95% interval 9% to 91%), 0.50 per image" in out
    assert "median mask IoU" in out
    assert lines[-3:] == ["  missed.png: 2 missed", "  background.png: 1 false", "  rough.png: IoU 0.67"]


def test_detections_as_coco_results(command, dataset, tmp_path):
    command("--dataset", dataset, "--results", tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text())
    by_file = {result["file"]: result for result in results}
    assert sorted(by_file) == [f"photos/{name}.png" for name in ("background", "exact", "ignore", "rough")]
    rough = by_file["photos/rough.png"]
    assert rough["bbox"] == [10, 16, 60, 30] and rough["score"] == pytest.approx(0.8)
    mask = rle_lib.decode(rough["segmentation"])
    assert mask.shape == (100, 100) and mask[16:46, 10:70].all() and mask.sum() == 1800


def test_splits(command, dataset, folder, shape):
    folder.json("split.json", {"val": ["exact", "quiet"]})
    counts = [
        json.loads(command("--dataset", dataset, *options, "--json", "-")[1])["counts"]["photos"]
        for options in ((), ("--split", "val"), ("--split", "train"), ("--split", "all"))
    ]
    assert counts == [2, 2, 4, 6]


def test_unusable_images(command, dataset, folder, shape):
    add(folder, shape, "later.png", [("nike", (10, 10, 40, 90))])
    data = (dataset / "later.png").read_bytes()
    (dataset / "later.png").write_bytes(data[: len(data) // 2])  # the header is valid
    folder.labelled("typo.png", [shape("Nkie")], height=100, width=100)
    code, out, err = command("--dataset", dataset)
    assert code == 1 and "7 images" in out
    assert "Some images could not be used (2 problems):" in err
    assert "later.png: cannot be decoded" in err and "did you mean 'nike'?" in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dataset", "nowhere"], "nowhere: no such folder"),
        (["--threshold", "2"], "--threshold: expected a number from 0 to 1, got 2"),
    ],
)
def test_user_errors(command, arguments, message):
    code, out, err = command(*arguments)
    assert code == 2 and out == "" and message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--json", "--html", "--results"])
def test_outputs_are_checked_before_detection(monkeypatch, dataset, tmp_path, capsys, option):
    monkeypatch.setattr(evaluate, "load_chosen_detector", lambda arguments: pytest.fail("detection has begun"))
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path, "expected the name of a file"),
        (tmp_path / "file" / "x", "not a writable folder"),
    ):
        assert evaluate.main(["--dataset", str(dataset), option, str(path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {option}: ") and message in error and len(error.splitlines()) == 1


def test_classes_must_match_the_weights(command, dataset):
    code, _, err = command("--dataset", dataset, "--labels", "adidas")
    assert code == 2 and "the weights have the classes nike, but labels map to adidas" in err
    code, out, _ = command("--dataset", dataset, "--labels", "swoosh=nike,nike=nike")
    assert code == 0


def test_labels_unknown_to_the_weights(command, dataset, folder, shape):
    add(folder, shape, "puma.png", [("puma", (10, 10, 40, 90)), ("puma", (50, 10, 60, 90))])
    code, out, _ = command("--dataset", dataset)
    line = "labels      puma (2) without a class in the weights (classes: nike), counted as background. Map a label"
    assert code == 0 and f"\n{line}" in out
    code, _, err = command("--dataset", dataset, "--json", "-")
    assert code == 0 and err.startswith(line) and len(err.splitlines()) == 1
    assert line not in command("--dataset", dataset, "--labels", "nike")[1]
    code, _, err = command("--dataset", dataset, names=("BG", "adidas"))
    assert code == 2 and "labels nike (4), puma (2) without a class in the weights (classes: adidas). Map them" in err


def test_the_order_of_labels_does_not_matter(command, folder, shape):
    add(folder, shape, "a.png", [("puma", (10, 10, 40, 90))], [(10, 10, 40, 90)])
    code, out, _ = command(
        "--dataset", folder.root, "--labels", "puma,adidas", "--json", "-", names=("BG", "adidas", "puma")
    )
    assert code == 0 and json.loads(out)["at_threshold"]["confusion"] == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


# --- images of the run ---


@pytest.fixture
def weights(dataset, tmp_path):
    """Returns the path of weights of a run with two validation images and three training images."""
    photos = {photo.file: photo for photo in read_folder(dataset).photos}
    parts = ("exact.png", "rough.png", "missed.png"), ("background.png", "ignore.png")
    (tmp_path / "run").mkdir()
    write_run_photos(tmp_path / "run", {"nike": "nike"}, *([photos[name] for name in part] for part in parts))
    return tmp_path / "run" / "mask_rcnn_nike_0001.h5"


def test_photos_of_one_name_and_two_suffixes(command, folder, shape, tmp_path):
    """shoe.png is a validation image of the run, and shoe.jpg is a training image."""
    folder.labelled("one/shoe.png", [shape()])
    folder.labelled("two/shoe.jpg", [shape()], seed=1)
    found = read_folder(folder.root).photos
    for photo in found:
        photo.annotation.unlink()
        photo.path = photo.path.rename(folder.root / photo.path.name)
        photo.file = photo.path.name
    write_coco(folder.root / "coco.json", found)
    (tmp_path / "run").mkdir()
    write_run_photos(tmp_path / "run", {"nike": "nike"}, found[1:], found[:1])
    code, out, _ = command("--dataset", folder.root, path=tmp_path / "run" / "mask_rcnn_nike_0001.h5")
    assert code == 0 and "shoe.png: " in out and "shoe.jpg" not in out and ", val: 1 image" in out


def test_validation_images_of_the_run_are_scored(command, dataset, weights):
    for options in ((), ("--split", "val")):
        code, out, err = command("--dataset", dataset, *options, path=weights)
        assert code == 0 and f"split       2 validation images of the run in {dataset}" in out
        assert "warning" not in out + err and ", val: 2 images" in out


@pytest.mark.parametrize(("split", "trained", "count"), [("train", 3, 3), ("all", 3, 6)])
def test_scoring_training_images_gives_a_warning(command, dataset, weights, split, trained, count):
    code, out, _ = command("--dataset", dataset, "--split", split, path=weights)
    assert code == 0 and f"warning     {trained} of {count} images were used for training" in out
    assert f", {split}: {count} images" in out


def test_other_images_with_equal_names_are_not_those_of_the_run(command, dataset, weights, tmp_path, folder, shape):
    other = type(folder)(tmp_path / "other")
    for seed in range(3):
        other.labelled(("background.png", "exact.png", "new.png")[seed], [shape()], 100, 101, seed=seed)
    code, out, _ = command("--dataset", other.root, path=weights)
    assert code == 0 and ", all: 3 images" in out and "split  " not in out and "warning" not in out


def test_a_moved_dataset_and_a_missing_image(command, dataset, weights, tmp_path):
    moved = dataset.rename(tmp_path / "moved")
    (moved / "background.png").unlink()
    out = command("--dataset", moved, path=weights)[1]
    assert f"split       1 validation image of the run in {moved}; 1 more are missing or changed" in out


def test_labels_are_merged_as_in_training(command, dataset, weights, folder, shape):
    add(folder, shape, "background.png", [("swoosh", (10, 10, 20, 80))], [(10, 10, 20, 80)])
    record = json.loads((weights.parent / PHOTOS_FILE).read_text())
    record |= {"labels": {"nike": "nike", "swoosh": "nike"}}
    record["val"] = [["background.png", (dataset / "background.png").stat().st_size]]
    (weights.parent / PHOTOS_FILE).write_text(json.dumps(record))
    code, out, _ = command("--dataset", dataset, "--json", "-", path=weights)
    assert code == 0 and json.loads(out)["at_threshold"]["true"] == 1


def test_error_of_a_damaged_record(command, dataset, weights):
    (weights.parent / PHOTOS_FILE).write_text('{"train": 3}')
    code, _, err = command("--dataset", dataset, path=weights)
    assert code == 2 and "photos.json: expected" in err and len(err.splitlines()) == 1


# --- the page ---


class Outline(html.parser.HTMLParser):
    """Parser that collects the tags of a page and the resources that it would load."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]


@pytest.fixture
def page(command, dataset, tmp_path):
    path = tmp_path / "report.html"
    assert command("--dataset", dataset, "--html", path)[0] == 0
    return path


def test_the_page_is_self_contained(page):
    text = page.read_text(encoding="utf-8")
    outline = Outline(text)
    assert not {"script", "link", "iframe", "object"} & set(outline.tags)
    assert all(load.startswith("data:image/jpeg;base64,") for load in outline.loads)
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert outline.tags.count("img") == 2 * 3  # ground truth and detections of images with errors
    assert outline.tags.count("figure") == 4
    order = [text.index(f"<b>{name}.png</b>") for name in ("missed", "background", "rough")]
    assert order == sorted(order) and "<b>exact.png</b>" not in text


def test_malicious_names_are_escaped(command, folder, shape, tmp_path):
    name = "<script>alert(1)<script>.png"
    add(folder, shape, name, [("nike", (10, 10, 40, 90))])
    command("--dataset", folder.root, "--html", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "script" not in Outline(text).tags and "&lt;script&gt;alert(1)" in text


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_chromium_renders_the_page(page, tmp_path):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,2600"]
    shot = tmp_path / "page.png"
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path}/profile", f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    pixels = np.asarray(PIL.Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape == (2600, 1200, 3)

    def count(color, tolerance):
        return (np.abs(pixels - color).max(axis=2) <= tolerance).sum()

    assert count((0, 114, 178), 2) > 2000  # bars and lines of the charts
    assert count((213, 94, 0), 2) > 300
    assert count(GREEN, 12) > 50_000  # the images
    assert count((255, 145, 0), 4) > 300  # labels of the errors
