"""Real marks cut out of a labelled dataset along their outlines, to be put onto other photos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mrcnn.data.reading import read_image
from nike.datasets.labels import Labels
from nike.datasets.nike_dataset import has_own_split, read_subset
from nike.synthesis import geometry
from nike.synthesis.logo import Mark, centre

LEAST_SIDE = 32  # pixels: smaller ones have no texture worth keeping
LARGEST_SIDE = 640
MOST = 2000


def load_cutouts(folder: str | Path, label: str = "nike") -> tuple[Mark, ...]:
    """Cuts every instance of a label out of a labelme dataset.

    Args:
        folder: As `nike.datasets.labelme.read_folder` takes it, without its validation photos.
        label: Which instances.

    Returns:
        Marks with the colours that the photos show, at most `MOST`, evenly picked; pieces of one stay together.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no instance of that label is large enough.
    """
    folder, marks = Path(folder), []
    wanted = [
        (photo, [i for i in photo.instances if i.label == label and not i.crowd])
        for photo in read_subset(folder, "train" if has_own_split(folder) else None, Labels(label)).photos
    ]
    wanted = [(photo, instances) for photo, instances in wanted if instances and photo.path is not None]
    total = sum(len(instances) for _, instances in wanted)
    step = max(1, -(-total // MOST))
    number = 0
    for photo, instances in wanted:
        image = None
        for instance in instances:
            number += 1
            if number % step:
                continue
            image = read_image(photo.path) if image is None else image
            mark = _cut(image, instance.draw(photo.height, photo.width))
            if mark is not None:
                marks.append(mark)
    if not marks:
        raise ValueError(
            f"{folder}: no instance labelled {label!r} of at least {LEAST_SIDE} px in {len(wanted)} photos. "
            "Give a labelme dataset with larger ones, or another --label."
        )
    return tuple(marks)


def _cut(image: np.ndarray, mask: np.ndarray) -> Mark | None:
    """One instance as a mark, with a margin of its surroundings so that soft edges find real colours."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys) or max(np.ptp(ys), np.ptp(xs)) < LEAST_SIDE or min(np.ptp(ys), np.ptp(xs)) < 8:
        return None
    y0, x0, y1, x1 = max(ys[0] - 4, 0), max(xs[0] - 4, 0), ys[-1] + 5, xs[-1] + 5
    picture, part = image[y0:y1, x0:x1], mask[y0:y1, x0:x1].astype(np.uint8)
    factor = min(1.0, LARGEST_SIDE / max(part.shape))
    outlines = [o * factor for o in geometry.polygons_of(part, 1)]
    if factor < 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return centre(outlines, np.ascontiguousarray(picture)) if outlines else None
