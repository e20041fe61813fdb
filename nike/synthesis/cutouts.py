"""Logos cut out of a labelled dataset along their outlines."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from mrcnn.data.image_files import read_image
from mrcnn.errors import UserError
from nike.datasets.labels import Labels
from nike.datasets.read_subset import has_own_split, read_subset
from nike.synthesis.logo import Logo, make_logo, trace_outlines

MIN_SIDE = 32  # pixels; smaller instances are skipped
MAX_SIDE = 640  # pixels; larger instances are downsampled
MAX_CUTOUTS = 2000


def load_cutouts(folder: str | Path, label: str = "nike") -> tuple[Logo, ...]:
    """Cuts all instances of a label out of the training photos of a labelme dataset.

    Args:
        folder: dataset folder; see `nike.datasets.labelme.read_folder`. Validation photos are not used.
        label: label of the instances.

    Returns:
        One textured logo per instance. If there are more than `MAX_CUTOUTS` instances, an evenly spaced subset is used.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if no instance of the label is large enough.
    """
    folder = Path(folder)
    photos = read_subset(folder, "train" if has_own_split(folder) else None, Labels(label)).photos
    photos = [photo for photo in photos if photo.path is not None]
    wanted = [(photo, i) for photo in photos for i in photo.instances if i.label == label and not i.crowd]
    step = max(1, -(-len(wanted) // MAX_CUTOUTS))
    read = functools.lru_cache(maxsize=1)(read_image)  # instances of the same photo are consecutive
    cut = [_cut_out(read(photo.path), instance.draw(photo.height, photo.width)) for photo, instance in wanted[::step]]
    logos = tuple(logo for logo in cut if logo is not None)
    if not logos:
        raise UserError(
            f"{folder}: no instance labelled {label!r} of at least {MIN_SIDE} px in {len(photos)} photos. "
            "Choose a labelme dataset with larger instances, or another --label."
        )
    return logos


def _cut_out(image: np.ndarray, mask: np.ndarray) -> Logo | None:
    """Cuts out an instance with a margin for the colors of blurred edges. Returns None if the instance is too small."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys) or max(np.ptp(ys), np.ptp(xs)) < MIN_SIDE or min(np.ptp(ys), np.ptp(xs)) < 8:
        return None
    y0, x0, y1, x1 = max(ys[0] - 4, 0), max(xs[0] - 4, 0), ys[-1] + 5, xs[-1] + 5
    crop, outlines = image[y0:y1, x0:x1], trace_outlines(mask[y0:y1, x0:x1] > 0)
    if not outlines:
        return None
    factor = min(1.0, MAX_SIDE / max(crop.shape[:2]))
    if factor < 1:
        crop = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return make_logo([outline * factor for outline in outlines], np.ascontiguousarray(crop))
