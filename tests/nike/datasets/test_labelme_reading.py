"""Reading of labelme files: versions, search for the image, no access outside the dataset."""

import base64
import json
import os

import numpy as np
import PIL.Image
import pytest

from nike.datasets.labelme import embedded_photo, read_folder, read_labelme
from nike.datasets.records import AnnotationError
from nike.datasets.shapes import MAX_POINTS


def codes(problems) -> list:
    return sorted(problem.code for problem in problems)


def refusal(path, *arguments, **options) -> AnnotationError:
    with pytest.raises(AnnotationError) as error:
        read_labelme(path, *arguments, **options)
    return error.value


def test_reads_instances(folder, shape):
    path = folder.labelled("a.jpg", [shape("nike"), shape("ignore", [[50, 5], [60, 15]], "rectangle")])
    photo = read_labelme(path)
    assert (photo.height, photo.width, photo.problems) == (60, 80, [])
    assert [i.label for i in photo.instances] == ["nike", "ignore"]
    assert [i.where for i in photo.instances] == ["shapes[0]", "shapes[1]"]
    masks = photo.draw()
    assert masks.shape == (60, 80, 2) and masks.dtype == bool
    assert masks[:, :, 1].sum() == 11 * 11  # the mask includes the outline
    assert photo.instances[1].extent == (5, 50, 15, 60)


def test_group_id_joins_shapes_of_one_label(folder, shape):
    squares = [[[x, 5], [x + 4, 5], [x + 4, 9], [x, 9]] for x in (0, 10, 20, 30)]
    path = folder.labelled(
        "a.jpg",
        [
            shape("nike", squares[0], group_id=1),
            shape("nike", squares[1]),
            shape("nike", squares[2], group_id=1),
            shape(
                "ignore", squares[3], group_id=1
            ),  # shapes with different labels are different objects, as in labelme
        ],
    )
    masks = read_labelme(path).draw()
    assert [int(masks[:, :, i].sum()) for i in range(masks.shape[2])] == [50, 25, 25]
    assert masks[7, [2, 12, 22, 32], 0].tolist() == [True, False, True, False]


def test_groups_agree_with_labelme(folder, shape):
    """Masks drawn in the same order as in labelme equal the instance map of labelme."""
    utils = pytest.importorskip("labelme.utils", reason="needs labelme: pip install labelme", exc_type=ImportError)
    rng = np.random.default_rng(3)
    for case in range(20):
        shapes = [
            shape(str(rng.choice(["nike", "ignore"])), rng.uniform(0, 60, (5, 2)).round(1).tolist(), "polygon")
            | {"group_id": [None, 1, 2][rng.integers(3)]}
            for _ in range(6)
        ]
        _, expected = utils.shapes_to_label((60, 80), shapes, {"nike": 1, "ignore": 2})
        photo = read_labelme(folder.labelled(f"{case}.jpg", shapes))
        assert len(photo.instances) == len({(s["label"], s["group_id"] or id(s)) for s in shapes})
        union = photo.draw().any(axis=2)
        np.testing.assert_array_equal(union, expected > 0)


@pytest.mark.parametrize(
    "image_path",
    ["a.jpg", "./a.jpg", "..\\photos\\a.jpg", "C:\\Users\\me\\a.jpg", "/home/me/a.jpg", "b.jpg", None, 5, ""],
)
def test_finds_the_image(folder, shape, image_path):
    """The candidates are `imagePath`, its file name in the folder of the JSON file, and the name of the JSON file."""
    path = folder.labelled("a.jpg", [shape()], imagePath=image_path)
    assert read_labelme(path).path.name == "a.jpg"


def test_finds_the_image_in_another_folder_of_the_dataset(folder, shape):
    folder.photo("images/a.jpg")
    path = folder.json("json/a.json", {"shapes": [shape()], "imagePath": "..\\images\\a.jpg", "imageData": None})
    assert read_labelme(path, folder.root).file == "images/a.jpg"
    assert refusal(path).problem.code == "path-outside"  # by default, the dataset folder is that of the JSON file


