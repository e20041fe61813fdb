"""Output formats: content, compatibility with other software, atomic writing."""

import csv
import json

import numpy as np
import PIL.Image
import pytest
from pycocotools.coco import COCO

from mrcnn.detections import Detections
from mrcnn.ops.masks import extract_bboxes
from nike.datasets.coco import read_coco
from nike.datasets.labelme import read_labelme
from nike.detection.output_formats import WRITERS, Outputs, output_folders
from nike.detection.sources import Picture, Source

NAMES = ["BG", "nike", "adidas"]


@pytest.fixture
def picture(folder):
    path = folder.photo("shoe.png", height=60, width=80)
    return Picture(Source(str(path), path, False), "shoe", np.asarray(PIL.Image.open(path)))


def result_of(height=60, width=80, classes=(1, 2)):
    masks = np.zeros((height, width, 2), bool)
    masks[10:30, 20:50, 0] = True
    masks[10:30, 20:35, 0] = np.tri(20, 15, dtype=bool)
    masks[25:50, 40:70, 1] = True
    result = {
        "rois": np.array([[10, 20, 30, 50], [25, 40, 50, 70]], np.int32),
        "class_ids": np.array(classes, np.int32),
        "scores": np.array([0.91, 0.4567], np.float32),
        "masks": masks,
    }
    return Detections.from_result(result)


def nothing(height=60, width=80):
    empty = {"rois": np.zeros((0, 4), np.int32), "class_ids": np.zeros(0, np.int32), "scores": np.zeros(0, np.float32)}
    return Detections.from_result(empty | {"masks": np.zeros((height, width, 0), bool)})


@pytest.fixture
def output(tmp_path):
    return tmp_path / "output"


def write(output, kinds, *pairs):
    with Outputs(output, kinds, NAMES) as outputs:
        for picture, result in pairs:
            outputs.write(picture, result)
    leftovers = [path for path in output.rglob("*") if path.name.startswith(".")]
    assert leftovers == []


def test_overlay_and_splash(output, picture):
    write(output, ["overlay", "splash"], (picture, result_of()))
    overlay = np.asarray(PIL.Image.open(output / "overlay" / "shoe.jpg")).astype(int)
    assert overlay.shape == (60, 80, 3) and np.abs(overlay - picture.image).max() > 60
    splash = np.asarray(PIL.Image.open(output / "splash" / "shoe.jpg")).astype(int)
    outside = ~result_of()["masks"].any(axis=2)
    assert np.ptp(splash[outside], axis=1).max() < 40 < np.ptp(splash[40:48, 45:65], axis=2).max()


def test_masks_are_numbered_and_the_highest_score_is_on_top(output, picture):
    write(output, ["masks"], (picture, result_of()))
    image = PIL.Image.open(output / "masks" / "shoe.png")
    numbers, masks = np.asarray(image), result_of()["masks"]
    assert image.mode == "P" and (numbers[masks[..., 0]] == 1).all()
    assert (numbers[masks[..., 1] & ~masks[..., 0]] == 2).all() and (numbers[~masks.any(axis=2)] == 0).all()


def test_more_than_255_masks(output, picture):
    many = {
        "rois": np.tile([[0, 0, 60, 80]], (300, 1)),
        "class_ids": np.ones(300, int),
        "scores": np.linspace(1, 0, 300),
        "masks": np.arange(4800).reshape(60, 80, 1) == np.arange(300),
    }
    write(output, ["masks"], (picture, Detections.from_result(many)))
    numbers = np.asarray(PIL.Image.open(output / "masks" / "shoe.png"))
    assert numbers.ravel()[:301].tolist() == [*range(1, 301), 0]


def test_names_with_dots_are_kept(output, picture):
    dotted = Picture(picture.source, "a.b", picture.image)
    write(output, list(WRITERS), (dotted, result_of()))
    files = sorted(str(path.relative_to(output)) for path in output.rglob("*.*") if path.is_file())
    assert files == [
        *("crops/a.b_1.png", "crops/a.b_2.png", "detections.csv", "detections.json", "labelme/a.b.json"),
        *("labelme/a.b.png", "masks/a.b.png", "overlay/a.b.jpg", "splash/a.b.jpg"),
    ]


