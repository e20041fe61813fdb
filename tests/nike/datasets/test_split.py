"""Splitting by group: nothing leaks, seeds matter, files survive."""

from pathlib import PurePosixPath

import pytest

from nike.datasets.split import group_of, groups_of, read_split, split_by_group, write_split


@pytest.mark.parametrize(
    ("stem", "group"),
    [
        ("shoe-red_1", "shoe-red"),
        ("shoe-red-02", "shoe-red"),
        ("shoe red (3)", "shoe red"),
        ("shoe_view_4", "shoe"),
        ("shoe_img2", "shoe"),
        ("air-max-90", "air-max"),
        ("IMG_2034", "IMG_2034"),  # four digits are a name, not a view
        ("shoe", "shoe"),
        ("7", "7"),
        ("_1", "_1"),
    ],
)
def test_group_of(stem, group):
    assert group_of(stem) == group


def test_a_long_series_is_no_group():
    assert groups_of([f"street_{i}" for i in range(13)]) == [f"street_{i}" for i in range(13)]
    assert set(groups_of([f"shoe_{i}" for i in range(12)])) == {"shoe"}


def views(models: int, per_model: int) -> list[str]:
    return [f"model{chr(97 + m)}_{view}" for m in range(models) for view in range(per_model)]


def test_no_group_is_torn_apart():
    stems = views(20, 4)
    train, val = split_by_group(stems, groups_of(stems), 0.25, seed=3)
    assert sorted(train + val) == sorted(stems)
    assert not set(map(group_of, train)) & set(map(group_of, val))
    assert len(val) == 20


def test_seeds_and_stability():
    stems = views(20, 3)
    splits = [split_by_group(stems, groups_of(stems), 0.2, seed)[1] for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    more = [*stems, "new_1", "new_2"]
    assert len(set(splits[0]) - set(split_by_group(more, groups_of(more), 0.2, 0)[1])) <= 3


def test_each_kind_is_in_both_parts():
    keys = list(range(12))
    groups = [f"g{key}" for key in keys]
    strata = [key < 10 for key in keys]
    train, val = split_by_group(keys, groups, 0.1, 0, strata)
    assert {strata[key] for key in train} == {strata[key] for key in val} == {True, False}


def test_one_group_is_for_training():
    assert split_by_group(["a_1", "a_2"], ["a", "a"], 0.5) == (["a_1", "a_2"], [])


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_fraction_is_checked(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_by_group(["a"], ["a"], fraction)


def test_split_file(tmp_path):
    assert read_split(tmp_path) is None
    write_split(tmp_path, ["shoes/b.jpg", "shoes/a.v2.jpg", "c.png"], "by hand")
    assert read_split(tmp_path) == {PurePosixPath(p) for p in ("shoes/a.v2", "shoes/b", "c")}


@pytest.mark.parametrize("text", ["[]", '{"val": 5}', '{"val": {"train": "a"}}', '{"train": ["a"]}'])
def test_a_wrong_split_file_is_explained(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(ValueError, match=r"split\.json: expected"):
        read_split(tmp_path)


def test_the_fixed_split_of_the_real_photos(real_photos):
    assert len(read_split(real_photos)) == 49
