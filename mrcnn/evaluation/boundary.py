"""Boundary IoU, which measures the overlap of the outlines of two masks instead of their areas.

Source: Cheng et al. 2021, Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, section 4.
"""

import numpy as np
from pycocotools import mask as rle_lib
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

BOUNDARY_WIDTH = 0.01  # width of the boundary as a fraction of the image diagonal; the paper uses 0.02 for COCO


def boundary_rle(rle: dict) -> dict:
    """Returns the pixels of a mask within BOUNDARY_WIDTH of its outline, which includes the border of the image.

    Args:
        rle: run-length encoded mask.

    Returns:
        Run-length encoded mask of the same size.
    """
    import cv2  # deferred, because it requires system libraries that are missing in minimal container images

    width = max(1, round(BOUNDARY_WIDTH * float(np.hypot(*rle["size"]))))
    mask = rle_lib.decode(rle)  # [H, W] uint8
    left, top, columns, rows = (int(value) for value in rle_lib.toBbox(rle))
    crop = mask[top : top + rows, left : left + columns]
    if crop.size:
        # Only the crop is eroded, because everything outside is background.
        crop -= cv2.erode(np.ascontiguousarray(crop), np.ones((3, 3), np.uint8), iterations=width, borderValue=0)
    return rle_lib.encode(np.asfortranarray(mask))


class BoundaryEval(COCOeval):
    """COCO evaluation whose IoU is the minimum of mask IoU and boundary IoU.

    Args:
        ground_truth, detections: `COCO` with run-length encoded masks.
    """

    def __init__(self, ground_truth: COCO, detections: COCO):
        super().__init__(ground_truth, detections, "segm")
        self.boundaries = COCOeval(_to_boundaries(ground_truth), _to_boundaries(detections), "segm")

    def evaluate(self) -> None:
        self.boundaries.params = self.params
        self.boundaries.evaluate()
        super().evaluate()

    def computeIoU(self, imgId, catId):
        ious, boundary_ious = super().computeIoU(imgId, catId), self.boundaries.ious[imgId, catId]
        return np.minimum(ious, boundary_ious) if len(ious) else ious


def _to_boundaries(masks: COCO) -> COCO:
    boundaries = COCO()
    boundaries.dataset = masks.dataset | {
        "annotations": [
            annotation | {"segmentation": boundary_rle(annotation["segmentation"])}
            for annotation in masks.dataset["annotations"]
        ]
    }
    boundaries.createIndex()
    return boundaries