def test_crops(output, picture):
    write(output, ["crops"], (picture, result_of()))
    crop = np.asarray(PIL.Image.open(output / "crops" / "shoe_2.png"))
    assert crop.shape == (31, 36, 4)  # the margin is a tenth of 30 pixels on each side
    assert (crop[..., 3] > 0).sum() == 25 * 30
    assert (crop[..., :3] == picture.image[22:53, 37:73]).all()


def test_labelme_output_is_a_dataset(output, picture):
    write(output, ["labelme"], (picture, result_of()))
    copy = output / "labelme" / "shoe.png"
    assert copy.read_bytes() == picture.source.path.read_bytes()
    photo = read_labelme(output / "labelme" / "shoe.json")
    assert photo.path == copy and photo.problems == []
    assert [instance.label for instance in photo.instances] == ["nike", "adidas"]
    drawn, masks = photo.draw(), result_of()["masks"]
    for i in (0, 1):
        assert (drawn[..., i] & masks[..., i]).sum() >= 0.99 * (drawn[..., i] | masks[..., i]).sum()


def test_corrected_labelme_files_are_not_overwritten(output, picture):
    write(output, ["labelme"], (picture, result_of()))
    corrected = output / "labelme" / "shoe.json"
    corrected.write_text("may have been corrected")
    with pytest.raises(ValueError, match="labelme files of an earlier run"):
        Outputs(output, ["csv", "labelme"], NAMES)
    assert corrected.read_text() == "may have been corrected"
    assert not (output / "detections.csv").exists()


def test_labelme_without_detections_is_a_negative(output, picture):
    write(output, ["labelme"], (picture, nothing()))
    assert read_labelme(output / "labelme" / "shoe.json").is_negative


def test_labelme_output_of_downloads_and_unusual_suffixes_has_the_image(output, tmp_path, picture):
    odd = tmp_path / "photo.json"
    odd.write_bytes(picture.source.path.read_bytes())
    download = Picture(Source("https://x.org/a", None, False), "a", picture.image)
    named = Picture(Source(str(odd), odd, False), "b", picture.image)
    write(output, ["labelme"], (download, nothing()), (named, nothing()))
    for name in "ab":
        assert read_labelme(output / "labelme" / f"{name}.json").path.suffix == ".jpg"


def test_coco(output, picture):
    second = Picture(Source('b "quoted".jpg', None, False), "b", picture.image)
    write(output, ["coco"], (picture, result_of()), (second, nothing()), (second, result_of(classes=(2, 2))))
    coco = COCO(output / "detections.json")
    assert [image["file_name"] for image in coco.loadImgs([1, 2, 3])] == [picture.source.name, *['b "quoted".jpg'] * 2]
    assert coco.loadCats([1, 2]) == [{"id": 1, "name": "nike"}, {"id": 2, "name": "adidas"}]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    masks = result_of()["masks"]
    for i, annotation in enumerate(annotations):
        assert (coco.annToMask(annotation) == masks[..., i]).all()
        assert annotation["area"] == masks[..., i].sum() and annotation["iscrowd"] == 0
    assert [a["category_id"] for a in annotations] == [1, 2]
    assert [a["score"] for a in annotations] == pytest.approx([0.91, 0.4567], abs=1e-6)
    assert annotations[0]["bbox"] == [20, 10, 30, 20]
    assert len(coco.getAnnIds(imgIds=[2])) == 0 and len(coco.getAnnIds()) == 4
    found = coco.loadRes([{k: a[k] for k in ("image_id", "category_id", "bbox", "score")} for a in annotations])
    assert len(found.anns) == 2


def test_coco_without_detections_is_read_back(output, picture):
    write(output, ["coco"])
    assert json.loads((output / "detections.json").read_text())["images"] == []
    write(output, ["coco"], (picture, result_of()))
    (photo,) = read_coco(output / "detections.json", picture.source.path.parent).photos
    assert (photo.draw() == result_of()["masks"]).all()


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_csv(output, picture):
    write(output, ["csv"], (picture, result_of()), (picture, nothing()))
    rows = rows_of(output / "detections.csv")
    assert len(rows) == 2
    assert rows[1] == {
        **dict(file=picture.source.name, frame="", number="2"),
        **{"class": "adidas", "score": "0.4567", "x1": "40", "y1": "25", "x2": "70", "y2": "50"},
        **dict(area="750", width="80", height="60", track=""),
    }


