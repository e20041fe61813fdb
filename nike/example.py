"""A model to try things with: the weights that ship, or a small network trained on the sample photos in a minute.

The small one exists so that every example runs anywhere, offline and on a processor. It has seen eighteen drawn photos
and knows little beyond them.
"""

from __future__ import annotations

from pathlib import Path

from nike import cli  # noqa: F401  first: it quiets TensorFlow
from nike.config import NikeConfig
from nike.dataset import SAMPLE_DATA, NikeDataset

SHIPPED = "mask_rcnn_nike.h5"
LOGS = Path("logs")
# Random weights have to learn their batch statistics first (TRAIN_BN None), and then to live with fixed ones (False).
STAGES = (dict(train_bn=None, learning_rate=0.001, epochs=8), dict(train_bn=False, learning_rate=0.0005, epochs=4))


class ExampleConfig(NikeConfig):
    """A network that a laptop trains in a minute: MobileNetV2, 192 x 192 pixels, thin heads."""

    NAME = "example"
    BACKBONE = "mobilenet_v2"
    IMAGES_PER_GPU = 4
    STEPS_PER_EPOCH = 50
    IMAGE_MIN_DIM = 192
    IMAGE_MAX_DIM = 192
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    TOP_DOWN_PYRAMID_SIZE = 64
    RPN_CHANNELS = 64
    FPN_CLASSIF_FC_LAYERS_SIZE = 128
    MASK_HEAD_CHANNELS = 32
    MASK_HEAD_CONVOLUTIONS = 2
    POST_NMS_ROIS_TRAINING = 300
    POST_NMS_ROIS_INFERENCE = 100
    TRAIN_ROIS_PER_IMAGE = 48
    LEARNING_RATE = 0.001


def sample_data(subset: str | None = None) -> NikeDataset:
    """The sample photos, prepared.

    Args:
        subset: "train", "val" or None for all.
    """
    dataset = NikeDataset()
    dataset.load_nike(SAMPLE_DATA, subset)
    dataset.prepare()
    return dataset


def example_weights(logs: str | Path = LOGS) -> Path:
    """The weights of the small network; the first call trains it and keeps them under `logs`.

    Returns:
        A checkpoint that carries its Config, see `MaskRCNN.from_checkpoint`.
    """
    path = Path(logs) / "example" / "mask_rcnn_example.h5"
    if not path.is_file():
        print("Training a small network on the sample photos, once; this takes two minutes or so.", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        _train(path, logs)
    return path


def _train(path: Path, logs: str | Path) -> None:
    """Trains the small network from random weights and writes them to `path`."""
    from mrcnn.model import MaskRCNN

    dataset, weights = sample_data("train"), None
    for stage in STAGES:
        model = MaskRCNN("training", ExampleConfig().copy(TRAIN_BN=stage["train_bn"]), logs)
        if weights is not None:
            model.keras_model.set_weights(weights)
        options = dict(optimizer="adamw", schedule="cosine", warmup_steps=20, keep=1, verbose=0)
        model.train(dataset, None, stage["learning_rate"], stage["epochs"], "all", **options)
        weights = model.keras_model.get_weights()
    model.save_weights(path)


def example_model(mode: str = "inference", logs: str | Path = LOGS, **changes):
    """A trained MaskRCNN: with the weights that ship, if they are there, else with those of `example_weights`.

    Args:
        mode: "inference" or "training".
        logs: folder of the log folders.
        changes: settings to replace.
    """
    from mrcnn.checkpoints import find_weights
    from mrcnn.model import MaskRCNN

    return MaskRCNN.from_checkpoint(find_weights(SHIPPED) or example_weights(logs), mode, logs, **changes)


if __name__ == "__main__":
    print(example_weights())
