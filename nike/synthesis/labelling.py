"""Labels of placed logos: polygons of the visible part, and `ignore` for logos that a person could not outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.datasets.labels import IGNORE
from nike.synthesis import geometry
from nike.synthesis.canvas import PlacedLogo

# Logos below one of these thresholds are labelled `ignore`.
MIN_LENGTH = 12  # pixels
MIN_WIDTH = 3  # pixels
MIN_VISIBLE = 0.3  # visible fraction of the area
MIN_CONTRAST = 2.5  # grey levels across the outline

MIN_PIECE_AREA = 1.0  # square pixels; smaller pieces are not outlined


@dataclass(frozen=True)
class Instance:
    """A labelled logo.

    Attributes:
        label: Label of the logo, or `ignore` if it is tiny, mostly occluded or hardly visible.
        polygons: One `[P, 2]` float32 polygon per visible piece, (x, y) in continuous pixels, the largest first.
    """

    label: str
    polygons: list[np.ndarray]


def label_logos(image: np.ndarray, placed: list[PlacedLogo], label: str) -> list[Instance]:
    """Returns the instances of all logos that are at least partly visible in an image (`[H, W, 3]` uint8)."""
    instances = []
    for logo in placed:
        y0, x0 = logo.window[:2]
        polygons = geometry.find_polygons(logo.visible, logo.scale, (x0, y0), MIN_PIECE_AREA)
        if polygons:
            clear = is_visible(logo) and contrast(image, polygons[0]) >= MIN_CONTRAST
            instances.append(Instance(label if clear else IGNORE[0], polygons))
    return instances


def visible_fraction(logo: PlacedLogo) -> float:
    """Returns the fraction of the area of a logo that is inside the image and not occluded."""
    return float(np.count_nonzero(logo.visible) / logo.scale**2 / logo.area)


def is_visible(logo: PlacedLogo) -> bool:
    """Returns whether enough of a logo is visible to outline it, regardless of its contrast."""
    if visible_fraction(logo) < MIN_VISIBLE:
        return False
    sides = [(np.ptp(np.flatnonzero(logo.visible.any(axis=axis))) + 1) / logo.scale for axis in (0, 1)]
    return max(sides) >= MIN_LENGTH and min(sides) >= MIN_WIDTH


def contrast(image: np.ndarray, polygon: np.ndarray) -> float:
    """Measures the mean contrast across an outline `[P, 2]` in an image (`[H, W, 3]` uint8), in grey levels.

    Values are averaged along each sixteenth of the outline, which suppresses texture. The sections are evaluated
    separately, because an embossed edge is brighter than the background in some sections and darker in others.
    """
    closed = np.concatenate([polygon, polygon[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, along[-1], 129)[:-1]
    points = np.stack([np.interp(at, along, closed[:, k]) for k in (0, 1)], 1)
    tangent = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / (np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6)
    # Samples across the edge. OpenCV's coordinates are 0 at the centre of the first pixel.
    offsets = (-1.5, -0.75, 0, 0.75, 1.5)
    x, y = np.stack([points + normal * offset - 0.5 for offset in offsets], -1).astype(np.float32).transpose(1, 2, 0)
    values = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # [5, 128, 3]
    sections = values.reshape(5, 16, 8, 3).astype(np.float32).mean(axis=2)  # [5, 16, 3]
    return float(np.ptp(sections, axis=0).max(axis=-1).mean())
