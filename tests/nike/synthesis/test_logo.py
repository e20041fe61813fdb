"""Marks: the logo that ships, pictures with alpha, what cannot be used."""

import numpy as np
import pytest
from PIL import Image

from nike.synthesis.logo import DEFAULT_LOGO, MAX_SIDE, bounds, load_logo


def test_the_logo_that_ships_is_centred_and_one_long():
    mark = load_logo()
    low, high = bounds(mark.outlines)
    np.testing.assert_allclose(high - low, (1, 8.401 / 24), atol=0.001)  # its extent in the file: 24 x 8.401
    np.testing.assert_allclose(high + low, 0, atol=1e-6)
    assert mark.texture is None
    assert "trademark" in DEFAULT_LOGO.read_text()


def picture(tmp_path, pixels):
    path = tmp_path / "logo.png"
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def disc(colour, size=100, radius=30):
    y, x = np.mgrid[:size, :size] + 0.5
    inside = np.hypot(x - size / 2, y - size / 2) < radius
    return np.where(inside[..., None], [*colour, 255], [9, 9, 9, 0])


def test_a_picture_becomes_its_outline(tmp_path):
    mark = load_logo(picture(tmp_path, disc((0, 0, 0))))
    (outline,) = mark.outlines
    np.testing.assert_allclose(np.hypot(*outline.T), 0.5, atol=0.02)
    assert mark.texture is None  # one colour: any colour will do


def test_a_picture_of_several_colours_keeps_them(tmp_path):
    pixels = disc((255, 0, 0))
    pixels[:, 50:, :2] = 0, 255
    mark = load_logo(picture(tmp_path, pixels))
    assert mark.texture.shape == (100, 100, 3)
    x, y, w = mark.to_texture @ (0.25, 0, 1)  # right of the middle: green
    assert tuple(mark.texture[int(y / w), int(x / w)]) == (0, 255, 0)


def test_holes_stay_holes(tmp_path):
    pixels = disc((0, 0, 0))
    pixels[45:55, 45:55, 3] = 0
    assert len(load_logo(picture(tmp_path, pixels)).outlines) == 2


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((10, 10, 4), 255), "everywhere opaque"),
        (np.zeros((10, 10, 4)), "nowhere opaque"),
        (np.zeros((10, 10, 3)), "everywhere opaque"),
        (np.zeros((1, MAX_SIDE + 1, 4)), "at most 4096 px"),
    ],
)
def test_pictures_that_show_no_shape_are_refused(tmp_path, pixels, message):
    with pytest.raises(ValueError, match=message):
        load_logo(picture(tmp_path, pixels))


def test_files_that_are_no_picture_are_refused(tmp_path):
    path = tmp_path / "logo.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match="not a picture"):
        load_logo(path)
    with pytest.raises(FileNotFoundError, match="no such logo"):
        load_logo(tmp_path / "nowhere.png")
    flat = tmp_path / "flat.svg"
    flat.write_text('<svg><path d="M0 0h5h5z"/></svg>')
    with pytest.raises(ValueError, match="no area"):
        load_logo(flat)
