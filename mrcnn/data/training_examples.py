"""Loading of training examples: an image and its ground truth, augmented and resized for the network.

`load_image_gt` combines three steps. `prepare` reads and resizes an image. It is deterministic, so its result can be
cached. `augment_example` augments the example. `ground_truth` removes unusable instances and computes the boxes.

Shape notation: H, W size of the image file, S side of the network input, N instances, C classes, J keypoints. Boxes in
pixels are half-open.
"""

import dataclasses
import random
from typing import Any, NamedTuple

import numpy as np

from mrcnn.config import Config
from mrcnn.data.augmentation import (
    augment_after_resizing,
    augment_before_resizing,
    check_augmentation,
    is_photo_augmenter,
)
from mrcnn.data.dataset import Dataset
from mrcnn.data.dataset_errors import convert_errors
from mrcnn.data.example import Example, downscale_example, mirror_example, resize_example
from mrcnn.data.image_files import as_rgb
from mrcnn.errors import UserError
from mrcnn.ops.boxes import as_boxes
from mrcnn.ops.image_meta import compose_image_meta
from mrcnn.ops.keypoints import as_keypoints
from mrcnn.ops.masks import FULL_COVERAGE, drop_placeholders, extract_bboxes, minimize_mask

MIN_SIDE = 2  # pixels; the normalized height h of a 1-pixel box is 0, so log(h) is not finite


class GroundTruth(NamedTuple):
    """An image with its ground truth. See `load_image_gt` for the fields."""

    image: np.ndarray
    image_meta: np.ndarray
    class_ids: np.ndarray
    bbox: np.ndarray
    mask: np.ndarray


def load_image_gt(
    dataset: Dataset,
    config: Config,
    image_id: int,
    augment: bool = False,
    augmentation: Any = None,
    use_mini_mask: bool | None = False,
    rng: np.random.Generator | None = None,
) -> GroundTruth:
    """Loads, augments and resizes an image and its ground truth.

    Args:
        dataset: prepared dataset.
        config: image and mask settings.
        image_id: internal image id.
        augment: bool, whether to mirror the image with probability 0.5. Deprecated in Matterport's code in favor of
            `augmentation`.
        augmentation: see `mrcnn.data.augmentation`, or None.
        use_mini_mask: bool, whether masks are cropped to their boxes and resized to MINI_MASK_SHAPE. None uses
            `config.USE_MINI_MASK`.
        rng: random generator, or None for the global generators of NumPy and Python.

    Returns:
        image: `[S, S, 3]` uint8.
        image_meta: `[12+C]` float64; see `compose_image_meta`.
        class_ids: `[N]` int32, negative for regions to ignore.
        bbox: `[N, 4]` int32, half-open boxes in pixels of the resized image.
        mask: `[S, S, N]` bool, or `[h, w, N]` bool with mini masks.

        Instances with a side below 2 pixels after the augmentation are removed.

    Raises:
        FileNotFoundError: if the image file does not exist.
        ValueError: if the image or its masks are invalid.
        TypeError: if `augmentation` is invalid.

    Source: Matterport.
    """
    check_augmentation(augmentation)
    example = augment_example(
        prepare(dataset, config, image_id, augmentation), config, augmentation, rng, mirror=augment
    )
    return ground_truth(example, dataset, config, image_id, use_mini_mask)[0]


def prepare(dataset: Dataset, config: Config, image_id: int, augmentation: Any = None) -> Example:
    """Reads an image with its masks and applies all resizing that is deterministic.

    Args:
        dataset: prepared dataset.
        config: image settings.
        image_id: internal image id.
        augmentation: see `mrcnn.data.augmentation`, or None.

    Raises:
        FileNotFoundError: if the image file does not exist.
        ValueError: if the image cannot be read, or if the masks or class ids are inconsistent with the image or the
            dataset.
        DatasetError: (a ValueError) if `load_image()` or `load_mask()` raised another exception, which is its cause.
    """
    where = f"image {image_id} ({dataset.image_info[image_id].get('id')})"
    with convert_errors(f"{where}, load_image()"):
        image = dataset.load_image(image_id)
    image = as_rgb(image, config.IMAGE_CHANNEL_COUNT, where)
    masks, class_ids, keypoints = load_instances(dataset, config, image_id, image.shape, where)
    proposals = load_proposals(dataset, config, image_id, where)
    example = Example(image, masks, class_ids, image.shape, keypoints=keypoints, proposals=proposals)
    if is_photo_augmenter(augmentation):
        return downscale_example(example, augmentation.max_side)
    return example if config.IMAGE_RESIZE_MODE == "crop" else resize_example(example, config)


