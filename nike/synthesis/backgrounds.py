"""Backgrounds: crops of photos that do not show the logo, and plain gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mrcnn.data.image_files import read_image
from mrcnn.errors import UserError
from nike.augmentation import photometric
from nike.datasets import photos
from nike.datasets.labelme import read_labelme
from nike.datasets.read_subset import exclude_validation_images
from nike.datasets.records import AnnotationError
from nike.synthesis.paint import random_color, smooth_noise

MAX_SIDE = 2000  # pixels; larger photos are downsampled
# Photos bundled with scikit-image. They are CC0 or in the public domain.
BUNDLED = ("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "rocket", "stereo_motorcycle")
PLAIN_FRACTION = 0.25  # fraction of plain backgrounds if no folder is given
JITTER_STRENGTH = 0.35  # strength of the color jitter of photos

Source = Callable[[np.random.Generator, int, int], np.ndarray]  # rng, height, width -> [height, width, 3] uint8


def find_backgrounds(folder: Path | None) -> Source:
    """Returns a function that samples a background.

    Args:
        folder: folder with photos that do not show the logo, or None for photos of scikit-image and plain gradients.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if the folder contains no usable photo.
    """
    if folder is None:
        return functools.partial(
            _draw_background, [functools.partial(_load_bundled, name) for name in BUNDLED], PLAIN_FRACTION
        )
    return functools.partial(
        _draw_background, [functools.partial(_load_file, path) for path in find_photos(folder)], 0.0
    )


def _draw_background(loaders, plain: float, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    if rng.random() < plain:
        return draw_plain(rng, height, width)
    photo = loaders[rng.integers(len(loaders))]()
    return photometric.jitter_color(crop(rng, photo, height, width), rng, JITTER_STRENGTH)


def find_photos(folder: Path) -> list[Path]:
    """Returns the photos of a folder except for validation photos and photos with labelled objects."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder of backgrounds. Pass a folder with photos that do not show the logo."
        )
    candidates = exclude_validation_images(photos.find_files(folder), folder)
    found = [path for path in candidates if not _has_objects(path, folder)]
    if not found:
        raise UserError(
            f"{folder}: no usable background photo (validation photos and photos with labelled objects are skipped). "
            "Pass a folder with photos that do not show the logo."
        )
    return found


def _has_objects(photo: Path, folder: Path) -> bool:
    path = photo.with_suffix(".json")
    if not path.is_file():
        return False
    try:
        record = read_labelme(path, folder)
    except AnnotationError:
        return True  # the photo may show objects
    return record is not None and bool(record.instances or record.problems)


@functools.lru_cache(maxsize=32)
def _load_file(path: Path) -> np.ndarray:
    image = read_image(path)
    factor = MAX_SIDE / max(image.shape[:2])
    return image if factor >= 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


@functools.cache
def _load_bundled(name: str) -> np.ndarray:
    import skimage.data

    image = getattr(skimage.data, name)()
    image = image[0] if isinstance(image, tuple) else image  # the left image of a stereo pair
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def crop(rng: np.random.Generator, photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns a random crop of a photo (`[H, W, 3]` uint8), randomly mirrored and scaled to `[height, width, 3]`."""
    h, w = photo.shape[:2]
    fit = min(h / height, w / width)  # photo pixels per output pixel of the largest crop
    zoom = fit * rng.uniform(0.6, 1.0)
    ch, cw = max(1, min(h, round(height * zoom))), max(1, min(w, round(width * zoom)))
    y, x = int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1))
    part = photo[y : y + ch, x : x + cw]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    interpolation = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=interpolation)


def draw_plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Returns a gradient of two random colors with smooth noise, `[height, width, 3]` uint8."""
    first = random_color(rng)
    second = random_color(rng) if rng.random() < 0.4 else first + rng.normal(0, 0.08)
    corners = rng.random((2, 2, 1)) * (second - first) + first
    image = cv2.resize(corners.astype(np.float32), (width, height))
    for grain in (rng.uniform(1, 4), rng.uniform(10, 100)):
        image += np.float32(rng.uniform(0, 0.05)) * smooth_noise(rng, (height, width), grain)[..., None]
    return (image * 255).clip(0, 255).astype(np.uint8)
