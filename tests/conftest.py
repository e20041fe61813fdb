"""Fixtures for all tests: reference arrays, random numbers and a replacement for a trained network.

Small reference arrays are in `tests/golden`, and large ones are in an optional folder.
"""

import functools
import itertools
import json
import os
import pathlib

import numpy as np
import pytest
from skimage.measure import label, regionprops

from mrcnn.config import Config
from mrcnn.detections import Detections

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in `nike.cli`; the default depends on the CPU
FOLDERS = [HERE / "golden", os.environ.get("MRCNN_GOLDEN"), HERE.parents[1] / "shared" / "golden"]


def find_golden(name: str) -> pathlib.Path:
    """Returns the path of a reference file, or skips the test if it is missing."""
    for folder in filter(None, FOLDERS):
        path = pathlib.Path(folder) / name
        if path.is_file():
            return path
    pytest.skip(f"reference file {name} not found; set MRCNN_GOLDEN to its folder")


@pytest.fixture(scope="session")
def golden_path():
    """Returns the function `golden_path(name)`, which returns the path of a reference file."""
    return find_golden


@pytest.fixture(scope="session")
def golden():
    """Returns the function `golden(name)`, which reads a reference file.

    It returns the arrays of an `.npz` file by name, or the parsed content of a `.json` file.
    """

    @functools.cache
    def load(name: str):
        path = find_golden(name)
        return json.loads(path.read_text()) if path.suffix == ".json" else np.load(path)

    return load


@pytest.fixture
def rng():
    """Returns a random generator with a fixed seed."""
    return np.random.default_rng(0)


class RedFinder:
    """A replacement for a trained network. It detects each red spot of an image as an object of class 1.

    Args:
        smallest: minimum length of a detected spot as a fraction of the longer side of the image. A network that
            downscales images misses small objects too.
        refined: whether results have mask probabilities, as with mask refinement.
    """

    def __init__(self, smallest: float = 0.0, refined: bool = False):
        self.smallest, self.refined = smallest, refined
        self.config = Config().copy(IMAGE_MIN_DIM=64, IMAGE_MAX_DIM=64)
        self.shapes: list[tuple] = []  # shapes of the input images

    def detect_stream(self, images, on_error="raise"):
        """Yields results. Like the network, it reads a batch of two images before it yields the first result."""
        images = iter(images)
        while batch := list(itertools.islice(images, 2)):
            yield from map(self.detect_one, batch)

    def detect_one(self, image: np.ndarray) -> Detections:
        """Returns the result of one image. The score increases with the size of the spot."""
        self.shapes.append(image.shape)
        red = (image[..., 0] > 180) & (image[..., 1] < 90) & (image[..., 2] < 90)
        spots = [spot for spot in regionprops(label(red)) if self._relative_size(spot, image) >= self.smallest]
        masks = np.zeros((len(spots), *red.shape), dtype=bool)
        for mask, spot in zip(masks, spots, strict=True):
            mask[tuple(spot.coords.T)] = True
        result = {
            "rois": np.array([spot.bbox for spot in spots], dtype=np.int32).reshape(-1, 4),
            "class_ids": np.ones(len(spots), dtype=np.int32),
            "scores": np.array([0.5 + 0.5 * self._relative_size(spot, image) for spot in spots], dtype=np.float32),
            "masks": masks.transpose(1, 2, 0),
        }
        detections = Detections.from_result(result)
        if self.refined:
            detections.probabilities = [np.float32(crop) for crop in detections.mask_crops]
            detections.frames = detections.boxes.astype(float)
        return detections

    @staticmethod
    def _relative_size(spot, image: np.ndarray) -> float:
        return max(spot.bbox[2] - spot.bbox[0], spot.bbox[3] - spot.bbox[1]) / max(image.shape[:2])


@pytest.fixture
def red_finder():
    """Returns the class `RedFinder`."""
    return RedFinder
