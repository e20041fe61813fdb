"""Compact records of ground truth and detections: boxes, scores and run-length encoded masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle_lib

from mrcnn.detections import Detections
from mrcnn.detections.formats import encode_rle
from mrcnn.errors import UserError
from mrcnn.ops.boxes import areas
from mrcnn.ops.keypoints import as_keypoints

KINDS = ("mask", "box")  # kinds of IoU and AP; the first available kind determines the best epoch of a training run


@dataclass(frozen=True)
class ImageRecord:
    """Ground truth (G instances) and detections (N) of one image.

    Boxes are `(y1, x1, y2, x2)` in half-open pixels, float64. Areas are in pixels. An instance with `gt_crowd` is an
    ignored region. It matches any number of detections and is never a false negative.
    """

    image_id: Any
    height: int
    width: int
    gt_class_ids: np.ndarray  # [G] int, positive
    gt_crowd: np.ndarray  # [G] bool
    gt_rles: list[dict]
    gt_boxes: np.ndarray  # [G, 4]
    gt_areas: np.ndarray  # [G] mask areas
    class_ids: np.ndarray  # [N] int
    scores: np.ndarray  # [N]
    rles: list[dict]
    boxes: np.ndarray  # [N, 4]
    areas: np.ndarray  # [N] box areas, which pycocotools uses for results that have a box
    has_masks: bool = True  # False: the detections are boxes only, and `rles` encodes the boxes
    gt_keypoints: np.ndarray | None = None  # [G, J, 3] (x, y, visibility)
    keypoints: np.ndarray | None = None  # [N, J, 3] (x, y, score)

    def overlaps(self, kind: str, detections: np.ndarray, instances: np.ndarray) -> np.ndarray:
        """Computes the IoU of selected detections and instances.

        For a crowd instance the union is the area of the detection, as in COCO.

        Args:
            kind: "mask" or "box", the type of IoU.
            detections: `[n]` int, indices.
            instances: `[g]` int, indices.

        Returns:
            `[n, g]` float64.
        """
        if kind not in KINDS:
            raise UserError(f"kind: expected one of {KINDS}, got {kind!r}.")
        if len(detections) == 0 or len(instances) == 0:
            return np.zeros((len(detections), len(instances)))
        if kind == "box":
            found, truth = to_xywh(self.boxes[detections]), to_xywh(self.gt_boxes[instances])
        else:
            found, truth = [self.rles[i] for i in detections], [self.gt_rles[i] for i in instances]
        return rle_lib.iou(found, truth, self.gt_crowd[instances].tolist())


def to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Converts boxes `[N, 4]` to (x, y, width, height), the format of pycocotools."""
    y1, x1, y2, x2 = boxes.T
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)


def encode_masks(masks: np.ndarray | Sequence[dict]) -> list[dict]:
    """Run-length encodes masks `[H, W, N]`. Encoded masks are returned unchanged."""
    if not isinstance(masks, np.ndarray):
        return list(masks)
    return [encode_rle(masks[:, :, i] > 0.5) for i in range(masks.shape[-1])]


def rle_boxes(rles: Sequence[dict]) -> np.ndarray:
    """Returns tight half-open `(y1, x1, y2, x2)` boxes `[N, 4]` float64 of encoded masks; zeros for empty masks."""
    if not rles:
        return np.zeros((0, 4))
    x, y, width, height = np.asarray(rle_lib.toBbox(list(rles)), dtype=np.float64).T
    return np.stack([y, x, y + height, x + width], axis=1)


