"""Curves, homographies and outlines against what can be worked out by hand."""

import numpy as np
import pytest
from skimage.draw import polygon2mask

from nike.synthesis import geometry


def test_polygons_of_follow_the_edges_of_pixels_exactly():
    fine = np.zeros((40, 60), np.uint8)
    fine[8:20, 12:32] = 1  # at 4 fine pixels per pixel: x 3..8, y 2..5
    (polygon,) = geometry.find_polygons(fine, 4, origin=(100, 200))
    np.testing.assert_allclose([polygon.min(axis=0), polygon.max(axis=0)], [(103, 202), (108, 205)])
    assert geometry.signed_area(np.concatenate([polygon, polygon[:1]])) == pytest.approx(15, abs=1.2)  # corners are cut


def test_polygons_of_reach_the_border_and_fill_holes():
    fine = np.ones((20, 20), np.uint8)
    fine[8:12, 8:12] = 0
    (polygon,) = geometry.find_polygons(fine, 2)
    assert polygon.min() == 0 and polygon.max() == 10 and len(polygon) <= 8


def test_polygons_of_leave_out_crumbs_and_sort_by_size():
    fine = np.zeros((100, 100), np.uint8)
    fine[:10, :10], fine[50:, 50:], fine[80:82, :2] = 1, 1, 1
    first, second = geometry.find_polygons(fine, 1, min_area=5)
    assert first.min() == 50 and second.max() == 10
    assert geometry.find_polygons(np.zeros((5, 5), np.uint8), 1) == []


STAR = np.array([(3.3, 2.1), (17.2, 4.4), (15.9, 16.5), (9.1, 8.2), (2.5, 15.3)])


def drawn_by_skimage(polygon):
    """bool [320, 320]: a polygon on 20 x 20 pixels, at 16 to a pixel; skimage takes (row, column) of pixel centres."""
    return polygon2mask((320, 320), polygon[:, ::-1] * 16 - 0.5)


@pytest.mark.parametrize("scale", [1, 4, 16])
def test_raster_fills_the_pixels_whose_centres_are_inside(scale):
    hole = np.array([(12, 10), (14.5, 10), (14, 13)])
    fine = geometry.rasterize([STAR, hole], (20, 20), scale)
    outer, inner = (polygon2mask(fine.shape, p[:, ::-1] * scale - 0.5) for p in (STAR, hole))
    assert inner.any() and not (inner & ~outer).any()
    np.testing.assert_array_equal(fine > 0, outer & ~inner)


def test_raster_of_what_reaches_beyond_the_window():
    assert (geometry.rasterize([np.array([(-99, -99), (99, -99), (99, 99), (-99, 99)])], (7, 9), 2) == 255).all()
    assert not geometry.rasterize([STAR + 50], (20, 20)).any()
    left = geometry.rasterize([np.array([(-9, 2), (3, 2), (3, 4), (-9, 4)])], (6, 6))
    assert left[2:4, :3].all() and left.sum() == 6 * 255


@pytest.mark.parametrize(("scale", "least"), [(2, 0.93), (4, 0.97), (16, 0.99)])
def test_polygons_give_back_what_was_rasterised(scale, least):
    (polygon,) = geometry.find_polygons(geometry.rasterize([STAR], (20, 20), scale), scale)
    drawn, exact = drawn_by_skimage(polygon), drawn_by_skimage(STAR)
    assert (drawn & exact).sum() / (drawn | exact).sum() > least
    assert drawn.sum() == pytest.approx(exact.sum(), rel=0.06 / scale)  # neither larger nor smaller


def test_pose_is_mirror_then_turn_then_place():
    matrix = geometry.pose((10, 20), (4, 2), np.pi / 2, mirror=True)
    np.testing.assert_allclose(
        geometry.transform(matrix, [(0, 0), (1, 0), (0, 1)]), [(10, 20), (10, 16), (8, 20)], atol=1e-5
    )


def test_tilt_makes_the_right_side_larger():
    matrix = geometry.pose((0, 0), 100, tilt=(0.4, 0))
    left = geometry.transform(matrix, [(-0.5, -0.5), (-0.5, 0.5)])
    right = geometry.transform(matrix, [(0.5, -0.5), (0.5, 0.5)])
    assert np.ptp(right[:, 1]) == pytest.approx(100 / 0.8) and np.ptp(left[:, 1]) == pytest.approx(100 / 1.2)


def test_spline_passes_through_its_points_and_never_loops():
    corners = np.array([(0, 0), (10, 0), (10.2, 0.1), (10, 10)])
    curve = geometry.spline(corners, steps=8)
    np.testing.assert_allclose(curve[::8], corners, atol=1e-5)
    assert curve[:, 0].max() < 11.5  # a uniform Catmull-Rom curls far beyond the corner
    line = geometry.spline(corners, closed=False, steps=5)
    np.testing.assert_allclose(line[[0, -1]], corners[[0, -1]], atol=1e-5)
    assert len(line) == 16


def test_ribbon_is_as_wide_as_asked():
    outline = geometry.ribbon([(0, 0), (5, 0), (10, 0)], 2)
    assert np.ptp(outline[:, 1]) == pytest.approx(2) and np.ptp(outline[:, 0]) == pytest.approx(10)


def test_bend_foreshortens_the_ends():
    flat = np.stack([np.linspace(-0.5, 0.5, 11), np.zeros(11)], 1)
    (bent,) = geometry.bend([flat], 1.0)
    np.testing.assert_allclose(bent[:, 0], np.sin(2 * flat[:, 0]) / 2, atol=1e-6)
    steps = np.diff(bent[:, 0])
    assert steps[0] < steps[5] and bent[:, 1].max() == 0


def test_grow_and_shrink_move_the_edge():
    fine = np.zeros((50, 50), np.uint8)
    fine[20:30, 20:30] = 255
    assert np.flatnonzero(geometry.dilate(fine, 3).any(0)).tolist() == list(range(17, 33))
    assert np.flatnonzero(geometry.erode(fine, 3).any(0)).tolist() == list(range(23, 27))
