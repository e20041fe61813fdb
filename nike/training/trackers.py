"""Experiment trackers for `nike train --log`: MLflow and Weights & Biases. Their packages are imported on first use.

Without MLFLOW_TRACKING_URI or WANDB_API_KEY, the trackers write into the folder of the runs.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mrcnn.errors import UserError

PROJECT = "nike-mrcnn"
FOLDER_TAG = "log_folder"  # tag of a run in MLflow: machine and path


class Tracker(Protocol):
    """Interface of an experiment tracker."""

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Records the metrics of an epoch, counted from 1."""
        ...

    def finish(self, files: Sequence[Path]) -> None:
        """Uploads files (weights, curves, overlays) and closes the run."""
        ...


class MLflow:
    """A run of MLflow; see `Tracker`. Resumed training continues the MLflow run and keeps its original settings.

    Args:
        folder: log folder of the run. Its name is the name of the MLflow run.
        settings: options and settings of the run.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        try:
            import mlflow
        except ImportError:
            raise UserError("--log mlflow: MLflow is not installed. Install it with: pip install mlflow") from None
        self._mlflow = mlflow
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # allow the store without a database
            mlflow.set_tracking_uri((folder.parent / "mlruns").resolve().as_uri())
        mlflow.set_experiment(PROJECT)
        # A log folder on another machine that reports to the same server may have the same name.
        location = f"{platform.node()}:{folder.resolve()}"
        named = f"attributes.run_name = '{folder.name}'"
        runs = mlflow.search_runs(experiment_names=[PROJECT], filter_string=named, output_format="list")
        earlier = next((run.info.run_id for run in runs if run.data.tags.get(FOLDER_TAG) == location), None)
        if earlier is not None:
            mlflow.start_run(run_id=earlier)
        else:
            mlflow.start_run(run_name=folder.name, tags={FOLDER_TAG: location})
            mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._mlflow.log_metrics(dict(metrics), step=epoch)

    def finish(self, files: Sequence[Path]) -> None:
        for file in files:
            self._mlflow.log_artifact(str(file))
        self._mlflow.end_run()


class WeightsAndBiases:
    """A run of Weights & Biases, offline without an API key; see `Tracker`.

    Resumed training creates a new run with the same name.

    Args:
        folder: log folder of the run. Its name is the name of the run in Weights & Biases.
        settings: options and settings of the run.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        try:
            import wandb
        except ImportError:
            raise UserError("--log wandb: wandb is not installed. Install it with: pip install wandb") from None
        self._wandb = wandb
        mode = None if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE") else "offline"
        folder.parent.mkdir(parents=True, exist_ok=True)
        config = {key: str(value) for key, value in settings.items()}
        self._run = wandb.init(project=PROJECT, name=folder.name, dir=str(folder.parent), config=config, mode=mode)

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(metrics), step=epoch)

    def finish(self, files: Sequence[Path]) -> None:
        artifact = self._wandb.Artifact("".join(c if c.isalnum() else "-" for c in self._run.name), type="model")
        for file in files:
            artifact.add_file(str(file))
        self._run.log_artifact(artifact)
        self._run.finish()


TRACKERS: dict[str, type] = {"mlflow": MLflow, "wandb": WeightsAndBiases}


def keras_callback(trackers: Sequence[Tracker]):
    """Returns a Keras callback that passes the finite metrics of each epoch to trackers."""
    import keras

    def report(epoch: int, logs: Mapping[str, Any] | None) -> None:
        metrics = select_finite(logs or {})
        for tracker in trackers:
            tracker.log(metrics, epoch + 1)

    return keras.callbacks.LambdaCallback(on_epoch_end=report)


def select_finite(logs: Mapping[str, Any]) -> dict[str, float]:
    """Returns the entries whose values are finite numbers, as float."""
    numbers = {}
    for name, value in logs.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            numbers[name] = number
    return numbers
