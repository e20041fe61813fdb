"""`nike convert`: conversion of labelme to COCO and back."""

import base64
import json

import pytest

from mrcnn.ops.polygons import iou
from nike import check
from nike.convert import main
from nike.datasets.labelme import read_folder
from nike.datasets.labels import Labels
from nike.datasets.read_subset import read_subset


def test_round_trip(folder, shape, tmp_path, capsys):
    folder.labelled("deep/a.jpg", [shape(), shape("ignore", [[50, 5], [60, 15]], "rectangle")])
    folder.labelled("b.jpg", [])
    before = read_folder(folder.root).photos
    assert main([str(folder.root), str(folder.root / "coco.json"), "--labels", "nike"]) == 0
    assert "2 images, 2 instances written" in capsys.readouterr().out
    for photo in before:
        photo.annotation.unlink()
    assert main([str(folder.root / "coco.json"), str(folder.root)]) == 0
    assert "2 labelme files written" in capsys.readouterr().out
    after = read_folder(folder.root).photos
    assert [[i.label for i in photo.instances] for photo in after] == [[], ["nike", "ignore"]]
    old, new = before[1].draw(), after[1].draw()
    assert all(iou(old[:, :, i], new[:, :, i]) >= 0.99 for i in range(2))


def test_problems_are_listed(folder, shape, tmp_path, capsys):
    folder.labelled("a.jpg", [shape(), shape("adidas")])
    folder.labelled("b.jpg", [shape(), shape(points=[[1, 2]])])
    assert main([str(folder.root), str(tmp_path / "coco.json"), "--labels", "nike"]) == 1
    error = capsys.readouterr().err
    assert "b.json, shapes[1]: a polygon requires" in error and "'adidas' has no category" in error


def test_labels_choose_the_classes_of_labelme_files(folder, shape, tmp_path, capsys):
    folder.labelled("a.jpg", [shape(), shape("adidas"), shape("swoosh"), shape("ignore")])
    assert main([str(folder.root), str(tmp_path / "new"), "--labels", "nike,swoosh=nike"]) == 1
    assert "label 'adidas' has no class; skipped" in capsys.readouterr().err
    (photo,) = read_folder(tmp_path / "new").photos
    assert [instance.label for instance in photo.instances] == ["nike", "nike", "ignore"]


@pytest.mark.parametrize("options", [[], ["--to", "yolo"]])
def test_an_image_with_an_unusable_shape_is_not_converted(folder, shape, tmp_path, capsys, options):
    """Without the shape, the object would count as background."""
    folder.labelled("a.jpg", [shape()])
    folder.labelled("b.jpg", [shape(points=[[1, 2]])])
    target = tmp_path / "new" / ("" if options else "coco.json")
    assert main([str(folder.root), str(target), *options]) == 1
    assert "b.json: the image is skipped" in capsys.readouterr().err
    assert [photo.path.name for photo in read_subset(tmp_path / "new", None, Labels()).photos] == ["a.jpg"]


def test_annotations_are_not_overwritten(folder, shape, capsys):
    drawn = folder.labelled("deep/a.jpg", [shape()])
    folder.labelled("b.jpg", [])
    before = drawn.read_bytes()
    assert main([str(folder.root), str(folder.root)]) == 2
    assert "b.json already exists (and 1 more)" in capsys.readouterr().err
    assert drawn.read_bytes() == before


TARGETS = [  # target and resulting dataset
    ("coco.json", "coco.json"),
    ("new/coco.json", "new"),
    ("new/coco.json", "new/coco.json"),
    ("new/annotations/all.json", "new"),
    ("photos/deep/coco.json", "photos/deep/coco.json"),
    ("new", "new"),
    ("photos/new", "photos/new"),
    (".", "."),
]


