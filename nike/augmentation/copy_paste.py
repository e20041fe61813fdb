"""Copy-paste augmentation for logos.

Logos are cut out of other images along their masks. A pasted logo keeps its colors, is recolored, or only changes the
brightness of the background (a tone-on-tone logo). Textured positions are preferred, because products have more texture
than studio backgrounds. Distractors are other shapes that are pasted in the same way but without a label. They prevent
the network from learning to detect the borders of pasted regions.

Source: Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mrcnn.data.dataset import Dataset
from nike.augmentation import curves
from nike.augmentation.distractors import sample_shape

MAX_SIDE = 256  # pixels; maximum longer side of a cutout
DISTRACTOR_SIDE = 128  # pixels
MIN_SIDE = 24  # pixels; minimum longer side of a cutout
CACHE_BYTES = 64 << 20
MARGIN = 2  # pixels around the mask of a cutout, used for feathering
MAX_ENLARGEMENT = 2.0
MAX_CANDIDATES = 6  # random positions tried for each cutout
MIN_CONTRAST = 14  # minimum difference between logo and background, in gray levels


@dataclass(frozen=True)
class Cutout:
    """An object cut out of an image.

    Attributes:
        image: `[h, w, 3]` uint8 RGB.
        mask: `[h, w]` uint8 coverage, 0..255.
        class_id: class of the object, or 0 for a distractor.
    """

    image: np.ndarray
    mask: np.ndarray
    class_id: int


class CutoutSampler:
    """Samples cutouts from a dataset. Cutouts are created on first use and cached. The class is thread-safe.

    Args:
        dataset: prepared dataset.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self._cache: dict[int, list[Cutout]] = {}
        self._cached_bytes = 0

    def sample(self, rng: np.random.Generator) -> Cutout | None:
        """Returns a random object of a random image, or None if three random images contain no object."""
        for image_id in rng.choice(self.dataset.image_ids, 3):
            cutouts = self._load(int(image_id))
            if cutouts:
                return cutouts[rng.integers(len(cutouts))]
        return None

    def _load(self, image_id: int) -> list[Cutout]:
        if image_id in self._cache:
            return self._cache[image_id]
        try:
            image, (masks, class_ids) = self.dataset.load_image(image_id), self.dataset.load_mask(image_id)
        except (OSError, ValueError):  # the input pipeline reports unreadable images
            cutouts = []
        else:
            cutouts = [cut_out(image, masks[:, :, i], int(class_ids[i])) for i in np.flatnonzero(class_ids > 0)]
            cutouts = [cutout for cutout in cutouts if cutout is not None]
        if self._cached_bytes < CACHE_BYTES:
            self._cache[image_id] = cutouts
            self._cached_bytes += sum(cutout.image.nbytes + cutout.mask.nbytes for cutout in cutouts)
        return cutouts


