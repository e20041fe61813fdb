"""Mapping of labels to classes."""

import pytest

from nike.datasets.labels import Labels, describe_labels


def test_default_and_aliases():
    assert Labels().classes == ["nike"]
    labels = Labels("nike, swoosh=nike,adidas")
    assert labels.classes == ["nike", "adidas"]
    assert [labels.class_of(label) for label in ("nike", "swoosh", "adidas", "puma", "ignore")] == [
        "nike", "nike", "adidas", None, None,
    ]  # fmt: skip
    assert Labels({"a": "x", "b": "x"}).classes == ["x"]
    assert Labels(["nike", "tick=nike"]).class_of("tick") == "nike"


def test_ignored_labels():
    assert Labels().is_ignored("ignore") and Labels().is_ignored("__ignore__") and not Labels().is_ignored("nike")


@pytest.mark.parametrize(
    ("label", "near"),
    [
        ("Nike", "nike"),
        ("nkie", "nike"),
        (" nike ", "nike"),
        ("ingore", "ignore"),
        ("adidas", None),
        ("x" * 10**6, None),
    ],
)
def test_similar_labels(label, near):
    assert Labels().find_similar(label) == near


@pytest.mark.parametrize("wrong", ["", ",", "nike,ignore", "=nike", "BG", [], {}])
def test_errors_of_invalid_labels(wrong):
    with pytest.raises(ValueError, match="labels: expected"):
        Labels(wrong)


def test_white_space_around_labels_is_removed():
    labels = Labels("nike,swoosh=nike")
    assert labels.class_of("nike ") == labels.class_of(" swoosh") == "nike" and labels.is_ignored("ignore ")


@pytest.mark.parametrize(
    ("counts", "classes"),
    [
        ({}, ["nike"]),
        ({"ignore": 3}, ["nike"]),
        ({"puma": 2, "adidas": 1, "ignore": 9}, ["adidas", "puma"]),
        ({"nike": 2, "Nike": 1, "Ignore": 1, "ingore": 1}, ["nike"]),  # labels that differ in case only
        ({"nike": 10, "nkie": 1}, ["nike"]),  # a similar label that is at most a tenth as frequent
        ({"nike": 9, "nkie": 1}, ["nike", "nkie"]),
        ({"air-max-90": 50, "air-max-97": 1}, ["air-max-90", "air-max-97"]),
        ({"cap, red=x": 1, "": 1, "BG": 1}, ["cap, red=x"]),
    ],
)
def test_labels_found_in_files(counts, classes):
    assert Labels.from_counts(counts).classes == classes


def test_messages_about_found_labels():
    counts = {"nike": 20, "nkie": 1, "nikee": 8, "puma": 4, "ignore": 3}
    assert describe_labels(Labels.from_counts(counts), counts) == [
        "labels      in the files: nike (20), nikee (8), puma (4), ignore (3)",
        "            'nikee' (8) is similar to 'nike'. Merge them with --labels nike,puma,nikee=nike",
        "            'nkie' (1) is similar to 'nike' and is ignored. "
        "Merge them with --labels nike,nikee,puma,nkie=nike",
    ]
    assert describe_labels(Labels(), {}) == ["labels      in the files: none"]
    many = {f"class {i}": 1 for i in range(99)}
    assert describe_labels(Labels.from_counts(many), many) == [
        f"labels      in the files: {', '.join(f'{name} (1)' for name in sorted(many)[:10])}, 89 more"
    ]


def test_classes_of_a_network():
    labels = Labels("swoosh=nike").for_classes(["adidas", "nike"])
    assert labels.classes == ["adidas", "nike"] and labels.class_of("swoosh") == "nike"
    with pytest.raises(ValueError, match="the weights have the classes nike, but labels map to adidas"):
        Labels("adidas,nike").for_classes(["nike"])
