import numpy as np
import pytest

from nike.synthesis.logo import make_logo
from nike.synthesis.placement import Placement, make_homography, sample_placement, warp_texture


def test_pose_mirrors_rotates_and_translates():
    placement = Placement(make_homography((10, 20), (4, 2), np.pi / 2, mirror=True))
    np.testing.assert_allclose(placement.to_image([(0, 0), (1, 0), (0, 1)]), [(10, 20), (10, 16), (8, 20)], atol=1e-12)


def test_tilt_enlarges_the_right_side():
    placement = Placement(make_homography((0, 0), (100, 100), tilt=(0.4, 0)))
    corners = placement.to_image([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
    assert corners[1, 1] - corners[0, 1] == pytest.approx(100 / 1.2)  # the divisor is 1 - 0.4 x
    assert corners[3, 1] - corners[2, 1] == pytest.approx(100 / 0.8)


def test_bend_foreshortens_the_ends():
    """On a cylinder of radius r, arc length s appears at r sin(s / r). Half of the width covers the angle `bend`."""
    x = np.linspace(-0.5, 0.5, 11)
    bent = Placement(np.eye(3), bend=1.0).to_image(np.stack([x, 0 * x], 1))
    np.testing.assert_allclose(bent[:, 0], 0.5 * np.sin(x / 0.5), atol=1e-12)
    assert np.diff(bent[:, 0])[0] < np.diff(bent[:, 0])[5] and not bent[:, 1].any()


def test_sag_lowers_the_ends():
    bent = Placement(np.eye(3), sag=0.1).to_image([(-0.5, 0), (0, 0), (0.5, 0)])
    np.testing.assert_allclose(bent[:, 1], (0.1, 0, 0.1))


def test_to_logo_inverts_to_image():
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 2))
    for seed in range(50):
        placement = sample_placement(np.random.default_rng(seed), (300, 400), (20, 200))
        np.testing.assert_allclose(placement.to_logo(placement.to_image(points)), points, atol=1e-9)


def test_texture_follows_the_placement():
    """The left half is red and the right half blue. After a quarter turn, red is at the top."""
    texture = np.zeros((40, 80, 3), np.uint8)
    texture[:, :40, 0], texture[:, 40:, 2] = 255, 255
    logo = make_logo([np.array([(0, 0), (80, 0), (80, 40), (0, 40.0)])], texture)
    turned = Placement(make_homography((30, 50), (80, 80), np.pi / 2))
    colors = warp_texture(logo, turned, (10, 10, 90, 50))
    assert colors.shape == (80, 40, 3)
    assert colors[5, 20].tolist() == [1, 0, 0] and colors[75, 20].tolist() == [0, 0, 1]
    np.testing.assert_allclose(colors[39:41, 20].mean(axis=0), (0.5, 0, 0.5), atol=0.01)  # the edge is at y = 50
