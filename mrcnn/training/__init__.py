"""Training with Keras's `fit`: losses, layer freezing, optimizers, validation, checkpoints and exact resume."""

from mrcnn.layer_sets import LAYER_SETS, layer_regex
from mrcnn.training.freezing import set_trainable
from mrcnn.training.interruption import TrainingInterrupted
from mrcnn.training.options import TrainOptions
from mrcnn.training.progress import Progress
from mrcnn.training.run_state import RunState, resume
from mrcnn.training.saved_state import find_state
from mrcnn.training.trainer import train

__all__ = [
    "LAYER_SETS",
    "Progress",
    "RunState",
    "TrainOptions",
    "TrainingInterrupted",
    "find_state",
    "layer_regex",
    "resume",
    "set_trainable",
    "train",
]
