"""Training data: additional folders, and separation of training and validation images."""

import pytest

from nike.training.data import load_training_data


def names(dataset):
    return {info["id"] for info in dataset.image_info}


@pytest.fixture
def photos(folder, shape):
    """Returns a folder with ten labelled images."""
    for number in range(10):
        folder.labelled(f"shoe-{chr(97 + number)}.jpg", [shape()], seed=number)
    return folder.root


@pytest.fixture
def more(folder, tmp_path, shape):
    """Returns a folder with three other labelled images, one of which is in a folder named like a validation subset."""
    extra = type(folder)(tmp_path / "more")
    for name in ("x.jpg", "y.jpg", "val/z.jpg"):
        extra.labelled(name, [shape()])
    return extra.root


@pytest.mark.parametrize("options", [{}, {"val_split": 0.5}, {"val_split": 0.5, "seed": 3}])
def test_additional_images_are_used_for_training_only(photos, more, options):
    plain = load_training_data(photos, **options)
    data = load_training_data(photos, extra_data=[more], **options)
    assert names(data.train) == names(plain.train) | {"x.jpg", "y.jpg", "val/z.jpg"}
    assert names(data.val) == names(plain.val)


def test_a_folder_given_twice_counts_twice(photos, more):
    once, twice = (load_training_data(photos, extra_data=[more] * times) for times in (1, 2))
    assert len(twice.train.image_info) == len(once.train.image_info) + 3


def test_separate_validation_images(photos, more):
    data = load_training_data(photos, val=more)
    assert len(names(data.train)) == 10 and names(data.val) == {"x.jpg", "y.jpg", "val/z.jpg"}


def test_a_fraction_for_separate_validation_images_is_rejected(photos, more):
    with pytest.raises(ValueError, match="--val-split: not allowed with --val"):
        load_training_data(photos, val=more, val_split=0.5)


def test_a_missing_additional_folder(photos, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--extra-data: .*nowhere: no such file or folder"):
        load_training_data(photos, extra_data=[tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match=r"--negatives: .*nowhere: no such file or folder"):
        load_training_data(photos, negatives=[tmp_path / "nowhere"])
    with pytest.raises(ValueError, match=r"--extra-data: .*empty: nothing to load"):
        (tmp_path / "empty").mkdir()
        load_training_data(photos, extra_data=[tmp_path / "empty"])


def test_no_image_is_in_both_subsets(photos, more):
    """Common images would make validation reward overfitting."""
    message = r"2 images \(.*shoe-[a-j].jpg, .*\) are in both training and validation.*--extra-data"
    with pytest.raises(ValueError, match=message):
        load_training_data(photos, extra_data=[photos])
    with pytest.raises(ValueError, match=r"1 image \(.*z.jpg\) is in both training and validation.*--val"):
        load_training_data(more, val=more / "val")


def test_too_few_images_to_split(folder, shape):
    folder.labelled("only.jpg", [shape()])
    with pytest.raises(ValueError, match=r"no annotated validation images \(val\)"):
        load_training_data(folder.root)


def test_a_given_fraction_overrides_the_split_of_the_folder(photos):
    (photos / "split.json").write_text('{"val": ["shoe-a"]}')
    assert names(load_training_data(photos).val) == {"shoe-a.jpg"}
    data = load_training_data(photos, val_split=0.5)
    assert len(names(data.val)) == 5 and "50% of the images for validation" in data.split


@pytest.mark.parametrize("names, grouped", [("boot_1 boot_2 hat_1 hat_2 shoe_1", True), ("IMG_1 IMG_2 DSC_3 a", False)])
def test_groups_are_mentioned_if_there_are_any(folder, shape, names, grouped):
    for name in names.split():
        folder.labelled(f"{name}.jpg", [shape()])
    assert ("grouped by product" in load_training_data(folder.root).split) == grouped
