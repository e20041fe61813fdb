"""Copy and paste (Ghiasi et al. 2021) for logos: marks cut out of other photos along their masks, and decoys.

Some marks keep their colours, some are repainted, and some only make the ground lighter or darker, as tone-on-tone
logos do. They land where the photo has structure, on the product rather than beside it. Decoys are other shapes, pasted
in the same ways but not labelled: without them, the seam of the paste would give the mark away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mrcnn.data.dataset import Dataset
from nike.synthesis import geometry
from nike.synthesis.lookalikes import lookalike

DONOR_SIDE = 256  # pixels; longer side of a cut-out mark
DECOY_SIDE = 128
MIN_DONOR_SIDE = 24
KEPT_BYTES = 64 << 20
MARGIN = 2  # pixels around a cut-out, so that its edge can be feathered
MAX_ENLARGEMENT = 2.0
PLACES = 6  # tried for each mark; it takes the free one with the most structure
MIN_CONTRAST = 14  # grey levels between mark and ground; less could not be seen


@dataclass(frozen=True)
class Donor:
    """A mark cut out of a photo: `image [h, w, 3]` uint8, `mask [h, w]` uint8 0 or 255. Class 0 is a decoy."""

    image: np.ndarray
    mask: np.ndarray
    class_id: int


class Donors:
    """The marks of a dataset, cut out when first asked for. Safe to use from several threads.

    Args:
        dataset: prepared dataset.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self._kept: dict[int, list[Donor]] = {}
        self._bytes = 0

    def draw(self, rng: np.random.Generator) -> Donor | None:
        """A random mark of a random photo; None if three photos had none."""
        for image_id in rng.choice(self.dataset.image_ids, 3):
            donors = self._donors(int(image_id))
            if donors:
                return donors[rng.integers(len(donors))]
        return None

    def _donors(self, image_id: int) -> list[Donor]:
        if image_id in self._kept:
            return self._kept[image_id]
        try:
            image, (masks, class_ids) = self.dataset.load_image(image_id), self.dataset.load_mask(image_id)
        except (OSError, ValueError):  # the pipeline reports this photo when its turn comes
            donors = []
        else:
            donors = [cut_out(image, masks[:, :, i], int(class_ids[i])) for i in np.flatnonzero(class_ids > 0)]
            donors = [donor for donor in donors if donor is not None]
        if self._bytes < KEPT_BYTES:
            self._kept[image_id] = donors
            self._bytes += sum(donor.image.nbytes + donor.mask.nbytes for donor in donors)
        return donors


def cut_out(image: np.ndarray, mask: np.ndarray, class_id: int) -> Donor | None:
    """A mark from a photo `[H, W, 3]` with its mask `[H, W]`, at most DONOR_SIDE pixels long; None if it is tiny."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if max(len(rows), len(columns)) < MIN_DONOR_SIDE:
        return None
    box = tuple(
        slice(max(used[0] - MARGIN, 0), min(used[-1] + 1 + MARGIN, side))
        for used, side in zip((rows, columns), mask.shape, strict=True)
    )
    image, mask = np.ascontiguousarray(image[box]), mask[box] * np.uint8(255)
    scale = DONOR_SIDE / max(mask.shape)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in mask.shape[::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    return Donor(image, mask, class_id)


def decoy(rng: np.random.Generator) -> Donor:
    """A shape that is no logo, in two colours; `nike synthesize` draws the same: ticks, crescents, stripes, words."""
    side = DECOY_SIDE
    outlines = [side / 2 + 0.9 * side * outline for outline in lookalike(rng).outlines]
    mask = geometry.smooth_raster(outlines, (side, side))
    colours = rng.integers(0, 256, (2, 1, 3), dtype=np.uint8)
    return Donor(cv2.resize(colours, (side, side), interpolation=cv2.INTER_LINEAR), mask, 0)


def paste(
    image: np.ndarray, occupied: np.ndarray, donor: Donor, rng: np.random.Generator, sizes: tuple[float, float]
) -> np.ndarray | None:
    """Pastes a mark into a photo, turned, mirrored, scaled and perhaps repainted, at a place that is free.

    Args:
        image: `[S, S, 3]` uint8; written to.
        occupied: `[S, S]` bool, where nothing may be pasted.
        donor: the mark.
        rng: source of randomness.
        sizes: its longer side is between these, in pixels.

    Returns:
        Its mask `[S, S]` bool; None if no free place was found, or nothing was left of so small a mark.
    """
    length = np.exp(rng.uniform(*np.log(sizes)))
    patch, alpha = _turn(donor, min(length / max(donor.mask.shape), MAX_ENLARGEMENT), rng)
    place = _free_place(image, occupied, alpha.shape, rng)
    if place is None or alpha.max() <= 0.5:
        return None
    ground = image[place].astype(np.float32)
    painted = _paint(patch.astype(np.float32), ground, alpha, rng)
    soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.0))[:, :, np.newaxis]
    image[place] = np.clip(ground + soft * (painted - ground), 0, 255)
    mask = np.zeros(occupied.shape, dtype=bool)
    mask[place] = alpha > 0.5
    return mask


def _free_place(image, occupied, shape: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice] | None:
    """Of some random places of this shape that are free, the one with the most structure."""
    room = np.array(occupied.shape) - shape
    if room.min() < 1:
        return None
    best, most = None, -1.0
    for y, x in rng.integers(0, room, (PLACES, 2)):
        place = slice(y, y + shape[0]), slice(x, x + shape[1])
        if not occupied[place].any():
            structure = float(image[place][::2, ::2, 1].std())
            if structure > most:
                best, most = place, structure
    return best


def _turn(donor: Donor, scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The mark `[h, w, 3]` uint8 and its alpha `[h, w]` float32 0..1 after a random affine map, in the smallest box."""
    image, mask = donor.image, donor.mask
    if scale < 0.5:  # so that no pixel of the mark is passed over
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
    # OpenCV's coordinates are 0 at the centre of the first pixel; those above are 0 at its edge.
    affine = np.column_stack([matrix, matrix @ [0.5, 0.5] - low - 0.5])
    image = cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image, cv2.warpAffine(mask, affine, size, flags=cv2.INTER_LINEAR).astype(np.float32) / 255


def _paint(patch: np.ndarray, ground: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The colours `[h, w, 3]` float32 that the mark gets: its own, others, or a tone of the ground's."""
    way = rng.random()
    if way < 0.4:
        painted = patch * np.float32(np.exp(rng.normal(0, 0.15))) + rng.normal(0, 10, 3).astype(np.float32)
    elif way < 0.7:  # often black, grey or white; the mark's own light and shadow stay
        grey = patch.mean(axis=2, keepdims=True)
        texture = grey - np.average(grey, weights=alpha[:, :, np.newaxis])
        is_neutral = rng.random() < 0.4
        colour = rng.choice([20, 128, 235]) + rng.normal(0, 10) if is_neutral else rng.uniform(0, 255, 3)
        painted = np.float32(0.5) * texture + np.asarray(colour, np.float32)
    if way < 0.7 and np.average(abs(painted - ground).max(axis=2), weights=alpha) >= MIN_CONTRAST:
        return painted
    # Tone on tone: the ground's texture shows through.
    level = float(ground.mean())
    change = rng.uniform(MIN_CONTRAST, 70) * (1 if rng.random() < (255 - level) / 255 else -1)
    return ground * np.float32(1 + 0.5 * change / max(level, 70)) + np.float32(0.5 * change)
