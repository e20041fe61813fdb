"""Files written by MLflow in its local file store and by Weights & Biases in offline mode."""

import numpy as np
import pytest

from nike.training import trackers
from nike.training.trackers import MLflow, WeightsAndBiases, select_finite


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Returns a log folder with weights. Nothing is sent to a server."""
    for name in ("MLFLOW_TRACKING_URI", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = tmp_path / "logs" / "nike20260101T1200"
    folder.mkdir(parents=True)
    (folder / "mask_rcnn_nike_best.h5").write_bytes(b"weights")
    return folder


def test_mlflow_writes_its_file_store(folder):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow-skinny")
    tracker = MLflow(folder, {"epochs": 2, "labels": None})
    tracker.log({"loss": 2.0}, 1)
    tracker.log({"loss": 1.0, "val_mask_AP": 0.25}, 2)
    tracker.finish([folder / "mask_rcnn_nike_best.h5"])
    (run,) = mlflow.search_runs(experiment_names=[trackers.PROJECT], output_format="list")
    assert run.info.run_name == folder.name and run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "2", "labels": "None"}
    assert run.data.metrics == {"loss": 1.0, "val_mask_AP": 0.25}
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0)]
    assert next((folder.parent / "mlruns").rglob("mask_rcnn_nike_best.h5")).read_bytes() == b"weights"


def test_a_resumed_run_continues_its_run_of_mlflow(folder):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow-skinny")
    for epoch, options in ((1, {"epochs": 2}), (2, {"epochs": 2, "resume": "logs"})):
        tracker = MLflow(folder, options)
        tracker.log({"loss": 3.0 - epoch}, epoch)
        tracker.finish([])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("platform.node", lambda: "another machine")
        MLflow(folder, {}).finish([])
    runs = mlflow.search_runs(experiment_names=[trackers.PROJECT], output_format="list")
    assert [run.info.run_name for run in runs] == [folder.name] * 2
    (resumed,) = [run for run in runs if run.data.metrics]
    history = mlflow.MlflowClient().get_metric_history(resumed.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0)]
    assert resumed.data.params == {"epochs": "2"} and resumed.info.status == "FINISHED"


def test_wandb_writes_an_offline_run(folder):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb")
    tracker = WeightsAndBiases(folder, {"epochs": 2})
    tracker.log({"loss": 2.0}, 1)
    tracker.finish([folder / "mask_rcnn_nike_best.h5"])
    (offline,) = (folder.parent / "wandb").glob("offline-run-*")
    assert next(offline.glob("run-*.wandb")).stat().st_size > 100


@pytest.mark.parametrize(("kind", "package"), [(MLflow, "mlflow"), (WeightsAndBiases, "wandb")])
def test_a_missing_package_is_a_one_line_error(folder, monkeypatch, kind, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ValueError, match=f"pip install {package}"):
        kind(folder, {})


def test_only_finite_numbers_are_reported():
    logs = {"loss": np.float32(1.5), "val_mask_AP": float("nan"), "note": "x", "lr": 0.25, "none": None}
    assert select_finite(logs) == {"loss": 1.5, "lr": 0.25}
