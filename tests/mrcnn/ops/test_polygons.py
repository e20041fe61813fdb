"""Conversion of masks to polygons and back."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, gaussian_filter
from skimage.draw import disk

from mrcnn.ops.polygons import crosses_itself, fill, iou, mask_to_polygons


def blobs(rng, count):
    """Yields random masks without holes, from ragged to smooth, often with several components."""
    for _ in range(count):
        field = gaussian_filter(rng.random((48, 64)), rng.uniform(0.3, 5))
        yield binary_fill_holes(field > np.quantile(field, rng.uniform(0.3, 0.99)))


def test_tolerance_zero_is_exact(rng):
    for mask in blobs(rng, 60):
        polygons = mask_to_polygons(mask, tolerance=0, min_iou=1)
        np.testing.assert_array_equal(fill(polygons, *mask.shape), mask)


@pytest.mark.parametrize("min_iou", [0.9, 0.99])
def test_minimum_iou_is_reached(rng, min_iou):
    for mask in blobs(rng, 30):
        assert iou(fill(mask_to_polygons(mask, 2.0, min_iou), *mask.shape), mask) >= min_iou


def test_fewer_points_with_tolerance():
    mask = np.zeros((100, 100), bool)
    mask[disk((50, 50), 40)] = True
    exact, coarse = mask_to_polygons(mask, 0)[0], mask_to_polygons(mask, 2, min_iou=0.95)[0]
    assert len(coarse) < 25 < len(exact)


@pytest.mark.parametrize("pixels", [[(3, 4)], [(3, 4), (3, 5)], [(3, 4), (4, 5)], [(3, 4), (4, 3), (5, 2)], [(0, 0)]])
def test_components_one_pixel_wide(pixels):
    mask = np.zeros((8, 9), bool)
    mask[tuple(zip(*pixels, strict=True))] = True
    np.testing.assert_array_equal(fill(mask_to_polygons(mask), 8, 9), mask)


def test_largest_component_is_first_and_holes_give_none():
    mask = np.zeros((40, 40), bool)
    mask[2:5, 2:5] = mask[10:35, 10:35] = True
    first, second = mask_to_polygons(mask)
    assert np.ptp(first, axis=0).min() == 24 and np.ptp(second, axis=0).max() == 2
    mask[15:30, 15:30] = False
    assert mask_to_polygons(mask) is None


def test_empty_mask():
    assert mask_to_polygons(np.zeros((5, 5), bool)) == []
    assert iou(np.zeros((5, 5), bool), np.zeros((5, 5), bool)) == 1


def test_outlines_do_not_cross_themselves(rng):
    """Simplification could cause this in thin parts, where both sides of the outline pass the same pixels."""
    polygons = [polygon for mask in blobs(rng, 20) for polygon in mask_to_polygons(mask)]
    assert len(polygons) > 100 and not any(map(crosses_itself, polygons))
