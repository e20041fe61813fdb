"""Short training before a run, to measure time or memory. The model and the log folder are restored afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def trial(model, logs: Path, **settings) -> Iterator[None]:
    """Restores the weights of a model, its settings and its log folder after the training in the block.

    Args:
        model: MaskRCNN in training mode.
        logs: parent of the log folders. The trial writes to a temporary folder there, on the same disk as the run.
        settings: Config settings that differ during the trial.
    """
    from mrcnn.checkpoints import log_dirs
    from mrcnn.training import TrainingInterrupted

    config, weights = model.config, model.keras_model.get_weights()
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".trial", dir=logs) as folder:
        model.log_dir, model.checkpoint_path = folder, log_dirs.checkpoint_pattern(Path(folder), config.NAME)
        model.config = config.copy(**settings)
        try:
            yield
        except TrainingInterrupted:
            raise KeyboardInterrupt("Interrupted before the first step.") from None
    model.keras_model.set_weights(weights)
    model.config, model.run = config, None
    model.set_log_dir()
