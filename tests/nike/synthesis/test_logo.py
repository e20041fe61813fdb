import numpy as np
import pytest
from PIL import Image

from nike.synthesis.logo import DEFAULT_LOGO, MAX_SIDE, MAX_STEP, load_logo, make_logo


def test_bundled_logo_is_normalized():
    logo = load_logo()
    points = np.concatenate(logo.outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(high - low, (1, 8.401 / 24), atol=0.001)  # the path in the file is 24 x 8.401
    np.testing.assert_allclose(high + low, 0, atol=1e-6)
    assert logo.texture is None
    assert "trademark" in DEFAULT_LOGO.read_text()


def write_image(tmp_path, pixels):
    path = tmp_path / "logo.png"
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def disc(color, size=100, radius=30):
    y, x = np.mgrid[:size, :size] + 0.5
    inside = np.hypot(x - size / 2, y - size / 2) < radius
    return np.where(inside[..., None], [*color, 255], [9, 9, 9, 0])


def test_image_with_alpha_becomes_an_outline(tmp_path):
    logo = load_logo(write_image(tmp_path, disc((0, 0, 0))))
    (outline,) = logo.outlines
    np.testing.assert_allclose(np.hypot(*outline.T), 0.5, atol=0.02)
    assert logo.texture is None  # images of one color have no texture


def test_image_with_several_colors_becomes_a_texture(tmp_path):
    pixels = disc((255, 0, 0))
    pixels[:, 50:, :2] = 0, 255
    logo = load_logo(write_image(tmp_path, pixels))
    assert logo.texture.shape == (100, 100, 3)
    x, y = np.array((0.25, 0)) * logo.scale + logo.centre  # a point in the green half
    assert tuple(logo.texture[int(y), int(x)]) == (0, 255, 0)


def test_long_edges_are_subdivided():
    """Without subdivision, a bent logo would have straight edges."""
    (outline,) = make_logo([np.array([(0, 0), (8, 0), (8, 2), (0, 2.0)])]).outlines
    steps = np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1)
    assert steps.max() <= MAX_STEP + 1e-9 and steps.sum() == pytest.approx(2.5)
    assert {tuple(point) for point in outline} >= {(-0.5, -0.125), (0.5, -0.125), (0.5, 0.125), (-0.5, 0.125)}


def test_holes_are_kept(tmp_path):
    pixels = disc((0, 0, 0))
    pixels[45:55, 45:55, 3] = 0
    assert len(load_logo(write_image(tmp_path, pixels)).outlines) == 2


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((10, 10, 4), 255), "fully opaque"),
        (np.zeros((10, 10, 4)), "fully transparent"),
        (np.zeros((10, 10, 3)), "fully opaque"),
        (np.zeros((1, MAX_SIDE + 1, 4)), "at most 4096 pixels"),
    ],
)
def test_images_without_a_shape_raise(tmp_path, pixels, message):
    with pytest.raises(ValueError, match=message):
        load_logo(write_image(tmp_path, pixels))


def test_unreadable_files_raise(tmp_path):
    path = tmp_path / "logo.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        load_logo(path)
    with pytest.raises(FileNotFoundError, match="no such logo"):
        load_logo(tmp_path / "nowhere.png")
    flat = tmp_path / "flat.svg"
    flat.write_text('<svg><path d="M0 0h5h5z"/></svg>')
    with pytest.raises(ValueError, match="encloses an area"):
        load_logo(flat)
