"""Small datasets on disk for the tests of the application."""

import json
import os
import pathlib

import numpy as np
import PIL.Image
import pytest

HERE = pathlib.Path(__file__).resolve().parent
REAL_PHOTOS = [os.environ.get("MRCNN_DATA"), HERE.parents[2] / "shared" / "data"]


class Folder:
    """Writes images and annotation files into a folder."""

    def __init__(self, root: pathlib.Path):
        self.root = root

    def photo(self, name: str, height: int = 60, width: int = 80, seed: int | None = 0, **options) -> pathlib.Path:
        """Writes an image. With a seed it has random soft color spots, without a seed it is grey."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if seed is None:
            pixels = np.full((height, width, 3), 200, np.uint8)
        else:
            spots = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
            pixels = np.asarray(PIL.Image.fromarray(spots).resize((width, height), PIL.Image.Resampling.BICUBIC))
        PIL.Image.fromarray(pixels).save(path, **options)
        return path

    def json(self, name: str, value) -> pathlib.Path:
        """Writes a JSON file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    def labelled(self, name: str, shapes: list, height: int = 60, width: int = 80, seed: int = 0, **changes):
        """Writes an image and its labelme file. Returns the path of the JSON file."""
        photo = self.photo(name, height, width, seed)
        document = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": photo.name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        return self.json(str(pathlib.Path(name).with_suffix(".json")), document | changes)


def shape(label="nike", points=((10, 10), (40, 12), (30, 40)), shape_type="polygon", **more) -> dict:
    """Returns an entry of labelme's `shapes`."""
    points = [list(point) for point in points]
    return {"label": label, "points": points, "group_id": None, "shape_type": shape_type, "flags": {}} | more


@pytest.fixture
def folder(tmp_path):
    """Returns an empty dataset folder."""
    root = tmp_path / "photos"
    root.mkdir()
    return Folder(root)


@pytest.fixture(name="shape")
def shape_fixture():
    """Returns the function `shape`."""
    return shape


@pytest.fixture(scope="session")
def real_photos():
    """Returns a folder of labelled photos outside the project. If it does not exist, the test is skipped."""
    for folder in filter(None, REAL_PHOTOS):
        if (path := pathlib.Path(folder) / "nike").is_dir():
            return path
    pytest.skip("no folder of real photos; set MRCNN_DATA to the parent of a folder nike/")


@pytest.fixture
def float32(monkeypatch):
    """Makes detection and training use float32 on every machine."""
    monkeypatch.setattr("mrcnn.training.devices.choose_precision", lambda: (False, "test"))
