"""Light and layers: what can be said about them without looking."""

import numpy as np
import pytest

from nike.synthesis import camera, materials
from nike.synthesis.canvas import Canvas
from nike.synthesis.materials import Material

GREY = Material(np.float32([0.5, 0.5, 0.5]), gloss=0.0)
SQUARE = np.array([(20, 20), (60, 20), (60, 60), (20, 60.0)])


def canvas(value=0.8):
    return Canvas(np.full((80, 80, 3), value, np.float32), np.random.default_rng(0))


def test_a_flat_surface_keeps_its_colour_under_any_light():
    flat = canvas()
    flat.gloss[:] = 0.7
    for light in ((0, 0), (-1, -0.5), (0.3, 0.9)):
        np.testing.assert_allclose(flat.shade(light, 0.3), 0.8, atol=1e-5)


def test_slopes_towards_the_light_are_brighter():
    hill = canvas(0.5)
    hill.height += 40 - np.abs(np.arange(80, dtype=np.float32) - 40)[None] * 0.5  # a roof, its ridge upright
    lit = hill.shade((-0.5, 0), 0.4)[40, :, 0]  # light from the left
    assert lit[20] > 0.53 > 0.43 > lit[60]


def test_fill_covers_and_reports_what_it_covers():
    photo = canvas()
    alpha = photo.fill(SQUARE, GREY)
    assert alpha[40, 40] == 1 and alpha[10, 10] == 0 and alpha.shape == (80, 80)
    np.testing.assert_allclose(photo.colour[40, 40], 0.5)
    np.testing.assert_allclose(photo.colour[10, 10], 0.8)
    assert alpha.sum() == pytest.approx(1600, rel=0.08)
    assert photo.fill(SQUARE + 500, GREY) is None
    assert photo.fill(SQUARE * np.nan, GREY) is None


def test_a_clip_keeps_a_layer_inside():
    photo = canvas()
    left = np.zeros((80, 80), np.float32)
    left[:, :40] = 1
    assert photo.fill(SQUARE, GREY, clip=left)[:, 40:].max() == 0
    np.testing.assert_allclose(photo.colour[:, 40:], 0.8)


def test_an_inflated_body_is_highest_in_its_middle():
    photo = canvas()
    photo.height += 7
    photo.fill(SQUARE, GREY, inflate=20)
    assert photo.height[40, 40] > photo.height[40, 24] > 0 and photo.height[40, 40] < 20
    assert photo.height[5, 5] == 7


def test_a_shadow_darkens_only_its_place():
    photo = canvas()
    photo.shadow([SQUARE], (5, 0), 1.0, 0.5)
    np.testing.assert_allclose(photo.colour[40, 45], 0.4, atol=0.01)
    np.testing.assert_allclose(photo.colour[40, 5], 0.8, atol=1e-4)


def test_stitches_are_dashes():
    photo = canvas(1.0)
    photo.stitch(np.array([(10, 40), (70, 40.0)]), np.zeros(3, np.float32), 2.0, 8.0)
    dark = photo.colour[39:41, :, 0].min(axis=0) < 0.5
    assert 20 < dark.sum() < 50 and np.count_nonzero(np.diff(dark.astype(int)) == 1) >= 4


@pytest.mark.parametrize("kind", materials.TEXTURES)
def test_every_texture_is_finite_and_about_level(kind):
    if kind == "smooth":
        return
    relief = materials.texture(np.random.default_rng(1), kind, 70, 90, 2.5)
    assert relief.shape == (70, 90) and np.isfinite(relief).all()
    assert abs(relief.mean()) < 0.8 and 0.1 < relief.std() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (300, 700)])
@pytest.mark.parametrize("grain", [0.5, 1.0, 7.3, 300.0])
def test_noise_has_the_size_asked_for(size, grain):
    assert materials.noise(np.random.default_rng(0), *size, grain, stretch=3.0).shape == size


@pytest.mark.parametrize("ground", [0.0, 0.3, 0.5, 1.0])
def test_contrasting_and_near_colours(ground):
    base = np.full(3, ground, np.float32)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert np.abs(materials.contrasting(rng, base, 0.3) - base).mean() >= 0.25
        other = materials.similar(rng, base, 0.1)
        assert 0.02 < np.abs(other - base).mean() < 0.2 and 0 <= other.min() <= other.max() <= 1


def middle_of_a_bright_band(profile):
    """Half way between the places where a profile `[80]` crosses half the height of its two edges."""
    rise, fall = ((profile[a : a + 8].mean() + profile[b : b + 8].mean()) / 2 for a, b in ((10, 32), (52, 72)))
    i = np.flatnonzero((profile[:-1] < rise) & (profile[1:] >= rise))[0]
    j = np.flatnonzero((profile[:-1] >= fall) & (profile[1:] < fall))[-1]
    left = i + 0.5 + (rise - profile[i]) / (profile[i + 1] - profile[i])
    right = j + 0.5 + (fall - profile[j]) / (profile[j + 1] - profile[j])
    return (left + right) / 2


@pytest.mark.parametrize("degradation", [0.0, 0.5, 1.0])
def test_the_camera_moves_no_pixel(degradation):
    """A bright square stays where it is whatever light, blur and JPEG do: labels are made before the photo is taken."""
    moved = []
    for seed in range(40):
        photo = Canvas(np.full((80, 80, 3), 0.2, np.float32), np.random.default_rng(seed))
        photo.colour[20:60, 26:66] = 0.8
        image = camera.capture(photo, degradation).astype(float).mean(axis=2)
        moved.append(middle_of_a_bright_band(np.median(image[30:50], axis=0)) - 46)
    assert abs(np.mean(moved)) < 0.04 and np.abs(moved).max() < 0.1 + 0.3 * bool(degradation)