@pytest.mark.parametrize(
    ("source", "target", "dataset"),
    [
        *(("labelme", *pair) for pair in TARGETS[:-1]),  # the excluded target would overwrite the source
        *((source, *pair) for source in ("coco", "via") for pair in TARGETS),
    ],
)
def test_the_result_is_a_dataset_wherever_it_is(folder, shape, tmp_path, capsys, source, target, dataset):
    """The source is in photos/. The target is below it, above it or elsewhere."""
    for number in range(6):
        folder.labelled(f"{'deep/' * (number % 2)}IMG_{number:03}.jpg", [shape()], seed=number)
    given = folder.root
    if source == "coco":
        given = folder.root / "given.json"
        assert main([str(folder.root), str(given)]) == 0
    if source == "via":
        drawn = {"name": "polygon", "all_points_x": [10, 40, 30], "all_points_y": [10, 12, 40]}
        regions = [{"shape_attributes": drawn, "region_attributes": {"name": "nike"}}]
        entries = {photo.file: {"filename": photo.file, "regions": regions} for photo in read_folder(given).photos}
        given = folder.json("given.json", entries)
    if source != "labelme":
        for photo in read_folder(folder.root).photos:
            photo.annotation.unlink()
    before = {path: path.read_bytes() for path in folder.root.rglob("*.*")}
    assert main([str(given), str(tmp_path / target)]) == 0
    if source != "labelme" and dataset == ".":
        given.unlink()
    assert all(path.read_bytes() == data for path, data in before.items() if path.exists())
    capsys.readouterr()
    assert check.main([str(tmp_path / dataset), "--json=-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sum(part["classes"]["nike"]["instances"] for part in report["parts"].values()) == 6


def val_files(dataset) -> list[str]:
    return sorted(photo.file for photo in read_subset(dataset, "val", Labels()).photos)


@pytest.mark.parametrize(("target", "dataset"), [("new/coco.json", "new"), ("new", "new"), ("coco.json", ".")])
def test_the_split_is_kept(folder, shape, tmp_path, target, dataset):
    for number, part in enumerate(("train", "train", "val", "other")):
        folder.labelled(f"{part}/IMG_{number:03}.jpg", [shape()], seed=number)
    folder.json("split.json", {"val": {"train": ["IMG_001"], "other": ["IMG_003"]}})
    assert main([str(folder.root), str(tmp_path / target)]) == 0
    place = "" if dataset == "new" else "photos/"
    assert val_files(tmp_path / dataset) == [f"{place}other/IMG_003.jpg", f"{place}train/IMG_001.jpg"]


def test_the_split_of_linked_images_is_kept(folder, shape, tmp_path):
    for number in range(3):
        folder.labelled(f"IMG_{number}.jpg", [shape()], seed=number)
        link = folder.root / f"IMG_{number}.jpg"
        link.symlink_to(link.rename(tmp_path / link.name))
    folder.json("split.json", {"val": ["IMG_1"]})
    assert main([str(folder.root), str(tmp_path / "new"), "--to", "yolo", "--allow-outside"]) == 0
    assert val_files(tmp_path / "new") == ["images/val/IMG_1.jpg"]


def test_folders_of_both_parts_with_one_file(folder, shape, tmp_path):
    for number, part in enumerate(("train", "train", "val", "other")):
        folder.labelled(f"{part}/IMG_{number:03}.jpg", [shape()], seed=number)
    assert main([str(folder.root), str(tmp_path / "new" / "coco.json")]) == 0
    assert check.main([str(tmp_path / "new")]) == 0
    assert val_files(tmp_path / "new") == ["val/IMG_002.jpg"]


def test_existing_files_are_not_overwritten(folder, shape, tmp_path, capsys):
    """No file is overwritten, and nothing is written before this is checked."""
    for seed in range(2):
        folder.labelled(f"{seed}.jpg", [shape()], seed=seed)
    new = type(folder)(tmp_path / "new")
    photo = new.photo("1.jpg", seed=7)
    before = photo.read_bytes()
    for target in ("new", "new/coco.json"):
        assert main([str(folder.root), str(tmp_path / target)]) == 2
        assert "another file has this name. Nothing was written" in capsys.readouterr().err
    photo.unlink()
    photo.symlink_to(folder.root / "1.jpg")  # readers do not follow links to files outside a dataset
    assert main([str(folder.root), str(tmp_path / "new")]) == 2
    assert "another file has this name. Nothing was written" in capsys.readouterr().err
    assert [path.name for path in new.root.iterdir()] == ["1.jpg"] and before != photo.read_bytes()
    drawn = folder.root / "0.json"
    before = drawn.read_bytes()
    assert main([str(folder.root), str(drawn)]) == 2
    assert "0.json already exists. Nothing was written" in capsys.readouterr().err and drawn.read_bytes() == before


def test_existing_copies_are_used(folder, shape, tmp_path, capsys):
    folder.labelled("a.jpg", [shape()])
    assert main([str(folder.root), str(tmp_path / "new" / "one.json")]) == 0
    assert "1 image copied to" in capsys.readouterr().out
    assert main([str(folder.root), str(tmp_path / "new" / "two.json")]) == 0
    assert "copied" not in capsys.readouterr().out


def test_images_that_cannot_have_a_labelme_file(folder, shape, tmp_path, capsys):
    """The labelme files of two images would have the same name. A third image is embedded in its annotation file."""
    images = [{"id": i, "file_name": folder.photo(name).name} for i, name in enumerate(("a.jpg", "a.png"))]
    coco = folder.json("coco.json", {"images": images, "annotations": [], "categories": []})
    assert main([str(coco), str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("1 labelme file written")
    assert "a.png: has the same file stem and labelme file as 'a.jpg'" in output.err
    assert (tmp_path / "out" / "a.json").is_file()

    inside = base64.b64encode(folder.photo("c.png").read_bytes()).decode()
    folder.json("only/c.json", {"shapes": [shape()], "imagePath": "gone.png", "imageData": inside})
    folder.labelled("only/d.jpg", [shape()])
    assert main([str(folder.root / "only"), str(tmp_path / "more")]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("1 labelme file written") and "c.json: the image is embedded" in output.err


def test_user_errors(folder, tmp_path, capsys):
    for source, message in ((folder.root, "no image to convert"), (tmp_path / "nowhere", "no such file or folder")):
        assert main([str(source), str(tmp_path / "coco.json")]) == 2
        assert message in capsys.readouterr().err
