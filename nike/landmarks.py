"""Measures the rotation and slant of the logo in an image from the positions of its landmarks."""

from __future__ import annotations

import numpy as np

from nike.synthesis.logo import add_landmarks, load_logo

NAMES = ("hook", "belly", "tail")  # the tips of the hook and the tail, and the lowest point of the belly


def rotation_and_slant(keypoints: np.ndarray) -> tuple[float, float]:
    """Returns the rotation and the slant of a logo in an image.

    Three points determine the affine map from the bundled logo to the image, which is the product of a rotation, a
    shear (the slant) and a scale. The slant is 0 if the logo is only moved, rotated and scaled. Before rotation, the
    top of a logo with a positive slant leans to the left; with a negative slant, it leans to the right, like italics.
    Perspective distortion also changes the slant.

    Args:
        keypoints: float `[3, 2]` or `[3, 3]`, (x, y, ...) of NAMES in pixels. The logo must not be mirrored.

    Returns:
        The clockwise rotation and the slant in degrees.
    """
    landmarks = add_landmarks(load_logo()).landmarks
    logo = np.array([landmarks[name] for name in NAMES])
    points = np.asarray(keypoints, float)[:, :2]
    matrix = np.linalg.solve(logo[1:] - logo[0], points[1:] - points[0]).T  # [2, 2]
    rotation = np.arctan2(matrix[1, 0], matrix[0, 0])
    cos, sin = np.cos(rotation), np.sin(rotation)
    (_, shear), (_, height) = np.array([[cos, sin], [-sin, cos]]) @ matrix
    return float(np.degrees(rotation)), float(np.degrees(np.arctan2(shear, height)))
