"""Dataset: the interface of the original as used in scripts."""

import copy

import numpy as np
import pytest
from PIL import Image

from mrcnn.data.dataset import Dataset


class Balloons(Dataset):
    """Dataset modelled on the balloon sample of the original, including `super(self.__class__, self)`."""

    def load_mask(self, image_id):
        if self.image_info[image_id]["source"] != "balloon":
            return super(self.__class__, self).load_mask(image_id)
        return np.ones((4, 6, 2), bool), np.array([1, -1], np.int32)

    def image_reference(self, image_id):
        info = self.image_info[image_id]
        return info["path"] if info["source"] == "balloon" else super(self.__class__, self).image_reference(image_id)


@pytest.fixture
def dataset(tmp_path):
    Image.new("L", (6, 4), 50).save(tmp_path / "a.png")
    dataset = Balloons()
    dataset.add_class("balloon", 1, "balloon")
    dataset.add_class("coco", 1, "person, human being")
    dataset.add_class("coco", 44, "bottle")
    dataset.add_class("coco", 1, "added twice: ignored")
    dataset.add_image("balloon", image_id="a.png", path=str(tmp_path / "a.png"), width=6, height=4, polygons=[1, 2])
    dataset.add_image("coco", image_id=139, path=str(tmp_path / "gone.jpg"), width=8, height=5)
    dataset.add_image("coco", image_id=285, path=None)
    dataset.prepare()
    return dataset


def test_prepare(dataset):
    assert dataset.num_classes == 4 and dataset.num_images == 3
    assert dataset.class_ids.tolist() == [0, 1, 2, 3] and dataset.image_ids.tolist() == [0, 1, 2]
    assert dataset.class_names == ["BG", "balloon", "person", "bottle"]
    assert dataset.class_info[0] == {"source": "", "id": 0, "name": "BG"}
    assert dataset.class_info[2] == {"source": "coco", "id": 1, "name": "person, human being"}
    assert dataset.sources == ["", "balloon", "coco"]
    assert dataset.source_class_ids == {"": [0], "balloon": [0, 1], "coco": [0, 2, 3]}
    assert dataset.class_from_source_map == {".0": 0, "balloon.1": 1, "coco.1": 2, "coco.44": 3}
    assert dataset.image_from_source_map == {"balloon.a.png": 0, "coco.139": 1, "coco.285": 2}


def test_image_info_has_the_given_fields(dataset, tmp_path):
    path = str(tmp_path / "a.png")
    assert dataset.source_image_link(0) == path
    info = {"id": "a.png", "source": "balloon", "path": path, "width": 6, "height": 4, "polygons": [1, 2]}
    assert dataset.image_info[0] == info


def test_maps_between_class_ids(dataset):
    assert dataset.map_source_class_id("coco.44") == 3
    assert dataset.get_source_class_id(3, "coco") == 44
    with pytest.raises(ValueError, match=r'unknown class "coco\.45".*balloon\.1, coco\.1, coco\.44'):
        dataset.map_source_class_id("coco.45")
    with pytest.raises(ValueError, match=r"class 1 \(balloon\) belongs to source 'balloon', not to 'coco'"):
        dataset.get_source_class_id(1, "coco")


def test_source_names_have_no_dot(dataset):
    with pytest.raises(ValueError, match=r"got 'co\.co'"):
        dataset.add_class("co.co", 1, "x")


def test_load_image(dataset):
    image = dataset.load_image(np.int64(0))
    assert image.shape == (4, 6, 3) and image.dtype == np.uint8 and (image == 50).all()


def test_errors_name_the_dataset_and_the_image(dataset, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^Balloons, image 1 \(coco\.139\): .*gone\.jpg: no such file"):
        dataset.load_image(1)
    with pytest.raises(ValueError, match=r"^Balloons, image 2 \(coco\.285\) has no path"):
        dataset.load_image(2)
    (tmp_path / "gone.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^Balloons, image 1 \(coco\.139\): .*gone\.jpg: is empty"):
        dataset.load_image(1)


def test_load_mask_of_another_source_has_no_instances(dataset, caplog):
    masks, class_ids = dataset.load_mask(1)  # the size is that of image_info, because the file does not exist
    assert masks.shape == (5, 8, 0) and masks.dtype == bool
    assert class_ids.shape == (0,) and class_ids.dtype == np.int32
    assert "load_mask()" in caplog.text
    assert dataset.load_mask(0)[1].tolist() == [1, -1]


def test_load_mask_reads_the_image_for_its_size(tmp_path):
    Image.new("RGB", (7, 3)).save(tmp_path / "a.png")
    dataset = Dataset()
    dataset.add_image("x", 1, tmp_path / "a.png")
    assert dataset.load_mask(0)[0].shape == (3, 7, 0)


def test_image_reference(dataset):
    assert dataset.image_reference(0).endswith("a.png")
    assert dataset.image_reference(1) == ""


def test_append_data(dataset):
    other = Dataset()
    other.add_class("coco", 44, "bottle")
    other.append_data(dataset.class_info, dataset.image_info)
    other.prepare()
    assert other.class_names == ["BG", "bottle", "balloon", "person"]
    assert other.image_info == dataset.image_info and other.image_info[0] is not dataset.image_info[0]


def test_errors_before_prepare():
    dataset = Dataset()
    assert len(dataset.image_ids) == 0 and dataset.source_class_ids == {}
    with pytest.raises(AttributeError, match=r"Dataset has no attribute 'num_classes'\. Call prepare\(\)"):
        _ = dataset.num_classes
    with pytest.raises(AttributeError, match=r"'color'\.$"):
        _ = dataset.color


def test_empty_dataset():
    dataset = Dataset()
    dataset.prepare()
    assert (dataset.num_classes, dataset.num_images, dataset.class_names) == (1, 0, ["BG"])


def test_copies_are_independent(dataset):
    for twin in (copy.copy(dataset), copy.deepcopy(dataset)):
        assert twin.image_info == dataset.image_info and twin.class_names == dataset.class_names
