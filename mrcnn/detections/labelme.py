"""Masks and detections as labelme documents (JSON values)."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import PIL.Image

from mrcnn.detections.formats import Found, simple_polygons
from mrcnn.ops.polygons import mask_to_polygons

LABELME_VERSION = "5.5.0"  # readable by labelme 5 and 6


def labelme_document(image_path: str, height: int, width: int, shapes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns the content of a labelme file.

    Args:
        image_path: path of the image relative to the JSON file, with forward slashes.
        height, width: int, size of the upright image in pixels.
        shapes: entries of `shapes`; empty for a negative.
    """
    return {
        "version": LABELME_VERSION,
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": int(height),
        "imageWidth": int(width),
    }


def png_shape(mask: np.ndarray) -> dict[str, Any]:
    """Returns the fields "points" and "mask" of a labelme shape of type "mask".

    Args:
        mask: bool `[H, W]`, not empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y1, x1, y2, x2 = int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask[y1 : y2 + 1, x1 : x2 + 1]).save(buffer, format="PNG")
    return {
        "points": [[float(x1), float(y1)], [float(x2), float(y2)]],  # first and last pixel
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }


def mask_to_shapes(
    label: str,
    mask: np.ndarray,
    group_id: int | None = None,
    description: str = "",
) -> list[dict[str, Any]]:
    """Converts a mask to entries of labelme's `shapes`.

    Args:
        label: str, class name.
        mask: bool `[H, W]`.
        group_id: int, group id of all entries, required for masks with several connected components.
        description: str shown by labelme, for example the score.

    Returns:
        A list of polygons, or a single exact `mask` entry if polygons cannot represent the mask (it has holes). Empty
        for an empty mask.
    """
    polygons = mask_to_polygons(mask)
    if polygons is None:
        return [_mask_shape(mask, label, group_id, description)]
    return _polygon_shapes(polygons, label, group_id, description)


def _mask_shape(mask: np.ndarray, label: str, group_id: int | None, description: str) -> dict[str, Any]:
    common = {"label": label, "group_id": group_id, "description": description, "flags": {}, "shape_type": "mask"}
    return common | png_shape(mask)


def _polygon_shapes(
    polygons: Iterable[np.ndarray], label: str, group_id: int | None, description: str
) -> list[dict[str, Any]]:
    common = {"label": label, "group_id": group_id, "description": description, "flags": {}, "shape_type": "polygon"}
    return [common | {"points": polygon.round(2).tolist(), "mask": None} for polygon in polygons]


def _box_shape(box: Sequence[int], label: str, description: str) -> dict[str, Any]:
    """Returns a rectangle. Its points are the first and the last pixel of the box, because labelme draws both."""
    y1, x1, y2, x2 = (int(side) for side in box)
    common = {"label": label, "group_id": None, "description": description, "flags": {}, "shape_type": "rectangle"}
    return common | {"points": [[float(x1), float(y1)], [float(x2 - 1), float(y2 - 1)]], "mask": None}


def detections_to_shapes(detections: Found, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Converts detections to entries of labelme's `shapes`. The parts of an object have the same `group_id`.

    Detections with mask refinement become smooth polygons with at most 60 points, see
    `mrcnn.ops.polygons.rings_to_polygons`. Detections without masks become rectangles.

    Args:
        detections: N objects of one image.
        labels: N class names.
    """
    shapes = []
    for i, (label, score) in enumerate(zip(labels, detections.scores, strict=True)):
        description = f"score {score:.3f}"
        if not detections.has_masks:
            shapes.append(_box_shape(detections.boxes[i], label, description))
            continue
        polygons = simple_polygons(detections, i)
        if polygons is None:
            parts = [_mask_shape(detections.full_mask(i), label, i + 1, description)]
        else:
            parts = _polygon_shapes(polygons, label, i + 1, description)
        if len(parts) == 1:
            parts[0]["group_id"] = None
        shapes += parts
    return shapes
