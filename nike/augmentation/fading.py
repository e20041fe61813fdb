"""Contrast reduction that simulates tone-on-tone logos, which are rare in small datasets and hard to detect."""

from __future__ import annotations

import cv2
import numpy as np

from nike.augmentation.copy_paste import MIN_CONTRAST

MAX_CONTRAST = 60  # maximum contrast after the reduction, in gray levels
EDGE_WIDTH = 2  # width in pixels around the mask that may still show the object, because manual outlines are inexact


def fade(image: np.ndarray, mask: np.ndarray, occupied: np.ndarray, rng: np.random.Generator) -> None:
    """Reduces the contrast between an object and its background to a random level.

    The image is unchanged if the contrast is already lower, if the mask is empty, or if no background surrounds it.

    Args:
        image: `[H, W, 3]` uint8 RGB image, modified in place.
        mask: `[H, W]` bool mask of the object.
        occupied: `[H, W]` bool mask of all objects and of the padding.
        rng: random generator.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    margin = max(np.ptp(rows), np.ptp(columns)) // 2 + 3 * EDGE_WIDTH
    box = tuple(slice(max(used[0] - margin, 0), used[-1] + 1 + margin) for used in (rows, columns))
    part, inside = image[box].astype(np.float32), mask[box].astype(np.uint8)
    is_other = occupied[box] & ~mask[box]
    outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    thickness = cv2.distanceTransform(inside, cv2.DIST_L2, 5).max()
    is_background = ((outside > EDGE_WIDTH) & (outside <= 2 * EDGE_WIDTH + thickness) & ~is_other).astype(np.float32)
    size = (2 * margin + 1, 2 * margin + 1)  # a large window, so that the estimated background varies slowly
    weight = cv2.blur(is_background, size)[:, :, np.newaxis]
    if weight[inside > 0].min() <= 0:
        return
    weight[weight <= 0] = 1
    background = cv2.blur(part * is_background[:, :, np.newaxis], size) / weight
    contrast = float(abs((part - background)[inside > 0].mean(axis=0)).max())
    target = rng.uniform(MIN_CONTRAST, MAX_CONTRAST)
    if target >= contrast:
        return
    alpha = cv2.GaussianBlur((outside <= EDGE_WIDTH).astype(np.float32), (0, 0), 0.8)[:, :, np.newaxis]
    alpha[is_other] = 0
    part += alpha * (1 - target / contrast) * (background - part)
    image[box] = np.rint(part).clip(0, 255)
