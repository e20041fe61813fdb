"""Converts detections to the JSON responses of the server, to COCO and to labelme."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn.detections import Detections, formats
from mrcnn.detections.formats import MaskFormat, coco_categories, to_records
from mrcnn.detections.labelme import detections_to_shapes, labelme_document


def filter_by_score(result: Detections, min_confidence: float) -> Detections:
    """Returns the detections with at least the given score."""
    return result[np.flatnonzero(result.scores >= np.float32(min_confidence))]


def to_json(result: Detections, class_names: Sequence[str], masks: MaskFormat = "polygons") -> dict[str, Any]:
    """Returns the JSON response: the size of the image and `detections`; see `to_records`.

    Args:
        result: detections of one image.
        class_names: class names by class id, background first.
        masks: format of the masks.
    """
    height, width = result.image_shape
    return {"width": width, "height": height, "detections": to_records(result, _labels(result, class_names), masks)}


def to_coco(result: Detections, class_names: Sequence[str], file_name: str) -> dict[str, Any]:
    """Returns the `detections.json` that `nike detect --save coco` writes for one image."""
    height, width = result.image_shape
    return {
        "categories": coco_categories(class_names),
        "annotations": formats.to_coco(result, image_id=1),
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
    }


def to_labelme(result: Detections, class_names: Sequence[str], file_name: str) -> dict[str, Any]:
    """Returns the labelme file that `nike detect --save labelme` writes next to an image of this name."""
    shapes = detections_to_shapes(result, _labels(result, class_names))
    return labelme_document(Path(file_name).as_posix(), *result.image_shape, shapes)


def _labels(result: Detections, class_names: Sequence[str]) -> list[str]:
    return [class_names[class_id] for class_id in result.class_ids]
