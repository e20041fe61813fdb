"""Mask R-CNN (He et al. 2017) on TensorFlow 2 and Keras 3, with Matterport's names, checkpoints and numbers."""

# From here on imgaug can be imported under NumPy 2, also by scripts that take it before any part of this package.
from mrcnn.data import imgaug_shim  # noqa: F401

__version__ = "1.0.0"
