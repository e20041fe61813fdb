"""The example model: which weights it takes, and that the small network is trained once only."""

import pytest

from nike import example


def test_sample_data_has_both_parts():
    train, val = example.sample_data("train"), example.sample_data("val")
    assert (train.num_images, val.num_images) == (18, 6)
    assert example.sample_data().num_images == 24
    assert train.class_names == ["BG", "nike"]


def test_settings_of_the_small_network_fit_each_other():
    example.ExampleConfig().validate()


def test_weights_that_are_there_are_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "_train", lambda path, logs: path.write_bytes(b"weights"))
    path = example.example_weights(tmp_path)
    assert path.is_file() and path.is_relative_to(tmp_path)
    monkeypatch.setattr(example, "_train", lambda path, logs: pytest.fail("trained twice"))
    assert example.example_weights(tmp_path) == path


@pytest.mark.parametrize("shipped", [True, False])
def test_shipped_weights_come_first(tmp_path, monkeypatch, shipped):
    pytest.importorskip("tensorflow")
    from mrcnn import checkpoints
    from mrcnn.model import MaskRCNN

    weights = tmp_path / example.SHIPPED
    monkeypatch.setattr(checkpoints, "find_weights", lambda names: weights if shipped else None)
    monkeypatch.setattr(example, "example_weights", lambda logs: "small")
    monkeypatch.setattr(MaskRCNN, "from_checkpoint", lambda *arguments, **changes: (arguments, changes))
    arguments, changes = example.example_model("training", tmp_path, IMAGES_PER_GPU=1)
    assert arguments == (weights if shipped else "small", "training", tmp_path)
    assert changes == {"IMAGES_PER_GPU": 1}
