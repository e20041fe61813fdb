"""Drop-in replacement for Matterport's `utils` module. Re-exports its public names."""

# Modules that scripts obtain with `from mrcnn.utils import *`.
import logging
import math
import os
import random
import shutil
import sys
import warnings

import numpy as np
import skimage
import tensorflow as tf

from mrcnn.checkpoints.download import COCO_URL as COCO_MODEL_URL
from mrcnn.checkpoints.download import download_trained_weights
from mrcnn.data.dataset import Dataset
from mrcnn.data.image import resize_image
from mrcnn.evaluation import compute_ap, compute_ap_range, compute_matches, compute_recall
from mrcnn.matterport.arrays import mold_mask, trim_zeros, unmold_mask
from mrcnn.matterport.graphs import batch_slice, box_refinement_graph
from mrcnn.ops.anchors import generate_anchors, generate_pyramid_anchors
from mrcnn.ops.boxes import (
    apply_box_deltas,
    box_refinement,
    compute_iou,
    compute_overlaps,
    compute_overlaps_masks,
    denorm_boxes,
    non_max_suppression,
    norm_boxes,
)
from mrcnn.ops.masks import expand_mask, extract_bboxes, minimize_mask, resize_mask
from mrcnn.ops.resizing import resize
