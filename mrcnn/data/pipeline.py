"""The input pipeline of training: reads, augments, resizes and prefetches images in tf.data threads.

The content of a batch depends only on the seed and the step, not on the timing or number of threads, so a run can be
resumed at any step. In epoch e, the random generator has the seed (seed, e, 0) for the order of the images and the seed
(seed, e, k) for the augmentation of the k-th image (k from 1). Threads are used instead of processes, because
TensorFlow hangs after a fork.

Shape notation: B images, S side, C classes, A anchors, T sampled anchors, G ground-truth slots, K proposals, J
keypoints.
"""

import functools
import logging
import os
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from mrcnn.config import Config
from mrcnn.data.augmentation import accepts, check_augmentation
from mrcnn.data.cache import ExampleCache
from mrcnn.data.dataset import Dataset
from mrcnn.data.example import Example
from mrcnn.data.interpreter_exit import skip_at_exit
from mrcnn.data.padding import fill_slots
from mrcnn.data.training_examples import GroundTruth, augment_example, ground_truth, prepare
from mrcnn.errors import UserError
from mrcnn.layers.rpn_targets import select_rpn_targets
from mrcnn.ops.anchors import pixel_anchors
from mrcnn.ops.boxes import clip_proposals
from mrcnn.ops.random_rois import generate_random_rois

logger = logging.getLogger(__name__)

CACHE_BYTES = 512 << 20
PREFETCHED_BATCHES = 2
MAX_CONSECUTIVE_FAILURES = 20  # unreadable images in a row that end training, for example if a folder is missing


class DataProblems:
    """Records problems that the pipeline has encountered. Thread-safe.

    Attributes:
        skipped: dict of error messages by name of the skipped image.
        too_small: number of objects removed because of a side below 2 pixels, counted in every epoch.
        error: the exception that ended the pipeline, or None. TensorFlow replaces the exception with its own, which has
            a long traceback.
    """

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}
        self.too_small = 0
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def skip(self, name: str, error: Exception) -> None:
        """Adds an image that cannot be used, and logs it the first time."""
        with self._lock:
            is_new = name not in self.skipped
            self.skipped[name] = str(error)
        if is_new:
            logger.warning("Image %s is skipped: %s", name, error)

    def count_too_small(self, count: int) -> None:
        """Adds to the number of removed objects."""
        with self._lock:
            self.too_small += count

    def __str__(self) -> str:
        lines = [f"skipped images: {len(self.skipped)}"] if self.skipped else []
        lines += [f"  {name}: {reason}" for name, reason in sorted(self.skipped.items())]
        lines += [f"removed objects with a side below 2 pixels: {self.too_small}"] if self.too_small else []
        return "\n".join(lines) or "no problems"


