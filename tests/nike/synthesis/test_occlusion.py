import numpy as np
import pytest

from nike.synthesis.masks import rasterize_logo
from nike.synthesis.occlusion import Rod, draw_rod, occlude

ROD = Rod(np.array([10.0, 20.0]), np.array([50.0, 20.0]), 5.0)
SQUARE = np.array([(20, 30), (80, 30), (80, 70), (20, 70.0)])


def test_coverage_is_that_of_a_rod_with_round_ends():
    y, x = np.ogrid[0.5:60, 0.5:60]
    coverage = ROD.coverage(x, y)
    assert coverage.sum() == pytest.approx(40 * 10 + np.pi * 25, rel=0.01)
    assert coverage[20, 30] == 1 and coverage[26, 30] == 0 and coverage[20, 3] == 0 and coverage[20, 7] == 1


def test_rod_is_painted_opaquely():
    image = np.random.default_rng(1).uniform(0, 1, (60, 60, 3)).astype(np.float32)
    before = image.copy()
    draw_rod(np.random.default_rng(0), image, ROD)
    assert 0 <= image.min() <= image.max() <= 1
    assert image[18:22, 15:45].std(axis=(0, 1)).max() < 0.1 < before[18:22, 15:45].std(axis=(0, 1)).min()
    np.testing.assert_array_equal(image[40:], before[40:])


def test_hidden_pixels_are_the_painted_ones():
    """The image changes where the logo is no longer visible."""
    for seed in range(20):
        logo, image = rasterize_logo([SQUARE], (100, 120)), np.full((100, 120, 3), 0.5, np.float32)
        whole = logo.coverage
        occlude(np.random.default_rng(seed), image, [logo], [logo])
        y0, x0, y1, x1 = logo.window
        hidden = whole - logo.coverage > 0.99
        changed = np.abs(image[y0:y1, x0:x1] - 0.5).max(axis=2) > 0
        assert hidden.any() and changed[hidden].mean() > 0.95


def test_no_target_no_rod():
    image = np.full((9, 9, 3), 0.5, np.float32)
    occlude(np.random.default_rng(0), image, [], [])
    assert (image == 0.5).all()
