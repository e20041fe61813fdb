"""Config: derived values, validation, JSON."""

import numpy as np
import pytest

from mrcnn.config import Config


class ShapesConfig(Config):
    NAME = "shapes"
    NUM_CLASSES = 4
    IMAGES_PER_GPU = 8
    IMAGE_MAX_DIM = 128
    IMAGE_MIN_DIM = 128


def test_derived_values_follow_the_fields():
    config = ShapesConfig()
    assert config.BATCH_SIZE == 8
    assert config.IMAGE_SHAPE.tolist() == [128, 128, 3]
    assert config.IMAGE_META_SIZE == 16


def test_crop_mode_takes_the_smaller_side():
    class CropConfig(ShapesConfig):
        IMAGE_RESIZE_MODE = "crop"
        IMAGE_MIN_DIM = 64

    assert CropConfig().IMAGE_SHAPE.tolist() == [64, 64, 3]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("IMAGE_MAX_DIM", 200, "multiple of 64.*got 200; use 192 or 256"),
        ("NUM_CLASSES", 1, "at least 2"),
        ("RPN_ANCHOR_SCALES", (8, 16, 32, 64, 128, 256), "1 to 5 scales.*got 6"),
        ("RPN_ANCHOR_SCALES", (), "1 to 5 scales.*got 0"),
        ("BACKBONE_STRIDES", [8, 16, 32, 64], "5 strides"),
        ("BACKBONE", "vgg", "must be one of resnet50"),
        ("BACKBONE", len, "COMPUTE_BACKBONE_SHAPE"),
        ("MASK_SHAPE", [56, 56], "twice MASK_POOL_SIZE"),
        ("IMAGE_CHANNEL_COUNT", 4, "one value per channel"),
        ("RPN_NMS_THRESHOLD", 7, "between 0 and 1"),
        ("RPN_NMS_THRESHOLD", None, "between 0 and 1"),
        ("NUM_CLASSES", 2.5, "whole number"),
        ("DETECTION_MAX_INSTANCES", 0, "at least 1"),
        ("DETECTION_BOX_VOTING", 2, "between 0 and 1"),
        ("DETECTION_BOX_VOTING", "yes", "between 0 and 1"),
        ("DETECTION_BOX_VOTING", True, "between 0 and 1"),
        ("DETECTION_BOX_VOTING", 0, "1 for no voting"),
        ("DETECTION_MASK_SCORES", "false", "True or False"),
        ("ADD_GT_BOXES", None, "True or False"),
        ("USE_MINI_MASK", "false", "True or False"),
        ("USE_RPN_ROIS", 2, "True or False"),
        ("IMAGES_PER_GPU", 1.5, "whole number"),
        ("MASK_HEAD_CONVOLUTIONS", -1, "at least 0"),
        ("HARD_EXAMPLE_MINING", 0.5, "whole number"),
        ("IMAGE_MIN_DIM", 512, "must not be above IMAGE_MAX_DIM"),
        ("ROI_POOLING", "max", "must be one of align, pool"),
        ("IMAGE_RESIZE_MODE", "fit", "must be one of none"),
    ],
)
def test_validation_names_the_setting_and_the_fix(field, value, message):
    config = ShapesConfig().copy(**{field: value})
    with pytest.raises(ValueError, match=message):
        config.validate()


def test_no_limit_of_confidence_survives_json():
    config = ShapesConfig().copy(DETECTION_MIN_CONFIDENCE=None, USE_MINI_MASK=0)  # as scripts have it
    config.validate()
    assert Config.from_json(config.to_json()).DETECTION_MIN_CONFIDENCE is None


def test_functions_given_in_code_stay_functions():
    def backbone(image, stage5, train_bn): ...

    config = ShapesConfig.from_dict({"BACKBONE": backbone, "COMPUTE_BACKBONE_SHAPE": len})
    assert config.BACKBONE is backbone
    config.validate()


def test_json_round_trip_keeps_values_and_types():
    config = ShapesConfig().copy(MEAN_PIXEL=np.array([1.0, 2.0, 3.0]), MINI_MASK_SHAPE=(28, 28))
    copy = Config.from_json(config.to_json())
    copy.validate()
    assert copy.to_json() == config.to_json()
    assert copy.NAME == "shapes"
    assert isinstance(copy.MEAN_PIXEL, np.ndarray)
    assert copy.MINI_MASK_SHAPE == (28, 28)
    assert copy.IMAGE_META_SIZE == 16


def test_instance_attributes_are_settings_too():
    config = ShapesConfig()
    config.DETECTION_MIN_CONFIDENCE = 0.25
    assert Config.from_json(config.to_json()).DETECTION_MIN_CONFIDENCE == 0.25
    assert config.copy().DETECTION_MIN_CONFIDENCE == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"LEARNING_RAT": 1}', "a.json: unknown setting 'LEARNING_RAT'; did you mean LEARNING_RATE"),
        ('{"LEARNING_RATE": "fast"}', "a.json: LEARNING_RATE must be a number"),
        ('{"MEAN_PIXEL": "red"}', "a.json: MEAN_PIXEL must be a list of numbers"),
        ('{"RPN_ANCHOR_SCALES": 8}', "a.json: RPN_ANCHOR_SCALES must be a list"),
        ("[1]", "a.json: expected an object"),
        ("{", "a.json: not valid JSON"),
        ("[" * 100000, "a.json: not valid JSON"),
    ],
)
def test_broken_files_are_explained(text, message):
    with pytest.raises(ValueError, match=message):
        Config.from_json(text, where="a.json")


def test_display_prints_every_setting(capsys):
    ShapesConfig().display()
    printed = capsys.readouterr().out
    assert "Configurations:" in printed
    assert all(name in printed for name in ("BATCH_SIZE", "NAME", "RPN_ANCHOR_SCALES", "USE_MINI_MASK"))
