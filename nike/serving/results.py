"""Converts detections to the JSON responses of the server, to COCO and to labelme."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mrcnn.detection_formats import labelme_document
from mrcnn.detections import Detections
from nike.datasets import rle
from nike.datasets.labelme import detections_to_shapes
from nike.datasets.mask_to_polygons import mask_to_polygons, rings_to_polygons

MaskFormat = Literal["polygons", "rle", "none"]


def at_least(result: Detections, min_confidence: float) -> Detections:
    """Returns the detections with at least the given score."""
    return result[np.flatnonzero(result.scores >= np.float32(min_confidence))]


def outlines(result: Detections, index: int) -> list[list[list[float]]]:
    """Polygons `[[x, y], ...]` in pixels of the image, one for each part of an object; holes are filled."""
    polygons = rings_to_polygons(result.rings(index)) if result.is_sub_pixel else None
    if not polygons:
        mask = result.full_mask(index)
        polygons = mask_to_polygons(mask)
        if polygons is None:  # without a minimum IoU, holes are ignored
            polygons = mask_to_polygons(mask, min_iou=0.0)
    return [polygon.round(2).tolist() for polygon in polygons or []]


def to_json(result: Detections, class_names: Sequence[str], masks: MaskFormat = "polygons") -> dict[str, Any]:
    """The server's own shape: the columns of `detections.csv`, and each mask.

    Args:
        result: of one image.
        class_names: by class id, background first.
        masks: "polygons", "rle" (COCO's compressed run lengths) or "none".

    Returns:
        width, height and detections, highest score first. `box` is [x1, y1, x2, y2] pixels, half-open; `area` that of
        the mask in pixels.
    """
    height, width = result.image_shape
    detections = []
    for i, detection in enumerate(result):
        y1, x1, y2, x2 = detection.box
        entry: dict[str, Any] = {
            "class": class_names[detection.class_id],
            "class_id": detection.class_id,
            "score": round(detection.score, 6),
            "box": [x1, y1, x2, y2],
            "area": int(np.count_nonzero(detection.mask)),
        }
        if masks == "polygons":
            entry["polygons"] = outlines(result, i)
        elif masks == "rle":
            entry["rle"] = rle.encode(result.full_mask(i))
        detections.append(entry)
    return {"width": width, "height": height, "detections": detections}


def to_coco(result: Detections, class_names: Sequence[str], file_name: str) -> dict[str, Any]:
    """Returns the `detections.json` that `nike detect --save coco` writes for one image."""
    height, width = result.image_shape
    annotations = []
    for i, entry in enumerate(to_json(result, class_names, "rle")["detections"]):
        x1, y1, x2, y2 = entry["box"]
        annotations.append(
            {
                "id": i + 1,
                "image_id": 1,
                "category_id": entry["class_id"],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": entry["area"],
                "iscrowd": 0,
                "score": entry["score"],
                "segmentation": entry["rle"],
            }
        )
    return {
        "categories": [{"id": i, "name": name} for i, name in enumerate(class_names) if i],
        "annotations": annotations,
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
    }


def to_labelme(result: Detections, class_names: Sequence[str], file_name: str) -> dict[str, Any]:
    """Returns the labelme file that `nike detect --save labelme` writes next to an image of this name."""
    return labelme_document(Path(file_name).as_posix(), *result.image_shape, detections_to_shapes(result, class_names))