def training_batches(
    dataset: Dataset,
    config: Config,
    *,
    seed: int = 0,
    shuffle: bool = True,
    augmentation: Any = None,
    no_augmentation_sources: Collection[str] | None = None,
    workers: int | None = None,
    start_step: int = 0,
    steps: int | None = None,
    batch_size: int | None = None,
    on_error: str = "skip",
    cache_bytes: int = CACHE_BYTES,
    problems: DataProblems | None = None,
) -> tf.data.Dataset:
    """Returns a dataset of training batches that continues across epochs.

    Args:
        dataset: prepared dataset.
        config: settings.
        seed: random seed, 0 or more.
        shuffle: bool, whether to shuffle the images in each epoch.
        augmentation: see `mrcnn.data.augmentation`, or None.
        no_augmentation_sources: sources of the dataset whose images are not augmented.
        workers: number of threads. None uses one per processor, at least 2 and at most 8.
        start_step: number of the first batch, to resume a run.
        steps: number of batches, or None for an infinite dataset.
        batch_size: B, or None for `config.BATCH_SIZE`.
        on_error: "skip": replace an image that cannot be read with the next one. "raise": end the pipeline. Errors in
            the augmentation always end the pipeline.
        cache_bytes: memory budget for the cache of decoded and resized images.
        problems: object that collects the problems while the pipeline runs, or None.

    Returns:
        A dataset of tuples (images `[B, S, S, 3]` float32, normalized; image_meta `[B, 12+C]` float32; rpn_match
        `[B, A, 1]` int32; rpn_bbox `[B, T, 4]` float32; gt_class_ids `[B, G]` int32; gt_boxes `[B, G, 4]` float32, in
        pixels; gt_masks `[B, h, w, G]` bool, unless `config.MASK_HEAD` is False; gt_keypoints `[B, G, J, 3]` float32,
        in pixels, with `config.NUM_KEYPOINTS`; rois `[B, K, 4]` int32, in pixels, without `config.USE_RPN_ROIS`). The
        rois come from `dataset.load_rois`, which returns boxes in pixels of the original image in order of decreasing
        score, or None. If the dataset has no proposals and the network has an RPN, random boxes are used. For a network
        without an RPN, rpn_match and rpn_bbox are omitted. Unused slots are zeros. Images without objects are included.

    Raises:
        ValueError: if an argument is invalid.
        TypeError: if `augmentation` is invalid.
    """
    problems = problems or DataProblems()
    not_augmented = set(no_augmentation_sources or ())
    examples = _ExampleLoader(
        dataset, config, seed, shuffle, augmentation, not_augmented, on_error, cache_bytes, problems
    )
    batch_size = batch_size or config.BATCH_SIZE
    workers = workers or min(max(os.cpu_count() or 2, 2), 8)
    stop = np.iinfo(np.int64).max if steps is None else (start_step + steps) * batch_size
    mean = tf.constant(config.MEAN_PIXEL, tf.float32)
    anchors = tf.constant(pixel_anchors(config, config.IMAGE_SHAPE))

    load_arrays = skip_at_exit(examples.load, examples.zeros)
    dtypes = [dtype for dtype, _ in examples.signature]

    def load(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # In deterministic mode, TensorFlow runs stateful functions in a single thread.
        arrays = tf.numpy_function(load_arrays, [position], dtypes, stateful=False)
        arrays = [tf.ensure_shape(a, shape) for a, (_, shape) in zip(arrays, examples.signature, strict=True)]
        draw, image, meta, class_ids, boxes, *others = arrays
        if not config.has_rpn:
            return image, meta, class_ids, boxes, *others
        rpn_match, rpn_bbox = select_rpn_targets(
            anchors,
            class_ids,
            boxes,
            train_anchors_per_image=config.RPN_TRAIN_ANCHORS_PER_IMAGE,
            bbox_std_dev=config.RPN_BBOX_STD_DEV,
            seed=draw,
            positive_iou=config.RPN_POSITIVE_IOU,
        )
        return image, meta, rpn_match[:, tf.newaxis], rpn_bbox, class_ids, boxes, *others

    def subtract_mean(images: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tf.cast(images, tf.float32) - mean, *others  # same as `normalize_image`

    batches = (
        tf.data.Dataset.range(start_step * batch_size, stop)
        .map(load, num_parallel_calls=workers, deterministic=True)
        .batch(batch_size, drop_remainder=True)
        .map(subtract_mean)
        .prefetch(PREFETCHED_BATCHES)
    )
    options = tf.data.Options()
    # The thread pool is private, because decoding in TensorFlow's common pool would delay the training step.
    options.threading.private_threadpool_size = workers + 1
    options.threading.max_intra_op_parallelism = 1
    return batches.with_options(options)


def first_examples(
    dataset: Dataset,
    config: Config,
    count: int,
    *,
    seed: int = 0,
    augmentation: Any = None,
) -> list[GroundTruth]:
    """Returns the first training images with their ground truth, as in the output of `training_batches`.

    Only the random generators of these images are used, so training is not affected.

    Args:
        dataset: prepared dataset.
        config: settings.
        count: number of images. Images that cannot be read are omitted.
        seed, augmentation: see `training_batches`.

    Returns:
        The images with masks `[S, S, N]` at the size of the image; see `mrcnn.data.training_examples.load_image_gt`.
    """
    examples = _ExampleLoader(dataset, config, seed, True, augmentation, set(), "raise", 0, DataProblems())

    def load(position: int) -> GroundTruth | None:
        try:
            image_id, example, _ = examples.augmented(position)
        except (ValueError, OSError):  # training reports these errors
            return None
        return ground_truth(example, dataset, config, image_id, use_mini_mask=False)[0]

    with ThreadPoolExecutor() as pool:
        return [example for example in pool.map(load, range(count)) if example is not None]


class _ExampleLoader:
    """Loads training examples by position in the infinite sequence of epochs."""

    def __init__(self, dataset, config, seed, shuffle, augmentation, not_augmented, on_error, cache_bytes, problems):
        check_augmentation(augmentation)
        if not len(dataset.image_ids):
            raise UserError("training_batches: the dataset has no images. Call add_image() and prepare().")
        if dataset.num_classes != config.NUM_CLASSES:
            raise UserError(
                f"training_batches: the dataset has {dataset.num_classes} classes including background, but the "
                f"network has {config.NUM_CLASSES}. Set NUM_CLASSES = {dataset.num_classes}."
            )
        if on_error not in ("skip", "raise"):
            raise UserError(f'training_batches: on_error must be "skip" or "raise", got {on_error!r}.')
        has_proposals = not config.USE_RPN_ROIS and hasattr(dataset, "load_rois")
        if has_proposals and augmentation is not None and not accepts(augmentation, "boxes"):
            raise UserError(
                f"training_batches: {type(augmentation).__name__} does not transform the proposals of load_rois(). Use "
                "an object whose augment_photo() accepts boxes, or augmentation=None."
            )
        if config.NUM_KEYPOINTS and augmentation is not None and not accepts(augmentation, "keypoints"):
            raise UserError(
                f"training_batches: {type(augmentation).__name__} does not transform keypoints, which NUM_KEYPOINTS "
                "requires. Use an object whose augment_photo() accepts keypoints, or augmentation=None."
            )
        self.dataset, self.config, self.seed, self.shuffle = dataset, config, seed, shuffle
        self.augmentation, self.not_augmented, self.on_error = augmentation, not_augmented, on_error
        self.cache = ExampleCache(cache_bytes)
        self.problems = problems
        self._order = functools.lru_cache(maxsize=4)(self._draw_order)

        slots, mask_shape = config.MAX_GT_INSTANCES, config.MINI_MASK_SHAPE
        mask_shape = mask_shape if config.USE_MINI_MASK else config.IMAGE_SHAPE[:2]
        self.signature = [
            (tf.int32, (2,)),  # seed for sampling the anchors
            (tf.uint8, tuple(config.IMAGE_SHAPE)),
            (tf.float32, (config.IMAGE_META_SIZE,)),
            (tf.int32, (slots,)),
            (tf.float32, (slots, 4)),
        ]
        if config.MASK_HEAD:
            self.signature.append((tf.bool, (*mask_shape, slots)))
        if config.NUM_KEYPOINTS:
            self.signature.append((tf.float32, (slots, config.NUM_KEYPOINTS, 3)))
        if not config.USE_RPN_ROIS:
            self.signature.append((tf.int32, (config.POST_NMS_ROIS_TRAINING, 4)))

    def load(self, position: int) -> list[np.ndarray]:
        """Loads the example at a position as arrays of `signature`. Thread-safe."""
        try:
            return self._load(int(position))
        except Exception as error:
            self.problems.error = self.problems.error or error
            raise

    def zeros(self) -> list[np.ndarray]:
        """Returns arrays of `signature` filled with zeros."""
        return [np.zeros(shape, dtype.as_numpy_dtype) for dtype, shape in self.signature]

    def augmented(self, position: int) -> tuple[int, Example, np.random.Generator]:
        """Returns (image_id, augmented example, random generator after the augmentation) at a position. Thread-safe."""
        epoch, index = divmod(position, len(self.dataset.image_ids))
        rng = np.random.default_rng([self.seed, epoch, 1 + index])
        image_id, example, augmentation = self._read(epoch, index)
        return image_id, augment_example(example, self.config, augmentation, rng), rng

    def _load(self, position: int) -> list[np.ndarray]:
        config = self.config
        image_id, example, rng = self.augmented(position)
        mini_masks = config.USE_MINI_MASK and config.MASK_HEAD
        gt, too_small, keypoints = ground_truth(example, self.dataset, config, image_id, mini_masks)
        if gt.image.shape != tuple(config.IMAGE_SHAPE):
            expected, actual = (" x ".join(map(str, shape)) for shape in (config.IMAGE_SHAPE, gt.image.shape))
            raise UserError(
                f"image {self._name(image_id)}: expected {expected} (IMAGE_SHAPE) after resizing, got {actual}. Use "
                'IMAGE_RESIZE_MODE "square" or "crop". If the image size was changed after the Config was created, '
                "call config.__init__() after the change."
            )
        self.problems.count_too_small(too_small)
        masks = gt.mask if config.MASK_HEAD else None
        class_ids, boxes, *others = fill_slots(gt.class_ids, gt.bbox, masks, config.MAX_GT_INSTANCES, rng, keypoints)
        draw = rng.integers(2**31, size=2, dtype=np.int32)
        rois = [] if config.USE_RPN_ROIS else [self._make_proposals(example, gt, rng)]
        return [draw, gt.image, gt.image_meta.astype(np.float32), class_ids, boxes.astype(np.float32), *others, *rois]

    def _read(self, epoch: int, index: int):
        """Returns (image_id, prepared example, augmentation) of an image, or of the next readable image."""
        order = self._order(epoch)
        tries = min(MAX_CONSECUTIVE_FAILURES, len(order))
        for k in range(index, index + tries):
            image_id = int(order[k % len(order)])
            plain = self.dataset.image_info[image_id]["source"] in self.not_augmented
            augmentation = None if plain else self.augmentation
            try:
                example = self.cache.get(
                    image_id, lambda i=image_id, a=augmentation: prepare(self.dataset, self.config, i, a)
                )
                return image_id, example, augmentation
            except MemoryError:
                raise
            except Exception as error:
                if self.on_error == "raise":
                    raise
                self.problems.skip(self._name(image_id), error)
                name, cause = self._name(image_id), error
        raise UserError(f"{tries} consecutive images cannot be used. Last error: {name}: {cause}") from cause

    def _draw_order(self, epoch: int) -> np.ndarray:
        image_ids = self.dataset.image_ids
        return np.random.default_rng([self.seed, epoch, 0]).permutation(image_ids) if self.shuffle else image_ids

    def _name(self, image_id: int) -> str:
        return str(self.dataset.image_info[image_id].get("id", image_id))

    def _make_proposals(self, example, gt, rng) -> np.ndarray:
        """Returns external or random proposals, `[K, 4]` int32, in pixels of the resized image, zero-padded."""
        count = self.config.POST_NMS_ROIS_TRAINING
        if example.proposals is None:
            generator = np.random.RandomState(rng.integers(2**32, dtype=np.uint32))
            return generate_random_rois(gt.image.shape, count, gt.class_ids, gt.bbox, generator)
        return clip_proposals(example.proposals, example.window, count)
