"""The original's `utils` module: its public names, from the modules that hold them now."""

from mrcnn.checkpoints.download import COCO_URL as COCO_MODEL_URL
from mrcnn.checkpoints.download import download_trained_weights
from mrcnn.data.dataset import Dataset
from mrcnn.data.image import resize, resize_image
from mrcnn.evaluation import compute_ap, compute_ap_range, compute_matches, compute_recall
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
    trim_zeros,
)
from mrcnn.ops.boxes_tf import batch_slice, box_refinement_graph
from mrcnn.ops.masks import expand_mask, extract_bboxes, minimize_mask, mold_mask, resize_mask, unmold_mask
