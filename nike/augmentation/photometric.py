"""Photometric augmentation: color, lighting, blur, noise and compression.

All functions map a uint8 `[H, W, 3]` RGB image to a new image of the same shape. Random numbers are drawn from `rng`.
"""

from __future__ import annotations

import cv2
import numpy as np

# NTSC YIQ: in the (I, Q) plane, the angle is the hue and the distance from the origin is the saturation.
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ)


def jitter_color(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Jitters brightness, contrast, saturation, hue and gamma.

    Occasionally, the image is converted to grayscale, its channels are permuted, or it is inverted.

    Args:
        image: `[H, W, 3]` uint8 RGB image.
        rng: random generator.
        strength: amount of change from 0 (none) to 1 (strong). Colors look natural up to about 0.6.
    """
    angle = np.deg2rad(rng.normal(0, 25 * strength))
    saturation = np.exp(rng.normal(0, 0.4 * strength))
    if rng.random() < 0.08 * strength:
        saturation = 0.0
    cos, sin = saturation * np.cos(angle), saturation * np.sin(angle)
    matrix = YIQ_TO_RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ RGB_TO_YIQ
    matrix = np.diag(np.exp(rng.normal(0, 0.12 * strength, 3))) @ matrix  # color cast
    contrast = np.exp(rng.normal(0, 0.3 * strength))
    offset = np.full(3, 128 * (1 - contrast) + rng.normal(0, 35 * strength))
    matrix = contrast * matrix
    if rng.random() < 0.1 * strength:
        matrix = matrix[rng.permutation(3)]
    if rng.random() < 0.08 * strength:  # inversion
        matrix, offset = -matrix, 255 - offset
    image = cv2.transform(image, np.column_stack([matrix, offset]))
    gamma = np.exp(rng.normal(0, 0.3 * strength))
    return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8))


def shade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Multiplies the image by a smooth illumination field."""
    height, width = image.shape[:2]
    corners = rng.uniform(0.6, 1.25, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Applies Gaussian blur or motion blur."""
    if rng.random() < 0.6:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8))
    size = int(rng.integers(3, 10))
    kernel = np.zeros((size, size), np.float32)
    centre, angle = (size - 1) / 2, rng.uniform(0, np.pi)
    offset = centre * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(np.rint(centre + sign * offset).astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, *ends, color=1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def sharpen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sharpens edges by unsharp masking."""
    amount = rng.uniform(0.3, 1.2)
    return cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), 1.0), -amount, 0)


def pixelate(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reduces the resolution by downsampling and upsampling."""
    height, width = image.shape[:2]
    scale = rng.uniform(0.3, 0.75)
    small = cv2.resize(image, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def add_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds Gaussian noise with a slightly different gain for each channel."""
    height, width = image.shape[:2]
    noise = rng.standard_normal((height, width), dtype=np.float32) * np.float32(rng.uniform(2, 14))
    return cv2.add(image, cv2.merge([noise * w for w in rng.uniform(0.7, 1.3, 3).astype(np.float32)]), dtype=cv2.CV_8U)


def compress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds JPEG compression artifacts."""
    quality = int(rng.integers(25, 90))
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
