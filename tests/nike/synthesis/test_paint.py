import numpy as np
import pytest

from nike.synthesis import paint
from nike.synthesis.masks import rasterize
from nike.synthesis.paint import STYLES

SQUARE = rasterize([np.array([(20, 20), (80, 20), (80, 80), (20, 80.0)])], (100, 100))
UP = (0.0, -1.0)  # direction of light from above


def surface(value=0.6):
    return np.full((100, 100, 3), value, np.float32)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_styles_change_the_logo_and_keep_the_surface(style):
    for seed in range(10):
        painted = paint.paint(np.random.default_rng(seed), surface(), SQUARE, style, 60, UP)
        assert painted.shape == (100, 100, 3) and painted.dtype == np.float32
        assert 0 <= painted.min() <= painted.max() <= 1
        change = np.abs(painted - 0.6).mean(axis=2)
        assert change[SQUARE > 0.99].mean() > 0.01
        assert change[:8].max() < 0.01 and change[-8:].max() < 0.01  # shadows extend to paint.MARGIN


def test_flat_ink_changes_no_pixel_outside_the_logo():
    painted = paint.paint(np.random.default_rng(0), surface(), SQUARE, STYLES["print"], 60, UP)
    np.testing.assert_array_equal(painted[SQUARE == 0], np.float32(0.6))


def test_own_colors_are_used():
    colors = np.full((1, 1, 3), (0.1, 0.5, 0.9), np.float32)
    painted = paint.paint(np.random.default_rng(0), surface(), SQUARE, paint.Style(1), 60, UP, colors)
    np.testing.assert_allclose(painted[50, 50], (0.1, 0.5, 0.9), atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 1.0])
def test_ink_differs_from_the_surface(level):
    base = np.full(3, level)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert np.abs(paint.choose_ink(rng, base, STYLES["print"], (9, 9)) - base).mean(axis=2).max() >= 0.18
        tone = paint.choose_ink(rng, base, STYLES["tone on tone"], (9, 9))
        assert 0.05 < np.abs(tone - base).mean() < 0.21


def test_the_texture_of_the_surface_shows_through():
    stripes = surface()
    stripes[:, ::4] *= 0.7
    shading = paint.surface_shading(stripes, 60)[..., 0]
    assert shading[:, ::4].mean() < 0.9 < 1 < shading[:, 2::4].mean()
    np.testing.assert_allclose(paint.surface_shading(surface(), 60), 1, atol=1e-5)


def test_wear_removes_about_the_given_fraction():
    for fraction in (0.2, 0.5):
        left = paint.sample_wear(np.random.default_rng(0), (200, 200), 150, fraction)
        assert (left < 0.5).mean() == pytest.approx(fraction, abs=0.05) and left.max() == 1


def test_relief_is_bright_towards_the_light():
    light = paint.relief(SQUARE, 60, UP)
    assert light[20, 50] > 0.2 and light[79, 50] < -0.2 and light[50, 50] == 0


def test_shadow_falls_away_from_the_light():
    dark = paint.shadow(SQUARE, 100, UP)
    assert dark[81, 50] > 0.3 > 0.1 > dark[18, 50]