def test_frames_become_a_video(output):
    cv2 = pytest.importorskip("cv2")
    source = Source("clip.mp4", None, True)
    image = np.full((48, 64, 3), (200, 60, 30), np.uint8)
    frames = [Picture(source, "clip", image, number, 10.0) for number in range(5)]
    other = [Picture(Source("b.mp4", None, True), "b", image[:40], number, 5.0) for number in range(3)]
    pairs = [(frame, nothing(*frame.image.shape[:2])) for frame in frames + other]
    write(output, ["splash", "masks", "csv"], *pairs[:5], (frames[0], result_of(48, 64)), *pairs[5:])
    for name, count, size in (("clip", 6, (64, 48)), ("b", 3, (64, 40))):
        capture = cv2.VideoCapture(str(output / "splash" / f"{name}.mp4"))
        read = [frame for good, frame in iter(capture.read, (False, None)) if good]
        assert len(read) == count and read[0].shape == (size[1], size[0], 3)
        assert np.ptp(read[0].astype(int), axis=2).max() < 12  # grey
    assert (output / "masks" / "clip" / "000004.png").is_file()
    assert [row["frame"] for row in rows_of(output / "detections.csv")] == ["0", "0"]


def test_an_error_leaves_no_partial_files(output, picture):
    broken = result_of()
    broken.masks = np.zeros((5, 5, 2), bool)
    output.mkdir()
    (output / "detections.csv").write_text("earlier")
    with pytest.raises(ValueError), Outputs(output, ["csv", "coco", "overlay"], NAMES) as outputs:
        outputs.write(picture, result_of())
        outputs.write(picture, broken)
    assert sorted(path.name for path in output.iterdir() if path.is_file()) == ["detections.csv"]
    assert (output / "detections.csv").read_text() == "earlier"


def test_files_are_complete_after_ctrl_c(output, picture):
    with pytest.raises(KeyboardInterrupt), Outputs(output, ["csv", "coco"], NAMES) as outputs:
        outputs.write(picture, result_of())
        raise KeyboardInterrupt
    assert len(COCO(output / "detections.json").anns) == 2
    assert len((output / "detections.csv").read_text().splitlines()) == 3


def test_every_format_has_its_own_folder(output, picture):
    write(output, list(WRITERS), (picture, result_of()))
    tables = {output / "detections.csv", output / "detections.json"}
    for path in output.rglob("*"):
        if path.is_file():
            assert path in tables or path.parent in output_folders(output)


def test_detections_without_masks(output, picture):
    boxes = Detections([[10, 20, 30, 50], [25, 40, 50, 70]], [1, 2], [0.91, 0.4567], None, (60, 80))
    write(output, ["overlay", "splash", "masks", "crops", "labelme", "coco", "csv"], (picture, boxes))
    splash = np.asarray(PIL.Image.open(output / "splash" / "shoe.jpg")).astype(int)
    assert np.abs(splash[12:24, 22:38] - picture.image[12:24, 22:38]).mean() < 3  # inside a box, the colors are kept
    assert np.ptp(splash[52:, :30], axis=-1).max() < 6  # outside, the image is grey
    numbers = np.asarray(PIL.Image.open(output / "masks" / "shoe.png"))
    assert [(numbers == i).sum() for i in (1, 2)] == [600, 25 * 30 - 5 * 10]  # the higher score covers the lower
    assert PIL.Image.open(output / "crops" / "shoe_1.jpg").mode == "RGB"
    (photo,) = [read_labelme(output / "labelme" / "shoe.json")]
    assert [extract_bboxes(photo.draw())[i].tolist() for i in (0, 1)] == boxes.boxes.tolist()
    first, second = json.loads((output / "detections.json").read_text())["annotations"]
    assert (first["bbox"], first["area"], second["area"]) == ([20, 10, 30, 20], 600, 750)
    assert "segmentation" not in first
    rows = list(csv.DictReader((output / "detections.csv").open()))
    assert [row["area"] for row in rows] == ["600", "750"]
