"""Converts `Detections` to JSON, COCO, supervision and pandas. Optional packages are imported on first use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from mrcnn.ops.polygons import mask_to_polygons, rings_to_polygons

if TYPE_CHECKING:
    import pandas
    import supervision

MaskFormat = Literal["polygons", "rle", "none"]


class DetectionsLike(Protocol):
    """The attributes of `mrcnn.detections.Detections` that the conversions use."""

    boxes: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray
    track_ids: np.ndarray | None
    keypoints: np.ndarray | None  # [N, J, 3]
    keypoint_names: list[str] | None
    image_shape: tuple[int, int]
    has_masks: bool

    @property
    def masks(self) -> np.ndarray | None: ...

    @property
    def num_keypoints(self) -> int: ...

    @property
    def names(self) -> list[str]: ...

    def __iter__(self) -> Iterator[Any]: ...

    def full_mask(self, index: int) -> np.ndarray: ...

    def rings(self, index: int) -> list[np.ndarray]: ...

    def is_sub_pixel(self, index: int) -> bool: ...


def simple_polygons(detections: DetectionsLike, index: int) -> list[np.ndarray] | None:
    """Returns the polygons of an object for annotation tools: one per part, with few points.

    Without masks, the result is the outline of the box.

    Args:
        detections: objects of one image.
        index: index of the object.

    Returns:
        List of float64 `[P, 2]` (x, y) in pixels of the image, or None if the object has a hole.
    """
    if not detections.has_masks:
        return [ring[:-1] for ring in detections.rings(index)]
    polygons = rings_to_polygons(detections.rings(index)) if detections.is_sub_pixel(index) else None
    return polygons or mask_to_polygons(detections.full_mask(index))


def outlines(detections: DetectionsLike, index: int) -> list[list[list[float]]]:
    """Returns `simple_polygons` of an object as `[[x, y], ...]`, with holes filled."""
    polygons = simple_polygons(detections, index)
    if polygons is None:  # the object has holes, which are filled with a minimum IoU of 0
        polygons = mask_to_polygons(detections.full_mask(index), min_iou=0.0)
    return [polygon.round(2).tolist() for polygon in polygons or []]


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encodes a mask, bool `[H, W]`, with COCO's compressed run lengths: `{"size": [H, W], "counts": str}`."""
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")}


def to_records(
    detections: DetectionsLike, labels: Sequence[str] | None = None, masks: MaskFormat = "polygons"
) -> list[dict[str, Any]]:
    """Returns a JSON-serializable dict for each object: class, class id, score, box, area and mask.

    Args:
        detections: N objects of one image.
        labels: N class names, by default `detections.names`.
        masks: "polygons" (see `outlines`), "rle" (COCO's compressed run lengths) or "none".

    Returns:
        One dict per object. `box` is [x1, y1, x2, y2] in pixels, half-open. `area` is the area of the mask in pixels.
        `keypoints`, if there are any, is [[x, y, score], ...]. Without masks, area and polygon are computed from the
        box, and there are no run lengths.
    """
    records = []
    for i, (item, label) in enumerate(zip(detections, labels or detections.names, strict=True)):
        y1, x1, y2, x2 = item.box
        record: dict[str, Any] = {
            "class": label,
            "class_id": item.class_id,
            "score": round(item.score, 6),
            "box": [x1, y1, x2, y2],
            "area": int(np.count_nonzero(item.mask)),
        }
        if masks == "polygons":
            record["polygons"] = outlines(detections, i)
        elif masks == "rle" and detections.has_masks:
            record["rle"] = encode_rle(detections.full_mask(i))
        if item.keypoints is not None:
            record["keypoints"] = item.keypoints.round(4).tolist()
        records.append(record)
    return records


def to_coco(detections: DetectionsLike, image_id: int = 0, first_id: int = 1) -> list[dict[str, Any]]:
    """Returns annotations of a COCO file, which are also valid entries of a COCO results file.

    Args:
        detections: objects of one image.
        image_id: id of the image.
        first_id: id of the first annotation.

    Returns:
        Annotations with a `segmentation` if the detections have masks, and with `keypoints` if they have keypoints.
    """
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": record["class_id"],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": record["area"],
            "iscrowd": 0,
            "score": record["score"],
            **({"segmentation": record["rle"]} if "rle" in record else {}),
            **({"keypoints": _coco_keypoints(record["keypoints"])} if "keypoints" in record else {}),
        }
        for number, record in enumerate(to_records(detections, masks="rle"), start=first_id)
        for x1, y1, x2, y2 in [record["box"]]
    ]


def _coco_keypoints(keypoints: list[list[float]]) -> list[float]:
    """Returns x, y and score of each keypoint in COCO's coordinates, in which pixel centres are at integers."""
    return [value for x, y, score in keypoints for value in (x - 0.5, y - 0.5, score)]


def coco_categories(class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the categories of a COCO file for class names, background first."""
    return [{"id": i, "name": name} for i, name in enumerate(class_names) if i]


def to_supervision(detections: DetectionsLike) -> supervision.Detections:
    """Converts to `supervision.Detections`, as described in `Detections.to_supervision`."""
    import supervision

    y1, x1, y2, x2 = detections.boxes.astype(np.float32).T
    tracks, masks = detections.track_ids, detections.masks
    return supervision.Detections(
        xyxy=np.stack([x1, y1, x2, y2], axis=1),
        mask=None if masks is None else np.ascontiguousarray(masks.transpose(2, 0, 1)),
        confidence=detections.scores.copy(),
        class_id=detections.class_ids.astype(int),
        tracker_id=None if tracks is None else tracks.astype(int),
        data={"class_name": np.array(detections.names, dtype=str)},
    )


def to_pandas(detections: DetectionsLike) -> pandas.DataFrame:
    """Converts to a table with one row per object, as described in `Detections.to_pandas`."""
    import pandas

    y1, x1, y2, x2 = detections.boxes.T
    areas = [np.count_nonzero(item.mask) for item in detections]
    columns = {"class": detections.names, "class_id": detections.class_ids, "score": detections.scores}
    return pandas.DataFrame(columns | {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "area": np.array(areas, dtype=int)})
