"""COCO metrics of random detections, compared with an independent NumPy implementation.

Shape notation: T IoU thresholds, R recall levels, K classes, A area ranges, M detection limits per image,
N detections, G ground-truth instances.
Source: COCO detection evaluation (cocodataset.org).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from mrcnn.evaluation import CocoEvaluator, coco_curves, match_detections
from mrcnn.evaluation.average_precision import COCO_RECALLS, interpolated_precisions
from mrcnn.evaluation.coco import AREA_RANGES, MAX_DETECTIONS
from mrcnn.evaluation.records import ImageRecord

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES = (6, 20, 60, 130)  # sides in pixels: small, small, medium, large


def reference_curves(records: Sequence[ImageRecord], num_classes: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """NumPy implementation of `coco_curves`."""
    shape = (num_classes - 1, len(AREA_RANGES), len(MAX_DETECTIONS))
    precision = np.full((len(IOU_THRESHOLDS), len(COCO_RECALLS), *shape), -1.0)
    recall = np.full((len(IOU_THRESHOLDS), *shape), -1.0)
    for k in range(num_classes - 1):
        images = [_class_image(record, k + 1, kind) for record in records]
        for a, area_range in enumerate(AREA_RANGES.values()):
            matched = [_match(image, area_range) for image in images]
            for m, max_detections in enumerate(MAX_DETECTIONS):
                curves = _accumulate(matched, max_detections)
                if curves is not None:
                    precision[:, :, k, a, m], recall[:, k, a, m] = curves
    return precision, recall


class _ClassImage(NamedTuple):
    """Detections and ground truth of one class in one image. Detections are sorted by descending score."""

    scores: np.ndarray  # [N]
    areas: np.ndarray  # [N]
    overlaps: np.ndarray  # [N, G]
    gt_areas: np.ndarray  # [G]
    gt_crowd: np.ndarray  # [G]


class _Matched(NamedTuple):
    """Match result for one area range. A detection that is neither true nor false is ignored."""

    scores: np.ndarray  # [N]
    true: np.ndarray  # [T, N]
    false: np.ndarray  # [T, N]
    num_gt: int


def _class_image(record: ImageRecord, class_id: int, kind: str) -> _ClassImage:
    detections = np.flatnonzero(record.class_ids == class_id)
    best_first = np.argsort(-record.scores[detections], kind="stable")
    detections = detections[best_first[: MAX_DETECTIONS[-1]]]
    instances = np.flatnonzero(record.gt_class_ids == class_id)
    return _ClassImage(
        scores=record.scores[detections],
        areas=record.areas[detections],
        overlaps=record.overlaps(kind, detections, instances),
        gt_areas=record.gt_areas[instances],
        gt_crowd=record.gt_crowd[instances],
    )


def _match(image: _ClassImage, area_range: tuple[float, float]) -> _Matched:
    counts = ~image.gt_crowd & _inside(image.gt_areas, area_range)  # [G]
    match = match_detections(image.overlaps, ~counts, image.gt_crowd, IOU_THRESHOLDS)  # [T, N]
    true = np.append(counts, False)[match]  # an unmatched detection (-1) selects the final False
    false = (match < 0) & _inside(image.areas, area_range)
    return _Matched(image.scores, true, false, np.count_nonzero(counts))


def _inside(areas: np.ndarray, area_range: tuple[float, float]) -> np.ndarray:
    return (areas >= area_range[0]) & (areas <= area_range[1])


def _accumulate(matched: list[_Matched], max_detections: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns precision `[T, R]` and recall `[T]`, or None if there is no instance."""
    num_gt = sum(image.num_gt for image in matched)
    if num_gt == 0:
        return None
    order = np.argsort(-np.concatenate([image.scores[:max_detections] for image in matched]), kind="stable")
    true = np.concatenate([image.true[:, :max_detections] for image in matched], axis=1)[:, order].cumsum(axis=1)
    false = np.concatenate([image.false[:, :max_detections] for image in matched], axis=1)[:, order].cumsum(axis=1)
    recalls = true / num_gt
    precisions = true / np.maximum(true + false, 1)  # avoids 0/0 where ignored detections come first
    curves = [interpolated_precisions(r, p, COCO_RECALLS) for r, p in zip(recalls, precisions, strict=True)]
    return np.stack(curves), true.max(axis=1, initial=0) / num_gt


def random_rectangle(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    y, x, h, w = rng.integers(0, height - 3), rng.integers(0, width - 3), *rng.choice(SIZES, 2)
    mask[y : y + h, x : x + w] = True
    return mask


def stack(masks: list[np.ndarray], height: int, width: int) -> np.ndarray:
    return np.stack(masks, axis=-1) if masks else np.zeros((height, width, 0), dtype=bool)


def random_evaluator(seed: int, num_images: int, with_rois: bool) -> CocoEvaluator:
    """Returns an evaluator with images of many sizes, duplicates, equal scores, wrong classes and crowds.

    Some images have no instances.
    """
    rng = np.random.default_rng(seed)
    evaluator = CocoEvaluator(["BG", "a", "b", "absent"])
    for image_id in range(num_images):
        height, width = rng.integers(150, 260, 2)
        gt_masks = [random_rectangle(rng, height, width) for _ in range(rng.integers(0, 6))]
        gt_ids = rng.integers(1, 3, len(gt_masks))
        masks, ids = [], []
        for mask, class_id in zip(gt_masks, gt_ids, strict=True):
            for _ in range(rng.integers(0, 4)):
                masks.append(np.roll(mask, rng.integers(-3, 4, 2), axis=(0, 1)))
                ids.append(class_id if rng.random() < 0.8 else rng.integers(1, 4))
        for _ in range(rng.integers(0, 4)):
            masks.append(random_rectangle(rng, height, width))
            ids.append(rng.integers(1, 4))
        result = {"class_ids": ids, "scores": rng.random(len(ids)).round(1), "masks": stack(masks, height, width)}
        if with_rois:
            result["rois"] = np.sort(rng.integers(0, 150, (len(ids), 2, 2)), axis=1).reshape(-1, 4)
        crowd = rng.choice([1, 1, 1, -1], len(gt_ids))
        evaluator.add(image_id, gt_ids * crowd, stack(gt_masks, height, width), result)
    return evaluator


@pytest.mark.parametrize("seed, with_rois", [(0, False), (1, False), (2, True)])
@pytest.mark.parametrize("kind", ["mask", "box"])
def test_coco_curves_equal_the_numpy_reference(seed, with_rois, kind):
    evaluator = random_evaluator(seed, num_images=40, with_rois=with_rois)
    expected = reference_curves(evaluator.records, 4, kind)
    actual = coco_curves(evaluator.records, 4, kind)
    for ours, reference in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-6)
    if not with_rois:
        assert expected[0].max() > 0.1  # the test is meaningful


def test_encoded_masks_give_the_same_figures_as_arrays():
    arrays = random_evaluator(3, num_images=10, with_rois=False)
    encoded = CocoEvaluator(arrays.class_names)
    for record in arrays.records:
        result = {"class_ids": record.class_ids, "scores": record.scores, "masks": record.rles}
        ids = np.where(record.gt_crowd, -record.gt_class_ids, record.gt_class_ids)
        encoded.add(record.image_id, ids, record.gt_rles, result, image_shape=(record.height, record.width, 3))
    assert encoded.summarize() == arrays.summarize()
