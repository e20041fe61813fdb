"""Drop-in replacement for Matterport's `visualize` module. Re-exports functions of `mrcnn.visualization`.

The functions draw with Matplotlib's active backend. With an `ax` argument, they draw on these axes and do not show the
figure. They return axes rather than figures, because a notebook would display a returned figure a second time.
"""

# Scripts access these modules as `visualize.patches` or with `from mrcnn.visualize import *`.
import colorsys
import itertools
import os
import random
import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import lines, patches
from matplotlib.patches import Polygon
from skimage.measure import find_contours

from mrcnn.visualization.boxes import draw_box, draw_boxes, draw_rois
from mrcnn.visualization.images import display_images
from mrcnn.visualization.instances import (
    apply_mask,
    display_differences,
    display_instances,
    display_top_masks,
    random_colors,
)
from mrcnn.visualization.plots import plot_overlaps, plot_precision_recall, plot_training_curves
from mrcnn.visualization.tables import display_table, display_weight_stats

ROOT_DIR = os.path.abspath("../")  # Matterport's value; its scripts are one folder below the root

__all__ = [
    "Polygon",
    "ROOT_DIR",
    "apply_mask",
    "colorsys",
    "display_differences",
    "display_images",
    "display_instances",
    "display_table",
    "display_top_masks",
    "display_weight_stats",
    "draw_box",
    "draw_boxes",
    "draw_rois",
    "find_contours",
    "itertools",
    "lines",
    "np",
    "os",
    "patches",
    "plot_overlaps",
    "plot_precision_recall",
    "plot_training_curves",
    "plt",
    "random",
    "random_colors",
    "sys",
]
