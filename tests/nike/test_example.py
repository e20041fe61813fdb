"""The sample photos, and the model that examples use."""

from pathlib import Path

from nike import example


def test_sample_data_has_both_parts():
    train, val = example.sample_data("train"), example.sample_data("val")
    assert (train.num_images, val.num_images) == (18, 6)
    assert example.sample_data().num_images == 24
    assert train.class_names == ["BG", "nike"]


def test_the_model_has_the_weights_that_ship(tmp_path, monkeypatch):
    from mrcnn.model import MaskRCNN

    monkeypatch.setattr(MaskRCNN, "from_checkpoint", lambda *arguments, **changes: (arguments, changes))
    arguments, changes = example.example_model("training", tmp_path, IMAGES_PER_GPU=1)
    assert arguments == (example.example_weights(), "training", tmp_path)
    assert changes == {"IMAGES_PER_GPU": 1}
    assert Path(example.example_weights()).name == "mask_rcnn_nike.h5"
