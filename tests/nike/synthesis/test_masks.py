import numpy as np
import pytest
from skimage.draw import polygon2mask

from nike.synthesis.masks import rasterize, rasterize_logo

STAR = np.array([(3.3, 2.1), (17.2, 4.4), (15.9, 16.5), (9.1, 8.2), (2.5, 15.3)])
SQUARE = np.array([(20, 30), (80, 30), (80, 70), (20, 70.0)])


def fill(polygons, shape=(100, 120), scale=4):
    """Returns the boolean mask of the union of polygons on a grid of `scale` cells per pixel."""
    size = (shape[0] * scale, shape[1] * scale)
    return np.any([polygon2mask(size, polygon[:, ::-1] * scale - 0.5) for polygon in polygons], axis=0)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("scale", [4, 8])  # scales that are used for small logos
def test_rasterize_gives_the_coverage_of_polygons_with_holes(scale):
    hole = np.array([(12, 10), (14.5, 10), (14, 13)])
    exact = fill([STAR], (20, 20), 16) & ~fill([hole], (20, 20), 16)
    expected = exact.reshape(20 * scale, 16 // scale, 20 * scale, 16 // scale).mean(axis=(1, 3))
    coverage = rasterize([STAR, hole], (20, 20), scale)
    # OpenCV also fills the cells that an edge touches, so the area is slightly too large.
    assert coverage.mean() == pytest.approx(expected.mean(), rel=0.08 / scale)
    assert np.abs(coverage - expected).max() < 0.5 and np.abs(coverage - expected).mean() < 0.02


@pytest.mark.parametrize("size", [1, 3, 10])  # the scale of the mask depends on it
def test_polygons_follow_the_outline(size):
    outline = STAR * size
    placed = rasterize_logo([outline], (200, 200))
    (polygon,) = placed.polygons((200, 200))
    assert iou(fill([polygon], (200, 200)), fill([outline], (200, 200))) > (0.96 if size == 1 else 0.985)
    assert len(polygon) < 60
    edges = np.roll(outline, -1, axis=0)
    area = abs(np.sum(outline[:, 0] * edges[:, 1] - outline[:, 1] * edges[:, 0])) / 2  # shoelace formula
    assert placed.area == pytest.approx(area)


def test_polygons_are_clipped_to_the_image():
    placed = rasterize_logo([SQUARE - (40, 50)], (100, 120))
    (polygon,) = placed.polygons((100, 120))
    np.testing.assert_allclose([polygon.min(axis=0), polygon.max(axis=0)], [(0, 0), (40, 20)], atol=0.15)
    assert placed.visible.sum() / placed.scale**2 / placed.area == pytest.approx(1 / 3, abs=0.01)


def test_holes_are_filled_and_not_covered():
    placed = rasterize_logo([SQUARE, (SQUARE - (50, 50)) / 2 + (50, 50)], (100, 120))
    (polygon,) = placed.polygons((100, 120))
    assert iou(fill([polygon]), fill([SQUARE])) > 0.98
    assert placed.coverage[50 - placed.window[0], 50 - placed.window[1]] == 0


@pytest.mark.parametrize("outline", [SQUARE + 500, SQUARE * np.nan, SQUARE * 1e6])
def test_logos_outside_the_image_are_not_placed(outline):
    assert rasterize_logo([outline], (100, 120)) is None


def test_windows_overlap():
    first, second, third = (rasterize_logo([SQUARE / 4 + (x, 0)], (100, 120)) for x in (0, 10, 60))
    assert first.overlaps(second) and second.overlaps(first) and not first.overlaps(third)


@pytest.mark.parametrize(
    ("outline", "label"),
    [
        (SQUARE, "bolt"),
        (SQUARE / 8, "ignore"),  # tiny
        (SQUARE * (1, 0.06), "ignore"),  # thin
        (SQUARE - (65, 0), "ignore"),  # mostly outside the image
    ],
)
def test_unclear_logos_are_labelled_ignore(outline, label):
    assert rasterize_logo([outline], (100, 120)).instance((100, 120), "bolt").label == label


def test_logos_without_contrast_are_labelled_ignore():
    placed = rasterize_logo([SQUARE], (100, 120))
    placed.contrast = 2
    assert placed.instance((100, 120), "bolt").label == "ignore"


def test_hidden_logos_have_no_instance():
    placed = rasterize_logo([SQUARE], (100, 120))
    x, y = placed.cell_centres()
    assert x.min() < 20 < 80 < x.max() and y.min() < 30 < 70 < y.max()
    placed.visible[:, (x[0] > 40) & (x[0] < 60)] = 0
    assert len(placed.instance((100, 120), "bolt").polygons) == 2
    placed.visible[:] = 0
    assert placed.instance((100, 120), "bolt") is None
