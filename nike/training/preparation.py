"""Prepares a run of `nike train`: reads and checks the data, the initial weights and the settings."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mrcnn.errors import UserError
from nike import cli  # noqa: F401  imported first to suppress TensorFlow's messages
from nike.config import NikeConfig
from nike.datasets.safe_json import read_json
from nike.datasets.selective_search import check_proposals
from nike.output_checks import check_output_folder
from nike.quiet import import_tensorflow
from nike.training.checks import check_options
from nike.training.data import TrainingData, load_training_data
from nike.training.options import parse
from nike.training.run import RUN_FILE, Run, plan_run_stages
from nike.training.run_config import apply_options, read_config
from nike.training.start_weights import find_start_weights

if TYPE_CHECKING:
    from mrcnn.training.saved_state import State


def new_run(arguments: argparse.Namespace, argv: list[str]) -> Run:
    """Prepares a new run from its options and validates them before the network is built.

    Raises:
        FileNotFoundError: if a file or folder does not exist.
        ValueError: if an option is out of range, or a dataset or weights file cannot be used.
        OSError: if the log folder cannot be written to.
    """
    check_options(arguments)
    if arguments.time is not None and arguments.epochs is not None:
        raise UserError("--time chooses the number of epochs. Remove --epochs.")
    check_output_folder(arguments.logs, "--logs")
    data = _load_data(arguments)
    name = arguments.name or NikeConfig.NAME
    if not re.fullmatch(r"[\w-]+", name):
        raise UserError(f"--name: expected letters, digits, - and _, got {name!r}.")
    weights = find_start_weights(arguments.weights, arguments.logs, arguments.name)
    config = NikeConfig.from_dict(weights.settings, where=f"--weights={arguments.weights}")
    if arguments.weights == "none":  # without pretrained weights, there are no batch statistics to freeze
        config = config.copy(TRAIN_BN=None)
    if arguments.config is not None:
        config = read_config(arguments.config, config, arguments, data.train.class_names)
    config = config.copy(NAME=name.lower(), NUM_CLASSES=data.train.num_classes)
    config = _finish_settings(config, arguments, data)
    return Run(arguments, argv, config, data, plan_run_stages(arguments, config), weights)


def continue_run(arguments: argparse.Namespace, argv: list[str]) -> Run:
    """Prepares the run selected by `--resume`. Options in `argv` override the options of the run.

    Raises:
        FileNotFoundError: if there is no run to resume.
        ValueError: if the run cannot be resumed with these options or images.
    """
    if arguments.time is not None:
        raise UserError("--time: a resumed run keeps its number of epochs. Change it with --epochs.")
    if arguments.batch == "auto":
        raise UserError("--batch auto: a resumed run keeps its batch size.")
    import_tensorflow()
    from mrcnn.training import find_state

    state = find_state(arguments.resume, arguments.logs, arguments.name)
    file = state.path.parent / RUN_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file, so the run cannot be resumed. Start a new one with --weights.")
    changed = arguments
    argv = _merge_options(_read_command_line(file), argv)
    arguments = parse(argv)
    check_options(arguments)
    check_output_folder(state.path.parent, "--resume")
    data = _load_data(arguments)
    _check_same_classes(state, data.train.class_names[1:])
    config = NikeConfig.from_dict(state.record["config"], where=str(state.path))
    if changed.config is not None:
        config = read_config(changed.config, config, arguments, data.train.class_names)
    config = _finish_settings(config, arguments, data)
    return Run(arguments, argv, config, data, plan_run_stages(arguments, config), state=state)


def _read_command_line(file: Path) -> list[str]:
    record = read_json(file)
    argv = record.get("argv") if isinstance(record, dict) else None
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise UserError(f'{file}: expected {{"argv": [WORD, ...]}}. Start a new run with --weights.')
    return argv


def _check_same_classes(state: State, classes: list[str]) -> None:
    """Raises ValueError if the classes or their order, which determines the class ids, differ from those of the run."""
    before = state.record["metadata"]["class_names"][1:]
    if before != classes:
        raise UserError(
            f"--resume: expected the classes of the run in this order ({', '.join(before)}), but the dataset has "
            f"{', '.join(classes)}. Select the classes of the run with --labels."
        )


def _merge_options(saved: list[str], more: list[str]) -> list[str]:
    """Returns the saved command line, with the options of `more` appended if they change any value.

    Folders of an option that can be repeated replace the saved folders instead of being added to them, so a command can
    be repeated with `--resume`.
    """
    given, repeated = parse(more), argparse.ArgumentParser(add_help=False)
    for option in ("--negatives", "--extra-data"):
        if getattr(given, option[2:].replace("-", "_")):
            repeated.add_argument(option, action="append")
    merged = [*repeated.parse_known_args(saved)[1], *more]
    before, after = ({**vars(parse(argv)), "resume": None} for argv in (saved, merged))
    return saved if before == after else merged


def _load_data(arguments: argparse.Namespace) -> TrainingData:
    given = {"dataset": [arguments.dataset], "val": [arguments.val], "extra-data": arguments.extra_data}
    for option, folders in {**given, "negatives": arguments.negatives}.items():
        for folder in filter(None, folders):
            if not folder.exists():
                raise FileNotFoundError(f"--{option}: {folder}: no such folder. Check the path.")
    return load_training_data(
        arguments.dataset,
        arguments.labels,
        val=arguments.val,
        val_split=arguments.val_split,
        extra_data=arguments.extra_data,
        negatives=arguments.negatives,
        seed=arguments.seed,
        strict=arguments.strict,
        boxes=arguments.task == "boxes",
    )


def _finish_settings(config: NikeConfig, arguments: argparse.Namespace, data: TrainingData) -> NikeConfig:
    """Returns the settings with the options applied. Also sets the keypoints and proposals of the datasets."""
    config = apply_options(config, arguments, len(data.train.image_ids))
    _set_keypoints(data, config)
    _set_proposals(data, config)
    return config


def _set_keypoints(data: TrainingData, config: NikeConfig) -> None:
    """Sets the names of the keypoints that the datasets return.

    Raises:
        ValueError: if the keypoints have no names, or no training object has a keypoint with one of the names.
    """
    data.train.keypoint_names = data.val.keypoint_names = config.KEYPOINT_NAMES
    instances = [instance for info in data.train.image_info for instance in info["instances"]]
    if config.NUM_KEYPOINTS and not config.KEYPOINT_NAMES:
        raise UserError(f"NUM_KEYPOINTS = {config.NUM_KEYPOINTS}, but KEYPOINT_NAMES is empty. Set the names.")
    if config.NUM_KEYPOINTS and not any(set(config.KEYPOINT_NAMES) & set(each.keypoints) for each in instances):
        raise UserError(
            f"NUM_KEYPOINTS = {config.NUM_KEYPOINTS}, but no training object has a keypoint of KEYPOINT_NAMES "
            f"({', '.join(config.KEYPOINT_NAMES)}). Add points with the group_id of their object."
        )


def _set_proposals(data: TrainingData, config: NikeConfig) -> None:
    """Sets the source of the proposals that the datasets return. Raises ValueError if it is not available."""
    check_proposals(config.PROPOSALS)
    data.train.proposals = data.val.proposals = config.PROPOSALS
