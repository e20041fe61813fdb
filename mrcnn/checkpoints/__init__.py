"""Weights files in Matterport's HDF5 layout, ImageNet weights and downloads."""

from mrcnn.checkpoints.convert import mobilenet_v2_from_torch
from mrcnn.checkpoints.download import coco_weights, download, download_trained_weights
from mrcnn.checkpoints.hdf5 import Checkpoint, CheckpointError, read_checkpoint
from mrcnn.checkpoints.hub import HubError, hub_weights, is_hub_reference
from mrcnn.checkpoints.imagenet import imagenet_weights
from mrcnn.checkpoints.load import load_weights
from mrcnn.checkpoints.locate import WeightsNotFoundError, find_weights
from mrcnn.checkpoints.report import HEADS, LoadReport, WeightsMismatchError
from mrcnn.checkpoints.save import save_weights, update_config

__all__ = [
    "HEADS",
    "Checkpoint",
    "CheckpointError",
    "HubError",
    "LoadReport",
    "WeightsMismatchError",
    "WeightsNotFoundError",
    "coco_weights",
    "download",
    "download_trained_weights",
    "find_weights",
    "hub_weights",
    "imagenet_weights",
    "is_hub_reference",
    "load_weights",
    "mobilenet_v2_from_torch",
    "read_checkpoint",
    "save_weights",
    "update_config",
]
