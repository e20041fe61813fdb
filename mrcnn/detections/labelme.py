"""Conversion of masks and detections to labelme documents (JSON values)."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

from mrcnn.detections.formats import DetectionsLike, simple_polygons
from mrcnn.ops.masks import mask_box
from mrcnn.ops.polygons import mask_to_polygons

LABELME_VERSION = "5.5.0"  # readable by labelme 5 and 6


def labelme_document(image_path: str, height: int, width: int, shapes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns the content of a labelme file.

    Args:
        image_path: path of the image relative to the JSON file, with forward slashes.
        height, width: int, size of the upright image in pixels.
        shapes: entries of `shapes`; empty for an image without objects.
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


def mask_to_shapes(label: str, mask: np.ndarray, number: int) -> list[dict[str, Any]]:
    """Converts a mask to entries of labelme's `shapes`.

    Args:
        label: str, class name.
        mask: bool `[H, W]`.
        number: int, `group_id` of the entries if there are several.

    Returns:
        A list of polygons, or a single exact `mask` entry if the mask has holes, which polygons cannot represent. Empty
        for an empty mask.
    """
    polygons = mask_to_polygons(mask)
    return _mask_shapes(label, mask, number) if polygons is None else _polygon_shapes(label, polygons, number)


def detections_to_shapes(detections: DetectionsLike, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Converts detections to entries of labelme's `shapes`. Parts and keypoints of an object have the same `group_id`.

    Detections with mask refinement become smooth polygons with at most 60 points; see
    `mrcnn.ops.polygons.rings_to_polygons`. Detections without masks become rectangles.

    Args:
        detections: N objects of one image.
        labels: N class names.
    """
    shapes = []
    names = detections.keypoint_names or [f"keypoint {j}" for j in range(detections.num_keypoints)]
    for i, (label, score) in enumerate(zip(labels, detections.scores, strict=True)):
        description = f"score {score:.3f}"
        polygons = simple_polygons(detections, i) if detections.has_masks else None
        if not detections.has_masks:
            corners = {"points": _first_and_last_pixel(detections.boxes[i]), "mask": None}
            parts = _make_entries("rectangle", label, [corners], i + 1, description)
        elif polygons is None:
            parts = _mask_shapes(label, detections.full_mask(i), i + 1, description)
        else:
            parts = _polygon_shapes(label, polygons, i + 1, description)
        points: list[dict[str, Any]] = []
        if detections.keypoints is not None:
            points = keypoint_shapes(dict(zip(names, detections.keypoints[i], strict=True)), i + 1)
        shapes += with_points(parts, points)
    return shapes


def keypoint_shapes(keypoints: Mapping[str, Sequence[float]], group_id: int) -> list[dict[str, Any]]:
    """Returns keypoints as shapes of the type "point".

    Args:
        keypoints: (x, y, visibility or score) by name, in pixels.
        group_id: group id of the object.
    """
    common = {"group_id": group_id, "description": "", "shape_type": "point", "flags": {}, "mask": None}
    return [
        {"label": name, "points": [[round(float(x), 2), round(float(y), 2)]], **common}
        for name, (x, y, _) in keypoints.items()
    ]


def with_points(parts: list[dict[str, Any]], points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the entries of an object and its keypoints, with a common `group_id`. Empty if `parts` is empty."""
    if not (parts and points):
        return parts
    return [part | {"group_id": points[0]["group_id"]} for part in parts] + points


def _mask_shapes(label: str, mask: np.ndarray, number: int, description: str = "") -> list[dict[str, Any]]:
    y1, x1, y2, x2 = box = mask_box(mask)
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask[y1:y2, x1:x2]).save(buffer, format="PNG")
    png = base64.b64encode(buffer.getvalue()).decode("ascii")
    return _make_entries("mask", label, [{"points": _first_and_last_pixel(box), "mask": png}], number, description)


def _polygon_shapes(
    label: str, polygons: Iterable[np.ndarray], number: int, description: str = ""
) -> list[dict[str, Any]]:
    parts = [{"points": polygon.round(2).tolist(), "mask": None} for polygon in polygons]
    return _make_entries("polygon", label, parts, number, description)


def _first_and_last_pixel(box: Sequence[int]) -> list[list[float]]:
    """Returns the top-left and the bottom-right pixel, both inside the mask or rectangle."""
    y1, x1, y2, x2 = (float(side) for side in box)
    return [[x1, y1], [x2 - 1, y2 - 1]]


def _make_entries(kind: str, label: str, parts: list[dict], number: int, description: str) -> list[dict[str, Any]]:
    """Returns the entries of one object, with a `group_id` if there are several."""
    common = {"label": label, "group_id": number if len(parts) > 1 else None, "description": description}
    return [common | {"flags": {}, "shape_type": kind} | part for part in parts]
