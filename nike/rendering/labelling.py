"""From a mark on the canvas to its label: what of it can be seen, and whether a person could have outlined it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.labels import IGNORE
from nike.rendering import geometry
from nike.rendering.canvas import Placed

SMALLEST_SIDE = 12  # pixels: a shorter mark is labelled `ignore`
THINNEST = 3  # pixels: likewise
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
        polygons = geometry.polygons_of(mark.visible, mark.scale, (x0, y0))
        if polygons:
            instances.append(Instance(label if _is_fair(image, mark, polygons) else IGNORE[0], polygons))
    return instances


def visible_share(mark: Placed) -> float:
    """Share of a mark's area that nothing covers and that lies in the photo."""
    return float(np.count_nonzero(mark.visible) / mark.scale**2 / mark.area)


def _is_fair(image: np.ndarray, mark: Placed, polygons: list[np.ndarray]) -> bool:
    extent = np.ptp(np.concatenate(polygons), axis=0)
    return bool(
        extent.max() >= SMALLEST_SIDE
        and extent.min() >= THINNEST
        and visible_share(mark) >= LEAST_VISIBLE
        and contrast(image, polygons[0]) >= LEAST_CONTRAST
    )


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
    # One side of the edge, the edge, the other side; cv2 counts from pixel centres.
    x, y = np.stack([points + normal * d - 0.5 for d in (-1.5, 0, 1.5)], -1).astype(np.float32).transpose(1, 2, 0)
    values = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # [3, 128, 3]
    pieces = values.reshape(3, 16, 8, 3).astype(np.float32).mean(axis=2)  # [3, 16, 3]
    return float(np.ptp(pieces, axis=0).max(axis=-1).mean())
