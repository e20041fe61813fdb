"""Run-length encoding compared with pycocotools, and invalid encodings."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mrcnn.detections.formats import encode_rle
from nike.datasets import rle


def random_masks(rng, count=40):
    for _ in range(count):
        height, width = rng.integers(1, 40, 2)
        density = rng.choice([0, 0.02, 0.5, 0.98, 1])
        yield rng.random((height, width)) < density


def test_equals_pycocotools(rng):
    for mask in random_masks(rng):
        ours, theirs = encode_rle(mask), coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert ours["size"] == theirs["size"]
        assert ours["counts"] == theirs["counts"].decode()
        np.testing.assert_array_equal(rle.decode(ours, *mask.shape), mask)


def test_large_runs():
    mask = np.zeros((2000, 3000), bool)
    mask[:, 1500:] = True
    assert encode_rle(mask)["counts"] == coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def test_plain_counts():
    # In column order, the 2 x 3 image has one zero, two ones and three zeros.
    mask = rle.decode({"size": [2, 3], "counts": [1, 2, 3]}, 2, 3)
    np.testing.assert_array_equal(mask, [[0, 1, 0], [1, 0, 0]])


def test_extent(rng):
    for mask in random_masks(rng):
        extent = rle.extent(rle.parse(encode_rle(mask), *mask.shape), mask.shape[0])
        if not mask.any():
            assert extent is None
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        y1, x1, y2, x2 = extent
        assert (x1, x2) == (columns[0], columns[-1] + 1)
        # For a run that continues in the next column, the box has the full height.
        assert y1 in (rows[0], 0) and y2 in (rows[-1] + 1, mask.shape[0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "must have size"),
        ({"size": [2, 4], "counts": [8]}, "must have size"),
        ({"size": 5, "counts": [6]}, "must have size"),
        ({"size": [2, 3], "counts": [1, 2]}, "add up to 3 pixels"),
        ({"size": [2, 3], "counts": [-1, 7]}, "list of integers"),
        ({"size": [2, 3], "counts": [1.0, 5]}, "list of integers"),
        ({"size": [2, 3], "counts": None}, "must be a string"),
        ({"size": [2, 3], "counts": "a b"}, "malformed"),
        ({"size": [2, 3], "counts": "\ud800"}, "malformed"),
        ({"size": [2, 3], "counts": "o" * 1000}, "malformed"),  # an unterminated number
        ({"size": [2, 3], "counts": "P"}, "truncated"),
    ],
)
def test_invalid_encodings(value, message):
    with pytest.raises(ValueError, match=message):
        rle.decode(value, 2, 3)
