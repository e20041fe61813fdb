"""`Detections` as values of other tools: labelme, COCO, supervision, pandas. Optional packages are imported at use."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import PIL.Image

if TYPE_CHECKING:
    import pandas
    import supervision

LABELME_VERSION = "5.5.0"  # readable by labelme 5 and 6


class Found(Protocol):
    """What is used of `mrcnn.detections.Detections`, which has the documentation."""

    boxes: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray
    track_ids: np.ndarray | None
    image_shape: tuple[int, int]

    @property
    def masks(self) -> np.ndarray: ...

    @property
    def names(self) -> list[str]: ...

    def __iter__(self) -> Iterator[Any]: ...

    def full_mask(self, index: int) -> np.ndarray: ...

    def polygons(self, index: int) -> list[np.ndarray]: ...


def to_records(detections: Found) -> list[dict[str, Any]]:
    """One JSON-serializable dict an object: class, class id, score, box (x1, y1, x2, y2), area and polygons."""
    records = []
    for i, item in enumerate(detections):
        y1, x1, y2, x2 = item.box
        records.append(
            {
                "class": detections.names[i],
                "class_id": item.class_id,
                "score": round(item.score, 6),
                "box": [x1, y1, x2, y2],
                "area": int(np.count_nonzero(item.mask)),
                "polygons": [polygon.round(2).tolist() for polygon in detections.polygons(i)],
            }
        )
    return records


def to_labelme(detections: Found, image_path: str) -> dict[str, Any]:
    """A labelme document with exact masks, see `Detections.to_labelme`."""
    shapes = [
        {"label": name, "description": f"score {item.score:.3f}", "group_id": None, "flags": {}, "shape_type": "mask"}
        | png_shape(item.mask, item.box[0], item.box[1])
        for name, item in zip(detections.names, detections, strict=True)
        if item.mask.any()
    ]
    return labelme_document(image_path, *detections.image_shape, shapes)


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


def png_shape(mask: np.ndarray, top: int = 0, left: int = 0) -> dict[str, Any]:
    """The fields "points" and "mask" of a labelme shape of type "mask".

    Args:
        mask: bool `[h, w]`, not empty.
        top, left: position of the mask in the image, in pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y1, x1, y2, x2 = int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])
    buffer = io.BytesIO()
    PIL.Image.fromarray(mask[y1 : y2 + 1, x1 : x2 + 1]).save(buffer, format="PNG")
    return {
        "points": [[float(left + x1), float(top + y1)], [float(left + x2), float(top + y2)]],  # first and last pixel
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }


def to_coco(detections: Found, image_id: int) -> list[dict[str, Any]]:
    """Entries of a COCO results file, see `Detections.to_coco`."""
    from pycocotools import mask as coco_mask

    results = []
    for i, item in enumerate(detections):
        encoded = coco_mask.encode(np.asfortranarray(detections.full_mask(i), dtype=np.uint8))
        y1, x1, y2, x2 = item.box
        results.append(
            {
                "image_id": image_id,
                "category_id": item.class_id,
                "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                "score": round(item.score, 6),
                "segmentation": {"size": list(detections.image_shape), "counts": encoded["counts"].decode("ascii")},
            }
        )
    return results


def to_supervision(detections: Found) -> supervision.Detections:
    """`supervision.Detections`, see `Detections.to_supervision`."""
    import supervision

    y1, x1, y2, x2 = detections.boxes.astype(np.float32).T
    tracks = detections.track_ids
    return supervision.Detections(
        xyxy=np.stack([x1, y1, x2, y2], axis=1),
        mask=np.ascontiguousarray(detections.masks.transpose(2, 0, 1)),
        confidence=detections.scores.copy(),
        class_id=detections.class_ids.astype(int),
        tracker_id=None if tracks is None else tracks.astype(int),
        data={"class_name": np.array(detections.names, dtype=str)},
    )


def to_pandas(detections: Found) -> pandas.DataFrame:
    """A table with one row an object, see `Detections.to_pandas`."""
    import pandas

    y1, x1, y2, x2 = detections.boxes.T
    areas = [np.count_nonzero(item.mask) for item in detections]
    columns = {"class": detections.names, "class_id": detections.class_ids, "score": detections.scores}
    return pandas.DataFrame(columns | {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "area": np.array(areas, dtype=int)})
