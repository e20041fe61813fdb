"""The original's `data_generator`: batches for scripts and notebooks that were written for it. Needs no TensorFlow.

Training itself takes its batches from `pipeline`, which works ahead in the background and can be resumed.
"""

import logging
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from mrcnn.config import Config
from mrcnn.data.dataset import Dataset
from mrcnn.data.image import mold_image
from mrcnn.data.loading import load_image_gt
from mrcnn.data.padding import fill_slots
from mrcnn.matterport.targets_numpy import build_detection_targets, build_rpn_targets
from mrcnn.ops.anchors import pixel_anchors
from mrcnn.ops.random_rois import generate_random_rois

logger = logging.getLogger(__name__)

MAX_FAILURES = 5  # photos that may fail before the generator gives up


def data_generator(
    dataset: Dataset,
    config: Config,
    shuffle: bool = True,
    augment: bool = False,
    augmentation: Any = None,
    random_rois: int = 0,
    batch_size: int = 1,
    detection_targets: bool = False,
    no_augmentation_sources: Collection[str] | None = None,
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Yields batches for ever, drawing from NumPy's global generator.

    Letters: B `batch_size`, S side, C classes, A anchors, T sampled anchors, G ground-truth slots, K `random_rois`, R
    sampled RoIs, M mask side.

    Args:
        dataset: prepared dataset.
        config: settings.
        shuffle: a new order in each epoch.
        augment: mirror every second photo; prefer `augmentation`.
        augmentation: see `mrcnn.data.augmentation`.
        random_rois: number of random RoIs per image that take the place of proposals; 0: none.
        batch_size: images in a batch.
        detection_targets: with `random_rois`, also what the heads learn from them.
        no_augmentation_sources: sources of the dataset whose photos are not augmented.

    Yields:
        inputs: images `[B, S, S, 3]` float32 molded, image_meta `[B, 12+C]`, rpn_match `[B, A, 1]`, rpn_bbox
            `[B, T, 4]`, gt_class_ids `[B, G]` int32, gt_boxes `[B, G, 4]` int32 pixels, gt_masks `[B, h, w, G]` bool;
            with `random_rois` also rpn_rois `[B, K, 4]` pixels; with `detection_targets` also rois `[B, R, 4]` pixels.
        outputs: with `detection_targets` mrcnn_class_ids `[B, R, 1]`, mrcnn_bbox `[B, R, C, 4]`, mrcnn_mask
            `[B, R, M, M, C]`; otherwise none.
        Slots without an instance are zeros.

    Raises:
        ValueError: the dataset is empty, more than MAX_FAILURES photos failed, or none can be used.

    Source: Matterport.
    Differs from Matterport: photos without objects are yielded, except with `detection_targets`, for which they have
        nothing; photos that fail are named.
    """
    if not len(dataset.image_ids):
        raise ValueError("data_generator: the dataset has no photos. Add some, then call prepare().")
    anchors = pixel_anchors(config, config.IMAGE_SHAPE)
    not_augmented = set(no_augmentation_sources or ())
    batch, failures, passed_over = [], [], 0
    for image_id in _endless(dataset.image_ids, shuffle):
        passed_over += 1
        if passed_over > len(dataset.image_ids):
            raise ValueError("data_generator: no photo can be used; with detection_targets, each must show an object.")
        try:
            plain = dataset.image_info[image_id]["source"] in not_augmented
            gt = load_image_gt(
                dataset,
                config,
                image_id,
                augment=augment and not plain,
                augmentation=None if plain else augmentation,
                use_mini_mask=config.USE_MINI_MASK,
            )
            if not (detection_targets and random_rois) or (gt.class_ids > 0).any():
                batch.append(_example(gt, anchors, config, random_rois, detection_targets))
                passed_over = 0
        except Exception as error:
            name = dataset.image_info[image_id].get("id")
            logger.exception("Photo %s (%s) cannot be used.", image_id, name)
            failures.append(f"{name}: {error}")
            if len(failures) > MAX_FAILURES:
                raise ValueError(f"data_generator: {len(failures)} photos failed; the last: {failures[-1]}") from error
        if len(batch) == batch_size:
            arrays = [np.stack(column) for column in zip(*batch, strict=True)]
            inputs = 7 + bool(random_rois) + bool(random_rois and detection_targets)
            yield arrays[:inputs], arrays[inputs:]
            batch = []


def _endless(image_ids: np.ndarray, shuffle: bool) -> Iterator[int]:
    image_ids = np.copy(image_ids)
    while True:
        if shuffle:
            np.random.shuffle(image_ids)
        yield from image_ids


def _example(gt, anchors, config, random_rois: int, detection_targets: bool) -> list[np.ndarray]:
    """The arrays of one image, inputs then outputs, without the batch axis."""
    rpn_match, rpn_bbox = build_rpn_targets(gt.image.shape, anchors, gt.class_ids, gt.bbox, config)
    rois, outputs = [], []
    if random_rois:
        rois = [generate_random_rois(gt.image.shape, random_rois, gt.class_ids, gt.bbox)]
        if detection_targets:
            targets = build_detection_targets(rois[0], gt.class_ids, gt.bbox, gt.mask, config)
            rois.append(targets[0])
            outputs = [targets[1][:, np.newaxis], *targets[2:]]
    image = mold_image(gt.image, config).astype(np.float32)
    slots = fill_slots(gt.class_ids, gt.bbox, gt.mask, config.MAX_GT_INSTANCES)
    return [image, gt.image_meta, rpn_match[:, np.newaxis], rpn_bbox, *slots, *rois, *outputs]
