"""Placement of a logo by an invertible mapping from the unit frame of the logo to the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nike.synthesis.logo import Logo


@dataclass(frozen=True)
class Placement:
    """Bends the unit frame of a logo around a cylinder and projects it into the image.

    Attributes:
        matrix: `[3, 3]` float64 homography from the bent frame to pixels.
        bend: angle in radians that half of the logo covers on the cylinder, below pi / 2. It is 0 for a plane.
        sag: distance of the two ends below the middle, as a fraction of the width.
    """

    matrix: np.ndarray
    bend: float = 0.0
    sag: float = 0.0

    def to_image(self, points) -> np.ndarray:
        """Maps points of the unit frame, `[P, 2]` (x, y), to pixels."""
        x, y = np.asarray(points, np.float64).T
        y = y + self.sag * 4 * x**2
        if self.bend:
            x = np.sin(2 * self.bend * x) / (2 * self.bend)
        return _project(self.matrix, np.stack([x, y], 1))

    def to_logo(self, points) -> np.ndarray:
        """Maps pixels `[P, 2]` (x, y) to the unit frame. Pixels beyond the edge of the cylinder map to that edge."""
        x, y = _project(np.linalg.inv(self.matrix), np.asarray(points, np.float64)).T
        if self.bend:
            x = np.arcsin(np.clip(2 * self.bend * x, -1, 1)) / (2 * self.bend)
        return np.stack([x, y - self.sag * 4 * x**2], 1)


def _project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[:, :2] / moved[:, 2:]


def make_homography(
    centre, size, angle: float = 0.0, mirror: bool = False, shear: float = 0.0, tilt=(0.0, 0.0)
) -> np.ndarray:
    """Returns the homography from a unit frame around the origin to the image.

    Args:
        centre: (x, y) position of the origin in the image.
        size: (x, y) length of one unit in pixels.
        angle: clockwise rotation in radians (y points down).
        mirror: whether x is mirrored first.
        shear: shift of x per unit of y.
        tilt: (x, y) perspective distortion, below 1 in magnitude. Positive values enlarge the right and the lower side.

    Returns:
        `[3, 3]` float64 homography.
    """
    flat = np.diag([-1.0 if mirror else 1.0, 1, 1])
    lean = np.array([[1, shear, 0], [0, 1, 0], [-tilt[0], -tilt[1], 1.0]])
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, centre[0]], [s, c, centre[1]], [0, 0, 1.0]])
    return rotation @ np.diag([*size, 1.0]) @ lean @ flat


def sample_placement(rng: np.random.Generator, shape: tuple[int, int], sizes: tuple[float, float]) -> Placement:
    """Samples a placement in an image of `shape` (height, width) with a length in the range `sizes` in pixels."""
    length = np.exp(rng.uniform(*np.log(sizes)))
    centre = rng.uniform(0.05, 0.95, 2) * shape[::-1]
    angle = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
    tilt = rng.normal(0, 0.3, 2).clip(-0.7, 0.7) if rng.random() < 0.6 else (0.0, 0.0)
    matrix = make_homography(
        centre, length * rng.uniform(0.8, 1.1, 2), angle, rng.random() < 0.2, rng.normal(0, 0.12), tilt
    )
    bend = float(rng.choice([0, rng.uniform(0.2, 0.9)]))
    return Placement(matrix, bend, float(rng.normal(0, 0.02 + 0.05 * bend)))


def warp_texture(logo: Logo, placement: Placement, window: tuple[int, int, int, int]) -> np.ndarray:
    """Returns the colors of a logo with texture in a window of the image, `[h, w, 3]` float32 RGB in 0..1."""
    y0, x0, y1, x1 = window
    centres = np.stack(np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5), -1)
    points = (placement.to_logo(centres.reshape(-1, 2)) * logo.scale + logo.centre).reshape(centres.shape)
    texture = logo.texture.astype(np.float32) / np.float32(255)
    step = float(np.median(np.linalg.norm(np.diff(points, axis=1), axis=2))) if x1 - x0 > 1 else 1.0
    if step > 1:  # bilinear sampling alone would cause aliasing
        texture = cv2.GaussianBlur(texture, (0, 0), 0.4 * step)
    x, y = (points - 0.5).astype(np.float32).transpose(2, 0, 1)  # in OpenCV, 0 is the centre of the first pixel
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
