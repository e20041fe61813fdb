import json
import socket

import numpy as np
import pytest
from PIL import Image

from nike.synthesis import backgrounds
from nike.synthesis.backgrounds import find_backgrounds, find_photos


def write_photo(folder, name, shapes=None):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.full((50, 70, 3), (0, 250, 0), np.uint8)).save(folder / f"{name}.png")
    if shapes is not None:
        (folder / f"{name}.json").write_text(json.dumps({"shapes": shapes, "imagePath": f"{name}.png"}))


SQUARE = {"label": "nike", "points": [[1, 1], [30, 1], [30, 30], [1, 30]], "shape_type": "polygon"}


def test_photos_with_objects_are_skipped(tmp_path):
    write_photo(tmp_path, "clean")
    write_photo(tmp_path, "negative", [])
    write_photo(tmp_path, "positive", [SQUARE])
    assert [path.name for path in find_photos(tmp_path)] == ["clean.png", "negative.png"]
    (tmp_path / "clean.png").unlink()
    (tmp_path / "negative.png").unlink()
    with pytest.raises(ValueError, match="no usable background photo"):
        find_photos(tmp_path)


def test_validation_photos_are_not_used(tmp_path):
    """Validation photos in synthetic training images would bias the validation metrics."""
    write_photo(tmp_path, "plain")
    write_photo(tmp_path, "quiet")
    (tmp_path / "split.json").write_text('{"val": ["quiet"]}')
    assert [path.stem for path in find_photos(tmp_path)] == ["plain"]


def test_all_backgrounds_are_from_the_folder(tmp_path):
    """Photos of one color give images of one color, even with color jitter."""
    write_photo(tmp_path, "green")
    draw = find_backgrounds(tmp_path)
    for seed in range(10):
        image = draw(np.random.default_rng(seed), 30, 40)
        assert image.shape == (30, 40, 3) and image.dtype == np.uint8 and not image.std(axis=(0, 1)).any()


@pytest.mark.parametrize("name", backgrounds.BUNDLED)
def test_bundled_photos_need_no_download(name, monkeypatch):
    monkeypatch.setattr(socket, "socket", lambda *args, **options: pytest.fail("network"))
    photo = backgrounds._load_bundled(name)
    assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3 and min(photo.shape[:2]) >= 300


def test_default_backgrounds_are_photos_and_gradients(monkeypatch):
    red = np.full((40, 40, 3), (250, 0, 0), np.uint8)
    monkeypatch.setattr(backgrounds, "_load_bundled", lambda name: red)
    monkeypatch.setattr(backgrounds.photometric, "jitter_color", lambda image, rng, strength: image)
    draw = find_backgrounds(None)
    photos = sum((draw(np.random.default_rng(seed), 20, 20) == red[0, 0]).all() for seed in range(100))
    assert 60 <= photos <= 90  # 75 are expected


def test_crop_keeps_the_aspect_and_the_photo():
    """A crop of 60 to 100% of a vertical ramp contains at least 60% of the rows, in the same order."""
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[:, None, None], 300, axis=1).repeat(3, axis=2)
    before = ramp.copy()
    for seed in range(10):
        part = backgrounds.crop(np.random.default_rng(seed), ramp, 100, 150)
        assert part.shape == (100, 150, 3) and 115 <= int(part[-1, 0, 0]) - int(part[0, 0, 0]) <= 200
        assert (np.diff(part[:, 0, 0].astype(int)) > 0).all()
    np.testing.assert_array_equal(ramp, before)


@pytest.mark.parametrize("shape", [(64, 64), (1, 300), (170, 40)])
def test_plain_backgrounds_of_any_shape(shape):
    image = backgrounds.draw_plain(np.random.default_rng(0), *shape)
    assert image.shape == (*shape, 3) and image.dtype == np.uint8
