"""The state of a run between two calls of `train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mrcnn.checkpoints import log_dirs
from mrcnn.training.history import read_history
from mrcnn.training.progress import Progress
from mrcnn.training.saved_state import State, check_config, find_state, restore_variables
from mrcnn.training.validation import Validator

if TYPE_CHECKING:
    from mrcnn.data.dataset import Dataset


@dataclass
class RunState:
    """The state of the current run of a model, stored as `MaskRCNN.run`.

    Attributes:
        log_dir: log folder of the run.
        progress: completed epochs and steps, history, best epoch.
        resumed: the state file that the next call of `train` continues from, or None.
        validator: validator of the latest stage. The next stage reuses it to avoid another compilation.
    """

    log_dir: str
    progress: Progress
    resumed: State | None = None
    validator: Validator | None = None

    @classmethod
    def for_model(cls, model) -> RunState:
        """Returns the state of the model's current run, stored in `model.run`.

        If the log folder or the epoch of the model has changed, the model belongs to a different run. The progress is
        then read from `history.csv` in the log folder.
        """
        run = model.run
        if run is None or run.log_dir != model.log_dir or run.progress.epoch != model.epoch:
            progress = Progress.from_rows(model.epoch, read_history(model.log_dir, model.epoch))
            run = model.run = cls(model.log_dir, progress, validator=run.validator if run else None)
        return run

    def validator_for(self, model, dataset: Dataset, photos: int) -> Validator:
        """Returns a validator on at most `photos` images of a dataset. Reuses the current validator if it matches."""
        current = self.validator
        if current is None or current.dataset is not dataset or current.limit != photos:
            self.validator = current = Validator(model, dataset, photos, model.config.BATCH_SIZE)
        return current


def resume(model, source: str | Path = "last") -> State:
    """Restores the weights, epoch and log folder of a run. The next calls of `train` continue it.

    Call `train` afterwards with the same arguments as before. Calls for finished stages return immediately, and
    the interrupted stage continues from the exact step.

    Args:
        model: MaskRCNN in training mode with the Config of the run.
        source: see `find_state`.

    Raises:
        FileNotFoundError, ValueError: if there is nothing to resume, the file is damaged, or the Config differs.
    """
    state = find_state(source, model.model_dir, model.config.NAME or "")
    check_config(state, model.config)
    if state.weights is not None:
        model.load_weights(state.weights)
    if state.record["holds_weights"]:
        restore_variables(state.path, "weights", model.keras_model.weights)
    folder = state.path.parent
    model.log_dir, model.epoch = str(folder), state.progress.epoch
    model.checkpoint_path = log_dirs.checkpoint_pattern(folder, model.config.NAME)
    model.run = RunState(model.log_dir, state.progress, resumed=state)
    return state
