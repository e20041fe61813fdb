"""Settings files in JSON and YAML."""

import pytest

from nike.check import main
from nike.datasets.config_file import read_config_file, read_raw_config_file


def test_json_and_yaml(tmp_path):
    (tmp_path / "a.json").write_text('{"IMAGE_MAX_DIM": 640}')
    (tmp_path / "a.YAML").write_text("IMAGE_MAX_DIM: 640  # pixels\n")
    for name in ("a.json", "a.YAML"):
        assert read_config_file(tmp_path / name) == {"IMAGE_MAX_DIM": 640}


@pytest.mark.parametrize("text", ["a: [1", "\t-", "!!python/object/apply:os.getcwd []"])
def test_invalid_yaml(tmp_path, text):
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.yml: not valid YAML"):
        read_config_file(tmp_path / "a.yml")


def test_check_accepts_the_settings_of_train(folder, shape, tmp_path, capsys):
    for seed in range(2):  # one image for training, one for validation
        folder.labelled(f"{seed}.jpg", [shape()], seed=seed)
    (tmp_path / "recipe.yaml").write_text("IMAGE_MIN_DIM: 640\nIMAGE_MAX_DIM: 640\n")
    assert main([str(folder.root), "--config", str(tmp_path / "recipe.yaml")]) == 0
    assert "at network input size 640" in capsys.readouterr().out


def test_stages_of_training_are_not_settings(tmp_path):
    """Other commands than `nike train` accept the same file."""
    file = tmp_path / "a.yaml"
    file.write_text("IMAGE_MAX_DIM: 640\nSTAGES: ['heads,5']\n")
    assert read_config_file(file) == {"IMAGE_MAX_DIM": 640}
    assert read_raw_config_file(file)["STAGES"] == ["heads,5"]
