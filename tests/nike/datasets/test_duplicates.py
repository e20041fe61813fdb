"""Near-duplicates of training images in the validation set, on fingerprints.

`tests/nike/test_check.py` tests them on files.
"""

import tracemalloc

import numpy as np

from nike.datasets.duplicates import THUMBNAIL, Fingerprint, find_duplicates
from nike.datasets.records import Photo


def fingerprints(part, thumbnails):
    return [
        Fingerprint(Photo(f"{part}{i}.jpg", None, None, "", 60, 60), f"{part}{i}", thumbnail)
        for i, thumbnail in enumerate(thumbnails)
    ]


def test_each_copy_is_found_in_bounded_memory(rng):
    """The matrix of all correlations would take 36 MB."""
    count = 3000
    thumbnails = rng.normal(size=(2, count, THUMBNAIL**2)).astype(np.float32)
    thumbnails /= np.linalg.norm(thumbnails, axis=-1, keepdims=True)
    thumbnails[1, [0, 1500, -1]] = thumbnails[0, [7, 8, 9]]
    parts = {part: fingerprints(part, group) for part, group in zip(("train", "val"), thumbnails, strict=True)}
    tracemalloc.start()
    problems = find_duplicates(parts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found = {problem.file: problem.message for problem in problems}
    assert list(found) == ["val0.jpg", "val1500.jpg", "val2999.jpg"]
    assert all(f"'train{7 + i}.jpg'" in message for i, message in enumerate(found.values()))
    assert peak < 25e6  # including 12 MB for the thumbnails of the training images
