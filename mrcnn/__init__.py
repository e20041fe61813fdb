"""Mask R-CNN (He et al. 2017) on TensorFlow 2 and Keras 3, compatible with Matterport's names, checkpoints and results.

    from mrcnn import Config, Dataset, Detections, MaskRCNN, load_model

These names are imported on first use, so `import mrcnn` and `from mrcnn import Config` do not import TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mrcnn import keras_registration
from mrcnn.data import imgaug_shim

if TYPE_CHECKING:
    from mrcnn.config import Config
    from mrcnn.data.dataset import Dataset
    from mrcnn.detections import Detections
    from mrcnn.load import load_model
    from mrcnn.model import MaskRCNN

__all__ = ["Config", "Dataset", "Detections", "MaskRCNN", "__version__", "load_model"]
__version__ = "1.0.0"

_MODULES = {
    "Config": "mrcnn.config",
    "Dataset": "mrcnn.data.dataset",
    "Detections": "mrcnn.detections",
    "MaskRCNN": "mrcnn.model",
    "load_model": "mrcnn.load",
}

imgaug_shim.register()
keras_registration.register()


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'mrcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
