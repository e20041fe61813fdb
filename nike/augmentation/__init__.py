"""LogoAugmentation: the random changes that photos go through in training, made for logos on products.

    augmentation = LogoAugmentation(side=config.IMAGE_SHAPE[0], donors=train_dataset)
    model.train(train_dataset, val_dataset, ..., augmentation=augmentation)

Scale, turn, perspective and crop are one resampling from the photo into the network's square, so that a zoom shows
what the photo has; it costs a few milliseconds. A mirrored swoosh is still one: every second photo is mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mrcnn.data.dataset import Dataset
from nike.augmentation import photometric
from nike.augmentation.copy_paste import Donors, decoy, paste
from nike.augmentation.fading import fade

MIN_VISIBLE = 0.3  # share of an object that must be left for it to be learnt; less is ignored
MIN_LENGTH = 8  # pixels; shorter objects are ignored: nobody could tell what they are
MAX_LENGTH = 0.95  # share of the side that zooming makes an object fill at most
MAX_ENLARGEMENT = 2.5  # pixels of the square for one of the photo


@dataclass(frozen=True)
class Strength:
    """How much is changed. Shares and probabilities are 0..1.

    Attributes:
        plain: share of photos that are resized as for detection, and at most mirrored.
        zoom: share of the others that zoom to one of their objects, if there is one.
        scale: range of the size of the whole photo, where 1 fits it into the square.
        rotation: standard deviation in degrees.
        any_rotation: share of photos turned by any angle.
        perspective: how much nearer one side may be than the other.
        fade: probability for each mark to be faded into its ground.
        colour: strength for `photometric.jitter_colour`.
        degrade: probability of each of blur, noise, JPEG and so on.
        cutout: probability that rectangles hide parts.
        paste: probability of pasted marks; half of it on photos without objects.
        decoys: probability of pasted shapes that are no logo.
    """

    plain: float
    zoom: float
    scale: tuple[float, float]
    rotation: float
    any_rotation: float
    perspective: float
    fade: float
    colour: float
    degrade: float
    cutout: float
    paste: float
    decoys: float


STRENGTHS = {
    "light": Strength(0.4, 0.3, (0.8, 1.3), 5, 0.0, 0.05, 0.05, 0.3, 0.08, 0.0, 0.2, 0.05),
    "medium": Strength(0.2, 0.4, (0.65, 1.6), 10, 0.12, 0.12, 0.15, 0.5, 0.15, 0.15, 0.4, 0.15),
    "strong": Strength(0.1, 0.5, (0.5, 2.0), 18, 0.15, 0.2, 0.25, 0.8, 0.25, 0.25, 0.6, 0.25),
}


class LogoAugmentation:
    """A `mrcnn.data.augmentation.PhotoAugmenter`.

    Args:
        side: of the square that photos are mapped to, in pixels: the network's.
        donors: dataset whose marks are pasted into other photos; None: nothing is pasted but decoys.
        strength: "light", "medium" or "strong", or a `Strength`.

    Raises:
        ValueError: no such strength.
    """

    def __init__(self, side: int, donors: Dataset | None = None, strength: str | Strength = "medium"):
        if not isinstance(strength, Strength) and strength not in STRENGTHS:
            raise ValueError(f"strength: expected one of {', '.join(STRENGTHS)} or a Strength, got {strength!r}.")
        self.side = int(side)
        self.max_side = 2 * self.side
        self.strength = STRENGTHS[strength] if isinstance(strength, str) else strength
        self.donors = Donors(donors) if donors is not None else None

    def augment_photo(
        self, image: np.ndarray, masks: np.ndarray, class_ids: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Maps a photo into the square, changed at random.

        Args:
            image: `[H, W, 3]` uint8 RGB.
            masks: `[H, W, N]` bool.
            class_ids: `[N]` int32; negative for regions to ignore.
            rng: the only source of randomness.

        Returns:
            image: `[side, side, 3]` uint8.
            masks: `[side, side, N']` bool; pasted marks come last.
            class_ids: `[N']` int32; of an object of which too little is left to see, negative.
        """
        strength = self.strength
        plain = rng.random() < strength.plain
        matrix = self._matrix(image.shape[:2], masks, class_ids, plain, rng)
        photo = np.full(image.shape[:2], 255, np.uint8)
        image, masks, class_ids = self._place(image, masks, class_ids, matrix, plain, rng)
        if plain:
            return image, masks, class_ids
        occupied = masks.any(axis=2) | (self._warp(photo, matrix) < 255)  # beyond the photo there are no products
        for i in np.flatnonzero((class_ids > 0) & (rng.random(len(class_ids)) < strength.fade)):
            fade(image, masks[:, :, i], occupied, rng)
        image, masks, class_ids = self._paste(image, masks, class_ids, occupied, rng)
        if rng.random() < strength.cutout:
            image, masks, class_ids = _cut_out_rectangles(image, masks, class_ids, rng)
        image = photometric.jitter_colour(image, rng, strength.colour)
        for change in (
            photometric.shade,
            photometric.blur,
            photometric.sharpen,
            photometric.pixelate,
            photometric.add_noise,
            photometric.compress,
        ):
            if rng.random() < strength.degrade:
                image = change(image, rng)
        return image, masks, class_ids

    def _place(self, image, masks, class_ids, matrix: np.ndarray, plain: bool, rng):
        """The geometric part."""
        scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
        shrunk = image
        if scale < 0.5 and rng.random() < 0.5:  # detection does not smooth, shops do
            size = tuple(max(1, side // 2) for side in image.shape[1::-1])
            shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        ratio = np.diag([image.shape[1] / shrunk.shape[1], image.shape[0] / shrunk.shape[0], 1])
        border, value = cv2.BORDER_CONSTANT, (0, 0, 0)
        if not plain and rng.random() < 0.5:  # detection pads with black; plain grounds may as well go on
            border, value = (cv2.BORDER_REPLICATE, value) if rng.random() < 0.6 else (border, rng.integers(0, 256, 3))
        new_image = self._warp(shrunk, matrix @ ratio, border, tuple(int(v) for v in value))
        new_masks = np.zeros((masks.shape[2], self.side, self.side), dtype=bool)
        class_ids = class_ids.copy()
        for i, new_mask in enumerate(new_masks):
            mask = np.ascontiguousarray(masks[:, :, i]).view(np.uint8) * np.uint8(255)
            np.greater_equal(self._warp(mask, matrix), 128, out=new_mask)
            if class_ids[i] > 0 and _is_lost(mask, new_mask, matrix):
                class_ids[i] *= -1
        return new_image, new_masks.transpose(1, 2, 0), class_ids

    def _warp(self, plane: np.ndarray, matrix: np.ndarray, border: int = cv2.BORDER_CONSTANT, value=0) -> np.ndarray:
        # OpenCV's coordinates are 0 at the centre of the first pixel; those of `matrix` are 0 at its edge.
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        matrix = np.linalg.inv(half) @ matrix @ half
        size = (self.side, self.side)
        return cv2.warpPerspective(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=value)

    def _matrix(self, shape, masks, class_ids, plain: bool, rng) -> np.ndarray:
        """Homography `[3, 3]` from (x, y) of the photo to (x, y) of the square, 0 at the edge of the first pixel."""
        strength, side = self.strength, self.side
        height, width = shape
        fit = side / max(height, width)
        mirror = rng.choice([-1, 1])
        if plain:
            return _homography((width / 2, height / 2), np.diag([mirror * fit, fit]), np.full(2, side / 2))
        objects = np.flatnonzero((class_ids > 0) & masks.any(axis=(0, 1)))
        if len(objects) and rng.random() < strength.zoom:
            centre, scale, target = self._aim_at(masks[:, :, rng.choice(objects)], fit, rng)
        else:
            centre = np.array([width / 2, height / 2])
            scale = fit * np.exp(rng.uniform(*np.log(strength.scale)))
            room = abs(side - scale * np.array([width, height])) / 2  # to move in without losing more than need be
            target = side / 2 + rng.uniform(-room, room)
        angle = np.deg2rad(rng.normal(0, strength.rotation))
        if rng.random() < strength.any_rotation:
            angle = rng.uniform(-np.pi, np.pi)
        stretch = np.exp(rng.normal(0, 0.4 * strength.perspective))
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, rng.normal(0, strength.perspective / 2)], [0, 1]])
        matrix = scale * matrix @ np.diag([mirror * stretch, 1 / stretch])
        return _homography(centre, matrix, target, rng.uniform(-1, 1, 2) * strength.perspective / side)

    def _aim_at(self, mask: np.ndarray, fit: float, rng) -> tuple[np.ndarray, float, np.ndarray]:
        """(point of the photo, scale, where the point goes) that show an object `[H, W]` somewhere, and whole unless
        it is turned as well."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        length = max(np.ptp(rows), np.ptp(columns)) + 1
        most = np.clip(MAX_LENGTH * self.side / length, fit, max(MAX_ENLARGEMENT, fit))
        scale = np.exp(rng.uniform(*np.log([self.strength.scale[0] * fit, most])))
        reach = min(scale * length / 2, self.side / 2)
        centre = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
        return centre, scale, rng.uniform(reach, self.side - reach, 2)

    def _paste(self, image, masks, class_ids, occupied, rng):
        """Adds marks of other photos, and decoys, where `occupied` `[side, side]` leaves room."""
        marks = []
        probability = self.strength.paste if (class_ids > 0).any() else self.strength.paste / 2
        if self.donors is not None and rng.random() < probability:
            marks = [self.donors.draw(rng) for _ in range(rng.integers(1, 4))]
        if rng.random() < self.strength.decoys:
            marks += [decoy(rng) for _ in range(rng.integers(1, 4))]
        new_masks, new_ids = [], []
        for mark in filter(None, marks):
            mask = paste(image, occupied, mark, rng, (self.side / 32, self.side / 3))
            if mask is not None:
                occupied |= mask
                if mark.class_id:
                    new_masks.append(mask)
                    new_ids.append(mark.class_id)
        if new_ids:
            masks = np.concatenate([masks, np.stack(new_masks, axis=2)], axis=2)
            class_ids = np.append(class_ids, new_ids).astype(np.int32)
        return image, masks, class_ids


def _homography(centre, matrix, target, tilt=(0.0, 0.0)) -> np.ndarray:
    """`[3, 3]`: `matrix` around `centre`, seen in perspective by `tilt` per pixel, and `centre` moved to `target`."""
    to_origin, to_target = np.eye(3), np.eye(3)
    to_origin[:2, 2], to_target[:2, 2] = -np.asarray(centre), target
    middle = np.eye(3)
    middle[:2, :2] = matrix
    perspective = np.eye(3)
    perspective[2, :2] = tilt
    return to_target @ perspective @ middle @ to_origin


def _is_lost(mask: np.ndarray, new_mask: np.ndarray, matrix: np.ndarray) -> bool:
    """Whether too little of an object is left after `matrix`: moved out of sight, or too small."""
    rows, columns = new_mask.any(axis=1), new_mask.any(axis=0)
    if max(np.count_nonzero(rows), np.count_nonzero(columns)) < MIN_LENGTH:
        return True
    before = cv2.moments(mask, binaryImage=True)
    x, y = before["m10"] / before["m00"], before["m01"] / before["m00"]
    # Area scales by the determinant over the cube of the perspective division.
    area = before["m00"] * abs(np.linalg.det(matrix)) / abs(matrix[2] @ [x + 0.5, y + 0.5, 1]) ** 3
    return np.count_nonzero(new_mask) < MIN_VISIBLE * area


def _cut_out_rectangles(image, masks, class_ids, rng):
    """Hides one to three rectangles behind a plain colour (DeVries and Taylor 2017); masks lose what is hidden."""
    side = len(image)
    masks, class_ids = masks.copy(), class_ids.copy()
    before = masks.sum(axis=(0, 1))
    for _ in range(rng.integers(1, 4)):
        height, width = (side * rng.uniform(0.03, 0.2, 2)).astype(int)
        y, x = rng.integers(0, (side - height, side - width))
        image[y : y + height, x : x + width] = rng.integers(0, 256, 3)
        masks[y : y + height, x : x + width] = False
    class_ids[(masks.sum(axis=(0, 1)) < 0.6 * before) & (class_ids > 0)] *= -1
    return image, masks, class_ids
