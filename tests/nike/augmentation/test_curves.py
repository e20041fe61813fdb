import numpy as np
import pytest

from nike.augmentation import curves


def test_spline_interpolates_its_points_without_loops():
    corners = np.array([(0, 0), (10, 0), (10.2, 0.1), (10, 10)])
    curve = curves.spline(corners, steps=8)
    np.testing.assert_allclose(curve[::8], corners, atol=1e-5)
    assert curve[:, 0].max() < 11.5  # a uniform Catmull-Rom spline overshoots
    line = curves.spline(corners, closed=False, steps=5)
    np.testing.assert_allclose(line[[0, -1]], corners[[0, -1]], atol=1e-5)
    assert len(line) == 16


def test_ribbon_width():
    outline = curves.ribbon([(0, 0), (5, 0), (10, 0)], 2)
    assert np.ptp(outline[:, 1]) == pytest.approx(2) and np.ptp(outline[:, 0]) == pytest.approx(10)


def test_normalize_centres_and_scales():
    (outline,) = curves.normalize([np.array([(2, 3), (6, 3), (6, 5.0)])])
    np.testing.assert_allclose(outline, [(-0.5, -0.25), (0.5, -0.25), (0.5, 0.25)])


def test_rasterize_uses_continuous_pixels_and_keeps_holes():
    square = np.array([(10, 15), (30, 15), (30, 40), (10, 40)])
    ring = curves.rasterize([square, curves.ellipse((5, 8)) + (20, 27)], (50, 50))
    assert ring[16, 11] == ring[38, 28] == 255 and ring[27, 20] == ring[12, 20] == ring[27, 32] == 0
