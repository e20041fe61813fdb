"""The sample data and the model used in the notebooks."""

import numpy as np

from mrcnn.checkpoints import read_checkpoint
from nike import example


def test_sample_data_has_both_subsets():
    train, val = example.sample_data("train"), example.sample_data("val")
    assert (train.num_images, val.num_images) == (18, 6)
    assert example.sample_data().num_images == 24
    assert train.class_names == ["BG", "nike"]


def test_the_model_has_the_bundled_weights_and_changed_settings(tmp_path):
    model = example.example_model("training", tmp_path, IMAGE_MIN_DIM=128, IMAGE_MAX_DIM=128)
    assert (model.mode, model.config.NAME) == ("training", "nike") and model.log_dir.startswith(str(tmp_path))
    assert model.config.IMAGE_SHAPE.tolist() == [128, 128, 3]
    with read_checkpoint(example.example_weights()) as stored:
        assert stored.config["BACKBONE"] == model.config.BACKBONE
        kernel = stored.layers["rpn_conv_shared"].weights["kernel"][()]
    np.testing.assert_array_equal(model.named_layers()["rpn_conv_shared"].get_weights()[0], kernel)
