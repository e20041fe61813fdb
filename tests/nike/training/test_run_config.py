"""Every setting in `nike train --config` is either used by the run or rejected."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from mrcnn.config import Config
from nike import train
from nike.config import NikeConfig
from nike.datasets.nike_dataset import SAMPLE_DATA
from nike.training.preparation import new_run
from nike.training.run_config import prepend_config_options

# Valid values that differ from the defaults of `nike train`. `other` derives values of the remaining fields.
VALUES = {
    "BACKBONE": "resnet101",
    "BACKBONE_STRIDES": [4, 8, 16, 32, 128],
    "GRADIENT_CLIP_NORM": None,
    "IMAGE_MIN_DIM": 448,
    "IMAGE_MAX_DIM": 576,
    "IMAGE_RESIZE_MODE": "pad64",
    "MASK_ACTIVATION": "softmax",
    "MASK_REFINEMENT_SIZE": 64,
    "MASK_TARGETS": "rounded",
    "NAME": "shoes",
    "ROI_ALIGN_METHOD": "gather",
    "ROI_NEGATIVES": "balanced",
    "ROI_POOLING": "pool",
}
COUPLED = {  # fields that are valid only together with other fields
    "IMAGE_CHANNEL_COUNT": {"IMAGE_CHANNEL_COUNT": 1, "MEAN_PIXEL": [120]},
    "MASK_HEAD": {"MASK_HEAD": False, "MASK_REFINEMENT_SIZE": 0, "DETECTION_MASK_SCORES": False},
    "MASK_POOL_SIZE": {"MASK_POOL_SIZE": 16, "MASK_SHAPE": [32, 32]},
    "MASK_SHAPE": {"MASK_POOL_SIZE": 16, "MASK_SHAPE": [32, 32]},
}
REFUSED = {
    "LEARNING_MOMENTUM": "has no effect with adamw. Add --optimizer sgd",
    "WEIGHT_DECAY": "has no effect with adamw. Add --optimizer sgd",
    "NUM_CLASSES": r"is 3, but the data has 2 classes including the background \(BG, nike\). Choose the classes",
    "COMPUTE_BACKBONE_SHAPE": "is a function, which a file cannot contain",
}


def other(name):
    default = getattr(NikeConfig, name)
    if name in VALUES:
        return VALUES[name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, dict):
        return dict.fromkeys(default, 0.5)
    if isinstance(default, (list, tuple, np.ndarray)):
        return [2 * value for value in default]
    if isinstance(default, float):
        return default / 2
    return default + 1


def planned(tmp_path, settings, *options):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings))
    argv = ["--weights=none", "--dataset", str(SAMPLE_DATA), "--logs", str(tmp_path / "logs"), "--config", str(file)]
    argv = prepend_config_options([*argv, *options])
    return new_run(train.parse(argv), argv)


# These need data with keypoints or the contrib modules of OpenCV, see `test_keypoints.py` and `test_fast_rcnn.py`.
ELSEWHERE = {"NUM_KEYPOINTS", "KEYPOINT_NAMES", "KEYPOINT_FLIP", "PROPOSALS"}


@pytest.mark.parametrize("name", sorted({*Config.fields()} - {*REFUSED} - ELSEWHERE))
def test_a_setting_reaches_the_run(tmp_path, name):
    settings = COUPLED.get(name) or {name: other(name)}
    run = planned(tmp_path, settings)
    if name == "LEARNING_RATE":
        assert {stage.learning_rate for stage in run.stages} == {settings[name]}
    elif name == "GPU_COUNT":
        assert run.arguments.devices == run.config.GPU_COUNT == 2
    else:
        assert np.array_equal(getattr(run.config, name), settings[name])
        assert not np.array_equal(getattr(NikeConfig, name), settings[name])


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_setting_without_effect_is_rejected(tmp_path, name):
    value = "f" if name == "COMPUTE_BACKBONE_SHAPE" else other(name)
    with pytest.raises(ValueError, match=f"settings.json: {name} {REFUSED[name]}"):
        planned(tmp_path, {name: value})


def test_settings_of_sgd(tmp_path):
    run = planned(tmp_path, {"LEARNING_MOMENTUM": 0.8, "WEIGHT_DECAY": 0.001}, "--optimizer=sgd")
    assert (run.config.LEARNING_MOMENTUM, run.config.WEIGHT_DECAY) == (0.8, 0.001)
    assert run.stages[0].learning_rate == 0.005  # 0.0025 for each of two images


@pytest.mark.parametrize(
    "weights, optimizer, rate", [("none", "adamw", 1.5e-4), ("imagenet", "adamw", 2e-4), ("imagenet", "sgd", 0.005)]
)
def test_default_learning_rate(tmp_path, weights, optimizer, rate):
    run = planned(tmp_path, {}, f"--weights={weights}", f"--optimizer={optimizer}")
    assert [stage.learning_rate for stage in run.stages] == pytest.approx([rate] * len(run.stages))


def test_options_override_the_file_and_a_run_records_both(tmp_path):
    settings = {"STEPS_PER_EPOCH": 7, "LEARNING_RATE": 0.5, "NAME": "shoes", "IMAGES_PER_GPU": 3}
    run = planned(tmp_path, settings, "--steps=9", "--lr", "0.1", "--name=hats", "--batch=4")
    assert (run.config.STEPS_PER_EPOCH, run.config.NAME, run.config.BATCH_SIZE) == (9, "hats", 4)
    assert run.stages[0].learning_rate == 0.1
    resumed = train.parse(planned(tmp_path, settings).argv)  # the file is not read again
    assert (resumed.steps, resumed.lr, resumed.name) == (7, 0.5, "shoes")


def test_stages_of_a_file(tmp_path):
    """Without its own learning rate, a stage has the rate of the run. Options replace the stages of the file."""
    settings = {"STAGES": ["heads,2", "all,4", "mrcnn_refine.*,3,1e-3"], "LEARNING_RATE": 0.5}

    def stages(*options):
        return [
            (stage.layers, stage.epochs, stage.learning_rate) for stage in planned(tmp_path, settings, *options).stages
        ]

    assert stages() == [("heads", 2, 0.5), ("all", 6, 0.5), ("mrcnn_refine.*", 9, 0.001)]
    assert stages("--stages", "4+,1", "all,1", "--lr=0.1") == [("4+", 1, 0.1), ("all", 2, 0.1)]
    assert stages("--layers=heads", "--epochs=7") == [("heads", 7, 0.5)]
    assert [layers for layers, _, _ in stages("--schedule=heads-first")] == ["all"]  # of random weights
    resumed = train.parse(planned(tmp_path, settings).argv)  # the file is not read again
    assert [stage.epochs for stage in resumed.stages] == [2, 4, 3]


def test_the_recipe_of_the_light_network(tmp_path):
    """The recipe is complete: with `--weights=imagenet` and `--dataset`, it determines a run of 30 epochs."""
    recipe = Path(train.__file__).parent / "recipes" / "light.yaml"
    run = planned(tmp_path, yaml.safe_load(recipe.read_text()), "--weights=imagenet")
    assert [(stage.layers, stage.epochs) for stage in run.stages] == [("heads", 1), ("3+", 30)]
    assert [stage.learning_rate for stage in run.stages] == pytest.approx([4e-4, 4e-4])  # 1e-4 for each of four images
    assert (run.config.BACKBONE, run.config.IMAGE_MAX_DIM, run.config.BATCH_SIZE) == ("mobilenet_v2", 768, 4)


@pytest.mark.parametrize(
    "stages, message",
    [
        ([], "expected a list of strings"),
        ("heads,5", "expected a list of strings"),
        ([5], "expected a list of strings"),
        (["heads"], "expected LAYERS,EPOCHS"),
        (["heads,0"], "expected LAYERS,EPOCHS"),
        (["--logs=other,5"], "expected LAYERS,EPOCHS"),
    ],
)
def test_invalid_stages_of_a_file(tmp_path, stages, message):
    with pytest.raises(ValueError, match=f"settings.json: STAGES: {message}"):
        planned(tmp_path, {"STAGES": stages})


def test_the_last_of_layers_and_stages_applies():
    arguments = train.parse(["--layers=heads", "--stages", "all,2"])
    assert arguments.layers is None and [str(stage) for stage in arguments.stages] == ["all,2"]
    arguments = train.parse(["--stages", "all,2", "--layers=heads"])
    assert (arguments.layers, arguments.stages) == ("heads", [])


def test_derived_settings(tmp_path):
    all_of_them = json.loads(json.dumps(NikeConfig().copy(NUM_CLASSES=2).to_dict(), default=np.ndarray.tolist))
    assert planned(tmp_path, all_of_them).config.BATCH_SIZE == 2
    for name, value, fix in (
        ("BATCH_SIZE", 8, "IMAGES_PER_GPU or --batch"),
        ("IMAGE_SHAPE", [64, 64, 3], "IMAGE_MIN_DIM and IMAGE_MAX_DIM, or --image-size"),
        ("IMAGE_META_SIZE", 93, "--labels"),
    ):
        with pytest.raises(ValueError, match=f"settings.json: {name} is computed from other settings. Set {fix}"):
            planned(tmp_path, {name: value})


def test_an_invalid_value_names_the_file(tmp_path):
    with pytest.raises(ValueError, match="settings.json: STEPS_PER_EPOCH must be a number, got 'ten'"):
        planned(tmp_path, {"STEPS_PER_EPOCH": "ten"})
