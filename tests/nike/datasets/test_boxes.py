"""Box annotations in every format: they are used by networks that detect boxes and reported for masks."""

import numpy as np
import pytest

from mrcnn.ops.masks import extract_bboxes
from nike.datasets.nike_dataset import NikeDataset
from nike.datasets.read_any_format import detect_format, read_dataset

BOX = (10, 20, 30, 50)  # y1, x1, y2, x2 in an image of 60 x 80 pixels
VOC = """<annotation><filename>a.jpg</filename><size><width>80</width><height>60</height></size>
<object><name>nike</name><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>50</xmax><ymax>30</ymax></bndbox></object>
{more}</annotation>"""


def write_labelme(folder, shape):
    folder.labelled("a.jpg", [shape(points=((20, 10), (49, 29)), shape_type="rectangle")])  # first and last pixel


def write_coco(folder, shape):
    folder.photo("a.jpg")
    annotation = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [20, 10, 30, 20], "iscrowd": 0}
    images, categories = [{"id": 1, "file_name": "a.jpg"}], [{"id": 3, "name": "nike"}]
    folder.json("c.json", {"images": images, "annotations": [annotation], "categories": categories})


def write_yolo(folder, shape):
    folder.photo("images/a.jpg")
    (folder.root / "labels").mkdir()
    (folder.root / "labels" / "a.txt").write_text(f"0 {35 / 80} {20 / 60} {30 / 80} {20 / 60}\n")
    (folder.root / "data.yaml").write_text("train: images\nnames: [nike]\n")


def write_voc(folder, shape, more="", xml="Annotations/a.xml"):
    folder.photo("JPEGImages/a.jpg")
    (folder.root / xml).parent.mkdir(exist_ok=True)
    (folder.root / xml).write_text(VOC.format(more=more))


WRITERS = {"labelme": write_labelme, "coco": write_coco, "yolo": write_yolo, "voc-boxes": write_voc}


@pytest.mark.parametrize("name", WRITERS)
def test_boxes_are_instances_for_networks_that_detect_boxes(folder, shape, name):
    WRITERS[name](folder, shape)
    assert detect_format(folder.root) == name
    dataset = NikeDataset()
    dataset.load_nike(folder.root, boxes=True)
    dataset.prepare()
    assert not dataset.problems and len(dataset.image_ids) == 1
    masks, class_ids = dataset.load_mask(0)
    assert class_ids.tolist() == [1]
    assert extract_bboxes(masks).tolist() == [list(BOX)] and masks.sum() == 20 * 30


@pytest.mark.parametrize("name", ["coco", "yolo", "voc-boxes"])
def test_boxes_are_unusable_for_masks(folder, shape, name):
    WRITERS[name](folder, shape)
    (photo,) = read_dataset(folder.root).photos
    assert not photo.instances and photo.num_unusable == 1 and len(photo.problems) == 1
    with pytest.raises(ValueError, match="nothing to load"):
        NikeDataset().load_nike(folder.root)


def test_problems_of_other_shapes_remain(folder, shape):
    write_coco(folder, shape)
    path = folder.root / "c.json"
    path.write_text(path.read_text().replace('"annotations": [', '"annotations": [{"image_id": 1, "category_id": 9}, '))
    (photo,) = read_dataset(folder.root, boxes=True).photos
    assert photo.num_unusable == 1 and len(photo.instances) == 1
    assert [str(problem) for problem in photo.problems] == [
        "c.json, annotations[0]: category_id 9 is not an id of 'categories'."
    ]


@pytest.mark.parametrize(
    "box, message",
    [
        ([20, 10, 0, 20], "the box must have a width and a height above 0, got x 20..20, y 10..30."),
        ([20, 10, float("nan"), 20], "the box must have a width and a height above 0"),
        ([20, 10, 1e300, 20], "the box must have a width and a height above 0"),
        ([100, 10, 30, 20], "has no area inside the photo"),
        ([20, 10, 30], "bbox must be four numbers x, y, width, height, got"),
        ([20, 10, 30, "x"], "bbox must be four numbers x, y, width, height, got"),
    ],
)
def test_invalid_boxes_of_coco(folder, shape, box, message):
    write_coco(folder, shape)
    data = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 3, "name": "nike"}]}
    folder.json("c.json", data | {"annotations": [{"image_id": 1, "category_id": 3, "bbox": box}]})
    (photo,) = read_dataset(folder.root, boxes=True).photos
    assert not photo.instances and photo.num_unusable == 1
    (problem,) = photo.problems
    assert str(problem).startswith(f"c.json, annotations[0]: {message}")


