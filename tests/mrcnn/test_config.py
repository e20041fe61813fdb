"""Config: derived values, validation, JSON."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest

from mrcnn.config import Config


class ShapesConfig(Config):
    NAME = "shapes"
    NUM_CLASSES = 4
    IMAGES_PER_GPU = 8
    IMAGE_MAX_DIM = 128
    IMAGE_MIN_DIM = 128


def test_derived_values():
    config = ShapesConfig()
    assert config.BATCH_SIZE == 8
    assert config.IMAGE_SHAPE.tolist() == [128, 128, 3]
    assert config.IMAGE_META_SIZE == 16


def test_crop_mode_uses_the_smaller_side():
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
        ("BACKBONE_STRIDES", [8, 16, 32, 64], "a list of 5 finite numbers"),
        ("BACKBONE", "vgg", "must be one of resnet50"),
        ("BACKBONE", len, "COMPUTE_BACKBONE_SHAPE"),
        ("MASK_SHAPE", [56, 56], "twice MASK_POOL_SIZE"),
        ("IMAGE_CHANNEL_COUNT", 4, "one value per channel"),
        ("RPN_NMS_THRESHOLD", 7, "between 0 and 1"),
        ("RPN_NMS_THRESHOLD", None, "between 0 and 1"),
        ("NUM_CLASSES", 2.5, "an integer"),
        ("DETECTION_MAX_INSTANCES", 0, "at least 1"),
        ("DETECTION_BOX_VOTING", 2, "between 0 and 1"),
        ("DETECTION_BOX_VOTING", "yes", "between 0 and 1"),
        ("DETECTION_BOX_VOTING", True, "between 0 and 1"),
        ("DETECTION_BOX_VOTING", 0, "1 for no voting"),
        ("DETECTION_MASK_SCORES", "false", "True or False"),
        ("ADD_GT_BOXES", None, "True or False"),
        ("USE_MINI_MASK", "false", "True or False"),
        ("USE_RPN_ROIS", 2, "True or False"),
        ("IMAGES_PER_GPU", 1.5, "an integer"),
        ("MASK_HEAD_CONVOLUTIONS", -1, "at least 0"),
        ("IMAGE_MIN_DIM", 512, "must not exceed IMAGE_MAX_DIM"),
        ("ROI_POOLING", "max", "must be one of align, pool"),
        ("IMAGE_RESIZE_MODE", "fit", "must be one of none"),
        ("IMAGE_RESIZE_MODE", 1, "must be a string, got 1"),
        ("NAME", 1, "NAME must be a string, got 1"),
        ("TRAIN_BN", 1, "None, True or False, got 1"),
        ("TRAIN_BN", "false", "None, True or False, got 'false'"),
        ("LEARNING_RATE", float("nan"), "finite number of at least 0, got nan"),
        ("LEARNING_RATE", "0.1", "finite number of at least 0, got '0.1'"),
        ("LEARNING_MOMENTUM", float("inf"), "finite number of at least 0, got inf"),
        ("LEARNING_MOMENTUM", True, "finite number of at least 0, got True"),
        ("WEIGHT_DECAY", -1, "finite number of at least 0, got -1"),
        ("WEIGHT_DECAY", np.float32("nan"), "finite number of at least 0"),
        ("VALIDATION_STEPS", None, "finite number of at least 0, got None"),
        ("DETECTION_MIN_CONFIDENCE", float("nan"), "between 0 and 1, got nan"),
        ("MEAN_PIXEL", np.array([123.7, np.nan, 103.9]), "MEAN_PIXEL must be a list of finite numbers of at least 0"),
        ("RPN_BBOX_STD_DEV", [0.1, 0.1, 0.2, -0.2], "RPN_BBOX_STD_DEV must be a list of 4 finite numbers"),
        ("RPN_ANCHOR_RATIOS", [0.5, "1", 2], "RPN_ANCHOR_RATIOS must be a list of finite numbers"),
        ("RPN_ANCHOR_SCALES", "32", "RPN_ANCHOR_SCALES must be a list of finite numbers"),
        ("RPN_ANCHOR_SCALES", 32, "RPN_ANCHOR_SCALES must be a list of finite numbers.*got 32"),
        ("MASK_SHAPE", 28, "MASK_SHAPE must be a list of 2 finite numbers.*got 28"),
        ("BBOX_STD_DEV", [0.1, 0.2], "BBOX_STD_DEV must be a list of 4 finite numbers"),
        ("LOSS_WEIGHTS", {"rpn_class_loss": -1.0}, "LOSS_WEIGHTS must be a dict of finite numbers"),
        ("LOSS_WEIGHTS", [1.0], "LOSS_WEIGHTS must be a dict"),
    ],
)
def test_validation_errors_name_the_setting_and_the_fix(field, value, message):
    config = ShapesConfig().copy(**{field: value})
    with pytest.raises(ValueError, match=message):
        config.validate()


def test_no_confidence_threshold_survives_json():
    config = ShapesConfig().copy(DETECTION_MIN_CONFIDENCE=None, GRADIENT_CLIP_NORM=None, USE_MINI_MASK=0)
    config.validate()
    restored = Config.from_json(config.to_json())
    assert restored.DETECTION_MIN_CONFIDENCE is None and restored.GRADIENT_CLIP_NORM is None


def test_removed_settings_of_older_files_are_ignored():
    old = json.loads(ShapesConfig().to_json()) | {"HARD_EXAMPLE_MINING": 0, "DETECTION_CLASS_AGNOSTIC_NMS": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Config.from_dict(old).to_json() == ShapesConfig().to_json()
    with pytest.warns(UserWarning, match="old.h5: HARD_EXAMPLE_MINING is ignored"):
        Config.from_dict(old | {"HARD_EXAMPLE_MINING": 64}, where="old.h5")
    with pytest.raises(ValueError, match="unknown setting 'HARD_EXAMPLE_MINING'"):
        ShapesConfig().copy(HARD_EXAMPLE_MINING=64)


def backbone_of_a_script(image, stage5, train_bn): ...


class ScriptConfig(ShapesConfig):
    BACKBONE = backbone_of_a_script
    COMPUTE_BACKBONE_SHAPE = len
    OF_A_SCRIPT = "text"


@pytest.mark.parametrize("make", [ScriptConfig, lambda: ScriptConfig().copy(IMAGES_PER_GPU=3).copy(NAME="other")])
def test_configs_can_be_pickled_and_deep_copied(make):
    config = make()
    config.LEARNING_RATE = 0.5
    for clone in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        assert isinstance(clone, ScriptConfig) and vars(clone).keys() == vars(config).keys()
        assert clone.to_json() == config.to_json() and clone.OF_A_SCRIPT == "text"
        assert clone.function("BACKBONE") is backbone_of_a_script and clone.BATCH_SIZE == config.BATCH_SIZE
        clone.validate()


def test_copies_do_not_nest_classes():
    config = ShapesConfig()
    for number in range(1, 4):
        config = type(config).from_dict({"IMAGES_PER_GPU": number}).copy(NAME=f"run{number}")
    assert len(type(config).__mro__) == len(ShapesConfig.__mro__) + 1
    assert (config.IMAGES_PER_GPU, config.NAME, config.IMAGE_MAX_DIM) == (3, "run3", 128)

    class InferenceConfig(config.__class__):  # as in scripts for the original
        GPU_COUNT = 2

    assert InferenceConfig().BATCH_SIZE == 6 and InferenceConfig().copy(NAME="x").GPU_COUNT == 2


def test_copy_rejects_unknown_settings():
    with pytest.raises(ValueError, match="ShapesConfig: unknown setting 'LEARNING_RAT'; did you mean LEARNING_RATE"):
        ShapesConfig().copy(LEARNING_RAT=0.1)
    with pytest.raises(ValueError, match="unknown setting 'BATCH_SIZE'"):
        ShapesConfig().copy(BATCH_SIZE=4)


def test_numpy_numbers_and_lists_are_accepted():
    config = ShapesConfig().copy(
        MEAN_PIXEL=[0, 0.0, np.float32(103.9)],
        RPN_BBOX_STD_DEV=np.float32([0.1, 0.1, 0.2, 0.2]),
        MINI_MASK_SHAPE=np.array([28, 28]),
        LEARNING_RATE=np.float32(0.1),
        WEIGHT_DECAY=0,
        VALIDATION_STEPS=2 / 2,
        IMAGES_PER_GPU=np.int64(2),
        IMAGE_MIN_SCALE=2.0,
        GRADIENT_CLIP_NORM=None,
        USE_MINI_MASK=np.bool_(True),
        TRAIN_BN=None,
    )
    config.OF_A_SCRIPT = "nan"
    config.validate()


def test_functions_are_kept():
    def backbone(image, stage5, train_bn): ...

    config = ShapesConfig.from_dict({"BACKBONE": backbone, "COMPUTE_BACKBONE_SHAPE": len})
    assert config.BACKBONE is backbone
    config.validate()


def test_json_round_trip_keeps_values_and_types():
    config = ShapesConfig().copy(MEAN_PIXEL=np.array([1.0, 2.0, 3.0]), MINI_MASK_SHAPE=(28, 28))
    restored = Config.from_json(config.to_json())
    restored.validate()
    assert restored.to_json() == config.to_json()
    assert restored.NAME == "shapes"
    assert isinstance(restored.MEAN_PIXEL, np.ndarray)
    assert restored.MINI_MASK_SHAPE == (28, 28)
    assert restored.IMAGE_META_SIZE == 16


def test_instance_attributes_are_settings():
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
def test_errors_of_damaged_files(text, message):
    with pytest.raises(ValueError, match=message):
        Config.from_json(text, where="a.json")


def test_display_prints_every_setting(capsys):
    ShapesConfig().display()
    printed = capsys.readouterr().out
    assert "Configurations:" in printed
    assert all(name in printed for name in ("BATCH_SIZE", "NAME", "RPN_ANCHOR_SCALES", "USE_MINI_MASK"))
