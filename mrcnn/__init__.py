"""Mask R-CNN (He et al. 2017) on TensorFlow 2 and Keras 3, with Matterport's names, checkpoints and numbers."""

from mrcnn.data import imgaug_shim

imgaug_shim.register()

__version__ = "1.0.0"
