"""All formats that can be written: round trips, splits, and reading with `nike check` and other software."""

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mrcnn.ops.polygons import iou
from nike.check import main as check
from nike.convert import main as convert
from nike.datasets import label_studio_rle
from nike.datasets.instance_parts import mask_piece
from nike.datasets.read_any_format import FORMATS, detect_format, read_dataset
from nike.datasets.read_subset import has_own_split, read_own_split
from nike.datasets.records import Instance, Photo

WRITABLE = [name for name, format_ in FORMATS.items() if format_.write]
HEIGHT, WIDTH = 60, 80


def masks() -> dict[str, np.ndarray]:
    """Returns masks that formats may not preserve: a ring, two parts, a thin line, a single pixel, the whole width."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - 20, x - 20)
    blank = np.zeros((HEIGHT, WIDTH), bool)
    line, pixel, edge, parts = blank.copy(), blank.copy(), blank.copy(), blank.copy()
    line[35, 5:60] = True
    pixel[40, 70] = True
    edge[50:, :] = True
    parts[5:12, 50:55] = parts[15:30, 60:75] = True
    return {"ring": (distance < 12) & (distance > 6), "parts": parts, "line": line, "pixel": pixel, "edge": edge}


def new_photo(path: Path, labels: dict[str, np.ndarray], seed: int = 0) -> Photo:
    """Writes a random image and returns its record with the given masks."""
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    path.parent.mkdir(exist_ok=True, parents=True)
    PIL.Image.fromarray(pixels).save(path)
    instances = [Instance(label, (mask_piece(mask),)) for label, mask in labels.items()]
    return Photo(path.name, path, None, path.name, HEIGHT, WIDTH, instances)


def write(name: str, folder: Path, target: Path, parts=("train", "val", "")) -> list[Photo]:
    """Writes images with the masks above and a negative, and returns their records."""
    given: dict[str, list[Photo]] = {}
    for i, part in enumerate(parts):
        for stem, labels in (("full", masks()), ("empty", {})):
            given.setdefault(part, []).append(new_photo(folder / f"{stem}{i}.png", labels, seed=i))
    problems = []
    FORMATS[name].write(target, given, problems)
    assert not problems
    return [photo for photos in given.values() for photo in photos]


@pytest.mark.parametrize("name", WRITABLE)
def test_round_trip(name, tmp_path):
    written = write(name, tmp_path / "from", tmp_path / "to", ("train", "val"))
    shutil.rmtree(tmp_path / "from")
    assert detect_format(tmp_path / "to") == name
    collection = read_dataset(tmp_path / "to")
    assert not list(collection.all_problems()) and not collection.unlabelled
    read = {Path(photo.file).name: photo for photo in collection.photos}
    assert sorted(read) == ["empty0.png", "empty1.png", "full0.png", "full1.png"]
    for photo in written:
        again = read[photo.file]
        assert again.path.is_relative_to(tmp_path / "to") and (again.height, again.width) == (HEIGHT, WIDTH)
        drawn = {i.label: i.draw(HEIGHT, WIDTH) for i in again.instances}
        assert sorted(drawn) == sorted(i.label for i in photo.instances)
        for instance in photo.instances:
            assert iou(drawn[instance.label], instance.draw(HEIGHT, WIDTH)) >= 0.99, instance.label


@pytest.mark.parametrize("name", WRITABLE)
def test_round_trip_of_unusual_file_names(name, tmp_path):
    roboflow = ["shoe_jpg.rf.0a1b.jpg", "shoe_jpg.rf.2c3d.jpg"]
    names = [*roboflow, "50%25 black&white+grün #1; x.png"]
    photos = [new_photo(tmp_path / "from" / file, {"parts": masks()["parts"]}, seed) for seed, file in enumerate(names)]
    FORMATS[name].write(tmp_path / "to", {"": photos}, [])
    collection = read_dataset(tmp_path / "to")
    assert not list(collection.all_problems()) and not collection.unlabelled
    assert {Path(photo.file).name: len(photo.instances) for photo in collection.photos} == dict.fromkeys(names, 1)


@pytest.mark.parametrize("name", WRITABLE)
def test_splits_are_kept(name, tmp_path):
    write(name, tmp_path / "from", tmp_path / "to", ("train", "val", "test"))
    assert has_own_split(tmp_path / "to")
    parts = read_own_split(tmp_path / "to")
    files = {part: sorted(Path(photo.file).stem for photo in parts[part].photos) for part in parts}
    assert files == {"train": ["empty0", "full0"], "val": ["empty1", "full1"]}


@pytest.mark.parametrize("name", WRITABLE)
def test_without_a_split(name, tmp_path):
    write(name, tmp_path / "from", tmp_path / "to", ("",))
    assert not has_own_split(tmp_path / "to")
    assert len(read_dataset(tmp_path / "to").photos) == 2


@pytest.mark.parametrize("name", WRITABLE)
def test_the_result_of_convert_passes_check(name, folder, shape, tmp_path, capsys):
    """Labels, ignore regions, the split, subfolders and negatives are preserved."""
    for seed, photo in enumerate(("train/a", "train/deep/b", "val/c")):
        folder.labelled(f"{photo}.jpg", [shape(), shape("ignore", [[50, 5], [60, 15]], "rectangle")], seed=seed)
    folder.labelled("val/d.jpg", [], seed=7)
    target = tmp_path / "out"
    assert convert([str(folder.root), str(target), "--to", name]) == 0
    assert "4 images written" in capsys.readouterr().out
    assert check([str(target), "--labels", "nike", "--json", str(tmp_path / "check.json")]) == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["counts"]["error"] == 0
    found = {name: (part["photos"], part["negatives"], part["ignored"]) for name, part in report["parts"].items()}
    assert found == {"train": (2, 0, 2), "val": (2, 1, 1)}


def test_convert_writes_all_or_nothing(folder, shape, tmp_path, capsys, monkeypatch):
    folder.labelled("a.jpg", [shape()])
    folder.labelled("sub/a.jpg", [shape("adidas")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    assert convert([str(folder.root), str(tmp_path / "out"), "--to", "yolo"]) == 2
    assert "out already exists" in capsys.readouterr().err

    def fail(folder, parts, problems):
        folder.mkdir()
        raise OSError("disk full")

    monkeypatch.setitem(FORMATS, "yolo", FORMATS["yolo"]._replace(write=fail))
    assert convert([str(folder.root), str(tmp_path / "new"), "--to", "yolo"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


def test_convert_maps_labels_and_lists_what_it_skips(folder, shape, tmp_path, capsys):
    folder.labelled("a.jpg", [shape("swoosh"), shape("adidas")])
    assert convert([str(folder.root), str(tmp_path / "out"), "--to", "yolo", "--labels", "swoosh=nike"]) == 1
    assert "label 'adidas' has no class; skipped" in capsys.readouterr().err
    assert [i.label for i in read_dataset(tmp_path / "out").photos[0].instances] == ["nike"]


# --- other readers ---

SHAPES = ("ring", "edge")  # supervision draws YOLO polygons half a pixel wider, which changes thin shapes


def by_name(dataset) -> dict[str, np.ndarray]:
    """Returns the masks of the image `full0.png` in a dataset of supervision, by class name."""
    (found,) = [detections for path, _, detections in dataset if "full0" in path]
    return {dataset.classes[c]: mask.astype(bool) for c, mask in zip(found.class_id, found.mask, strict=True)}


@pytest.mark.parametrize("name", ["yolo", "coco", "roboflow"])
def test_supervision_reads_what_is_written(name, tmp_path):
    sv = pytest.importorskip("supervision", reason="supervision is not installed: pip install -e '.[test]'")
    write(name, tmp_path / "from", tmp_path / "to", ("train", "val"))
    root = tmp_path / "to"
    if name == "yolo":
        dataset = sv.DetectionDataset.from_yolo(
            str(root / "images/train"), str(root / "labels/train"), str(root / "data.yaml"), force_masks=True
        )
    else:
        coco = ("images/train", "annotations/instances_train.json")
        images, file = coco if name == "coco" else ("train", "train/_annotations.coco.json")
        dataset = sv.DetectionDataset.from_coco(str(root / images), str(root / file), force_masks=True)
    assert len(dataset) == 2
    found, expected = by_name(dataset), masks()
    assert sorted(found) == sorted(expected)
    for label in SHAPES if name == "yolo" else expected:
        assert iou(found[label], expected[label]) >= (0.8 if name == "yolo" else 1), label


def test_yolo_of_supervision_is_read(tmp_path):
    sv = pytest.importorskip("supervision", reason="supervision is not installed: pip install -e '.[test]'")
    write("coco", tmp_path / "from", tmp_path / "coco", ("",))
    file = tmp_path / "coco/annotations/instances.json"
    dataset = sv.DetectionDataset.from_coco(str(tmp_path / "coco/images"), str(file), force_masks=True)
    out = tmp_path / "yolo"
    dataset.as_yolo(str(out / "images"), str(out / "labels"), str(out / "data.yaml"))
    text = (out / "data.yaml").read_text()
    (out / "data.yaml").write_text(text + "train: images\nval: images\n")
    photos = {photo.file: photo for photo in read_dataset(out).photos}
    assert len(photos) == 2
    full = next(photo for name, photo in photos.items() if "full" in name)
    edge = next(i for i in full.instances if i.label == "edge")
    assert iou(edge.draw(HEIGHT, WIDTH), masks()["edge"]) > 0.85  # polygons of supervision run through pixel centres


def test_yolo_labels_next_to_the_images(tmp_path):
    """Folders called images above the dataset do not matter."""
    root = tmp_path / "images" / "shoes"
    new_photo(root / "train" / "a.png", {})
    (root / "train" / "a.txt").write_text("0 0.1 0.1 0.9 0.1 0.5 0.9\n")
    (root / "data.yaml").write_text("train: train\nval: train\nnames: [nike]\n")
    collection = read_dataset(root)
    assert not collection.problems and [len(photo.instances) for photo in collection.photos] == [1]


def test_yolo_poses_are_not_polygons(tmp_path):
    new_photo(tmp_path / "images" / "a.png", {})
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2 0.4 0.4 1 0.6 0.6 1\n")  # a box and two keypoints
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [nike]\nkpt_shape: [2, 3]\n")
    with pytest.raises(ValueError, match=r"^data\.yaml: kpt_shape: .* Export the keypoints as COCO\.$"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "name, theirs",
    [
        ("coco", "coco_instances"),
        ("roboflow", "roboflow_coco"),
        ("voc", "voc_instance_segmentation"),
        ("cvat", "cvat"),
    ],
)
def test_datumaro_reads_what_is_written(name, theirs, tmp_path):
    dm = pytest.importorskip("datumaro", reason="datumaro is not installed: pip install datumaro")
    write(name, tmp_path / "from", tmp_path / "to", ("train", "val"))
    dataset = dm.Dataset.import_from(str(tmp_path / "to"), theirs)
    items = {item.id: item for item in dataset}
    assert sorted(items) == ["empty0", "empty1", "full0", "full1"] and items["full0"].subset == "train"
    labels = [label.name for label in dataset.categories()[dm.AnnotationType.label]]
    objects = [item for item in items["full0"].annotations if item.type != dm.AnnotationType.bbox]
    assert sorted(labels[item.label] for item in objects) == sorted(masks())
    drawn = [item for item in objects if item.type == dm.AnnotationType.mask]  # the other objects of CVAT are polygons
    assert len(drawn) == (2 if name == "cvat" else 5)
    for item in drawn:
        np.testing.assert_array_equal(item.image.astype(bool), masks()[labels[item.label]])


def test_label_studio_reads_and_writes_the_same_brush_masks():
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="pip install label-studio-sdk")
    for mask in masks().values():
        pixels = np.reshape(brush.decode_rle(label_studio_rle.encode(mask)), (HEIGHT, WIDTH, 4))
        np.testing.assert_array_equal(pixels[..., 3] == 255, mask)
        encoded = brush.mask2rle(mask.astype(np.uint8) * 255)
        np.testing.assert_array_equal(label_studio_rle.decode(encoded, HEIGHT, WIDTH), mask)
