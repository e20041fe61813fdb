"""Random changes of training photos: what `augmentation=` may be, and how photo and masks are changed alike.

Three kinds are told apart by their methods, so that none of their packages has to be installed:

* an imgaug augmenter, as in the original: gets the photo as the network sees it, resized and padded. imgaug knows
  itself which augmenters move pixels and takes the masks along, among them the original's list: Sequential, SomeOf,
  OneOf, Sometimes, Fliplr, Flipud, CropAndPad, Affine, PiecewiseAffine. Masks end at the photo's old border.
* an albumentations transform: the same, called as `transform(image=, masks=)["image"], ["masks"]`.
* a `PhotoAugmenter`: gets the photo before it is resized and can so zoom in without loss.

All draw from the generator that is passed in: equal seeds give equal photos whatever the thread.
"""

import copy
import random
import threading
from typing import Any, Protocol

import numpy as np

MASKS_AT_ONCE = 16  # imgaug needs 4 bytes a pixel and mask
_global_generators = threading.Lock()


class PhotoAugmenter(Protocol):
    """The third kind of augmentation."""

    max_side: int  # photos are made smaller so that no side is longer than this, in pixels

    def augment_photo(
        self, image: np.ndarray, masks: np.ndarray, class_ids: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Changes one photo; may add, remove and reclassify instances. Called from several threads at once.

        Args:
            image: `[H, W, 3]` uint8; not to be written to.
            masks: `[H, W, N]` bool; not to be written to.
            class_ids: `[N]` int32; negative for regions to ignore.
            rng: the only source of randomness.

        Returns:
            The same three, of any size.
        """


def changes_whole_photo(augmentation: Any) -> bool:
    """Whether `augmentation` is a `PhotoAugmenter`."""
    return hasattr(augmentation, "augment_photo")


def check_augmentation(augmentation: Any) -> None:
    """Raises TypeError unless `augmentation` is None or of one of the three kinds."""
    if augmentation is not None and not changes_whole_photo(augmentation) and not callable(augmentation):
        raise TypeError(
            "augmentation must be an imgaug augmenter, an albumentations transform, or an object with augment_photo(); "
            f"got {type(augmentation).__name__}. Of a list, make imgaug.augmenters.Sequential(list)."
        )


def augment_resized(
    augmentation: Any, image: np.ndarray, masks: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Applies an imgaug augmenter or an albumentations transform.

    Args:
        augmentation: it is not changed.
        image: `[H, W, 3]` uint8.
        masks: `[H, W, N]` bool.
        rng: source of the seed.

    Returns:
        image: `[H, W, 3]` uint8.
        masks: `[H, W, N]` bool; a mask may have become empty.

    Raises:
        ValueError: the augmentation changed the size of the photo or the number of masks.
    """
    seed = int(rng.integers(2**31 - 1))
    apply = _imgaug if hasattr(augmentation, "to_deterministic") else _albumentations
    new_image, new_masks = apply(augmentation, np.ascontiguousarray(image), masks, seed)
    if new_image.shape != image.shape or new_masks.shape != masks.shape:
        raise ValueError(
            f"augmentation {type(augmentation).__name__} must keep the size: the photo went from {image.shape} to "
            f"{new_image.shape}, the masks from {masks.shape} to {new_masks.shape}. Use keep_size=True or the like."
        )
    return new_image, new_masks


def _imgaug(augmenter: Any, image: np.ndarray, masks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    import imgaug  # slow to import, and few need it

    augmenter = augmenter.to_deterministic()  # a copy that does the same to photo and masks
    augmenter.seed_(seed, deterministic_too=True)
    new_image, new_masks = augmenter.augment_image(image), []
    for start in range(0, masks.shape[2], MASKS_AT_ONCE):
        segments = imgaug.SegmentationMapsOnImage(masks[:, :, start : start + MASKS_AT_ONCE], shape=image.shape)
        new_masks.append(augmenter.augment_segmentation_maps(segments).arr > 0)
    return new_image, np.concatenate(new_masks, axis=2) if new_masks else masks


def _albumentations(transform: Any, image: np.ndarray, masks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    planes = {"masks": [masks[:, :, i].astype(np.uint8) for i in range(masks.shape[2])]} if masks.shape[2] else {}
    if hasattr(transform, "set_random_seed"):
        transform = copy.deepcopy(transform)  # its generators are its own, and other threads use it too
        transform.set_random_seed(seed)
        result = transform(image=image, **planes)
    else:  # before 1.4.19, and plain functions: they draw from the global generators
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
