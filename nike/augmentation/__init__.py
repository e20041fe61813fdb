"""Random augmentation for training on logos.

    augmentation = LogoAugmentation(side=config.IMAGE_SHAPE[0], cutout_dataset=train_dataset)
    model.train(train_dataset, val_dataset, ..., augmentation=augmentation)

Scaling, rotation, perspective and cropping are combined into one homography from the image to the square network input.
The image is resampled only once, so zooming uses its full resolution. Half of the images are mirrored, because logos
occur in both orientations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mrcnn.data.dataset import Dataset
from mrcnn.errors import UserError
from mrcnn.ops.keypoints import swap_keypoints
from mrcnn.ops.masks import FULL_COVERAGE
from nike.augmentation import photometric
from nike.augmentation.copy_paste import CutoutSampler, draw_distractor, paste
from nike.augmentation.fading import fade

MIN_VISIBLE = 0.3  # minimum visible fraction of an object; less visible objects are ignored in training
MIN_LENGTH = 8  # pixels; shorter objects are ignored in training
MAX_LENGTH = 0.95  # maximum length of a zoomed object, as a fraction of the side
MAX_ENLARGEMENT = 2.5  # maximum zoom, in output pixels per image pixel


@dataclass(frozen=True)
class Strength:
    """Parameters of the augmentation. Probabilities are in [0, 1].

    Attributes:
        plain: probability that an image is only resized, as in detection, and mirrored at random.
        zoom: probability that a non-plain image with objects is zoomed to one of them.
        scale: range of the image scale. A scale of 1 fits the image into the square.
        rotation: standard deviation of the rotation angle in degrees.
        any_rotation: probability that the angle is drawn from the full circle instead.
        perspective: amount of perspective distortion and shear.
        fade: probability that the contrast of an object is reduced.
        color: strength of `photometric.jitter_color`.
        degrade: probability of each image degradation (shading, blur, sharpening, pixelation, noise, JPEG).
        erase: probability that random rectangles are erased.
        paste: probability that logos are pasted, halved for images without objects.
        distractors: probability that shapes other than the logo are pasted.
    """

    plain: float
    zoom: float
    scale: tuple[float, float]
    rotation: float
    any_rotation: float
    perspective: float
    fade: float
    color: float
    degrade: float
    erase: float
    paste: float
    distractors: float


STRENGTHS = {
    "light": Strength(0.4, 0.3, (0.8, 1.3), 5, 0.0, 0.05, 0.05, 0.3, 0.08, 0.0, 0.2, 0.05),
    "medium": Strength(0.2, 0.4, (0.65, 1.6), 10, 0.12, 0.12, 0.15, 0.5, 0.15, 0.15, 0.4, 0.15),
    "strong": Strength(0.1, 0.5, (0.5, 2.0), 18, 0.15, 0.2, 0.25, 0.8, 0.25, 0.25, 0.6, 0.25),
}


class LogoAugmentation:
    """Augments images for training. Implements `mrcnn.data.augmentation.PhotoAugmenter`.

    Args:
        side: side of the square network input in pixels.
        cutout_dataset: dataset whose logos are pasted into other images. With None, only distractors are pasted.
        strength: "light", "medium", "strong", or a `Strength`.
        keypoint_flip: pairs of left and right keypoints; see `Config.KEYPOINT_FLIP`.

    Raises:
        ValueError: if the strength is unknown.
    """

    def __init__(
        self,
        side: int,
        cutout_dataset: Dataset | None = None,
        strength: str | Strength = "medium",
        keypoint_flip: Sequence[Sequence[int]] = (),
    ):
        if not isinstance(strength, Strength) and strength not in STRENGTHS:
            raise UserError(f"strength: expected one of {', '.join(STRENGTHS)} or a Strength, got {strength!r}.")
        self.side = int(side)
        self.max_side = 2 * self.side
        self.keypoint_flip = keypoint_flip
        self.strength = STRENGTHS[strength] if isinstance(strength, str) else strength
        self.cutouts = CutoutSampler(cutout_dataset) if cutout_dataset is not None else None

    def augment_photo(
        self,
        image: np.ndarray,
        masks: np.ndarray,
        class_ids: np.ndarray,
        rng: np.random.Generator,
        keypoints: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Returns a randomly augmented image of the network's input size.

        Args:
            image: `[H, W, 3]` uint8 RGB image.
            masks: `[H, W, N]` bool instance masks.
            class_ids: `[N]` int32 class ids, negative for regions to ignore.
            rng: random generator.
            keypoints: `[N, J, 3]` (x, y, visibility), or None.
            boxes: `[K, 4]` proposals in pixels, or None.

        Returns:
            image: `[side, side, 3]` uint8 RGB image.
            masks: `[side, side, N']` uint8 coverage of each pixel by each object, 0..255. Pasted logos come last.
            class_ids: `[N']` int32 class ids. The id of an object that is barely visible becomes negative.
            keypoints: `[N', J, 3]`, only if `keypoints` was passed. Keypoints of pasted logos are not labelled.
            boxes: `[K, 4]` enclosing boxes of the transformed proposals, clipped to the image, only if `boxes` was
                passed. Pasted logos have no proposals.
        """
        plain = rng.random() < self.strength.plain
        matrix = self._sample_homography(image.shape[:2], masks, class_ids, plain, rng)
        image, masks, class_ids = self._augment(image, masks, class_ids, matrix, plain, rng)
        moved = [] if keypoints is None else [self._transform_keypoints(keypoints, matrix, len(class_ids))]
        moved += [] if boxes is None else [self._transform_boxes(boxes, matrix)]
        return image, masks, class_ids, *moved

    def _transform_boxes(self, boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Applies a homography to boxes `[K, 4]` and returns the enclosing boxes, clipped to the output image."""
        if not len(boxes):
            return boxes
        corners = boxes[:, [[1, 0], [3, 0], [3, 2], [1, 2]]].astype(np.float64)  # [K, 4, 2] (x, y)
        corners = cv2.perspectiveTransform(corners, matrix)[..., ::-1]  # (y, x)
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).clip(0, self.side)

    def _transform_keypoints(self, keypoints: np.ndarray, matrix: np.ndarray, count: int) -> np.ndarray:
        """Applies a homography to keypoints `[N, J, 3]` and pads them to `[count, J, 3]`."""
        moved = np.zeros((count, *keypoints.shape[1:]), np.float32)
        if keypoints.size:
            if np.linalg.det(matrix) < 0:  # a mirror image
                keypoints = swap_keypoints(keypoints, self.keypoint_flip)
            moved[: len(keypoints)] = keypoints
            moved[: len(keypoints), :, :2] = cv2.perspectiveTransform(keypoints[..., :2].astype(np.float64), matrix)
        return moved

    def _augment(self, image, masks, class_ids, matrix: np.ndarray, plain: bool, rng):
        """Returns the augmented image, masks and class ids; see `augment_photo`."""
        strength = self.strength
        inside = np.full(image.shape[:2], 255, np.uint8)
        image, masks, class_ids = self._apply_homography(image, masks, class_ids, matrix, plain, rng)
        if plain:
            return image, masks, class_ids
        occupied = _to_mask(masks).any(axis=2) | (self._warp(inside, matrix) < 255)  # avoids pasting outside the image
        for i in np.flatnonzero((class_ids > 0) & (rng.random(len(class_ids)) < strength.fade)):
            fade(image, _to_mask(masks[:, :, i]), occupied, rng)
        image, masks, class_ids = self._paste(image, masks, class_ids, occupied, rng)
        if rng.random() < strength.erase:
            image, masks, class_ids = _erase_rectangles(image, masks, class_ids, rng)
        image = photometric.jitter_color(image, rng, strength.color)
        for transform in (
            photometric.shade,
            photometric.blur,
            photometric.sharpen,
            photometric.pixelate,
            photometric.add_noise,
            photometric.compress,
        ):
            if rng.random() < strength.degrade:
                image = transform(image, rng)
        return image, masks, class_ids

    def _apply_homography(self, image, masks, class_ids, matrix: np.ndarray, plain: bool, rng):
        """Warps image and masks and updates the class ids of objects that become barely visible."""
        scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
        shrunk = image
        if scale < 0.5 and rng.random() < 0.5:  # half of the strongly reduced images are antialiased
            size = tuple(max(1, side // 2) for side in image.shape[1::-1])
            shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        ratio = np.diag([image.shape[1] / shrunk.shape[1], image.shape[0] / shrunk.shape[0], 1])
        border, value = cv2.BORDER_CONSTANT, (0, 0, 0)
        if not plain and rng.random() < 0.5:  # varies the padding, which is black in detection
            border, value = (cv2.BORDER_REPLICATE, value) if rng.random() < 0.6 else (border, rng.integers(0, 256, 3))
        new_image = self._warp(shrunk, matrix @ ratio, border, tuple(int(v) for v in value))
        new_masks = np.zeros((masks.shape[2], self.side, self.side), dtype=np.uint8)
        class_ids = class_ids.copy()
        for i, new_mask in enumerate(new_masks):
            mask = np.ascontiguousarray(masks[:, :, i]).view(np.uint8) * np.uint8(255)
            new_mask[:] = self._warp(mask, matrix)
            if class_ids[i] > 0 and _is_barely_visible(mask, _to_mask(new_mask), matrix):
                class_ids[i] *= -1
        return new_image, new_masks.transpose(1, 2, 0), class_ids

    def _warp(self, plane: np.ndarray, matrix: np.ndarray, border: int = cv2.BORDER_CONSTANT, value=0) -> np.ndarray:
        # In OpenCV, coordinate 0 is the centre of the first pixel. In `matrix`, it is the edge of this pixel.
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        matrix = np.linalg.inv(half) @ matrix @ half
        size = (self.side, self.side)
        return cv2.warpPerspective(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=value)

    def _sample_homography(self, shape, masks, class_ids, plain: bool, rng) -> np.ndarray:
        """Samples a `[3, 3]` homography from image to output (x, y), with 0 at the edge of the first pixel."""
        strength, side = self.strength, self.side
        height, width = shape
        fit = side / max(height, width)
        mirror = rng.choice([-1, 1])
        if plain:
            return _homography((width / 2, height / 2), np.diag([mirror * fit, fit]), np.full(2, side / 2))
        objects = np.flatnonzero((class_ids > 0) & masks.any(axis=(0, 1)))
        if len(objects) and rng.random() < strength.zoom:
            centre, scale, target = self._sample_zoom(masks[:, :, rng.choice(objects)], fit, rng)
        else:
            centre = np.array([width / 2, height / 2])
            scale = fit * np.exp(rng.uniform(*np.log(strength.scale)))
            # This range keeps as much of the image in view as possible.
            max_shift = abs(side - scale * np.array([width, height])) / 2
            target = side / 2 + rng.uniform(-max_shift, max_shift)
        angle = np.deg2rad(rng.normal(0, strength.rotation))
        if rng.random() < strength.any_rotation:
            angle = rng.uniform(-np.pi, np.pi)
        stretch = np.exp(rng.normal(0, 0.4 * strength.perspective))
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, rng.normal(0, strength.perspective / 2)], [0, 1]])
        matrix = scale * matrix @ np.diag([mirror * stretch, 1 / stretch])
        return _homography(centre, matrix, target, rng.uniform(-1, 1, 2) * strength.perspective / side)

    def _sample_zoom(self, mask: np.ndarray, fit: float, rng) -> tuple[np.ndarray, float, np.ndarray]:
        """Samples an image centre, a scale and a target position that keep the whole object `[H, W]` visible.

        Rotation and perspective distortion are not considered.
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        length = max(np.ptp(rows), np.ptp(columns)) + 1
        max_scale = np.clip(MAX_LENGTH * self.side / length, fit, max(MAX_ENLARGEMENT, fit))
        scale = np.exp(rng.uniform(*np.log([self.strength.scale[0] * fit, max_scale])))
        half = min(scale * length / 2, self.side / 2)
        centre = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
        return centre, scale, rng.uniform(half, self.side - half, 2)

    def _paste(self, image, masks, class_ids, occupied, rng):
        """Pastes logos and distractors outside the `occupied` `[side, side]` region."""
        cutouts = []
        probability = self.strength.paste if (class_ids > 0).any() else self.strength.paste / 2
        if self.cutouts is not None and rng.random() < probability:
            cutouts = [self.cutouts.sample(rng) for _ in range(rng.integers(1, 4))]
        if rng.random() < self.strength.distractors:
            cutouts += [draw_distractor(rng) for _ in range(rng.integers(1, 4))]
        new_masks, new_ids = [], []
        for cutout in filter(None, cutouts):
            mask = paste(image, occupied, cutout, rng, (self.side / 32, self.side / 3))
            if mask is not None:
                occupied |= _to_mask(mask)
                if cutout.class_id:
                    new_masks.append(mask)
                    new_ids.append(cutout.class_id)
        if new_ids:
            masks = np.concatenate([masks, np.stack(new_masks, axis=2)], axis=2)
            class_ids = np.append(class_ids, new_ids).astype(np.int32)
        return image, masks, class_ids


def _homography(centre, matrix, target, tilt=(0.0, 0.0)) -> np.ndarray:
    """Returns the `[3, 3]` homography that applies `matrix` `[2, 2]` around `centre` and moves `centre` to `target`.

    `tilt` (x, y) is the perspective distortion per pixel.
    """
    to_origin, to_target = np.eye(3), np.eye(3)
    to_origin[:2, 2], to_target[:2, 2] = -np.asarray(centre), target
    middle = np.eye(3)
    middle[:2, :2] = matrix
    perspective = np.eye(3)
    perspective[2, :2] = tilt
    return to_target @ perspective @ middle @ to_origin


def _to_mask(coverage: np.ndarray) -> np.ndarray:
    return coverage > FULL_COVERAGE // 2


def _is_barely_visible(mask: np.ndarray, new_mask: np.ndarray, matrix: np.ndarray) -> bool:
    """Returns whether an object is too small or mostly out of view after the homography `matrix`."""
    rows, columns = new_mask.any(axis=1), new_mask.any(axis=0)
    if max(np.count_nonzero(rows), np.count_nonzero(columns)) < MIN_LENGTH:
        return True
    before = cv2.moments(mask, binaryImage=True)
    x, y = before["m10"] / before["m00"], before["m01"] / before["m00"]
    # A homography scales areas by its determinant over the cube of the perspective divisor.
    area = before["m00"] * abs(np.linalg.det(matrix)) / abs(matrix[2] @ [x + 0.5, y + 0.5, 1]) ** 3
    return np.count_nonzero(new_mask) < MIN_VISIBLE * area


def _erase_rectangles(image, masks, class_ids, rng):
    """Fills one to three random rectangles with a uniform color and removes them from the masks.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
    """
    side = len(image)
    masks, class_ids = masks.copy(), class_ids.copy()
    before = _to_mask(masks).sum(axis=(0, 1))
    for _ in range(rng.integers(1, 4)):
        height, width = (side * rng.uniform(0.03, 0.2, 2)).astype(int)
        y, x = rng.integers(0, (side - height, side - width))
        image[y : y + height, x : x + width] = rng.integers(0, 256, 3)
        masks[y : y + height, x : x + width] = 0
    class_ids[(_to_mask(masks).sum(axis=(0, 1)) < 0.6 * before) & (class_ids > 0)] *= -1
    return image, masks, class_ids
