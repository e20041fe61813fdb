"""NikeDataset: all formats, subsets, ignored and misspelt labels, and excluded images."""

import base64

import numpy as np
import pytest

from nike.datasets.coco import write_coco
from nike.datasets.labelme import read_folder, read_labelme
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import NikeDataset
from nike.datasets.read_subset import exclude_validation_images, has_own_split


def load(path, *arguments, **options) -> NikeDataset:
    dataset = NikeDataset()
    dataset.load_nike(path, *arguments, **options)
    dataset.prepare()
    return dataset


def files(dataset) -> list:
    return [info["id"] for info in dataset.image_info]


def test_images_masks_and_negatives(folder, shape):
    folder.labelled("a.jpg", [shape(), shape("ignore", [[50, 5], [60, 15]], "rectangle")])
    folder.labelled("b.jpg", [])
    dataset = load(folder.root)
    assert dataset.class_names == ["BG", "nike"] and files(dataset) == ["a.jpg", "b.jpg"]
    assert dataset.load_image(0).shape == (60, 80, 3)
    masks, class_ids = dataset.load_mask(0)
    assert masks.dtype == bool and masks.shape == (60, 80, 2)
    assert class_ids.dtype == np.int32 and class_ids.tolist() == [1, -1]
    masks, class_ids = dataset.load_mask(1)
    assert masks.shape == (60, 80, 0) and class_ids.shape == (0,)
    assert dataset.summary() == {"photos": 2, "negatives": 1, "ignored": 1, "skipped": 0, "nike": 1}
    assert dataset.image_reference(0) == str(folder.root / "a.jpg")


def test_an_instance_without_pixels_is_dropped(folder, shape):
    """The box overlaps the image, but the outline does not."""
    folder.labelled("a.jpg", [shape(points=[[-10, 5], [5, -10], [-10, -10]]), shape()])
    masks, class_ids = load(folder.root).load_mask(0)
    assert masks.shape == (60, 80, 1) and class_ids.tolist() == [1]


def test_several_classes_and_another_source(folder, shape):
    folder.labelled("a.jpg", [shape("swoosh"), shape("puma"), shape("adidas")])
    dataset = NikeDataset()
    dataset.add_class("coco", 5, "cat")
    dataset.load_nike(folder.root, labels="nike,swoosh=nike,adidas")
    dataset.prepare()
    assert dataset.class_names == ["BG", "cat", "nike", "adidas"]
    assert dataset.load_mask(0)[1].tolist() == [2, 3]
    assert [problem.code for problem in dataset.problems] == ["label-unknown"]


def test_a_misspelt_label_is_ignored_and_reported(folder, shape):
    """Such an instance is neither a logo nor background."""
    folder.labelled("a.jpg", [shape("Nike"), shape()])
    dataset = load(folder.root)
    assert dataset.load_mask(0)[1].tolist() == [-1, 1]
    assert "did you mean 'nike'?" in str(dataset.problems[0])
    with pytest.raises(ValueError, match=r"a\.json, shapes\[0\]: label 'Nike' is unknown"):
        load(folder.root, strict=True)


def test_an_image_with_an_invalid_shape_is_excluded(folder, shape):
    """If it were kept, its object would be background."""
    folder.labelled("good.jpg", [shape()])
    folder.labelled("lost.jpg", [shape(), shape(points=[[1, 1], [2, 2]])])
    folder.labelled("line.jpg", [shape(shape_type="line", points=[[1, 1], [2, 2]])])
    (folder.root / "broken.json").write_text("{")
    dataset = load(folder.root)
    assert files(dataset) == ["good.jpg"] and dataset.skipped == 3
    assert {problem.code for problem in dataset.problems} == {"points-count", "shape-without-area", "json-unreadable"}
    with pytest.raises(ValueError, match=r"\(And 1 more errors.\)"):
        load(folder.root, strict=True)


def test_images_without_annotation(folder, shape):
    folder.labelled("a.jpg", [shape()])
    folder.photo("b.jpg")
    dataset = load(folder.root)
    assert files(dataset) == ["a.jpg"] and [p.code for p in dataset.problems] == ["photo-unlabelled"]
    dataset = load(folder.root, unlabelled_as_negatives=True)
    assert files(dataset) == ["a.jpg", "b.jpg"] and not dataset.problems
    assert dataset.load_mask(1)[0].shape == (60, 80, 0)


def test_an_embedded_image(folder, shape):
    data = base64.b64encode((photo := folder.photo("a.png")).read_bytes()).decode()
    folder.labelled("a.png", [shape()], imageData=data)
    before = load(folder.root).load_image(0)
    photo.unlink()
    np.testing.assert_array_equal(load(folder.root).load_image(0), before)


def test_subsets_by_split_file(folder, shape):
    for name in ("train/a_1", "train/b_1", "negatives/n"):
        folder.labelled(f"{name}.jpg", [shape()])
    folder.photo("train/c.jpg")
    folder.json("split.json", {"val": {"train": ["b_1", "c"]}})
    assert files(load(folder.root, "train")) == ["negatives/n.jpg", "train/a_1.jpg"]
    val = load(folder.root, "val")
    assert files(val) == ["train/b_1.jpg"] and [p.file for p in val.problems] == ["train/c.jpg"]
    assert len(files(load(folder.root))) == 3


def test_subsets_by_folder(folder, shape):
    for name in ("train/a", "val/b"):
        folder.labelled(f"{name}.jpg", [shape()])
    assert files(load(folder.root, "train")) == ["train/a.jpg"]
    assert files(load(folder.root, "val")) == ["val/b.jpg"]


