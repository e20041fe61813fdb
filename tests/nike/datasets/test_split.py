"""Splits by product group: separation of groups, seeds, stratification, and split files."""

from pathlib import PurePosixPath

import pytest

from nike.datasets.split import assign_groups, read_split, remove_view_number, split_by_group, write_split


@pytest.mark.parametrize(
    ("stem", "group"),
    [
        ("shoe-red_1", "shoe-red"),
        ("shoe-red-02", "shoe-red"),
        ("shoe red (3)", "shoe red"),
        ("shoe_view_4", "shoe"),
        ("shoe_img2", "shoe"),
        ("air-max-90", "air-max"),
        ("IMG_2034", "IMG_2034"),  # four digits are part of the name, not the number of a view
        ("shoe", "shoe"),
        ("7", "7"),
        ("_1", "_1"),
    ],
)
def test_group_of(stem, group):
    assert remove_view_number(stem) == group


@pytest.mark.parametrize(
    "names",
    [
        [f"street_{i}" for i in range(13)],  # too many for the views of one product
        [f"IMG_{i:03}" for i in range(12)],
        [f"logo_{i}" for i in range(1, 11)],  # one group
        ["photo 1", "photo 2", "DSC0001", "7"],
        ["sneaker_1", "sneaker_2", "sneaker_3", "boot", "hat"],  # most images in one group
        ["red_1", "red_2", "blue_1", "blue_2"],  # two groups
        ["red/IMG_001", "blue/IMG_001", "green/1", "black/1"],  # the counter restarts in each folder
    ],
)
def test_names_without_product_groups(names):
    assert assign_groups(names) == names


def test_views_of_one_product_are_a_group():
    products = [f"{product}_{view}" for product in ("air-max-90", "boot", "hat") for view in (1, 2)]
    camera = ["IMG_001", "IMG_002"]
    expected = ["air-max-90", "air-max-90", "boot", "boot", "hat", "hat", *camera]
    assert assign_groups([*products, *camera]) == expected


def views(models: int, per_model: int) -> list[str]:
    return [f"model{chr(97 + m)}_{view}" for m in range(models) for view in range(per_model)]


def test_groups_are_not_divided():
    stems = views(20, 4)
    train, val = split_by_group(stems, assign_groups(stems), 0.25, seed=3)
    assert sorted(train + val) == sorted(stems)
    assert not set(map(remove_view_number, train)) & set(map(remove_view_number, val))
    assert len(val) == 20


def test_splits_depend_on_the_seed_and_hardly_on_new_images():
    stems = views(20, 3)
    splits = [split_by_group(stems, assign_groups(stems), 0.2, seed)[1] for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    more = [*stems, "new_1", "new_2"]
    assert len(set(splits[0]) - set(split_by_group(more, assign_groups(more), 0.2, 0)[1])) <= 3


def test_both_subsets_have_images_with_and_without_objects():
    keys = list(range(12))
    groups = [f"g{key}" for key in keys]
    classes = [{"nike"} if key < 10 else () for key in keys]
    train, val = split_by_group(keys, groups, 0.1, 0, classes)
    assert {key < 10 for key in train} == {key < 10 for key in val} == {True, False}


@pytest.mark.parametrize("seed", range(5))
def test_each_class_is_in_both_subsets(seed):
    keys = [f"k{number}" for number in range(12)]
    classes = [("adidas",), ("puma",)] * 5 + [("adidas", "nike"), ("puma", "nike")]
    shown = dict(zip(keys, classes, strict=True))
    parts = split_by_group(keys, keys, 0.2, seed, classes)
    assert [len(part) for part in parts] == [9, 3]  # one image of each class
    assert all({name for key in part for name in shown[key]} == {"adidas", "puma", "nike"} for part in parts)


@pytest.mark.parametrize(
    ("groups", "classes"),
    [
        ("aab", [{"x"}, {"x"}, ()]),  # both images with the class are in one group
        ("aabb", [(), {"x"}, {"x"}, ()]),
        ("abc", [{"x"}, {"y"}, ()]),  # no class has two images
        ("aa", [{"x"}, {"y"}]),
    ],
)
def test_two_images_with_an_object_are_in_different_subsets(groups, classes):
    keys = [f"k{number}" for number in range(len(groups))]
    parts = split_by_group(keys, list(groups), 0.2, 0, classes)
    assert [sum(bool(classes[keys.index(key)]) for key in part) for part in parts] == [1, 1]


def test_the_order_of_files_does_not_matter():
    keys = [*views(5, 2), *(f"lonely{letter}" for letter in "abcdefg")]
    classes = dict(zip(keys, [{"x"}, {"y"}, ()] * 6, strict=False))
    turned = keys[::-1]
    one = split_by_group(keys, assign_groups(keys), 0.3, 4, [classes[key] for key in keys])
    other = split_by_group(turned, assign_groups(turned), 0.3, 4, [classes[key] for key in turned])
    assert [set(part) for part in one] == [set(part) for part in other]


def test_a_single_group_is_used_for_training():
    assert split_by_group(["a_1", "a_2"], ["a", "a"], 0.5) == (["a_1", "a_2"], [])


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_invalid_fractions(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_by_group(["a"], ["a"], fraction)


def test_split_file(tmp_path):
    assert read_split(tmp_path) is None
    write_split(tmp_path, ["shoes/b.jpg", "shoes/a.v2.jpg", "c.png"])
    assert read_split(tmp_path) == {PurePosixPath(p) for p in ("shoes/a.v2", "shoes/b", "c")}


@pytest.mark.parametrize("text", ["[]", '{"val": 5}', '{"val": {"train": "a"}}', '{"train": ["a"]}'])
def test_errors_of_split_files(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(ValueError, match=r"split\.json: expected"):
        read_split(tmp_path)


def test_the_fixed_split_of_the_real_photos(real_photos):
    assert len(read_split(real_photos)) == 49
