"""What every example starts from: the sample photos and the weights that ship."""

from __future__ import annotations

from pathlib import Path

from nike import cli  # noqa: F401  first: it quiets TensorFlow
from nike.datasets.nike_dataset import SAMPLE_DATA, NikeDataset


def sample_data(subset: str | None = None) -> NikeDataset:
    """The sample photos, prepared.

    Args:
        subset: "train", "val" or None for all.
    """
    dataset = NikeDataset()
    dataset.load_nike(SAMPLE_DATA, subset)
    dataset.prepare()
    return dataset


def example_weights() -> Path:
    """The weights that ship: a checkpoint that carries its Config, see `MaskRCNN.from_checkpoint`.

    Raises:
        FileNotFoundError: they are not there.
    """
    from nike.detection.detector import find_weights

    return find_weights("nike")


def example_model(mode: str = "inference", logs: str | Path = "logs", **changes):
    """A trained MaskRCNN with the weights that ship.

    Args:
        mode: "inference" or "training".
        logs: folder of the log folders.
        changes: settings to replace.
    """
    from mrcnn.model import MaskRCNN

    return MaskRCNN.from_checkpoint(example_weights(), mode, logs, **changes)
