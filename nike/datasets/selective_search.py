"""Selective Search, which computes proposals by hierarchical segmentation without training, and a disk cache.

Source: Uijlings et al. 2013, "Selective Search for Object Recognition". The implementation is part of OpenCV's contrib
modules.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np

from mrcnn.atomic import replacing
from mrcnn.errors import UserError

try:
    import cv2
except ImportError:  # OpenCV's system libraries are missing in minimal containers; models with an RPN work without it
    cv2 = None

MODES = {  # values of `Config.PROPOSALS`
    "selective_search_fast": "switchToSelectiveSearchFast",
    "selective_search_quality": "switchToSelectiveSearchQuality",
}
MAX_SIDE = 500  # pixels; larger images are downscaled, as in the code of R-CNN, because the time grows with the area
CACHE = ".proposals"  # subfolder of the dataset folder


def check_proposals(name: str) -> None:
    """Raises ValueError if `name` is not "rpn" or one of MODES, or if Selective Search is not installed."""
    if name == "rpn":
        return
    if name not in MODES:
        raise UserError(f"PROPOSALS: expected one of rpn, {', '.join(MODES)}; got {name!r}.")
    # `hasattr(cv2, "ximgproc")` is not sufficient: overwriting opencv-contrib-python can leave an empty folder.
    if not hasattr(getattr(cv2, "ximgproc", None), "segmentation"):
        raise UserError(
            "Selective Search requires opencv-contrib-python, which replaces the files of opencv-python: "
            "pip install --force-reinstall --no-deps opencv-contrib-python"
        )


def selective_search(image: np.ndarray, mode: str) -> np.ndarray:
    """Computes the proposals of an image.

    Args:
        image: uint8 RGB `[H, W, 3]`.
        mode: one of MODES.

    Returns:
        `[K, 4]` float32 boxes (y1, x1, y2, x2) in pixels of `image`, without scores. As in section 3.3 of the paper,
        they are in random order with a preference for large boxes. The order is the same in every call.
    """
    height, width = image.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.resize(image[..., ::-1], size, interpolation=cv2.INTER_AREA))
    getattr(search, MODES[mode])()
    rectangles = np.reshape(search.process(), (-1, 4))
    x, y, w, h = np.unique(rectangles, axis=0).T  # sorted, because OpenCV's order changes from call to call
    by_area = np.argsort(-(w * h), kind="stable")
    ranks = np.empty(len(x))
    ranks[by_area] = np.random.default_rng(0).random(len(x)) * np.arange(1, len(x) + 1)
    boxes = np.stack([y, x, y + h, x + w], axis=1)[np.argsort(ranks)]
    return np.float32(boxes * np.tile([height / size[1], width / size[0]], 2))


def cache_folder(dataset: Path) -> Path:
    """Returns the folder for the proposals of a dataset, given its folder or annotation file."""
    return (dataset if dataset.is_dir() else dataset.parent) / CACHE


def find_proposals(image: np.ndarray, mode: str, folder: Path | None) -> np.ndarray:
    """Returns the proposals of an image from the cache, or computes and stores them.

    File names contain the mode and a hash of the pixels, so cached files never become stale. They can be deleted at any
    time.

    Args:
        image: see `selective_search`.
        mode: see `selective_search`.
        folder: folder of the cache, or None to disable it.
    """
    if folder is None:
        return selective_search(image, mode)
    digest = hashlib.sha256(f"{MAX_SIDE} {image.shape}".encode() + image.tobytes()).hexdigest()
    path = folder / f"{mode}_{digest[:32]}.npy"
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError):  # the file is missing or damaged
        boxes = selective_search(image, mode)
    try:
        with replacing(path) as temporary:
            np.save(temporary, boxes)
    except OSError as error:
        warnings.warn(
            f"{folder}: proposals cannot be cached and are computed every time ({error.strerror}).", stacklevel=2
        )
    return boxes
