"""Checks before a run is resumed."""

from pathlib import Path

import pytest

from mrcnn.training.saved_state import State
from nike.training import preparation


@pytest.mark.parametrize("classes", [["adidas", "nike"], ["nike", "logo"], ["logo"]])
def test_different_classes_cannot_be_resumed(classes):
    """The order of the classes determines their ids."""
    state = State(Path("training_nike_0001.state"), None, {"metadata": {"class_names": ["BG", "logo", "nike"]}})
    preparation._check_same_classes(state, ["logo", "nike"])
    message = rf"classes of the run in this order \(logo, nike\), but the dataset has {', '.join(classes)}\."
    with pytest.raises(ValueError, match=message):
        preparation._check_same_classes(state, classes)


@pytest.mark.parametrize("text", ["[]", "{}", '{"argv": [1]}'])
def test_damaged_command_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="run.json: expected"):
        preparation._read_command_line(tmp_path / "run.json")
