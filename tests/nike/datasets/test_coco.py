"""COCO JSON: masks compared with pycocotools, problems of annotations, conversion between labelme and COCO."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from mrcnn.ops.polygons import iou
from nike.datasets.coco import read_coco, write_coco
from nike.datasets.labelme import masks_to_shapes, read_folder, read_labelme, write_labelme
from nike.datasets.labels import Labels

SQUARE = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]


def coco(annotations: list, images: list | None = None) -> dict:
    return {
        "images": images or [{"id": 7, "file_name": "a.jpg", "height": 60, "width": 80}],
        "categories": [{"id": 3, "name": "nike"}],
        "annotations": annotations,
    }


def annotation(**changes) -> dict:
    return {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [SQUARE], "iscrowd": 0} | changes


def test_masks_equal_pycocotools(folder, rng):
    folder.photo("a.jpg")
    segmentations = [
        [SQUARE],
        [rng.uniform(0, 60, 12).round(2).tolist(), SQUARE],
        {"size": [60, 80], "counts": [100, 50, 4650]},
        [[-5.0, -5.0, 75.0, -5.0, 75.0, 55.0]],
    ]
    value = coco([annotation(id=i + 1, segmentation=s) for i, s in enumerate(segmentations)])
    path = folder.json("a.json", value)
    (photo,) = read_coco(path).photos
    theirs = COCO(path)
    for instance, raw in zip(photo.instances, value["annotations"], strict=True):
        if raw["id"] == 4:  # pycocotools distorts edges outside the image; this project clips points
            raw = raw | {"segmentation": [[0, 0, 75, 0, 75, 55]]}
        np.testing.assert_array_equal(instance.draw(60, 80), theirs.annToMask(raw).astype(bool))


def test_problems_are_reported(folder):
    folder.photo("a.jpg")
    wrong = [
        annotation(),
        annotation(segmentation=[]),
        annotation(category_id=9),
        annotation(image_id=8),
        annotation(segmentation=[[1, 2, 3, 4]]),
        annotation(segmentation={"size": [60, 80], "counts": [60 * 80]}),
        "x",
    ]
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "gone.jpg"}, {"id": 7, "file_name": "a.jpg"}]
    collection = read_coco(folder.json("c.json", coco(wrong, images)))
    (photo,) = collection.photos
    assert len(photo.instances) == 1 and photo.num_unusable == 4
    messages = [str(problem) for problem in collection.all_problems()]
    assert messages == [
        "c.json, images[1]: the photo 'gone.jpg' was not found in photos/. Copy it there.",
        "c.json, images[2]: image id 7 is used twice.",
        "c.json, annotations[3]: image_id 8 is not an id of 'images'.",
        "c.json, annotations[6]: image_id None is not an id of 'images'.",
        "c.json, annotations[1]: has no segmentation. Masks cannot be created from boxes.",
        "c.json, annotations[2]: category_id 9 is not an id of 'categories'.",
        "c.json, annotations[4]: a polygon requires at least 3 points as x, y, x, y, ..., got [1, 2, 3, 4].",
        "c.json, annotations[5]: the mask is empty. Delete the annotation.",
    ]


def test_an_extremely_long_outline_is_rejected(folder):
    """pycocotools takes minutes to rasterize the polygon."""
    folder.photo("a.jpg")
    zigzag = [value for i in range(20_000) for value in (79 * (i % 2), 59 * (i // 2 % 2))]
    (photo,) = read_coco(folder.json("c.json", coco([annotation(segmentation=[zigzag])]))).photos
    assert not photo.instances and "pixels long" in str(photo.problems[0])


def test_crowds_are_ignored(folder):
    folder.photo("a.jpg")
    rle = {"size": [60, 80], "counts": [100, 50, 4650]}
    (photo,) = read_coco(folder.json("c.json", coco([annotation(segmentation=rle, iscrowd=1)]))).photos
    assert photo.instances[0].crowd


def test_coco_folders_and_sizes(folder):
    folder.photo("val2017/a.jpg")
    path = folder.json("annotations/instances_val2017.json", coco([annotation()]))
    assert read_coco(path).photos[0].file == "val2017/a.jpg"
    folder.photo("a.jpg", 30, 40)
    (problem,) = read_coco(folder.json("c.json", coco([annotation()]))).problems
    assert "has 40x30 pixels, but the annotation file states 80x60" in str(problem)


@pytest.mark.parametrize("name", ["c.json", "../annotations/c.json", "./c.json"])
def test_a_path_relative_to_the_folder_of_annotations(folder, monkeypatch, name):
    folder.photo("images/a.jpg")
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "gone.jpg"}]
    monkeypatch.chdir(folder.json("annotations/c.json", coco([annotation()], images)).parent)
    collection = read_coco(name)
    assert [photo.file for photo in collection.photos] == ["images/a.jpg"]
    assert "'gone.jpg' was not found in photos/." in str(collection.problems[0])


def test_paths_outside_the_dataset_are_rejected(folder, tmp_path):
    folder.photo("a.jpg").rename(tmp_path / "a.jpg")
    images = [{"id": 7, "file_name": "../a.jpg"}, {"id": 8, "file_name": str(tmp_path / "a.jpg")}]
    path = folder.json("c.json", coco([], images))
    collection = read_coco(path)
    assert not collection.photos and all("outside the dataset" in str(p) for p in collection.problems)
    assert len(read_coco(path, allow_outside=True).photos) == 2


@pytest.mark.parametrize("value", [[], {"images": []}, {"images": {}, "annotations": [], "categories": []}])
def test_other_formats_are_rejected(folder, value):
    with pytest.raises(ValueError, match="expected COCO JSON with a list"):
        read_coco(folder.json("c.json", value))


def test_labelme_to_coco_and_back(folder, tmp_path, rng, shape):
    """The IoU is at least 0.99 for thin, tiny, disconnected and ignored masks and for masks with holes."""
    thin = [[5, 50], [30, 44], [70, 30], [40, 45], [10, 52]]
    blobs = [(rng.normal(0, 9, (9, 2)) + (40, 30)).clip(0, 59).round(1).tolist() for _ in range(6)]
    folder.labelled(
        "deep/a.jpg",
        [
            shape(points=thin),
            shape(points=[[3, 3], [5, 3], [5, 4]]),
            shape(points=[[50, 5], [60, 15]], shape_type="rectangle", group_id=4),
            shape(points=[[70, 5], [72, 5]], shape_type="circle", group_id=4),
            shape("ignore", points=blobs[0]),
            *(shape(points=blob) for blob in blobs[1:]),
        ],
    )
    folder.labelled("b.jpg", [])
    before = read_folder(folder.root)
    counts = write_coco(folder.root / "coco.json", before.photos, Labels("nike"))
    assert counts == {"images": 2, "annotations": 9, "crowds": 1}
    between = read_coco(folder.root / "coco.json")
    for photo in between.photos:
        labels = ["ignore" if i.crowd else i.label for i in photo.instances]
        path = (tmp_path / "back" / photo.file).with_suffix(".json")
        write_labelme(path, str(photo.path), photo.height, photo.width, masks_to_shapes(labels, photo.draw()))
    for old, middle in zip(before.photos, between.photos, strict=True):
        new = read_labelme((tmp_path / "back" / old.file).with_suffix(".json"), allow_outside=True)
        assert [i.label for i in new.instances] == [i.label for i in old.instances]
        masks = old.draw()
        np.testing.assert_array_equal(middle.draw(), masks)
        for i in range(masks.shape[2]):
            assert iou(new.draw()[:, :, i], masks[:, :, i]) >= 0.99


def test_pycocotools_reads_the_written_file(folder, shape):
    folder.labelled("a.jpg", [shape(points=[[10, 10], [20, 15]], shape_type="rectangle"), shape("adidas")])
    problems = []
    write_coco(folder.root / "c.json", read_folder(folder.root).photos, Labels("nike"), problems)
    data = json.loads((folder.root / "c.json").read_text())
    (written,) = data["annotations"]
    assert (written["area"], written["bbox"], written["iscrowd"]) == (66, [10.0, 10.0, 11.0, 6.0], 0)
    assert COCO(folder.root / "c.json").annToMask(written).sum() == 66
    assert [problem.code for problem in problems] == ["left-out"]


def test_round_trip_of_real_photos(real_photos, tmp_path):
    photos = read_folder(real_photos / "train").photos[::8]
    write_coco(tmp_path / "c.json", photos, Labels("nike"))
    for old, new in zip(photos, read_coco(tmp_path / "c.json", real_photos / "train").photos, strict=True):
        masks = old.draw()
        np.testing.assert_array_equal(new.draw(), masks)
        path = tmp_path / old.annotation_name
        shapes = masks_to_shapes(["nike"] * masks.shape[2], masks)
        write_labelme(path, str(old.path), old.height, old.width, shapes)
        again = read_labelme(path, allow_outside=True).draw()
        assert all(iou(again[:, :, i], masks[:, :, i]) >= 0.99 for i in range(masks.shape[2]))
