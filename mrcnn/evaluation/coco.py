"""The class `CocoEvaluator`, which computes the COCO metrics of a dataset with pycocotools.

Shape notation: T IoU thresholds, R recall levels, K classes, A area ranges, M detection limits per image.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrcnn.detections import Detections
from mrcnn.errors import UserError
from mrcnn.evaluation.boundary import BoundaryEval
from mrcnn.evaluation.records import ImageRecord, has_keypoints, kinds_of, make_record, to_xywh

# Limits of the areas in pixels.
AREA_RANGES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
MAX_DETECTIONS = (1, 10, 100)  # detection limits per image
COCO_KEYPOINTS = 17  # number of keypoints whose standard deviations pycocotools defines
KEYPOINT_SIGMA = 0.05  # standard deviation of other keypoints, as a fraction of the square root of the object's area


def _keypoint_evaluation(truth: COCO, found: COCO) -> COCOeval:
    """Returns an evaluation by object keypoint similarity (OKS) with AREA_RANGES and MAX_DETECTIONS."""
    evaluation = COCOeval(truth, found, "keypoints")
    params = evaluation.params
    params.areaRng, params.areaRngLbl = [list(limits) for limits in AREA_RANGES.values()], list(AREA_RANGES)
    params.maxDets = list(MAX_DETECTIONS)
    count = next((len(annotation["keypoints"]) // 3 for annotation in truth.anns.values()), COCO_KEYPOINTS)
    if count != COCO_KEYPOINTS:
        params.kpt_oks_sigmas = np.full(count, KEYPOINT_SIGMA)
    return evaluation


EVALUATIONS = {
    "mask": lambda *sides: COCOeval(*sides, "segm"),
    "box": lambda *sides: COCOeval(*sides, "bbox"),
    "boundary": BoundaryEval,
    "keypoints": _keypoint_evaluation,
}


class CocoEvaluator:
    """Accumulates images and computes box and mask AP over all of them.

    Masks are stored run-length encoded, which takes a few kilobytes per image.

        evaluator = CocoEvaluator(dataset.class_names)
        for image_id in dataset.image_ids:
            masks, class_ids = dataset.load_mask(image_id)
            result = model.detect([dataset.load_image(image_id)])[0]
            evaluator.add(image_id, class_ids, masks, result)
        evaluator.summarize()["mask"]["AP"]

    Args:
        class_names: list of str, names of all classes, background first.

    Attributes:
        records: list of `ImageRecord`, one per image, in the order of the calls to `add`.
    """

    def __init__(self, class_names: Sequence[str]):
        if len(class_names) < 2:
            raise UserError(f"class_names: expected the background and at least one class, got {list(class_names)}.")
        self.class_names = list(class_names)
        self.records: list[ImageRecord] = []

    def add(
        self,
        image_id: Any,
        gt_class_ids: np.ndarray,
        gt_masks: np.ndarray | Sequence[dict],
        result: Detections | Mapping[str, Any],
        image_shape: tuple[int, ...] | None = None,
        gt_keypoints: np.ndarray | None = None,
    ) -> ImageRecord:
        """Adds one image. Images without ground truth (negatives) must also be added.

        See `make_record` for the arguments.

        Raises:
            ValueError: if the arrays are inconsistent. The message names the image.
        """
        classes = len(self.class_names)
        record = make_record(image_id, gt_class_ids, gt_masks, result, classes, image_shape, gt_keypoints)
        self.records.append(record)
        return record

    def summarize(self) -> dict[str, Any]:
        """Computes the COCO metrics of all images added so far.

        Ground-truth areas are mask areas. Detection areas are box areas, which pycocotools also uses for results with
        boxes.

        Returns:
            `{"mask": metrics, "box": metrics, "images", "instances", "ignored", "detections"}`. `metrics` has AP, AP50,
            AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm and ARl as means over classes, and `per_class` with the same
            values for each class name. A metric is -1 if no instance of that size exists. "mask" is omitted if
            the detections have no masks, and "keypoints" (AP by object keypoint similarity) if there are no keypoints.
        """
        summary: dict[str, Any] = {}
        for kind in (*kinds_of(self.records), *(("keypoints",) if has_keypoints(self.records) else ())):
            precision, recall = coco_curves(self.records, len(self.class_names), kind)
            summary[kind] = coco_metrics(precision, recall)
            summary[kind]["per_class"] = {
                name: coco_metrics(precision[:, :, [k]], recall[:, [k]]) for k, name in enumerate(self.class_names[1:])
            }
        ignored = sum(int(record.gt_crowd.sum()) for record in self.records)
        return summary | {
            "images": len(self.records),
            "instances": sum(len(record.gt_rles) for record in self.records) - ignored,
            "ignored": ignored,
            "detections": sum(len(record.rles) for record in self.records),
        }


def coco_metrics(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """Computes the twelve COCO metrics from the arrays that `coco_curves` returns."""
    area = {name: index for index, name in enumerate(AREA_RANGES)}
    ap = precision[..., -1]  # [T, R, K, A]; AP uses up to 100 detections per image
    metrics = {
        "AP": ap[..., area["all"]],
        "AP50": ap[0, ..., area["all"]],
        "AP75": ap[5, ..., area["all"]],
        "APs": ap[..., area["small"]],
        "APm": ap[..., area["medium"]],
        "APl": ap[..., area["large"]],
    }
    metrics |= {f"AR{count}": recall[..., area["all"], m] for m, count in enumerate(MAX_DETECTIONS)}
    metrics |= {f"AR{name[0]}": recall[..., area[name], -1] for name in ("small", "medium", "large")}
    return {name: _mean_of_valid(values) for name, values in metrics.items()}


def _mean_of_valid(values: np.ndarray) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def coco_curves(records: Sequence[ImageRecord], num_classes: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Computes precision and recall of a dataset with pycocotools, without printing.

    Args:
        records: one `ImageRecord` per image.
        num_classes: int, number of classes including background; K = num_classes - 1.
        kind: type of IoU, one of "mask", "box", "keypoints" and "boundary" (see `mrcnn.evaluation.boundary`).

    Returns:
        `precision [T, R, K, A, M]` and `recall [T, K, A, M]`, -1 where a class has no instance in an area range.
    """
    evaluation = match_images(records, num_classes, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def match_images(records: Sequence[ImageRecord], num_classes: int, kind: str, ap_only: bool = False) -> COCOeval:
    """Matches the detections of each image to its ground truth.

    Args:
        records, num_classes, kind: see `coco_curves`.
        ap_only: whether to match for AP only, that is, for all areas and the largest detection limit.

    Returns:
        The `COCOeval`, not yet accumulated over images.
    """
    images = [{"id": i, "height": r.height, "width": r.width} for i, r in enumerate(records, start=1)]
    categories = [{"id": class_id} for class_id in range(1, num_classes)]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (_ground_truth(records), _detections(records)):
            coco = COCO()
            # Ids start at 1 because 0 means "no match" in pycocotools.
            annotations = [annotation | {"id": i} for i, annotation in enumerate(annotations, start=1)]
            coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
            coco.createIndex()
            sides.append(coco)
        evaluation = EVALUATIONS[kind](*sides)
        if ap_only:
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [list(AREA_RANGES["all"])], ["all"]
            evaluation.params.maxDets = [MAX_DETECTIONS[-1]]
        evaluation.evaluate()
    return evaluation


def _ground_truth(records: Sequence[ImageRecord]) -> list[dict]:
    return [
        {
            "image_id": image_id,
            "category_id": int(record.gt_class_ids[i]),
            "segmentation": record.gt_rles[i],
            "bbox": to_xywh(record.gt_boxes[[i]])[0].tolist(),
            "area": record.gt_areas[i],
            "iscrowd": int(record.gt_crowd[i]),
            **_keypoint_fields(record.gt_keypoints, i),
        }
        for image_id, record in enumerate(records, start=1)
        for i in range(len(record.gt_rles))
    ]


def _detections(records: Sequence[ImageRecord]) -> list[dict]:
    return [
        {
            "image_id": image_id,
            "category_id": int(record.class_ids[i]),
            "segmentation": record.rles[i],
            "bbox": to_xywh(record.boxes[[i]])[0].tolist(),
            "area": record.areas[i],
            "iscrowd": 0,
            "score": record.scores[i],
            **_keypoint_fields(record.keypoints, i),
        }
        for image_id, record in enumerate(records, start=1)
        for i in range(len(record.rles))
    ]


def _keypoint_fields(keypoints: np.ndarray | None, index: int) -> dict[str, Any]:
    if keypoints is None:
        return {}
    points = keypoints[index]
    return {"keypoints": points.ravel().tolist(), "num_keypoints": int(np.count_nonzero(points[:, 2]))}
