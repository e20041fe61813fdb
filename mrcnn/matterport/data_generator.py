"""Matterport's `data_generator`, for scripts and notebooks that use it. It does not require TensorFlow.

Training uses `mrcnn.data.pipeline`, which prefetches and can be resumed.
"""

import logging
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from mrcnn.config import Config
from mrcnn.data.dataset import Dataset
from mrcnn.data.image import normalize_image
from mrcnn.data.padding import fill_slots
from mrcnn.data.training_examples import load_image_gt
from mrcnn.matterport.targets_numpy import build_detection_targets, build_rpn_targets
from mrcnn.ops.anchors import pixel_anchors
from mrcnn.ops.random_rois import generate_random_rois

logger = logging.getLogger(__name__)

MAX_FAILURES = 5  # maximum number of images that may fail


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
    """Yields an infinite sequence of batches. Random numbers come from NumPy's global generator.

    Shape notation: B `batch_size`, S image side, C classes, A anchors, T sampled anchors, G ground-truth slots,
    K `random_rois`, R sampled RoIs, M mask side.

    Args:
        dataset: prepared dataset.
        config: Config.
        shuffle: whether to shuffle the images in each epoch.
        augment: whether to flip images at random; prefer `augmentation`.
        augmentation: see `mrcnn.data.augmentation`.
        random_rois: number of random RoIs per image that replace proposals; 0 for none.
        batch_size: number of images per batch.
        detection_targets: whether to add the targets of the heads; requires `random_rois`.
        no_augmentation_sources: sources of the dataset whose images are not augmented.

    Yields:
        inputs: images `[B, S, S, 3]` float32 preprocessed, image_meta `[B, 12+C]`, rpn_match `[B, A, 1]`, rpn_bbox
            `[B, T, 4]`, gt_class_ids `[B, G]` int32, gt_boxes `[B, G, 4]` int32 pixels, gt_masks `[B, h, w, G]` bool;
            with `random_rois` also rpn_rois `[B, K, 4]` pixels; with `detection_targets` also rois `[B, R, 4]` pixels.
        outputs: with `detection_targets` mrcnn_class_ids `[B, R, 1]`, mrcnn_bbox `[B, R, C, 4]`, mrcnn_mask
            `[B, R, M, M, C]`; otherwise empty.
        Empty slots are zeros.

    Raises:
        ValueError: if the dataset is empty, more than MAX_FAILURES images failed, or no image is usable.

    Source: Matterport.
    Differs from Matterport: images without objects are yielded, except with `detection_targets`. Errors name the image.
    """
    if not len(dataset.image_ids):
        raise ValueError("data_generator: the dataset has no images. Add images, then call prepare().")
    if not config.has_rpn:
        raise ValueError(
            f"data_generator: the network has no RPN (PROPOSALS = {config.PROPOSALS!r}). Use training_batches."
        )
    anchors = pixel_anchors(config, config.IMAGE_SHAPE)
    plain_sources = set(no_augmentation_sources or ())
    batch, failures, skipped = [], [], 0
    for image_id in _repeat(dataset.image_ids, shuffle):
        skipped += 1
        if skipped > len(dataset.image_ids):
            raise ValueError("data_generator: no usable image. With detection_targets, images must contain an object.")
        try:
            plain = dataset.image_info[image_id]["source"] in plain_sources
            gt = load_image_gt(
                dataset,
                config,
                image_id,
                augment=augment and not plain,
                augmentation=None if plain else augmentation,
                use_mini_mask=config.USE_MINI_MASK,
            )
            if not (detection_targets and random_rois) or (gt.class_ids > 0).any():
                batch.append(_make_arrays(gt, anchors, config, random_rois, detection_targets))
                skipped = 0
        except Exception as error:
            name = dataset.image_info[image_id].get("id")
            logger.exception("Failed to load image %s (%s).", image_id, name)
            failures.append(f"{name}: {error}")
            if len(failures) > MAX_FAILURES:
                raise ValueError(f"data_generator: {len(failures)} images failed, the last: {failures[-1]}") from error
        if len(batch) == batch_size:
            arrays = [np.stack(column) for column in zip(*batch, strict=True)]
            inputs = 6 + bool(config.MASK_HEAD) + bool(random_rois) + bool(random_rois and detection_targets)
            yield arrays[:inputs], arrays[inputs:]
            batch = []


def _repeat(image_ids: np.ndarray, shuffle: bool) -> Iterator[int]:
    image_ids = np.copy(image_ids)
    while True:
        if shuffle:
            np.random.shuffle(image_ids)
        yield from image_ids


def _make_arrays(gt, anchors, config, random_rois: int, detection_targets: bool) -> list[np.ndarray]:
    """Returns the arrays of one image, inputs then outputs, without the batch axis."""
    rpn_match, rpn_bbox = build_rpn_targets(gt.image.shape, anchors, gt.class_ids, gt.bbox, config)
    rois, outputs = [], []
    if random_rois:
        rois = [generate_random_rois(gt.image.shape, random_rois, gt.class_ids, gt.bbox)]
        if detection_targets:
            targets = build_detection_targets(rois[0], gt.class_ids, gt.bbox, gt.mask, config)
            rois.append(targets[0])
            outputs = [targets[1][:, np.newaxis], *targets[2:]]
    image = normalize_image(gt.image, config.MEAN_PIXEL)
    slots = fill_slots(gt.class_ids, gt.bbox, gt.mask if config.MASK_HEAD else None, config.MAX_GT_INSTANCES)
    return [image, gt.image_meta, rpn_match[:, np.newaxis], rpn_bbox, *slots, *rois, *outputs]
