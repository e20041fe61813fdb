import numpy as np
import pytest

from nike.synthesis import camera, materials
from nike.synthesis.canvas import Canvas
from nike.synthesis.materials import Material

GREY = Material(np.float32([0.5, 0.5, 0.5]), gloss=0.0)
SQUARE = np.array([(20, 20), (60, 20), (60, 60), (20, 60.0)])


def canvas(value=0.8):
    return Canvas(np.full((80, 80, 3), value, np.float32), np.random.default_rng(0))


def test_shade_keeps_the_colour_of_flat_surfaces():
    flat = canvas()
    flat.gloss[:] = 0.7
    for light in ((0, 0), (-1, -0.5), (0.3, 0.9)):
        np.testing.assert_allclose(flat.shade(light, 0.3), 0.8, atol=1e-5)


def test_slopes_towards_the_light_are_brighter():
    roof = canvas(0.5)
    roof.height += 40 - np.abs(np.arange(80, dtype=np.float32) - 40)[None] * 0.5  # vertical ridge
    lit = roof.shade((-0.5, 0), 0.4)[40, :, 0]  # light from the left
    assert lit[20] > 0.53 > 0.43 > lit[60]


def test_fill_returns_its_coverage():
    layers = canvas()
    alpha = layers.fill(SQUARE, GREY)
    assert alpha[40, 40] == 1 and alpha[10, 10] == 0 and alpha.shape == (80, 80)
    np.testing.assert_allclose(layers.colour[40, 40], 0.5)
    np.testing.assert_allclose(layers.colour[10, 10], 0.8)
    assert alpha.sum() == pytest.approx(1600, rel=0.08)
    assert layers.fill(SQUARE + 500, GREY) is None
    assert layers.fill(SQUARE * np.nan, GREY) is None


def test_fill_is_limited_to_the_clip_mask():
    layers = canvas()
    left = np.zeros((80, 80), np.float32)
    left[:, :40] = 1
    assert layers.fill(SQUARE, GREY, clip=left)[:, 40:].max() == 0
    np.testing.assert_allclose(layers.colour[:, 40:], 0.8)


def test_inflated_layer_is_highest_at_its_centre():
    layers = canvas()
    layers.height += 7
    layers.fill(SQUARE, GREY, inflate=20)
    assert layers.height[40, 40] > layers.height[40, 24] > 0 and layers.height[40, 40] < 20
    assert layers.height[5, 5] == 7


def test_shadow_is_local():
    layers = canvas()
    layers.shadow([SQUARE], (5, 0), 1.0, 0.5)
    np.testing.assert_allclose(layers.colour[40, 45], 0.4, atol=0.01)
    np.testing.assert_allclose(layers.colour[40, 5], 0.8, atol=1e-4)


def test_stitch_draws_dashes():
    layers = canvas(1.0)
    layers.stitch(np.array([(10, 40), (70, 40.0)]), np.zeros(3, np.float32), 2.0, 8.0)
    dark = layers.colour[39:41, :, 0].min(axis=0) < 0.5
    assert 20 < dark.sum() < 50 and np.count_nonzero(np.diff(dark.astype(int)) == 1) >= 4


@pytest.mark.parametrize("kind", [kind for kind in materials.TEXTURES if kind != "smooth"])
def test_texture_relief_is_finite_and_roughly_centred(kind):
    relief = materials.texture(np.random.default_rng(1), kind, 70, 90, 2.5)
    assert relief.shape == (70, 90) and np.isfinite(relief).all()
    assert abs(relief.mean()) < 0.8 and 0.1 < relief.std() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (300, 700)])
@pytest.mark.parametrize("grain", [0.5, 1.0, 7.3, 300.0])
def test_noise_shape(size, grain):
    assert materials.noise(np.random.default_rng(0), *size, grain, stretch=3.0).shape == size


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 1.0])
def test_contrasting_and_similar_colours(level):
    base = np.full(3, level, np.float32)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert np.abs(materials.contrasting(rng, base, 0.3) - base).mean() >= 0.25
        other = materials.similar(rng, base, 0.1)
        assert 0.02 < np.abs(other - base).mean() < 0.2 and 0 <= other.min() <= other.max() <= 1


def band_centre(profile):
    """Returns the mean of the half-height positions of both edges of a bright band in a profile `[80]`."""
    rise, fall = ((profile[a : a + 8].mean() + profile[b : b + 8].mean()) / 2 for a, b in ((10, 32), (52, 72)))
    i = np.flatnonzero((profile[:-1] < rise) & (profile[1:] >= rise))[0]
    j = np.flatnonzero((profile[:-1] >= fall) & (profile[1:] < fall))[-1]
    left = i + 0.5 + (rise - profile[i]) / (profile[i + 1] - profile[i])
    right = j + 0.5 + (fall - profile[j]) / (profile[j + 1] - profile[j])
    return (left + right) / 2


@pytest.mark.parametrize("degradation", [0.0, 0.5, 1.0])
def test_camera_effects_keep_the_geometry(degradation):
    """Polygons are extracted before the camera effects, which therefore must not shift the image."""
    shifts = []
    for seed in range(40):
        layers = Canvas(np.full((80, 80, 3), 0.2, np.float32), np.random.default_rng(seed))
        layers.colour[20:60, 26:66] = 0.8
        image = camera.capture(layers, degradation).astype(float).mean(axis=2)
        shifts.append(band_centre(np.median(image[30:50], axis=0)) - 46)
    assert abs(np.mean(shifts)) < 0.04 and np.abs(shifts).max() < 0.1 + 0.3 * bool(degradation)
