"""COCO average precision of a set of photos, added one at a time: `CocoEvaluator`."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrcnn.evaluation.coco_numpy import AREA_RANGES, MAX_DETECTIONS, coco_curves
from mrcnn.evaluation.records import KINDS, PhotoRecord, make_record


class CocoEvaluator:
    """Collects photos and computes box and mask AP over all of them.

    Only run-length encoded masks are kept, a few kilobytes for each photo, so that a set of any size fits in memory.

        evaluator = CocoEvaluator(dataset.class_names)
        for image_id in dataset.image_ids:
            masks, class_ids = dataset.load_mask(image_id)
            result = model.detect([dataset.load_image(image_id)])[0]
            evaluator.add(image_id, class_ids, masks, result)
        evaluator.summarize()["mask"]["AP"]

    Args:
        class_names: names of all classes, background first.

    Attributes:
        records: one `PhotoRecord` for each photo, in the order of `add`.
    """

    def __init__(self, class_names: Sequence[str]):
        if len(class_names) < 2:
            raise ValueError(f"class_names: expected the background and at least one class, got {list(class_names)}.")
        self.class_names = list(class_names)
        self.records: list[PhotoRecord] = []

    def add(
        self,
        image_id: Any,
        gt_class_ids: np.ndarray,
        gt_masks: np.ndarray | Sequence[dict],
        result: Mapping[str, Any],
        image_shape: tuple[int, ...] | None = None,
    ) -> PhotoRecord:
        """Add one photo; a photo without ground truth is a negative and belongs here too.

        Args:
            image_id: anything that names the photo.
            gt_class_ids: `[G]` int; a negative id marks a region to ignore (COCO's `iscrowd`) of class `abs(id)`.
            gt_masks: `[H, W, G]` bool, or G run-length encoded masks.
            result: of `detect()`: `rois [N, 4]` pixels, `class_ids [N]`, `scores [N]`, `masks [H, W, N]` or N encoded
                masks. Without `rois` the boxes of the masks are taken.
            image_shape: `(H, W, ...)`; needed only if there are no masks to take it from.

        Raises:
            ValueError: arrays that do not fit together, with the photo named.
        """
        record = make_record(image_id, gt_class_ids, gt_masks, result, len(self.class_names), image_shape)
        self.records.append(record)
        return record

    def summarize(self, engine: str = "pycocotools") -> dict[str, Any]:
        """COCO figures of everything added so far.

        Ground truth is measured by its mask (area, tight box); a detection's size class by its box, as pycocotools
        does for results that carry one.

        Args:
            engine: "pycocotools", or "numpy" for the implementation of this package. They agree.

        Returns:
            `{"mask": figures, "box": figures, "images", "instances", "ignored", "detections"}`. `figures` has AP, AP50,
            AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl as means over classes, and `per_class`, the same for
            each class name. -1 where there is nothing to find (no instance of that size).
        """
        engines = {"pycocotools": pycocotools_curves, "numpy": coco_curves}
        if engine not in engines:
            raise ValueError(f"engine: expected one of {tuple(engines)}, got {engine!r}.")
        summary: dict[str, Any] = {}
        for kind in KINDS:
            precision, recall = engines[engine](self.records, len(self.class_names), kind)
            summary[kind] = coco_figures(precision, recall)
            summary[kind]["per_class"] = {
                name: coco_figures(precision[:, :, [k]], recall[:, [k]]) for k, name in enumerate(self.class_names[1:])
            }
        ignored = sum(int(record.gt_crowd.sum()) for record in self.records)
        return summary | {
            "images": len(self.records),
            "instances": sum(len(record.gt_rles) for record in self.records) - ignored,
            "ignored": ignored,
            "detections": sum(len(record.rles) for record in self.records),
        }


def coco_figures(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """The twelve COCO figures of `precision [T, R, K, A, M]` and `recall [T, K, A, M]` (see `coco_curves`)."""
    area = {name: index for index, name in enumerate(AREA_RANGES)}
    ap = precision[..., -1]  # [T, R, K, A] with 100 detections, the limit of every AP
    figures = {
        "AP": ap[..., area["all"]],
        "AP50": ap[0, ..., area["all"]],
        "AP75": ap[5, ..., area["all"]],
        "APs": ap[..., area["small"]],
        "APm": ap[..., area["medium"]],
        "APl": ap[..., area["large"]],
    }
    figures |= {f"AR{limit}": recall[..., area["all"], m] for m, limit in enumerate(MAX_DETECTIONS)}
    figures |= {f"AR{name[0]}": recall[..., area[name], -1] for name in ("small", "medium", "large")}
    return {name: _mean_of_defined(values) for name, values in figures.items()}


def _mean_of_defined(values: np.ndarray) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def pycocotools_curves(records: Sequence[PhotoRecord], num_classes: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """What `coco_curves` returns, computed by pycocotools, without its prints."""
    images = [{"id": i, "height": r.height, "width": r.width} for i, r in enumerate(records, start=1)]
    categories = [{"id": class_id} for class_id in range(1, num_classes)]
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth, detections = COCO(), COCO()
        for coco, annotations in ((ground_truth, _ground_truth(records)), (detections, _detections(records))):
            # Ids start at 1: pycocotools takes 0 for "no match".
            annotations = [annotation | {"id": i} for i, annotation in enumerate(annotations, start=1)]
            coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
            coco.createIndex()
        evaluation = COCOeval(ground_truth, detections, "segm" if kind == "mask" else "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def _ground_truth(records: Sequence[PhotoRecord]) -> list[dict]:
    return [
        {
            "image_id": image_id,
            "category_id": int(record.gt_class_ids[i]),
            "segmentation": record.gt_rles[i],
            "bbox": _xywh(record.gt_boxes[i]),
            "area": record.gt_areas[i],
            "iscrowd": int(record.gt_crowd[i]),
        }
        for image_id, record in enumerate(records, start=1)
        for i in range(len(record.gt_rles))
    ]


def _detections(records: Sequence[PhotoRecord]) -> list[dict]:
    return [
        {
            "image_id": image_id,
            "category_id": int(record.class_ids[i]),
            "segmentation": record.rles[i],
            "bbox": _xywh(record.boxes[i]),
            "area": record.areas[i],
            "iscrowd": 0,
            "score": record.scores[i],
        }
        for image_id, record in enumerate(records, start=1)
        for i in range(len(record.rles))
    ]


def _xywh(box: np.ndarray) -> list[float]:
    y1, x1, y2, x2 = (float(v) for v in box)
    return [x1, y1, x2 - x1, y2 - y1]
