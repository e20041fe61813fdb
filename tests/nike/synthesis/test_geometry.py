import numpy as np
import pytest
from skimage.draw import polygon2mask

from nike.synthesis import geometry


def test_find_polygons_follows_pixel_edges():
    mask = np.zeros((40, 60), np.uint8)
    mask[8:20, 12:32] = 1  # x 3..8 and y 2..5 at a supersampling factor of 4
    (polygon,) = geometry.find_polygons(mask, 4, origin=(100, 200))
    np.testing.assert_allclose([polygon.min(axis=0), polygon.max(axis=0)], [(103, 202), (108, 205)])
    assert geometry.signed_area(np.concatenate([polygon, polygon[:1]])) == pytest.approx(15, abs=1.2)  # corners are cut


def test_find_polygons_reaches_the_border_and_fills_holes():
    mask = np.ones((20, 20), np.uint8)
    mask[8:12, 8:12] = 0
    (polygon,) = geometry.find_polygons(mask, 2)
    assert polygon.min() == 0 and polygon.max() == 10 and len(polygon) <= 8


def test_find_polygons_drops_small_components_and_sorts_by_area():
    mask = np.zeros((100, 100), np.uint8)
    mask[:10, :10], mask[50:, 50:], mask[80:82, :2] = 1, 1, 1
    first, second = geometry.find_polygons(mask, 1, min_area=5)
    assert first.min() == 50 and second.max() == 10
    assert geometry.find_polygons(np.zeros((5, 5), np.uint8), 1) == []


STAR = np.array([(3.3, 2.1), (17.2, 4.4), (15.9, 16.5), (9.1, 8.2), (2.5, 15.3)])


def rasterize_with_skimage(polygon):
    """Returns the `[320, 320]` bool mask of a polygon on a grid of 20 x 20 pixels."""
    return polygon2mask((320, 320), polygon[:, ::-1] * 16 - 0.5)


@pytest.mark.parametrize("scale", [1, 4, 16])
def test_rasterize_matches_skimage(scale):
    hole = np.array([(12, 10), (14.5, 10), (14, 13)])
    mask = geometry.rasterize([STAR, hole], (20, 20), scale)
    outer, inner = (polygon2mask(mask.shape, p[:, ::-1] * scale - 0.5) for p in (STAR, hole))
    assert inner.any() and not (inner & ~outer).any()
    np.testing.assert_array_equal(mask > 0, outer & ~inner)


def test_rasterize_clips_to_the_window():
    assert (geometry.rasterize([np.array([(-99, -99), (99, -99), (99, 99), (-99, 99)])], (7, 9), 2) == 255).all()
    assert not geometry.rasterize([STAR + 50], (20, 20)).any()
    left = geometry.rasterize([np.array([(-9, 2), (3, 2), (3, 4), (-9, 4)])], (6, 6))
    assert left[2:4, :3].all() and left.sum() == 6 * 255


@pytest.mark.parametrize(("scale", "min_iou"), [(2, 0.93), (4, 0.97), (16, 0.99)])
def test_find_polygons_inverts_rasterize(scale, min_iou):
    (polygon,) = geometry.find_polygons(geometry.rasterize([STAR], (20, 20), scale), scale)
    drawn, exact = rasterize_with_skimage(polygon), rasterize_with_skimage(STAR)
    assert (drawn & exact).sum() / (drawn | exact).sum() > min_iou
    assert drawn.sum() == pytest.approx(exact.sum(), rel=0.06 / scale)  # no bias in the area


def test_pose_mirrors_rotates_and_translates():
    matrix = geometry.pose((10, 20), (4, 2), np.pi / 2, mirror=True)
    np.testing.assert_allclose(
        geometry.transform(matrix, [(0, 0), (1, 0), (0, 1)]), [(10, 20), (10, 16), (8, 20)], atol=1e-5
    )


def test_tilt_enlarges_the_right_side():
    matrix = geometry.pose((0, 0), 100, tilt=(0.4, 0))
    left = geometry.transform(matrix, [(-0.5, -0.5), (-0.5, 0.5)])
    right = geometry.transform(matrix, [(0.5, -0.5), (0.5, 0.5)])
    assert np.ptp(right[:, 1]) == pytest.approx(100 / 0.8) and np.ptp(left[:, 1]) == pytest.approx(100 / 1.2)


def test_spline_interpolates_its_points_without_loops():
    corners = np.array([(0, 0), (10, 0), (10.2, 0.1), (10, 10)])
    curve = geometry.spline(corners, steps=8)
    np.testing.assert_allclose(curve[::8], corners, atol=1e-5)
    assert curve[:, 0].max() < 11.5  # a uniform Catmull-Rom spline overshoots
    line = geometry.spline(corners, closed=False, steps=5)
    np.testing.assert_allclose(line[[0, -1]], corners[[0, -1]], atol=1e-5)
    assert len(line) == 16


def test_ribbon_width():
    outline = geometry.ribbon([(0, 0), (5, 0), (10, 0)], 2)
    assert np.ptp(outline[:, 1]) == pytest.approx(2) and np.ptp(outline[:, 0]) == pytest.approx(10)


def test_bend_foreshortens_the_ends():
    flat = np.stack([np.linspace(-0.5, 0.5, 11), np.zeros(11)], 1)
    (bent,) = geometry.bend([flat], 1.0)
    np.testing.assert_allclose(bent[:, 0], np.sin(2 * flat[:, 0]) / 2, atol=1e-6)
    steps = np.diff(bent[:, 0])
    assert steps[0] < steps[5] and bent[:, 1].max() == 0


def test_dilate_and_erode_move_the_edge():
    mask = np.zeros((50, 50), np.uint8)
    mask[20:30, 20:30] = 255
    assert np.flatnonzero(geometry.dilate(mask, 3).any(0)).tolist() == list(range(17, 33))
    assert np.flatnonzero(geometry.erode(mask, 3).any(0)).tolist() == list(range(23, 27))
