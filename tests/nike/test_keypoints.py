"""Keypoints of the application: annotation files, augmentation, synthetic images and the checks of training."""

import json
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

from mrcnn.data.training_examples import load_image_gt
from nike import convert
from nike.augmentation import LogoAugmentation, Strength
from nike.config import NikeConfig
from nike.datasets.coco import read_any, read_coco, write_coco, write_folder
from nike.datasets.labelme import masks_to_shapes, read_labelme, write_photo
from nike.datasets.nike_dataset import NikeDataset
from nike.datasets.read_any_format import FORMATS
from nike.synthesis.logo import add_landmarks, load_logo
from nike.synthesize import Settings, synthesize
from nike.training.preparation import _set_keypoints

NAMES = ("hook", "belly", "tail")
SQUARE = {"label": "nike", "shape_type": "polygon", "points": [[4, 4], [24, 4], [24, 24], [4, 24]], "group_id": 3}


def point(name="hook", xy=(5.5, 6.5), group_id=3):
    return {"label": name, "shape_type": "point", "points": [list(xy)], "group_id": group_id}


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes a photo with the given labelme shapes and returns its JSON file."""

    def write(*shapes, stem="shoe"):
        PIL.Image.new("RGB", (40, 30)).save(tmp_path / f"{stem}.png")
        document = {"shapes": shapes, "imagePath": f"{stem}.png", "imageWidth": 40, "imageHeight": 30}
        (tmp_path / f"{stem}.json").write_text(json.dumps(document))
        return tmp_path / f"{stem}.json"

    return write


def test_labelme_points_belong_to_the_object_of_their_group(write):
    other = {**SQUARE, "points": [[30, 4], [38, 4], [38, 24]], "group_id": None}
    photo = read_labelme(write(point("tail", (20, 21)), SQUARE, other, point()))
    assert [instance.keypoints for instance in photo.instances] == [{"tail": (20, 21, 2), "hook": (5.5, 6.5, 2)}, {}]
    write_photo(photo)
    again = read_labelme(photo.annotation)
    assert [instance.keypoints for instance in again.instances] == [instance.keypoints for instance in photo.instances]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([SQUARE, point(group_id=4)], "shapes[1]: point 'hook': no object has the group_id 4."),
        ([SQUARE, point(), point()], "shapes[2]: point 'hook' exists twice in group 3."),
        (
            [SQUARE, point(group_id=None)],
            "a point has no area. Draw a polygon around the object, or give it the group_id of its object.",
        ),
        (
            [SQUARE, {**SQUARE, "label": "adidas"}, point()],
            "shapes[2]: point 'hook': objects 'nike' and 'adidas' both have the group_id 3. "
            "Give each object a different group_id.",
        ),
        ([SQUARE, {**point(), "points": [[1, 2], [3, 4]]}], "shapes[1]: a point requires exactly 1 point, got 2."),
    ],
)
def test_points_that_cannot_be_used_are_reported(write, shapes, message):
    photo = read_labelme(write(*shapes))
    assert photo.num_unusable == 1 and message in str(photo.problems[0])
    assert not any(instance.keypoints for instance in photo.instances[1:])


def test_points_of_an_object_without_pixels_are_not_written():
    masks = np.zeros((30, 40, 2), bool)
    masks[4:9, 4:9, 1] = True
    shapes = masks_to_shapes(["nike", "nike"], masks, [{"hook": (1, 2, 2)}, {"tail": (5, 5, 2)}])
    assert [(shape["shape_type"], shape["group_id"]) for shape in shapes] == [("polygon", 2), ("point", 2)]


def test_coco_keypoints_are_read_and_written(write, tmp_path):
    photo = read_labelme(write(SQUARE, point(), point("tail", (20, 21))))
    write_coco(tmp_path / "coco.json", [photo])
    data = json.loads((tmp_path / "coco.json").read_text())
    assert data["categories"][0]["keypoints"] == ["hook", "tail"]
    assert data["annotations"][0]["keypoints"] == [5, 6, 2, 19.5, 20.5, 2]
    assert read_coco(tmp_path / "coco.json").photos[0].instances[0].keypoints == photo.instances[0].keypoints
    data["annotations"][0]["keypoints"].append(1)
    (tmp_path / "coco.json").write_text(json.dumps(data))
    (problem,) = read_coco(tmp_path / "coco.json").photos[0].problems
    assert "keypoints must be x, y, v for each of 2 keypoints" in str(problem)


def test_files_in_the_layout_of_coco(write, tmp_path):
    photo = read_labelme(write(SQUARE, point()))
    write_folder(tmp_path / "new", {"train": [photo]}, [])
    (tmp_path / "new/images/train").rename(tmp_path / "new/train")
    annotations = tmp_path / "new/annotations/instances_train.json"
    renamed = annotations.rename(annotations.with_name("person_keypoints_train.json"))
    assert len(read_any(tmp_path / "new").photos) == 1
    assert read_any(renamed).photos[0].instances[0].keypoints == {"hook": (5.5, 6.5, 2)}


@pytest.mark.parametrize("v", [0.5, 3, -1, 1e6])
def test_the_visibility_is_that_of_coco(write, tmp_path, v):
    write_coco(tmp_path / "coco.json", [read_labelme(write(SQUARE, point()))])
    data = json.loads((tmp_path / "coco.json").read_text())
    data["annotations"][0]["keypoints"][2] = v
    (tmp_path / "coco.json").write_text(json.dumps(data))
    photo = read_coco(tmp_path / "coco.json").photos[0]
    assert photo.num_unusable == 1 and "the visibility v of a keypoint must be 0, 1 or 2" in str(photo.problems[0])


@pytest.mark.parametrize("names", [None, []])
def test_keypoints_of_a_category_without_names_are_ignored(write, tmp_path, names):
    write_coco(tmp_path / "coco.json", [read_labelme(write(SQUARE, point()))])
    data = json.loads((tmp_path / "coco.json").read_text())
    data["annotations"][0]["keypoints"] = [0, 0, 0, 0, 0, 0]
    data["categories"][0]["keypoints"] = names
    (tmp_path / "coco.json").write_text(json.dumps(data))
    photo = read_coco(tmp_path / "coco.json").photos[0]
    assert not photo.problems and [instance.keypoints for instance in photo.instances] == [{}]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("coco", ("annotations/instances_train.json", "annotations/instances_val.json")),
        ("roboflow", ("train/_annotations.coco.json", "valid/_annotations.coco.json")),
    ],
)
def test_the_subsets_have_the_same_order_of_keypoints(write, tmp_path, name, files):
    train = read_labelme(write(SQUARE, point("hook"), point("tail", (20, 21))))
    val = read_labelme(write(SQUARE, point("tail", (20, 21)), point("hook"), stem="other"))
    FORMATS[name].write(tmp_path / "new", {"train": [train], "val": [val]}, [])
    documents = [json.loads((tmp_path / "new" / file).read_text()) for file in files]
    assert [each["categories"][0]["keypoints"] for each in documents] == [["hook", "tail"]] * 2
    assert [each["annotations"][0]["keypoints"] for each in documents] == [[5, 6, 2, 19.5, 20.5, 2]] * 2


@pytest.mark.parametrize(("name", "noted"), [("yolo", True), ("voc", True), ("coco", False), ("labelme", False)])
def test_convert_reports_keypoints_that_are_not_written(write, tmp_path, capsys, name, noted):
    write(SQUARE, point())
    target = tmp_path.parent / f"{tmp_path.name}_new"
    assert convert.main([str(tmp_path), str(target), "--to", name]) == 0
    note = "the keypoints of 1 object are not written. Formats with keypoints: labelme, roboflow, coco."
    assert capsys.readouterr().err == (f"note: --to {name}: {note}\n" if noted else "")


def loaded(folder, names=NAMES):
    dataset = NikeDataset()
    dataset.load_nike(folder)
    dataset.keypoint_names = names
    dataset.prepare()
    return dataset


def test_a_dataset_orders_the_keypoints_by_name(write, tmp_path):
    write(SQUARE, point(), point("tail", (20, 21)))
    np.testing.assert_array_equal(loaded(tmp_path).load_keypoints(0), [[[5.5, 6.5, 2], [0, 0, 0], [20, 21, 2]]])
    assert loaded(tmp_path, ()).load_keypoints(0) is None
    with pytest.raises(ValueError, match=r"shoe.json, shapes\[0\]: unknown keypoint 'tail'; expected hook, belly\."):
        loaded(tmp_path, NAMES[:2]).load_keypoints(0)


def test_training_needs_an_object_with_keypoints(write, tmp_path):
    write(SQUARE)
    data = SimpleNamespace(train=loaded(tmp_path, ()), val=loaded(tmp_path, ()))
    config = NikeConfig().copy(NUM_KEYPOINTS=3, KEYPOINT_NAMES=NAMES)
    config.validate()
    with pytest.raises(ValueError, match="no training object has a keypoint of KEYPOINT_NAMES .hook, belly, tail."):
        _set_keypoints(data, config)
    with pytest.raises(ValueError, match="KEYPOINT_NAMES is empty. Set the names."):
        _set_keypoints(data, NikeConfig().copy(NUM_KEYPOINTS=3))
    _set_keypoints(data, NikeConfig())
    with pytest.raises(ValueError, match="KEYPOINT_NAMES must contain NUM_KEYPOINTS .2. distinct names"):
        config.copy(NUM_KEYPOINTS=2).validate()


# --- augmentation and synthetic images ---


def test_augmentation_moves_keypoints_with_the_pixels():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:24, 30:34], image[40:44, 50:54] = (255, 0, 0), (0, 0, 255)  # around (32, 22) and (52, 42)
    mask = np.zeros((60, 80, 1), bool)
    mask[15:50, 25:60] = True
    points = np.array([[[32, 22, 2], [52, 42, 1]]], np.float32)
    geometry = Strength(0.2, 0.3, (0.8, 1.3), 20, 0, 0.2, fade=0, color=0, degrade=0, erase=0, paste=0, distractors=0)
    augmentation = LogoAugmentation(128, None, geometry, keypoint_flip=((0, 1),))
    mirrored = 0
    for seed in range(8):
        inputs = image, mask, np.ones(1, np.int32)
        same, _, class_ids = augmentation.augment_photo(*inputs, np.random.default_rng(seed))
        new, _, _, moved = augmentation.augment_photo(*inputs, np.random.default_rng(seed), points)
        np.testing.assert_array_equal(new, same)
        assert moved.shape == (len(class_ids), 2, 3)
        mirrored += moved[0, 0, 2] == 1
        for x, y, visibility in moved[0]:
            if 2 < x < 126 and 2 < y < 126:
                red, _, blue = new[int(y), int(x)].astype(int)
                assert (red > blue) == (visibility == 2)
    assert 0 < mirrored < 8


def test_landmarks_of_synthetic_images_lie_on_the_logo(tmp_path):
    landmarks = add_landmarks(load_logo()).landmarks
    assert landmarks["hook"][1] < 0 < landmarks["belly"][1] and landmarks["tail"][0] == 0.5
    paths = list(synthesize(Settings(tmp_path, keypoints=True, height=128, width=160, negatives=0), 3))
    dataset = loaded(tmp_path)
    config = NikeConfig().copy(IMAGE_MIN_DIM=192, IMAGE_MAX_DIM=192, NUM_KEYPOINTS=3, KEYPOINT_NAMES=NAMES)
    for image_id in range(len(paths)):
        masks, keypoints = dataset.load_mask(image_id)[0], dataset.load_keypoints(image_id)
        for mask, points in zip(masks.transpose(2, 0, 1), keypoints, strict=True):
            rows, columns = np.nonzero(mask)
            for x, y, visibility in points:
                assert not visibility or np.hypot(columns + 0.5 - x, rows + 0.5 - y).min() < 3
        load_image_gt(dataset, config, image_id)
    assert sum(points[2] > 0 for i in range(3) for each in dataset.load_keypoints(i) for points in each) >= 6


def test_landmarks_of_other_logos_are_unknown(tmp_path):
    with pytest.raises(ValueError, match="--keypoints: only the landmarks of the bundled logo are known"):
        Settings(tmp_path, keypoints=True, logo=tmp_path / "other.svg")
