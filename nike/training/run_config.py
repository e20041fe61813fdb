"""The settings of a training run, from the file of `nike train --config` and from the options.

Settings in the file that correspond to options are treated as options. Settings without an effect are rejected.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.config import DERIVED
from mrcnn.errors import UserError
from nike.config import NikeConfig
from nike.datasets.config_file import STAGES, read_config_file, read_raw_config_file
from nike.training.checks import count_replicas
from nike.training.options import MIN_STEPS, parse
from nike.training.stages import parse_stage

OPTIONS = {"STEPS_PER_EPOCH": "--steps", "LEARNING_RATE": "--lr", "GPU_COUNT": "--devices", "NAME": "--name"}
SGD_ONLY = ("LEARNING_MOMENTUM", "WEIGHT_DECAY")  # AdamW has neither momentum nor an L2 penalty
BOXES_ONLY = {"MASK_HEAD": False, "MASK_REFINEMENT_SIZE": 0, "DETECTION_MASK_SCORES": False}  # for --task boxes
SOURCES = {  # settings and options that determine derived settings
    "BATCH_SIZE": "IMAGES_PER_GPU or --batch",
    "IMAGE_SHAPE": "IMAGE_MIN_DIM and IMAGE_MAX_DIM, or --image-size",
    "IMAGE_META_SIZE": "--labels",
}


def check_stages(stages: Any, file: Path) -> list[str]:
    """Returns the STAGES of a settings file, which are in the notation of `--stages` ([] for None).

    Raises:
        UserError: if a stage is invalid. The message names the file.
    """
    if stages is None:
        return []
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, str) for stage in stages):
        raise UserError(f'{file}: {STAGES}: expected a list of strings such as ["heads,5", "all,25,1e-4"].')
    for stage in stages:
        try:
            parse_stage(stage)
        except argparse.ArgumentTypeError as error:
            raise UserError(f"{file}: {STAGES}: {error}.") from None
    return stages


def prepend_config_options(argv: Sequence[str]) -> list[str]:
    """Prepends options to a command line for the STAGES of `--config` and for each setting that is in OPTIONS.

    The options in `argv` follow and take precedence. All options are recorded in the log folder, so the file is not
    required to resume a run.

    Raises:
        FileNotFoundError, ValueError: if the file does not exist, or a setting is unknown or invalid.
    """
    file = parse(list(argv)).config
    if file is None:
        return list(argv)
    settings = read_raw_config_file(file)
    stages = check_stages(settings.pop(STAGES, None), file)
    NikeConfig.from_dict(settings, where=str(file))
    given = {option: settings.get(name) for name, option in OPTIONS.items()}
    options = [f"{option}={value}" for option, value in given.items() if value is not None]
    return [*options, *(["--stages", *stages] if stages else []), *argv]


def read_config(file: Path, base: NikeConfig, arguments: argparse.Namespace, class_names: Sequence[str]) -> NikeConfig:
    """Reads a settings file for a run.

    Args:
        file: JSON or YAML file.
        base: settings that the file overrides.
        arguments: options of the run.
        class_names: classes of the data, background first.

    Raises:
        FileNotFoundError: if the file does not exist.
        UserError: if a setting is unknown or invalid, or would have no effect.
    """
    settings: dict[str, Any] = read_config_file(file)
    config = type(base).from_dict(settings, where=str(file))
    if settings.get("NUM_CLASSES", len(class_names)) != len(class_names):
        raise UserError(
            f"{file}: NUM_CLASSES is {settings['NUM_CLASSES']}, but the data has {len(class_names)} classes including "
            f"the background ({', '.join(class_names)}). Choose the classes with --labels."
        )
    if settings.get("COMPUTE_BACKBONE_SHAPE") is not None:
        raise UserError(f"{file}: COMPUTE_BACKBONE_SHAPE is a function, which a file cannot contain. Remove it.")
    derived = config.copy(NUM_CLASSES=len(class_names))
    for name in DERIVED:
        if name in settings and not np.array_equal(settings[name], getattr(derived, name)):
            raise UserError(f"{file}: {name} is computed from other settings. Set {SOURCES[name]} instead.")
    for name in SGD_ONLY if arguments.optimizer != "sgd" else ():
        if name in settings and settings[name] != getattr(NikeConfig, name):
            raise UserError(f"{file}: {name} has no effect with {arguments.optimizer}. Add --optimizer sgd.")
    return config


def apply_options(config: NikeConfig, arguments: argparse.Namespace, count: int) -> NikeConfig:
    """Applies the options of the command line to a copy of the config.

    Args:
        config: settings of the network.
        arguments: parsed options.
        count: number of training images, which determines the steps per epoch.

    Raises:
        ValueError: if the settings are invalid or inconsistent.
    """
    changes: dict[str, Any] = dict(BOXES_ONLY) if arguments.task == "boxes" else {}
    if arguments.backbone is not None:
        changes["BACKBONE"] = arguments.backbone
    if arguments.image_size is not None:
        changes |= {"IMAGE_MIN_DIM": arguments.image_size, "IMAGE_MAX_DIM": arguments.image_size}
    if arguments.batch not in (None, "auto"):
        changes["IMAGES_PER_GPU"] = arguments.batch
    config = config.copy(GPU_COUNT=count_replicas(arguments.devices), **changes)
    config = config.copy(STEPS_PER_EPOCH=arguments.steps or max(math.ceil(count / config.BATCH_SIZE), MIN_STEPS))
    config.validate()
    return config
