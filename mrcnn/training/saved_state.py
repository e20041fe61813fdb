"""Exact resume: the training state, stored in one file next to the weights.

The file `training_<name>_<epoch>.state` belongs to the checkpoint `mask_rcnn_<name>_<epoch>.h5`. Both contain the same
random id, and a pair with different ids is not used. A usable pair exists even if the process is killed at any time.
`training_<name>_partial.state`, written within an epoch, also contains the weights. Its name does not begin with
`mask_rcnn`, because scripts treat the last file with this prefix as the newest weights. A state file is an HDF5 file
with one group per set of variables and a JSON string. Reading it does not execute code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrcnn.checkpoints import log_dirs
from mrcnn.checkpoints.hdf5 import CheckpointError, hdf5_errors, read_checkpoint
from mrcnn.checkpoints.hdf5_writing import new_file
from mrcnn.config import REMOVED, Config
from mrcnn.errors import UserError
from mrcnn.training.progress import Progress

SUFFIX = ".state"
PREFIX = "training_"
WEIGHTS_PREFIX = "mask_rcnn_"  # also the prefix of state files of earlier versions, which can still be resumed
RECORD = "record"
ID = "state_id"  # key in the metadata of the weights file
# Prefixes of settings that may differ in a resumed run, because they change neither the weights nor the order of the
# data. The detection settings change only the validation AP.
CHANGEABLE_SETTINGS = ("VALIDATION_STEPS", "DETECTION_")


@dataclass(frozen=True)
class State:
    """A usable state file.

    Attributes:
        path: path of the state file.
        weights: path of the weights, or None if the state file contains them.
        record: `{"progress", "config", "data", "id", ...}`.
    """

    path: Path
    weights: Path | None
    record: dict[str, Any]

    @property
    def progress(self) -> Progress:
        """The progress of the run."""
        return Progress.from_dict(self.record["progress"])


def state_path(weights: Path) -> Path:
    """Returns the path of the state file of a checkpoint."""
    return weights.with_name(PREFIX + weights.stem.removeprefix(WEIGHTS_PREFIX) + SUFFIX)


def state_files(folder: Path) -> list[Path]:
    """Returns all state files in a log folder."""
    return [path for prefix in (PREFIX, WEIGHTS_PREFIX) for path in folder.glob(f"{prefix}*{SUFFIX}")]


def write_state(path: Path, record: Mapping[str, Any], groups: Mapping[str, Sequence[Any]]) -> None:
    """Writes a state file atomically.

    Args:
        path: path of the file.
        record: JSON-serializable content.
        groups: variables by group name.

    Raises:
        OSError: if the disk is full or the folder is not writable. An existing file is unchanged.
    """
    text = json.dumps(record).encode()
    size = len(text) + 4 * sum(int(np.prod(v.shape)) for variables in groups.values() for v in variables)
    advice = "Free space, then resume. The previous checkpoint is intact."
    with new_file(path, size, "the training state", advice) as file:
        file.create_dataset(RECORD, data=np.frombuffer(text, np.uint8))
        for name, variables in groups.items():
            group = file.create_group(name)
            for index, variable in enumerate(variables):
                group.create_dataset(str(index), data=variable.numpy())


def read_record(path: Path) -> dict[str, Any]:
    """Returns the JSON part of a state file. Raises FileNotFoundError, or CheckpointError if it is damaged."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such training state.")
    with hdf5_errors(path), h5py.File(path, "r") as file:
        record = json.loads(bytes(file[RECORD][:]))
        Progress.from_dict(record["progress"])
        return record


def restore_variables(path: Path, group: str, variables: Sequence[Any]) -> None:
    """Sets variables from a group of a state file.

    Raises:
        CheckpointError: if the number or the shapes of the variables differ. No variable is changed.
    """
    with hdf5_errors(path), h5py.File(path, "r") as file:
        stored = file[group]
        arrays = [stored[str(index)][()] for index in range(len(stored))]
    shapes = [tuple(variable.shape) for variable in variables]
    if [array.shape for array in arrays] != shapes:
        raise CheckpointError(
            f"{path}: {group}: {len(arrays)} arrays do not match the {len(shapes)} variables of this model. "
            "Resume with the settings of the run, or start a new one from its weights."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def find_state(source: str | Path, model_dir: str | Path, name: str | None) -> State:
    """Returns the newest usable state.

    Args:
        source: "last" for the newest run named `name` in `model_dir` (None: any name), a log folder, a checkpoint,
            or a state file.
        model_dir, name: see `log_dirs`.

    Raises:
        FileNotFoundError: if there is no state to resume from.
        CheckpointError: if the requested file is damaged or belongs to a different checkpoint.
    """
    if str(source) != "last":
        path = Path(source)
        if path.is_dir():
            folders = [path]
        elif path.suffix == SUFFIX:
            return _read_state(path)
        elif path.suffix == ".h5":
            old = path.with_suffix(SUFFIX)
            return _read_state(old if old.exists() else state_path(path))
        else:
            raise FileNotFoundError(
                f"{path}: expected 'last', the folder of a run, or one of its .h5 or {SUFFIX} files to resume from."
            )
    else:
        folders = log_dirs.run_folders(model_dir, name)
    for folder in folders:
        usable = _find_usable_states(folder)
        if usable:
            return max(usable, key=lambda state: (state.progress.epoch, state.progress.step))
    where = f"{source}: no run"
    if str(source) == "last":
        where = f"{model_dir}: no run" + (f" called {name!r}" if name is not None else "")
    advice = (log_dirs.other_names_hint(model_dir, name) if str(source) == "last" else "") or "Start a new run."
    raise FileNotFoundError(f"{where} can be resumed: no checkpoint with a {SUFFIX} file next to it. {advice}")


def _find_usable_states(folder: Path) -> list[State]:
    states = []
    for path in state_files(folder):
        try:
            states.append(_read_state(path))
        except (CheckpointError, FileNotFoundError):
            # The process may have been killed while it wrote this pair of files. An earlier pair is used instead.
            continue
    return states


def _read_state(path: Path) -> State:
    record = read_record(path)
    if record["holds_weights"]:
        return State(path, None, record)
    weights = path.with_name(WEIGHTS_PREFIX + path.stem.removeprefix(PREFIX).removeprefix(WEIGHTS_PREFIX) + ".h5")
    with read_checkpoint(weights) as checkpoint:
        found = checkpoint.metadata.get(ID)
    if found != record["id"]:
        raise CheckpointError(f"{path}: does not belong to the weights {weights.name}. Resume from another checkpoint.")
    return State(path, weights, record)


def check_config(state: State, config) -> None:
    """Raises ValueError if `config` differs from the Config of the run. The message lists the differences."""
    # Settings that did not exist in earlier versions and functions, which JSON cannot store, have their default value.
    defaults = json.loads(Config().to_json())
    own, saved = defaults | json.loads(config.to_json()), defaults | state.record["config"]
    names = sorted(name for name in {*own, *saved} - {*REMOVED} if not name.startswith(CHANGEABLE_SETTINGS))
    different = [f"{name}: {saved.get(name)} -> {own.get(name)}" for name in names if saved.get(name) != own.get(name)]
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise UserError(
            f"{state.path}: the run has different settings ({'; '.join(different[:3])}{more}). Resume with its "
            "settings, or start a new run from its weights."
        )