def test_difficult_objects_of_voc_are_ignored_and_a_file_without_objects_is_a_negative(folder, shape):
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
    write_voc(folder, shape, f"<object><name>nike</name><difficult>1</difficult>{box}</object>")
    folder.photo("JPEGImages/b.jpg", seed=1)
    (folder.root / "Annotations" / "b.xml").write_text("<annotation><filename>b.jpg</filename></annotation>")
    folder.photo("JPEGImages/c.jpg", seed=2)
    dataset = NikeDataset()
    dataset.load_nike(folder.root, boxes=True)
    dataset.prepare()
    assert dataset.load_mask(0)[1].tolist() == [1, -1] and dataset.summary()["negatives"] == 1
    assert [path.name for path in read_dataset(folder.root).unlabelled] == ["c.jpg"]


def test_voc_files_next_to_the_images_and_subsets(folder, shape):
    folder.photo("a.jpg")
    (folder.root / "a.xml").write_text(VOC.format(more=""))
    (folder.root / "ImageSets" / "Main").mkdir(parents=True)
    (folder.root / "ImageSets" / "Main" / "val.txt").write_text("a\n")
    collection = read_dataset(folder.root, boxes=True)
    assert detect_format(folder.root) == "voc-boxes" and collection.subsets["a.jpg"] == "val"
    assert [instance.extent for instance in collection.photos[0].instances] == [tuple(map(float, BOX))]


@pytest.mark.parametrize(
    "text, message",
    [
        ("<annotation><filename>gone.jpg</filename></annotation>", "the image 'gone.jpg' was not found."),
        ("<annotation", "not well-formed XML"),
        ('<!DOCTYPE x [<!ENTITY e "e">]><annotation/>', "document types and entities are not supported"),
        (
            "<annotation><filename>../../etc/passwd</filename></annotation>",
            "the image '../../etc/passwd' was not found.",
        ),
        (
            "<annotation><filename>a.jpg</filename><size><width>8</width><height>9</height></size></annotation>",
            "drawn on '8'x'9' pixels, but the image has 80x60.",
        ),
    ],
)
def test_invalid_files_of_voc(folder, shape, text, message):
    write_voc(folder, shape)
    (folder.root / "Annotations" / "z.xml").write_text(text)
    collection = read_dataset(folder.root, boxes=True)
    assert len(collection.photos) == 1
    assert [str(problem).removeprefix("Annotations/z.xml: ")[: len(message)] for problem in collection.problems] == [
        message
    ]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("<xmax>50</xmax>", "<xmax>x</xmax>", "bndbox must have the numbers ymin, xmin, ymax, xmax, got"),
        ("<xmax>50</xmax>", "", "bndbox must have the numbers ymin, xmin, ymax, xmax, got"),
        ("<xmax>50</xmax>", "<xmax>nan</xmax>", "the box must have a width and a height above 0"),
        ("<name>nike</name>", "<name> </name>", "the label must be a string of at most 200 characters"),
    ],
)
def test_invalid_objects_of_voc(folder, shape, old, new, message):
    write_voc(folder, shape)
    path = folder.root / "Annotations" / "a.xml"
    path.write_text(path.read_text().replace(old, new))
    (photo,) = read_dataset(folder.root, boxes=True).photos
    assert photo.num_unusable == 1 and not photo.instances
    assert str(photo.problems[0]).startswith(f"Annotations/a.xml, object 1: {message}")


def test_masks_of_boxes_have_their_sides(folder, shape):
    """Coordinates are rounded to pixels, and a box is at least one pixel wide."""
    write_voc(folder, shape)
    from nike.datasets.instance_parts import box_piece

    masks = np.stack([box_piece(box, 60, 80).draw(60, 80) for box in [(3, 4, 4, 5), (3.2, 4.1, 9.8, 7.9)]], axis=-1)
    assert extract_bboxes(masks).tolist() == [[3, 4, 4, 5], [3, 4, 10, 8]]
