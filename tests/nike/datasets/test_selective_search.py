"""Selective Search: cache, messages and, if opencv-contrib-python is installed, boxes."""

import types

import cv2
import numpy as np
import pytest

from mrcnn.errors import UserError
from mrcnn.ops.boxes import compute_overlaps
from nike.datasets import selective_search as module
from nike.datasets.nike_dataset import NikeDataset
from nike.datasets.selective_search import MODES, cache_folder, check_proposals, find_proposals, selective_search

FAST, QUALITY = MODES
needs_contrib = pytest.mark.skipif(
    not hasattr(getattr(cv2, "ximgproc", None), "segmentation"), reason="opencv-contrib-python is not installed"
)


@pytest.fixture
def calls(monkeypatch):
    """Replaces the search by a function that returns one box, the mean of the image, and records the calls."""
    calls = []

    def search(image, mode):
        calls.append(mode)
        return np.full((1, 4), image.mean(), np.float32)

    monkeypatch.setattr(module, "selective_search", search)
    return calls


def grey(value):
    return np.full((6, 8, 3), value, np.uint8)


def test_proposals_are_computed_once(calls, tmp_path):
    for _ in range(3):
        assert find_proposals(grey(7), FAST, tmp_path).tolist() == [[7, 7, 7, 7]]
    assert calls == [FAST]
    assert find_proposals(grey(8), FAST, tmp_path).tolist() == [[8, 8, 8, 8]]
    find_proposals(grey(8), QUALITY, tmp_path)
    find_proposals(grey(8).reshape(8, 6, 3), FAST, tmp_path)  # the same bytes in another shape
    assert calls == [FAST, FAST, QUALITY, FAST]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4 and all(name.startswith(tuple(MODES)) and name.endswith(".npy") for name in names)


def test_without_a_folder_nothing_is_stored(calls, tmp_path):
    find_proposals(grey(7), FAST, None)
    find_proposals(grey(7), FAST, None)
    assert len(calls) == 2 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY"])
def test_damaged_files_are_replaced(calls, tmp_path, content):
    find_proposals(grey(7), FAST, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    find_proposals(grey(7), FAST, tmp_path)
    find_proposals(grey(7), FAST, tmp_path)
    assert len(calls) == 2


def test_pickles_are_not_read(calls, tmp_path):
    find_proposals(grey(7), FAST, tmp_path)
    (path,) = tmp_path.iterdir()
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    assert find_proposals(grey(7), FAST, tmp_path).dtype == np.float32


def test_a_folder_that_cannot_be_written_is_a_warning(calls, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="proposals cannot be cached"):
        assert find_proposals(grey(7), FAST, tmp_path / "file" / "cache").tolist() == [[7, 7, 7, 7]]


def test_a_dataset_returns_the_proposals_of_its_network(calls, folder, shape):
    path = folder.labelled("part/a.png", [shape()])
    dataset = NikeDataset()
    dataset.load_nike(folder.root)
    dataset.prepare()
    assert dataset.load_rois(0) is None
    dataset.proposals = FAST
    assert dataset.load_rois(0) == pytest.approx(dataset.load_image(0).mean())
    assert len(list((folder.root / ".proposals").glob("*.npy"))) == 1
    assert cache_folder(path) == folder.root / "part" / ".proposals"


@pytest.mark.parametrize("modules", [{}, {"ximgproc": types.ModuleType("ximgproc")}])
def test_the_missing_package_is_named(monkeypatch, modules):
    """The second module is what remains of opencv-contrib-python if opencv-python overwrites its files."""
    monkeypatch.setattr(module, "cv2", types.SimpleNamespace(**modules))
    with pytest.raises(UserError, match="pip install --force-reinstall --no-deps opencv-contrib-python"):
        check_proposals(FAST)
    check_proposals("rpn")
    with pytest.raises(UserError, match="expected one of rpn, selective_search_fast, .*got 'edge_boxes'"):
        check_proposals("edge_boxes")


@needs_contrib
def test_an_object_is_found_at_every_scale(rng):
    for height, width in ((120, 160), (1200, 900)):
        image = rng.integers(60, 70, (height, width, 3), dtype=np.uint8)
        y1, x1, y2, x2 = np.array([0.2, 0.3, 0.5, 0.8]) * [height, width, height, width]
        image[int(y1) : int(y2), int(x1) : int(x2)] = (200, 40, 40)
        boxes = selective_search(image, FAST)
        assert boxes.dtype == np.float32 and boxes.shape[1] == 4
        assert (boxes >= 0).all() and (boxes <= np.array([height, width] * 2) + 1e-3).all()
        assert compute_overlaps(boxes, np.array([[y1, x1, y2, x2]])).max() > 0.9
        np.testing.assert_array_equal(boxes, selective_search(image, FAST))


@needs_contrib
def test_quality_finds_more_boxes(rng):
    image = cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (90, 90), interpolation=cv2.INTER_NEAREST)
    counts = [len(selective_search(image, mode)) for mode in MODES]
    assert 0 < counts[0] < counts[1]