def cut_out(image: np.ndarray, mask: np.ndarray, class_id: int) -> Cutout | None:
    """Cuts an object out of an image `[H, W, 3]` along its mask `[H, W]`.

    The cutout is downscaled to at most `MAX_SIDE` pixels. Returns None for objects smaller than `MIN_SIDE` pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if max(len(rows), len(columns)) < MIN_SIDE:
        return None
    box = tuple(
        slice(max(used[0] - MARGIN, 0), min(used[-1] + 1 + MARGIN, side))
        for used, side in zip((rows, columns), mask.shape, strict=True)
    )
    image, mask = np.ascontiguousarray(image[box]), mask[box] * np.uint8(255)
    scale = MAX_SIDE / max(mask.shape)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in mask.shape[::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    return Cutout(image, mask, class_id)


def draw_distractor(rng: np.random.Generator) -> Cutout:
    """Returns a random distractor, filled with a gradient of two random colors."""
    side = DISTRACTOR_SIDE
    outlines = [side / 2 + 0.9 * side * outline for outline in sample_shape(rng)]
    mask = curves.rasterize(outlines, (side, side))
    colors = rng.integers(0, 256, (2, 1, 3), dtype=np.uint8)
    return Cutout(cv2.resize(colors, (side, side), interpolation=cv2.INTER_LINEAR), mask, 0)


def paste(
    image: np.ndarray, occupied: np.ndarray, cutout: Cutout, rng: np.random.Generator, sizes: tuple[float, float]
) -> np.ndarray | None:
    """Pastes a randomly transformed and recolored cutout into an image.

    Args:
        image: `[S, S, 3]` uint8 RGB image, modified in place.
        occupied: `[S, S]` bool mask of pixels that must not be covered.
        cutout: cutout to paste.
        rng: random generator.
        sizes: range of the longer side of the cutout before rotation, in pixels.

    Returns:
        `[S, S]` uint8 coverage of the pasted object, 0..255, or None if no free position was found or the scaled mask
        is empty.
    """
    length = np.exp(rng.uniform(*np.log(sizes)))
    patch, alpha = _transform(cutout, min(length / max(cutout.mask.shape), MAX_ENLARGEMENT), rng)
    position = _choose_position(image, occupied, alpha.shape, rng)
    if position is None or alpha.max() <= 0.5:
        return None
    background = image[position].astype(np.float32)
    painted = _recolor(patch.astype(np.float32), background, alpha, rng)
    soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.0))[:, :, np.newaxis]
    image[position] = np.clip(background + soft * (painted - background), 0, 255)
    coverage = np.zeros(occupied.shape, dtype=np.uint8)
    coverage[position] = np.rint(255 * alpha)
    return coverage


def _choose_position(image, occupied, shape: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice] | None:
    """Returns the most textured of `MAX_CANDIDATES` random free positions, or None."""
    max_offset = np.array(occupied.shape) - shape
    if max_offset.min() < 1:
        return None
    best, max_texture = None, -1.0
    for y, x in rng.integers(0, max_offset, (MAX_CANDIDATES, 2)):
        position = slice(y, y + shape[0]), slice(x, x + shape[1])
        if not occupied[position].any():
            texture = float(image[position][::2, ::2, 1].std())
            if texture > max_texture:
                best, max_texture = position, texture
    return best


def _transform(cutout: Cutout, scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Applies a random affine transform. Returns the image `[h, w, 3]` uint8 and its alpha `[h, w]` float32 in 0..1."""
    image, mask = cutout.image, cutout.mask
    if scale < 0.5:  # bilinear sampling alone would cause aliasing
        size = tuple(max(1, round(side * 2 * scale)) for side in mask.shape[::-1])
        image, mask = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (image, mask))
        scale = 0.5
    angle = np.deg2rad(rng.uniform(-180, 180) if rng.random() < 0.15 else rng.normal(0, 20))
    cos, sin = np.cos(angle), np.sin(angle)
    stretch = np.exp(rng.normal(0, 0.12))
    shape = np.array([[1, rng.normal(0, 0.15)], [0, 1]]) @ np.diag([stretch * rng.choice([-1, 1]), 1 / stretch])
    matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ shape  # on (x, y)
    height, width = mask.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ matrix.T
    low = corners.min(axis=0)
    size = tuple(np.maximum(np.ceil(corners.max(axis=0) - low), 1).astype(int).tolist())
    # In OpenCV, coordinate 0 is the centre of the first pixel. In `matrix`, it is the edge of this pixel.
    affine = np.column_stack([matrix, matrix @ [0.5, 0.5] - low - 0.5])
    image = cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image, cv2.warpAffine(mask, affine, size, flags=cv2.INTER_LINEAR).astype(np.float32) / 255


def _recolor(patch: np.ndarray, background: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the logo `[h, w, 3]` float32 in its own colors, in a random color, or tone-on-tone."""
    choice = rng.random()
    if choice < 0.4:
        painted = patch * np.float32(np.exp(rng.normal(0, 0.15))) + rng.normal(0, 10, 3).astype(np.float32)
    elif choice < 0.7:  # keeps the shading of the logo; 40% of the new colors are near black, gray or white
        gray = patch.mean(axis=2, keepdims=True)
        texture = gray - np.average(gray, weights=alpha[:, :, np.newaxis])
        is_neutral = rng.random() < 0.4
        color = rng.choice([20, 128, 235]) + rng.normal(0, 10) if is_neutral else rng.uniform(0, 255, 3)
        painted = np.float32(0.5) * texture + np.asarray(color, np.float32)
    if choice < 0.7 and np.average(abs(painted - background).max(axis=2), weights=alpha) >= MIN_CONTRAST:
        return painted
    # A tone-on-tone logo keeps the texture of the background.
    level = float(background.mean())
    change = rng.uniform(MIN_CONTRAST, 70) * (1 if rng.random() < (255 - level) / 255 else -1)
    return background * np.float32(1 + 0.5 * change / max(level, 70)) + np.float32(0.5 * change)
