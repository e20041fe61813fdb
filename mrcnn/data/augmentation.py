"""Random augmentation of training images and their masks.

The argument `augmentation` accepts three kinds of objects. They are distinguished by their methods, so neither imgaug
nor albumentations has to be installed.

* An imgaug augmenter, as in Matterport's code. It is applied to the resized and padded image. Geometric augmenters are
  also applied to the masks.
* An albumentations transform, called as `transform(image=..., masks=...)`. It is also applied to the resized and padded
  image.
* A `PhotoAugmenter`. It is applied to the image before resizing and can therefore zoom without loss of resolution.

All randomness comes from the generator that is passed in, so the result does not depend on the order of threads.
"""

import copy
import dataclasses
import inspect
import random
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from mrcnn.data.example import Example
from mrcnn.errors import UserError, UserTypeError
from mrcnn.ops.boxes import as_boxes
from mrcnn.ops.keypoints import as_keypoints

MASKS_PER_CALL = 16  # limits the memory, because imgaug uses 4 bytes per pixel and mask
_global_generators = threading.Lock()


class PhotoAugmenter(Protocol):
    """Interface of an augmentation that is applied before resizing.

    Attributes:
        max_side: maximum side of the images passed to `augment_photo`, in pixels. Larger images are downscaled.
    """

    max_side: int

    def augment_photo(
        self,
        image: np.ndarray,
        masks: np.ndarray,
        class_ids: np.ndarray,
        rng: np.random.Generator,
        keypoints: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Augments one image. May add, remove and reclassify instances. Must be thread-safe.

        Args:
            image: `[H, W, 3]` uint8. Must not be modified in place.
            masks: `[H, W, N]` bool. Must not be modified in place.
            class_ids: `[N]` int32, negative for regions to ignore.
            rng: random generator, the only permitted source of randomness.
            keypoints: `[N, J, 3]` (x, y, visibility) in pixels; passed by name, only with `Config.NUM_KEYPOINTS`.
            boxes: `[K, 4]` float32 proposals in pixels; passed by name, only with external proposals.

        Returns:
            The augmented image, masks and class ids, of any size. Masks are bool, or uint8 with the coverage of each
            pixel in 0..255, so that mini masks keep the sub-pixel position of outlines. Keypoints are the fourth value
            if they were passed; mirroring must swap the pairs of `Config.KEYPOINT_FLIP`. Boxes are the last value if
            they were passed.
        """
        ...


class ImgaugAugmenter(Protocol):
    """The method that identifies an `imgaug.augmenters.Augmenter`."""

    def to_deterministic(self) -> Any:
        """Returns a copy that applies the same transformation to every array."""
        ...


# The last type is an albumentations transform: `transform(image=..., masks=...)` returns a dict with these keys.
Augmentation = PhotoAugmenter | ImgaugAugmenter | Callable[..., dict[str, Any]]


def is_photo_augmenter(augmentation: Any) -> bool:
    """Returns whether `augmentation` is a `PhotoAugmenter`."""
    return hasattr(augmentation, "augment_photo")


def accepts(augmentation: Any, argument: str) -> bool:
    """Returns whether `augmentation` is a `PhotoAugmenter` whose method has an argument "keypoints" or "boxes"."""
    return is_photo_augmenter(augmentation) and argument in inspect.signature(augmentation.augment_photo).parameters


def check_augmentation(augmentation: Any) -> None:
    """Raises TypeError if `augmentation` is neither None nor one of the three kinds of objects."""
    if augmentation is not None and not is_photo_augmenter(augmentation) and not callable(augmentation):
        raise UserTypeError(
            "augmentation must be an imgaug augmenter, an albumentations transform, or an object with augment_photo(); "
            f"got {type(augmentation).__name__}. Wrap a list of augmenters in imgaug.augmenters.Sequential."
        )


def augment_before_resizing(augmentation: PhotoAugmenter, example: Example, rng: np.random.Generator) -> Example:
    """Applies `augment_photo` to an example before resizing.

    Raises:
        ValueError: if the example has keypoints or proposals and `augment_photo` does not accept and return them.
    """
    name = f"{type(augmentation).__name__}.augment_photo()"
    given = {"keypoints": example.keypoints, "boxes": example.proposals}
    given = {argument: array for argument, array in given.items() if array is not None}
    for argument in given:
        if not accepts(augmentation, argument):
            raise UserError(f"{name} must accept the argument `{argument}`.")
    augmented = augmentation.augment_photo(example.image, example.masks, example.class_ids, rng, **given)
    parts = ["image", "masks", "class ids", *given]
    if len(augmented) < len(parts):
        raise UserError(f"{name} must return {', '.join(parts)}, got {len(augmented)} values.")
    image, masks, class_ids, *annotations = augmented
    changes = dict(image=image, masks=masks, class_ids=class_ids)
    if "keypoints" in given:
        count, number = len(class_ids), given["keypoints"].shape[1]
        requirement = f"{name} must return keypoints [{count}, {number}, 3]"
        changes["keypoints"] = as_keypoints(annotations[0], count, number, requirement)
    if "boxes" in given:
        changes["proposals"] = as_boxes(annotations[-1], f"{name}, last value")
    return dataclasses.replace(example, **changes)


def augment_after_resizing(
    augmentation: Any, image: np.ndarray, masks: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Applies an imgaug augmenter or an albumentations transform.

    Args:
        augmentation: augmenter or transform. It is not modified.
        image: `[H, W, 3]` uint8.
        masks: `[H, W, N]` bool.
        rng: random generator for the seed.

    Returns:
        image: `[H, W, 3]` uint8.
        masks: `[H, W, N]` bool. Masks may be empty.

    Raises:
        ValueError: if the augmentation changed the size of the image or the number of masks.
    """
    seed = int(rng.integers(2**31 - 1))
    apply = _apply_imgaug if hasattr(augmentation, "to_deterministic") else _apply_albumentations
    new_image, new_masks = apply(augmentation, np.ascontiguousarray(image), masks, seed)
    if new_image.shape != image.shape or new_masks.shape != masks.shape:
        raise UserError(
            f"augmentation {type(augmentation).__name__} must keep the size: the image changed from {image.shape} to "
            f"{new_image.shape}, the masks from {masks.shape} to {new_masks.shape}. Set keep_size=True or resize back."
        )
    return new_image, new_masks


def _apply_imgaug(augmenter: Any, image: np.ndarray, masks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    import imgaug  # slow to import

    augmenter = augmenter.to_deterministic()  # a copy that applies the same random transformation to image and masks
    augmenter.seed_(seed, deterministic_too=True)
    new_image, new_masks = augmenter.augment_image(image), []
    for start in range(0, masks.shape[2], MASKS_PER_CALL):
        segments = imgaug.SegmentationMapsOnImage(masks[:, :, start : start + MASKS_PER_CALL], shape=image.shape)
        new_masks.append(augmenter.augment_segmentation_maps(segments).arr > 0)
    return new_image, np.concatenate(new_masks, axis=2) if new_masks else masks


def _apply_albumentations(
    transform: Any, image: np.ndarray, masks: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    planes = {"masks": [masks[:, :, i].astype(np.uint8) for i in range(masks.shape[2])]} if masks.shape[2] else {}
    if hasattr(transform, "set_random_seed"):
        transform = copy.deepcopy(transform)  # other threads use the same object
        transform.set_random_seed(seed)
        result = transform(image=image, **planes)
    else:  # albumentations before 1.4.19 and plain functions use the global generators
        with _global_generators:
            states = random.getstate(), np.random.get_state()
            try:
                random.seed(seed)
                np.random.seed(seed)
                result = transform(image=image, **planes)
            finally:
                random.setstate(states[0])
                np.random.set_state(states[1])
    return result["image"], np.stack(result["masks"], axis=2) > 0 if planes else masks
