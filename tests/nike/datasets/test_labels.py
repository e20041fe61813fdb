"""Labels to classes."""

import pytest

from nike.datasets.labels import Labels


def test_default_and_aliases():
    assert Labels().classes == ["nike"]
    labels = Labels("nike, swoosh=nike,adidas")
    assert labels.classes == ["nike", "adidas"]
    assert [labels.class_of(label) for label in ("nike", "swoosh", "adidas", "puma", "ignore")] == [
        "nike", "nike", "adidas", None, None,
    ]  # fmt: skip
    assert Labels({"a": "x", "b": "x"}).classes == ["x"]
    assert Labels(["nike", "tick=nike"]).class_of("tick") == "nike"


def test_ignored():
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
def test_nearest(label, near):
    assert Labels().nearest(label) == near


@pytest.mark.parametrize("wrong", ["", ",", "nike,ignore", "=nike", "BG", [], {}])
def test_wrong_labels_are_explained(wrong):
    with pytest.raises(ValueError, match="labels: expected"):
        Labels(wrong)
