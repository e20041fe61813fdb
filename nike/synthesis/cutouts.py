"""Logos cut out of a labelled dataset along their outlines."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mrcnn.data.reading import read_image
from mrcnn.errors import UserError
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import has_own_split, read_subset
from nike.synthesis import geometry
from nike.synthesis.logo import Logo, normalize_outlines

MIN_SIDE = 32  # pixels; smaller instances are skipped
MAX_SIDE = 640  # pixels; larger instances are downsampled
MAX_CUTOUTS = 2000


def load_cutouts(folder: str | Path, label: str = "nike") -> tuple[Logo, ...]:
    """Cuts all instances of a label out of the training photos of a labelme dataset.

    Args:
        folder: Dataset folder, see `nike.datasets.labelme.read_folder`. Validation photos are not used.
        label: Label of the instances.

    Returns:
        One textured logo per instance. If there are more than `MAX_CUTOUTS` instances, an even selection is returned.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If no instance of the label is large enough.
    """
    folder, logos = Path(folder), []
    wanted = [
        (photo, [i for i in photo.instances if i.label == label and not i.crowd])
        for photo in read_subset(folder, "train" if has_own_split(folder) else None, Labels(label)).photos
    ]
    wanted = [(photo, instances) for photo, instances in wanted if instances and photo.path is not None]
    total = sum(len(instances) for _, instances in wanted)
    step = max(1, -(-total // MAX_CUTOUTS))
    number = 0
    for photo, instances in wanted:
        image = None
        for instance in instances:
            number += 1
            if number % step:
                continue
            image = read_image(photo.path) if image is None else image
            logo = _cut(image, instance.draw(photo.height, photo.width))
            if logo is not None:
                logos.append(logo)
    if not logos:
        raise UserError(
            f"{folder}: no instance labelled {label!r} of at least {MIN_SIDE} px in {len(wanted)} photos. "
            "Give a labelme dataset with larger ones, or another --label."
        )
    return tuple(logos)


def _cut(image: np.ndarray, mask: np.ndarray) -> Logo | None:
    """Cuts out one instance with a margin, which provides the colours of blurred edges."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys) or max(np.ptp(ys), np.ptp(xs)) < MIN_SIDE or min(np.ptp(ys), np.ptp(xs)) < 8:
        return None
    y0, x0, y1, x1 = max(ys[0] - 4, 0), max(xs[0] - 4, 0), ys[-1] + 5, xs[-1] + 5
    crop, part = image[y0:y1, x0:x1], mask[y0:y1, x0:x1].astype(np.uint8)
    factor = min(1.0, MAX_SIDE / max(part.shape))
    outlines = [o * factor for o in geometry.find_polygons(part, 1)]
    if factor < 1:
        crop = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return normalize_outlines(outlines, np.ascontiguousarray(crop)) if outlines else None
