"""Fading: a mark of a photo made to look like what it is on, as tone-on-tone marks do.

They are rare in a few hundred photos, and hard: only their edge and a little tone tell them from the ground.
"""

from __future__ import annotations

import cv2
import numpy as np

from nike.augmentation.copy_paste import MIN_CONTRAST

MAX_CONTRAST = 60  # grey levels that are left between mark and ground at most; at least MIN_CONTRAST
EDGE = 2  # pixels around the mask that still show the mark: outlines drawn by hand are not exact


def fade(image: np.ndarray, mask: np.ndarray, occupied: np.ndarray, rng: np.random.Generator) -> None:
    """Blends a mark with the ground around it, so that a random rest of its contrast is left.

    Marks that are as faint already, without any ground around them, or with an empty mask stay as they are.

    Args:
        image: `[H, W, 3]` uint8; written to.
        mask: `[H, W]` bool of the mark.
        occupied: `[H, W]` bool of all that is no ground: marks, and what lies beyond the photo.
        rng: source of randomness.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    margin = max(np.ptp(rows), np.ptp(columns)) // 2 + 3 * EDGE
    box = tuple(slice(max(used[0] - margin, 0), used[-1] + 1 + margin) for used in (rows, columns))
    part, inside = image[box].astype(np.float32), mask[box].astype(np.uint8)
    is_other = occupied[box] & ~mask[box]
    outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    thickness = cv2.distanceTransform(inside, cv2.DIST_L2, 5).max()
    is_ground = ((outside > EDGE) & (outside <= 2 * EDGE + thickness) & ~is_other).astype(np.float32)
    size = (2 * margin + 1, 2 * margin + 1)  # so large that the tone changes slowly: a mark is of one material
    weight = cv2.blur(is_ground, size)[:, :, np.newaxis]
    if weight[inside > 0].min() <= 0:
        return
    weight[weight <= 0] = 1
    ground = cv2.blur(part * is_ground[:, :, np.newaxis], size) / weight
    contrast = float(abs((part - ground)[inside > 0].mean(axis=0)).max())
    left = rng.uniform(MIN_CONTRAST, MAX_CONTRAST)
    if left >= contrast:
        return
    alpha = cv2.GaussianBlur((outside <= EDGE).astype(np.float32), (0, 0), 0.8)[:, :, np.newaxis]
    alpha[is_other] = 0
    part += alpha * (1 - left / contrast) * (ground - part)
    image[box] = np.rint(part).clip(0, 255)
