"""Writes labelme JSON: masks and detections as polygons that open in labelme for correction.

    write_detections("shoe.jpg", result, class_names=["BG", "nike"])  # -> shoe.json beside it

A file is complete or not there at all.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from nike.datasets.outline import mask_to_polygons
from nike.datasets.safe_json import write_json

VERSION = "5.5.0"  # of the file format; labelme 5 and 6 read it


def mask_to_shapes(
    label: str,
    mask: np.ndarray,
    group_id: int | None = None,
    description: str = "",
    tolerance: float = 1.0,
    min_iou: float = 0.99,
) -> list[dict[str, Any]]:
    """A mask as entries of labelme's `shapes`.

    Args:
        label: the class.
        mask: bool `[H, W]`.
        group_id: shared by all entries; needed where the mask may have several parts.
        description: shown by labelme, for example the score.
        tolerance, min_iou: see `nike.datasets.outline.mask_to_polygons`.

    Returns:
        Polygons; or one `mask` entry, exact, where polygons cannot express the mask (it has holes); or nothing for
        an empty mask.
    """
    common = {"label": label, "group_id": group_id, "description": description, "flags": {}}
    polygons = mask_to_polygons(mask, tolerance, min_iou)
    if polygons is None:
        return [common | {"shape_type": "mask"} | _png_shape(mask)]
    return [
        common | {"shape_type": "polygon", "points": polygon.round(2).tolist(), "mask": None} for polygon in polygons
    ]


def _png_shape(mask: np.ndarray) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y1, x1, y2, x2 = int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask[y1 : y2 + 1, x1 : x2 + 1]).save(buffer, format="PNG")
    return {
        "points": [[float(x1), float(y1)], [float(x2), float(y2)]],  # the last pixel belongs to the mask
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }


def write_labelme(
    path: str | os.PathLike, image_path: str, height: int, width: int, shapes: Iterable[dict[str, Any]]
) -> None:
    """Writes one labelme file.

    Args:
        path: the JSON.
        image_path: the photo as seen from the JSON's folder.
        height, width: of the upright photo, pixels.
        shapes: entries as `mask_to_shapes` makes them; none makes the photo a negative.
    """
    document = {
        "version": VERSION,
        "flags": {},
        "shapes": list(shapes),
        "imagePath": Path(image_path).as_posix(),
        "imageData": None,
        "imageHeight": int(height),
        "imageWidth": int(width),
    }
    write_json(path, document)


def masks_to_shapes(
    labels: Sequence[str], masks: np.ndarray, descriptions: Sequence[str] | None = None, **options: float
) -> list[dict[str, Any]]:
    """Shapes of several instances; parts of one share a `group_id`.

    Args:
        labels: one per instance.
        masks: bool `[H, W, N]`.
        descriptions: one per instance.
        options: `tolerance`, `min_iou`.
    """
    shapes = []
    for i, label in enumerate(labels):
        parts = mask_to_shapes(label, masks[:, :, i], i + 1, descriptions[i] if descriptions else "", **options)
        if len(parts) == 1:
            parts[0]["group_id"] = None
        shapes += parts
    return shapes


def write_detections(
    photo: str | os.PathLike,
    result: dict[str, np.ndarray],
    class_names: Sequence[str],
    path: str | os.PathLike | None = None,
    tolerance: float = 1.0,
    min_iou: float = 0.99,
) -> Path:
    """Writes what `MaskRCNN.detect` found on a photo as a labelme file; opened in labelme, it can be corrected.

    Args:
        photo: the photo's file.
        result: one entry of `detect()`: `masks` bool `[H, W, N]`, `class_ids`, `scores`.
        class_names: by class id, the background first.
        path: the JSON to write; default: beside the photo.
        tolerance, min_iou: how closely the polygons follow the masks (fewer points are easier to correct).

    Returns:
        The JSON's path.
    """
    photo = Path(photo)
    path = photo.with_suffix(".json") if path is None else Path(path)
    masks = np.asarray(result["masks"], dtype=bool)
    labels = [class_names[i] for i in result["class_ids"]]
    scores = [f"score {score:.3f}" for score in result["scores"]]
    shapes = masks_to_shapes(labels, masks, scores, tolerance=tolerance, min_iou=min_iou)
    write_labelme(path, os.path.relpath(photo, path.parent), *masks.shape[:2], shapes)
    return path