def make_record(
    image_id: Any,
    gt_class_ids: np.ndarray,
    gt_masks: np.ndarray | Sequence[dict],
    result: Detections | Mapping[str, Any],
    num_classes: int,
    image_shape: tuple[int, ...] | None = None,
    gt_keypoints: np.ndarray | None = None,
) -> ImageRecord:
    """Validates ground truth and detections of one image and encodes their masks.

    Args:
        image_id: id of the image in error messages and reports.
        gt_class_ids: `[G]` int. A negative id is an ignored region (COCO's `iscrowd`) of class `abs(id)`.
        gt_masks: `[H, W, G]` bool, or list of G run-length encoded masks.
        result: one result of `detect()`: `class_ids [N]`, `scores [N]`, `masks [H, W, N]` (or N encoded masks) and
            `rois [N, 4]` in pixels. `rois` defaults to the boxes of the masks. Without masks (`Detections.has_masks`),
            only boxes can be evaluated.
        num_classes: int, number of classes including background.
        image_shape: `(H, W, ...)`, required only if there are no masks.
        gt_keypoints: `[G, J, 3]` (x, y, visibility) in pixels, or None.

    Raises:
        ValueError: if shapes, class ids or scores are invalid. The message names the image.
    """
    if isinstance(result, Detections):  # keeps only one full mask in memory at a time
        rles, gt_rles = [encode_rle(result.full_mask(i)) for i in range(len(result))], encode_masks(gt_masks)
        height, width = _image_shape(image_id, [gt_masks], rles + gt_rles, [image_shape, result.image_shape])
    else:
        rles, gt_rles = encode_masks(result["masks"]), encode_masks(gt_masks)
        height, width = _image_shape(image_id, [gt_masks, result["masks"]], rles + gt_rles, [image_shape])
    gt_class_ids = np.asarray(gt_class_ids, dtype=np.int64).reshape(-1)
    class_ids = np.asarray(result["class_ids"], dtype=np.int64).reshape(-1)
    scores = np.asarray(result["scores"], dtype=np.float64).reshape(-1)
    boxes = rle_boxes(rles)
    if result.get("rois") is not None:
        boxes = np.asarray(result["rois"], dtype=np.float64).reshape(-1, 4)

    counts = {"class_ids": len(class_ids), "scores": len(scores), "masks": len(rles), "rois": len(boxes)}
    if len(set(counts.values())) > 1:
        raise UserError(f"image {image_id!r}: detection arrays have different lengths: {counts}.")
    if len(gt_class_ids) != len(gt_rles):
        raise UserError(f"image {image_id!r}: {len(gt_class_ids)} ground-truth class ids for {len(gt_rles)} masks.")
    for where, ids in (("ground truth", np.abs(gt_class_ids)), ("detections", class_ids)):
        wrong = ids[(ids < 1) | (ids >= num_classes)]
        if len(wrong):
            raise UserError(
                f"image {image_id!r}, {where}: expected class ids 1..{num_classes - 1}, got {int(wrong[0])}."
            )
    keypoints = getattr(result, "keypoints", None)
    if gt_keypoints is not None and len(gt_keypoints) + len(gt_rles):  # [] is valid without instances
        number = None if keypoints is None else keypoints.shape[1]
        requirement = (
            f"image {image_id!r}: expected gt_keypoints [{len(gt_rles)}, {number or 'J'}, 3] for {len(gt_rles)} masks"
            + (f" and detections with {number} keypoints" if number else "")
        )
        gt_keypoints = as_keypoints(gt_keypoints, len(gt_rles), number, requirement)
    if not np.isfinite(scores).all():
        raise UserError(f"image {image_id!r}: scores must be finite.")
    return ImageRecord(
        image_id=image_id,
        height=height,
        width=width,
        gt_class_ids=np.abs(gt_class_ids),
        gt_crowd=gt_class_ids < 0,
        gt_rles=gt_rles,
        gt_boxes=rle_boxes(gt_rles),
        gt_areas=np.asarray(rle_lib.area(gt_rles), dtype=np.float64).reshape(-1),
        class_ids=class_ids,
        scores=scores,
        rles=rles,
        boxes=boxes,
        areas=areas(boxes),
        has_masks=getattr(result, "has_masks", True),
        gt_keypoints=gt_keypoints,
        keypoints=keypoints,
    )


def kinds_of(records: Sequence[ImageRecord]) -> tuple[str, ...]:
    """Returns the kinds of IoU that are available for the detections: KINDS, or ("box",) if there are no masks."""
    return KINDS if all(record.has_masks for record in records) else ("box",)


def has_keypoints(records: Sequence[ImageRecord]) -> bool:
    """Returns whether the instances and the detections of all images have keypoints.

    Raises:
        ValueError: if all have keypoints but the number of keypoints differs between images.
    """
    if any(record.gt_keypoints is None or (record.keypoints is None and len(record.scores)) for record in records):
        return False
    found = [points for record in records for points in (record.gt_keypoints, record.keypoints)]
    numbers = {points.shape[1] for points in found if points is not None and len(points)}
    if len(numbers) > 1:
        raise UserError(f"keypoints: expected the same number for all images, got {sorted(numbers)}.")
    return True


def _image_shape(image_id, masks, rles, image_shapes) -> tuple[int, int]:
    """Returns the common (H, W) of masks, encoded masks and shapes. Shapes of None are ignored."""
    shapes = {tuple(m.shape[:2]) for m in masks if isinstance(m, np.ndarray)}
    shapes |= {tuple(rle["size"]) for rle in rles}
    shapes |= {tuple(shape[:2]) for shape in image_shapes if shape is not None}
    if len(shapes) != 1:
        problem = f"masks have different sizes {sorted(shapes)}" if shapes else "image_shape is required without masks"
        raise UserError(f"image {image_id!r}: {problem}.")
    height, width = shapes.pop()
    return int(height), int(width)
