"""From a mark on the canvas to its label: what of it can be seen, and whether a person could have outlined it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.datasets.labels import IGNORE
from nike.synthesis import geometry
from nike.synthesis.canvas import Placed

SMALLEST_SIDE = 12  # pixels: a shorter mark is labelled `ignore`
THINNEST = 3  # pixels: likewise
SMALLEST_PIECE = 1.0  # square pixels: smaller ones are not outlined at all
LEAST_VISIBLE = 0.3  # share of a mark's area; likewise
LEAST_CONTRAST = 2.5  # levels of 255 across the outline; likewise


@dataclass(frozen=True)
class Instance:
    """A labelled mark.

    Attributes:
        label: The logo's label, or `ignore` where nobody could outline it fairly (tiny, hidden, hardly visible).
        polygons: One `[P, 2]` float32 (x, y) in continuous pixels per visible piece, the largest first.
    """

    label: str
    polygons: list[np.ndarray]


def label_marks(image: np.ndarray, placed: list[Placed], label: str) -> list[Instance]:
    """Outlines all marks of a photo (uint8 `[H, W, 3]`) of which something can be seen."""
    instances = []
    for mark in placed:
        y0, x0 = mark.window[:2]
        polygons = geometry.polygons_of(mark.visible, mark.scale, (x0, y0), SMALLEST_PIECE)
        if polygons:
            fair = can_be_seen(mark) and contrast(image, polygons[0]) >= LEAST_CONTRAST
            instances.append(Instance(label if fair else IGNORE[0], polygons))
    return instances


def visible_share(mark: Placed) -> float:
    """Share of a mark's area that nothing covers and that lies in the photo."""
    return float(np.count_nonzero(mark.visible) / mark.scale**2 / mark.area)


def can_be_seen(mark: Placed) -> bool:
    """Whether enough of a mark is left to outline, provided that it differs from its ground."""
    if visible_share(mark) < LEAST_VISIBLE:
        return False
    sides = [(np.ptp(np.flatnonzero(mark.visible.any(axis=axis))) + 1) / mark.scale for axis in (0, 1)]
    return max(sides) >= SMALLEST_SIDE and min(sides) >= THINNEST


def contrast(image: np.ndarray, polygon: np.ndarray) -> float:
    """How clearly an outline shows in a photo: the mean step across it, in levels of 255.

    Each sixteenth of the outline is averaged alone along its length: there texture averages out and an edge does not,
    also one that is lighter than the ground here and darker there, as embossed edges are.
    """
    closed = np.concatenate([polygon, polygon[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, along[-1], 129)[:-1]
    points = np.stack([np.interp(at, along, closed[:, k]) for k in (0, 1)], 1)
    tangent = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / (np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6)
    # From one side of the edge to the other; cv2 counts from pixel centres.
    offsets = (-1.5, -0.75, 0, 0.75, 1.5)
    x, y = np.stack([points + normal * offset - 0.5 for offset in offsets], -1).astype(np.float32).transpose(1, 2, 0)
    values = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # [5, 128, 3]
    pieces = values.reshape(5, 16, 8, 3).astype(np.float32).mean(axis=2)  # [5, 16, 3]
    return float(np.ptp(pieces, axis=0).max(axis=-1).mean())
