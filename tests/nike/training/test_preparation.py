"""Checks before a run is resumed."""

import pytest

from nike.training import preparation
from nike.training.run_split import write_run_photos


def test_different_classes_cannot_be_resumed(tmp_path):
    write_run_photos(tmp_path, {"swoosh": "logo", "Nike": "nike"}, [], [])
    preparation._check_same_classes(tmp_path / "training_nike_0001.state", ["logo", "nike"])
    with pytest.raises(ValueError, match=r"classes of the run \(logo, nike\), but the dataset has adidas, nike"):
        preparation._check_same_classes(tmp_path / "training_nike_0001.state", ["adidas", "nike"])


def test_a_run_without_a_record_continues(tmp_path):
    preparation._check_same_classes(tmp_path / "training_nike_0001.state", ["nike"])


@pytest.mark.parametrize("text", ["[]", "{}", '{"argv": [1]}'])
def test_damaged_command_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="run.json: expected"):
        preparation._read_command_line(tmp_path / "run.json")
