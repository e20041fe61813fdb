"""Figures of data, proposals, results and training, with the names and arguments of Matterport's `visualize`.

Built on Matplotlib, on whatever backend is active. A function that is given an `ax` draws there and shows nothing.
Functions return the axes and not the figure, because a notebook would show a returned figure a second time.
"""

import os

import matplotlib.pyplot as plt  # noqa: F401  scripts take it from here

from mrcnn.visualize.boxes import draw_box, draw_boxes, draw_rois
from mrcnn.visualize.images import display_images
from mrcnn.visualize.instances import (
    apply_mask,
    display_differences,
    display_instances,
    display_top_masks,
    random_colors,
)
from mrcnn.visualize.plots import plot_overlaps, plot_precision_recall, plot_training_curves
from mrcnn.visualize.tables import display_table, display_weight_stats

ROOT_DIR = os.path.abspath("../")  # scripts take it from here; the original's root if they lie in a folder of it

__all__ = [
    "ROOT_DIR",
    "apply_mask",
    "display_differences",
    "display_images",
    "display_instances",
    "display_table",
    "display_top_masks",
    "display_weight_stats",
    "draw_box",
    "draw_boxes",
    "draw_rois",
    "plot_overlaps",
    "plot_precision_recall",
    "plot_training_curves",
    "random_colors",
]