def load_instances(
    dataset: Dataset, config: Config, image_id: int, image_shape: tuple[int, ...], where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Returns the masks, class ids and keypoints of an image.

    Args:
        dataset: prepared dataset.
        config: Config; NUM_KEYPOINTS is used.
        image_id: internal image id.
        image_shape: (H, W, ...) of the image.
        where: name of the image, for error messages.

    Returns:
        masks: `[H, W, N]` bool.
        class_ids: `[N]` int32, negative for regions to ignore.
        keypoints: `[N, J, 3]` float32, or None if NUM_KEYPOINTS is 0.

    Raises:
        ValueError: if the masks, class ids or keypoints do not match the image or the dataset, or if there are no
            keypoints.
    """
    with convert_errors(f"{where}, load_mask()"):
        masks, class_ids = dataset.load_mask(image_id)
    try:
        masks, class_ids = np.asarray(masks).astype(bool, copy=False), np.asarray(class_ids).astype(np.int32)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: load_mask() must return arrays of masks and class ids: {error}.") from error
    keypoints, count, number = None, len(class_ids), config.NUM_KEYPOINTS
    if number:
        with convert_errors(f"{where}, load_keypoints()"):
            keypoints = dataset.load_keypoints(image_id)
        requirement = (
            f"{where}: load_keypoints() must return [{count}, {number}, 3], the (x, y, visibility) of NUM_KEYPOINTS = "
            f"{number} keypoints of each instance of load_mask()"
        )
        keypoints = as_keypoints(keypoints, count, number, requirement)
    masks, class_ids, keypoints = drop_placeholders(masks, class_ids, keypoints)
    if not masks.size and not len(class_ids):  # some scripts return a different shape for images without instances
        masks = np.zeros((*image_shape[:2], 0), dtype=bool)
    if masks.shape != (*image_shape[:2], len(class_ids)) or class_ids.ndim != 1:
        raise UserError(
            f"{where}: load_mask() must return masks [H, W, N] and class ids [N] for the image's "
            f"{image_shape[0]}x{image_shape[1]} pixels, got masks {masks.shape} and class ids {class_ids.shape}."
        )
    unknown = class_ids[(class_ids == 0) | (abs(class_ids) >= dataset.num_classes)]
    if len(unknown):
        raise UserError(
            f"{where}: class id {unknown[0]} is not one of 1..{dataset.num_classes - 1} (negative: ignored). "
            "Return internal class ids from load_mask()."
        )
    return masks, class_ids, keypoints


def load_proposals(dataset: Dataset, config: Config, image_id: int, where: str) -> np.ndarray | None:
    """Returns the proposals of `dataset.load_rois`, `[K, 4]` float32 pixels, best first.

    Args:
        dataset: prepared dataset.
        config: Config; USE_RPN_ROIS and PROPOSALS are used.
        image_id: internal image id.
        where: name of the image, for error messages.

    Returns:
        The boxes. None with USE_RPN_ROIS, or if the network has an RPN and the dataset has no proposals.

    Raises:
        ValueError: if the proposals are not boxes, or if the network has no RPN and the dataset has no proposals.
    """
    if config.USE_RPN_ROIS:
        return None
    with convert_errors(f"{where}, load_rois()"):
        boxes = dataset.load_rois(image_id) if hasattr(dataset, "load_rois") else None
    if boxes is not None:
        return as_boxes(boxes, f"{where}, load_rois()")
    if not config.has_rpn:
        raise UserError(
            f"{where}: the network has no RPN (PROPOSALS = {config.PROPOSALS!r}), and the dataset has no proposals. "
            "Return boxes [K, 4] from its method load_rois(image_id)."
        )
    return None


def augment_example(
    example: Example,
    config: Config,
    augmentation: Any = None,
    rng: np.random.Generator | None = None,
    mirror: bool = False,
) -> Example:
    """Augments an example and resizes it for the network if `prepare` did not.

    Args:
        example: result of `prepare` for the same augmentation.
        config: image settings.
        augmentation: see `mrcnn.data.augmentation`, or None.
        rng: random generator, or None for the global generators of NumPy and Python.
        mirror: bool, whether to mirror the example with probability 0.5.
    """
    if is_photo_augmenter(augmentation):
        example = augment_before_resizing(augmentation, example, _make_generator(rng))
    if example.window is None:
        example = resize_example(example, config, random if rng is None else random.Random(int(rng.integers(2**63))))
    if mirror and (random.randint(0, 1) if rng is None else rng.integers(2)):
        example = mirror_example(example, config.KEYPOINT_FLIP)
    if augmentation is not None and not is_photo_augmenter(augmentation):
        image, masks = augment_after_resizing(augmentation, example.image, example.masks, _make_generator(rng))
        example = dataclasses.replace(example, image=image, masks=masks)
    return example


def ground_truth(
    example: Example, dataset: Dataset, config: Config, image_id: int, use_mini_mask: bool | None = None
) -> tuple[GroundTruth, int, np.ndarray | None]:
    """Computes the ground truth of an augmented example and removes instances with a side below MIN_SIDE pixels.

    Args:
        example: result of `augment_example`.
        dataset: prepared dataset.
        config: mask settings.
        image_id: internal image id.
        use_mini_mask: see `load_image_gt`.

    Returns:
        The ground truth, the number of removed objects that are at least partly visible, and the keypoints
        `[N, J, 3]` or None.
    """
    is_coverage = example.masks.dtype == np.uint8
    inside = example.masks > FULL_COVERAGE // 2 if is_coverage else example.masks
    boxes = extract_bboxes(inside)
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.iinfo(np.int32).max)
    too_small = np.count_nonzero((sides > 0) & (sides < MIN_SIDE) & (example.class_ids > 0))
    keep = np.flatnonzero(sides >= MIN_SIDE)
    boxes, class_ids = boxes[keep], example.class_ids[keep]
    use_mini_mask = config.USE_MINI_MASK if use_mini_mask is None else use_mini_mask
    masks = example.masks if use_mini_mask else inside
    masks = masks if len(keep) == len(sides) else masks[:, :, keep]
    if use_mini_mask:
        masks = minimize_mask(boxes, masks, config.MINI_MASK_SHAPE, is_coverage)

    # The class loss ignores classes that are not annotated in the source of the image. The image may contain them.
    active = np.zeros(dataset.num_classes, dtype=np.int32)
    active[dataset.source_class_ids[dataset.image_info[image_id]["source"]]] = 1
    shape, image_shape = example.original_shape, example.image.shape
    meta = compose_image_meta(image_id, shape, image_shape, example.window, example.scale, active)
    keypoints = None if example.keypoints is None else example.keypoints[keep]
    return GroundTruth(example.image, meta, class_ids, boxes, masks), too_small, keypoints


def _make_generator(rng: np.random.Generator | None) -> np.random.Generator:
    return np.random.default_rng(np.random.randint(2**31)) if rng is None else rng