def test_uses_the_embedded_image(folder, shape):
    data = base64.b64encode(folder.photo("a.png").read_bytes()).decode()
    path = folder.labelled("a.png", [shape()], imageData=data)
    assert read_labelme(path).path.name == "a.png"
    (folder.root / "a.png").unlink()
    photo = read_labelme(path)
    assert photo.path is None and (photo.height, photo.width) == (60, 80)
    assert PIL.Image.open(embedded_photo(path)).size == (80, 60)


def test_coordinates_refer_to_the_upright_image(folder, shape):
    """labelme displays an image stored as 80x60 with EXIF orientation 6 as 60x80."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    folder.photo("a.jpg", 60, 80, exif=exif)
    value = {"shapes": [shape(points=[[50, 70], [59, 70], [59, 79]])], "imagePath": "a.jpg", "imageData": None}
    path = folder.json("a.json", value | {"imageHeight": 80, "imageWidth": 60})
    photo = read_labelme(path)
    assert (photo.height, photo.width) == (80, 60)
    assert photo.draw()[79, 59, 0]
    path = folder.json("a.json", value | {"imageHeight": 60, "imageWidth": 80})  # annotated on the rotated image
    assert "EXIF rotation" in str(refusal(path))


def test_another_image_size_is_rejected(folder, shape):
    error = refusal(folder.labelled("a.jpg", [shape()], imageWidth=160, imageHeight=120))
    assert error.problem.code == "size-mismatch"
    assert "160x120" in str(error) and "80x60" in str(error)
    photo = read_labelme(folder.labelled("a.jpg", [shape()], imageWidth="80", imageHeight=-60))
    assert codes(photo.problems) == ["size-invalid"]


def test_invalid_shapes_are_reported_and_skipped(folder, shape):
    path = folder.labelled(
        "shoe_017.jpg",
        [shape(), shape(), shape(points=[[1, 2], [3, 4]]), shape(shape_type="point", points=[[1, 2]]), shape(label="")],
    )
    photo = read_labelme(path)
    assert len(photo.instances) == 2 and photo.num_unusable == 3
    assert [str(problem) for problem in photo.problems] == [
        "shoe_017.json, shapes[2]: a polygon requires at least 3 points, got 2. Fix it in labelme or delete the shape.",
        "shoe_017.json, shapes[3]: a point has no area. Draw a polygon around the object, or give it the "
        "group_id of its object.",
        "shoe_017.json, shapes[4]: the label must be a string of at most 200 characters, got ''.",
    ]
    assert [problem.severity for problem in photo.problems] == ["error", "warning", "error"]


def test_shapes_with_warnings_are_kept_and_reported(folder, shape):
    path = folder.labelled(
        "a.jpg",
        [
            shape(points=[[70, 50], [90, 50], [90, 70], [70, 70]]),
            shape(points=[[0, 0], [20, 20], [20, 0], [0, 20]]),
            shape(group_id="one"),
            shape(points=[[200, 200], [220, 200], [220, 220]]),
        ],
    )
    photo = read_labelme(path)
    assert codes(photo.problems) == ["group-id", "outside", "points-outside", "self-crossing"]
    assert len(photo.instances) == 3 and not photo.num_unusable
    assert "3 of 4 points" in str(photo.problems[0])
    masks = photo.draw()
    assert masks[:, :, 0].sum() == 10 * 10  # clipped at the border of the image, not moved inside


def test_too_many_points_are_rejected(folder, shape):
    ring = [[i % 80, 0] for i in range(MAX_POINTS // 2 + 1)]
    assert "100,002 points" in str(refusal(folder.labelled("a.jpg", [shape(points=ring), shape(points=ring)])))


def test_other_json_is_skipped(folder):
    folder.labelled("a.jpg", [])
    for name, value in (("split.json", {"val": []}), ("list.json", [1]), ("none.json", None)):
        folder.json(name, value)
        assert read_labelme(folder.root / name) is None
    collection = read_folder(folder.root)
    assert [photo.file for photo in collection.photos] == ["a.jpg"]
    assert not list(collection.all_problems())


def test_reads_a_folder(folder, shape):
    folder.labelled("b/two.jpg", [])
    folder.labelled("a/one.PNG", [shape()])
    folder.photo("a/without.jpg")
    folder.photo(".hidden/x.jpg")
    folder.json("a/gone.json", {"shapes": [], "imagePath": "gone.jpg"})
    (folder.root / "a" / "broken.json").write_text("{")
    folder.photo("a/broken.jpg")
    folder.json("b/again.json", {"shapes": [], "imagePath": "two.jpg"})
    (folder.root / "a" / "damaged.jpg").write_bytes(b"no photo")
    folder.json("a/damaged.json", {"shapes": [], "imagePath": "damaged.jpg"})
    collection = read_folder(folder.root)
    assert [photo.file for photo in collection.photos] == ["a/one.PNG", "b/again.jpg".replace("again", "two")]
    assert [photo.is_negative for photo in collection.photos] == [False, True]
    assert [path.name for path in collection.unlabelled] == ["without.jpg"]
    assert {(problem.file, problem.code) for problem in collection.problems} == {
        ("a/broken.json", "json-unreadable"),
        ("a/damaged.jpg", "photo-unreadable"),
        ("a/gone.json", "photo-missing"),
        ("b/two.json", "photo-twice"),
    }
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_folder(folder.root / "nowhere")


@pytest.mark.parametrize("image_path", ["../secret.jpg", "..\\secret.jpg", "ABSOLUTE"])
def test_paths_stay_inside_the_dataset(folder, tmp_path, shape, image_path):
    secret = folder.photo("secret.jpg").rename(tmp_path / "secret.jpg")
    image_path = str(secret) if image_path == "ABSOLUTE" else image_path
    path = folder.json("a.json", {"shapes": [shape()], "imagePath": image_path, "imageData": None})
    assert refusal(path).problem.code == "path-outside"
    assert read_labelme(path, allow_outside=True).path.resolve() == secret
    folder.photo("secret.jpg")  # a copy in the folder of the JSON file is used instead
    assert read_labelme(path).file == "secret.jpg"


def test_links_stay_inside_the_dataset(folder, tmp_path, shape):
    secret = folder.labelled("secret.jpg", [shape()])
    secret = secret.rename(tmp_path / "secret.json")
    (folder.root / "secret.jpg").rename(tmp_path / "secret.jpg")
    os.symlink(tmp_path / "secret.jpg", folder.root / "a.jpg")
    folder.json("a.json", {"shapes": [], "imagePath": "a.jpg"})
    os.symlink(tmp_path / "secret.json", folder.root / "b.json")
    os.symlink(tmp_path, folder.root / "linked")  # links to folders are not followed
    collection = read_folder(folder.root)
    assert not collection.photos
    assert codes(collection.problems) == ["path-outside", "path-outside"]
    assert [photo.file for photo in read_folder(folder.root, allow_outside=True).photos] == ["a.jpg"]


def test_no_file_outside_the_dataset_is_opened(folder, tmp_path, monkeypatch, shape):
    """Neither the image nor the JSON file of another folder is opened."""
    secret = folder.photo("secret.jpg").rename(tmp_path / "secret.jpg")
    path = folder.json("a.json", {"shapes": [shape()], "imagePath": "../secret.jpg"})
    real_open, opened = PIL.Image.open, []
    monkeypatch.setattr(PIL.Image, "open", lambda file, *a, **k: opened.append(str(file)) or real_open(file, *a, **k))
    refusal(path)
    assert not opened
    read_labelme(path, allow_outside=True)
    assert [os.path.realpath(name) for name in opened] == [str(secret)]


def test_real_photos(real_photos):
    collection = read_folder(real_photos)
    assert len(collection.photos) == 455 and not collection.unlabelled
    assert [problem.code for problem in collection.all_problems()] == ["self-crossing"]
    labels = [instance.label for photo in collection.photos for instance in photo.instances]
    assert (labels.count("nike"), labels.count("ignore")) == (456, 129)
    noted = [json.loads(photo.annotation.read_text()) for photo in collection.photos]
    assert [(p.height, p.width) for p in collection.photos] == [(d["imageHeight"], d["imageWidth"]) for d in noted]
    assert all(photo.draw().any(axis=(0, 1)).all() for photo in collection.photos)
