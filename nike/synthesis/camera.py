"""Lighting and camera effects: shading, colour cast, blur, noise and JPEG. All of them keep the geometry."""

from __future__ import annotations

import cv2
import numpy as np

from nike.synthesis import materials
from nike.synthesis.canvas import Canvas


def capture(canvas: Canvas, degradation: float | None = None) -> np.ndarray:
    """Renders a canvas with random lighting and camera effects.

    Args:
        canvas: Canvas to render. Its generator provides the randomness.
        degradation: Strength of the effects from 0 (studio photo) to 1 (poor snapshot). Random and mostly low by
            default.

    Returns:
        `[H, W, 3]` uint8 RGB image.
    """
    rng = canvas.rng
    degradation = float(rng.beta(1.0, 2.5)) if degradation is None else degradation
    angle, slant = rng.normal(-2.0, 0.8), rng.uniform(0.2, 1.1)
    image = canvas.shade((slant * np.cos(angle), slant * np.sin(angle)), rng.uniform(0.45, 0.8))
    image = _light(rng, image, degradation)
    image = _blur(rng, image, degradation)
    image = _sensor(rng, image, degradation)
    return _jpeg(rng, np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8), degradation)


def _light(rng: np.random.Generator, image: np.ndarray, degradation: float) -> np.ndarray:
    """Applies uneven illumination, cast shadows, exposure, white balance, contrast and saturation."""
    h, w = image.shape[:2]
    field = cv2.resize(
        rng.normal(0, 0.10 + 0.15 * degradation, (3, 3)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC
    )
    if rng.random() < 0.3 * degradation:  # shadow of an object outside the image
        edge = materials.noise(rng, h, w, max(h, w) / 3)
        field = field - np.float32(rng.uniform(0.1, 0.5)) / (1 + np.exp(-edge * np.float32(rng.uniform(2, 20))))
    if rng.random() < 0.2:
        x, y = np.linspace(-1, 1, w, dtype=np.float32)[None], np.linspace(-1, 1, h, dtype=np.float32)[:, None]
        field = field - np.float32(rng.uniform(0.05, 0.25)) * (x**2 + y**2)
    gain = rng.normal(1, 0.04 + 0.12 * degradation) * (1 + rng.normal(0, 0.01 + 0.05 * degradation, 3))
    image = image * (np.exp(field * np.float32(0.7)))[..., None] * gain.astype(np.float32)
    if rng.random() < 0.5:
        image = np.clip(image, 0, 2) ** np.float32(np.exp(rng.normal(0, 0.12 + 0.15 * degradation)))
    image = np.clip(image, 0, 1.2)
    if rng.random() < 0.04:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    elif rng.random() < 0.3:
        grey = image.mean(axis=2, keepdims=True)
        image = grey + (image - grey) * np.float32(rng.uniform(0.5, 1.3))
    return image


def _blur(rng: np.random.Generator, image: np.ndarray, degradation: float) -> np.ndarray:
    """Applies defocus blur, motion blur or a loss of resolution, and occasionally sharpens."""
    choice = rng.random()
    if choice < 0.55:
        image = cv2.GaussianBlur(image, (0, 0), 0.35 + 1.6 * degradation * rng.random())
    elif choice < 0.65 and degradation > 0.2:
        length = 3 + 2 * int(4 * degradation * rng.random())  # odd, so that the image is not shifted
        kernel = np.zeros((length, length), np.float32)
        angle, half = rng.uniform(0, np.pi), (length - 1) / 2
        offset = np.array([np.cos(angle), np.sin(angle)]) * half
        cv2.line(kernel, *(tuple(int(round(v)) for v in half + sign * offset) for sign in (-1, 1)), 1.0)
        kernel += kernel[::-1, ::-1]  # symmetric, because the drawn line may be off centre
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    elif choice < 0.8:
        h, w = image.shape[:2]
        factor = rng.uniform(1.2, 1.5 + 1.5 * degradation)
        small = cv2.resize(image, (max(8, int(w / factor)), max(8, int(h / factor))), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (w, h), interpolation=int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC])))
    if rng.random() < 0.25:
        image = image + np.float32(rng.uniform(0.3, 1.2)) * (image - cv2.GaussianBlur(image, (0, 0), 1.5))
    return image


def _sensor(rng: np.random.Generator, image: np.ndarray, degradation: float) -> np.ndarray:
    """Adds luminance noise, and chroma noise when the noise is strong."""
    amount = np.float32(rng.exponential(0.003 + 0.02 * degradation))
    if amount < 0.002:
        return image
    h, w = image.shape[:2]
    image = image + amount * materials.noise(rng, h, w, 1.0)[..., None]
    if amount > 0.01:
        colour = rng.standard_normal((h // 4 + 1, w // 4 + 1, 3), dtype=np.float32)
        image = image + amount * np.float32(0.7) * cv2.resize(colour, (w, h), interpolation=cv2.INTER_LINEAR)
    return image


def _jpeg(rng: np.random.Generator, image: np.ndarray, degradation: float) -> np.ndarray:
    """Adds JPEG compression artefacts."""
    if rng.random() > 0.25 + 0.5 * degradation:
        return image
    quality = int(rng.uniform(85 - 55 * degradation, 95))
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