def test_subsets_by_fraction(folder, shape):
    for model in "abcde":
        for view in (1, 2):
            folder.labelled(f"{model}_{view}.jpg", [shape()])
    train, val = (files(load(folder.root, subset, val_split=0.2)) for subset in ("train", "val"))
    assert len(train) == 8 and len(val) == 2 and val[0][0] == val[1][0]
    assert sorted(train + val) == files(load(folder.root))


def test_coco_and_via_are_recognised(folder, shape):
    folder.labelled("a.jpg", [shape(), shape("ignore")])
    photos = read_folder(folder.root).photos
    (folder.root / "a.json").unlink()
    write_coco(folder.root / "instances.json", photos, Labels())
    for source in (folder.root, folder.root / "instances.json"):
        assert load(source).load_mask(0)[1].tolist() == [1, -1]
    (folder.root / "instances.json").unlink()
    drawn = {"name": "polygon", "all_points_x": [10, 40, 30], "all_points_y": [10, 12, 40]}
    entry = {"filename": "a.jpg", "regions": {"0": {"shape_attributes": drawn, "region_attributes": {}}}}
    folder.json("via_region_data.json", {"a.jpg1": entry})
    dataset = load(folder.root, labels="balloon")
    assert dataset.load_mask(0)[1].tolist() == [1] and dataset.class_names == ["BG", "balloon"]


def test_coco_subsets_by_file_name(folder, shape):
    for part in ("train", "val"):
        folder.labelled(f"{part}2017/{part}.jpg", [shape()])
        photos = read_folder(folder.root / f"{part}2017").photos
        (folder.root / f"{part}2017" / f"{part}.json").unlink()
        write_coco(folder.root / "annotations" / f"instances_{part}2017.json", photos)
    assert has_own_split(folder.root)
    assert files(load(folder.root, "val")) == ["val2017/val.jpg"]
    paths = [folder.root / f"{part}2017" / f"{part}.jpg" for part in ("train", "val")]
    assert exclude_validation_images(paths, folder.root) == paths[:1]
    assert files(load(folder.root)) == ["train2017/train.jpg", "val2017/val.jpg"]
    (folder.root / "annotations" / "instances_train2017.json").rename(folder.root / "annotations" / "instances.json")
    with pytest.raises(ValueError, match=r"found 2 annotation files .*name them train\.json and val\.json"):
        load(folder.root)


def coco_file(folder, shape, photo, file):
    """Writes an image and a COCO file that refers to it, and returns the path of the COCO file."""
    folder.labelled(photo, [shape()])
    annotation = (folder.root / photo).with_suffix(".json")
    found = read_labelme(annotation, folder.root)
    annotation.unlink()
    write_coco(folder.root / file, [found])
    return folder.root / file


def test_coco_files_beside_folders_of_the_same_names(folder, shape):
    for part in ("train", "val"):
        coco_file(folder, shape, f"{part}/a.jpg", f"annotations/instances_{part}.json")
    assert files(load(folder.root, "val")) == ["val/a.jpg"]


@pytest.mark.parametrize(
    ("train", "val", "is_split"),
    [
        ("train.json", "val.json", True),
        ("Train-2.json", "my_validation_set.json", True),
        ("trainers.json", "oval.json", False),  # shoes and a shape
        ("trainval.json", "val.json", False),
    ],
)
def test_names_of_subset_files(folder, shape, train, val, is_split):
    for photo, file in (("a.jpg", train), ("b.jpg", val)):
        coco_file(folder, shape, photo, file)
    assert has_own_split(folder.root) is is_split


@pytest.mark.parametrize(
    ("subset", "options", "message"),
    [
        ("val", {}, "no training and validation subsets"),
        ("test", {}, "expected one of train, val"),
        ("val", {"val_split": 2.0}, "between 0 and 1"),
        (None, {"labels": ""}, "labels: expected"),
    ],
)
def test_errors_of_invalid_arguments(folder, shape, subset, options, message):
    folder.labelled("a.jpg", [shape()])
    with pytest.raises(ValueError, match=message):
        load(folder.root, subset, **options)


def test_nothing_to_load(folder, tmp_path):
    spaced = tmp_path / "my photos"
    spaced.mkdir()
    with pytest.raises(ValueError, match="nothing to load: no annotated images.*: nike annotate '.*/my photos'$"):
        load(spaced)
    (folder.root / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"nothing to load: broken\.json: not valid JSON"):
        load(folder.root)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load(tmp_path / "nowhere")


def test_masks_larger_than_memory(folder, shape, monkeypatch):
    folder.labelled("a.jpg", [shape()] * 3)
    monkeypatch.setattr("nike.datasets.records.MAX_MASK_BYTES", 2 * 60 * 80)
    with pytest.raises(ValueError, match="3 masks of 80x60"):
        load(folder.root).load_mask(0)


def test_the_real_split(real_photos):
    train, val = load(real_photos, "train"), load(real_photos, "val")
    assert (len(train.image_info), len(val.image_info)) == (406, 49)
    assert (train.summary()["nike"], val.summary()["nike"]) == (408, 48)
    assert [problem.code for problem in train.problems] == ["self-crossing"] and not val.problems
    image, (masks, class_ids) = val.load_image(0), val.load_mask(0)
    assert image.shape[:2] == masks.shape[:2] and masks.shape[2] == len(class_ids)
