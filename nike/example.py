"""Access to the sample images and the bundled weights, for the notebooks and the documentation."""

from __future__ import annotations

from pathlib import Path

from nike import cli  # noqa: F401  imported first to suppress TensorFlow's messages
from nike.datasets.nike_dataset import SAMPLE_DATA, NikeDataset


def sample_data(subset: str | None = None) -> NikeDataset:
    """Returns the prepared dataset of the sample images.

    Args:
        subset: "train", "val" or None for all images.
    """
    dataset = NikeDataset()
    dataset.load_nike(SAMPLE_DATA, subset)
    dataset.prepare()
    return dataset


def example_weights() -> Path:
    """Returns the path of the bundled weights, a checkpoint for `MaskRCNN.from_checkpoint`.

    Raises:
        FileNotFoundError: if the file is missing.
    """
    from nike.detection.weights import resolve_weights

    return resolve_weights("nike")


def example_model(mode: str = "inference", logs: str | Path = "logs", **changes):
    """Returns a MaskRCNN with the bundled weights.

    Args:
        mode: "inference" or "training".
        logs: parent folder of the log folders.
        **changes: Config settings to override.
    """
    from mrcnn.model import MaskRCNN

    return MaskRCNN.from_checkpoint(example_weights(), mode, logs, changes)
