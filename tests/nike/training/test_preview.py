"""The preview of augmented training images."""

import numpy as np
from PIL import Image

from mrcnn.data.pipeline import first_examples, training_batches
from nike.augmentation import LogoAugmentation
from nike.config import NikeConfig
from nike.datasets.nike_dataset import NikeDataset
from nike.training.preview import COLUMNS, GAP, make_grid, write_preview

SIDE = 64


def load(folder, shape, count=3):
    for number in range(count):
        folder.labelled(f"{number}.png", [shape()], seed=number)
    dataset = NikeDataset()
    dataset.load_nike(folder.root)
    dataset.prepare()
    config = NikeConfig().copy(IMAGE_MIN_DIM=SIDE, IMAGE_MAX_DIM=SIDE, MINI_MASK_SHAPE=(32, 32))
    return dataset, config, LogoAugmentation(SIDE, dataset)


def test_the_preview_shows_the_images_of_the_first_batches(folder, shape):
    dataset, config, augmentation = load(folder, shape)
    examples = first_examples(dataset, config, 4, seed=5, augmentation=augmentation)
    batches = training_batches(dataset, config, seed=5, augmentation=augmentation, steps=2)
    seen = np.concatenate([batch[0] for batch in batches]) + config.MEAN_PIXEL
    for example, image in zip(examples, seen, strict=True):
        np.testing.assert_allclose(example.image, image, atol=0.01)
        assert example.mask.shape[:2] == (SIDE, SIDE)


def test_the_preview_does_not_use_global_random_generators(folder, shape, tmp_path):
    dataset, config, augmentation = load(folder, shape)
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    assert write_preview(tmp_path / "augmented.jpg", dataset, config, augmentation, seed=0) == 12
    assert np.random.rand() == expected
    with Image.open(tmp_path / "augmented.jpg") as picture:
        assert picture.size == (4 * SIDE + 3 * GAP, 3 * SIDE + 2 * GAP)


def test_unreadable_images_are_left_out(folder, shape, tmp_path):
    dataset, config, _ = load(folder, shape)
    (folder.root / "1.png").write_bytes(b"no image")
    assert write_preview(tmp_path / "augmented.jpg", dataset, config, None, seed=0) == 8  # a third of 12
    for name in ("0.png", "2.png"):
        (folder.root / name).write_bytes(b"no image")
    assert write_preview(tmp_path / "none.jpg", dataset, config, None, seed=0) == 0
    assert not (tmp_path / "none.jpg").exists()


def test_the_outline_of_an_object_is_drawn(folder, shape, tmp_path):
    dataset, config, _ = load(folder, shape, count=1)
    write_preview(tmp_path / "augmented.jpg", dataset, config, None, seed=0)
    plain = first_examples(dataset, config, 1)[0]
    with Image.open(tmp_path / "augmented.jpg") as picture:
        drawn = np.asarray(picture)[:SIDE, :SIDE].astype(int)
    difference = np.abs(drawn - plain.image).max(axis=2)
    assert np.median(difference[plain.mask[..., 0]]) > 10 > np.median(difference[~plain.mask[..., 0]])


def test_images_are_arranged_in_rows():
    tiles = [np.full((2, 3, 3), number, np.uint8) for number in range(COLUMNS + 1)]
    grid = make_grid(tiles, COLUMNS)
    assert grid.shape == (2 * 2 + GAP, COLUMNS * 3 + (COLUMNS - 1) * GAP, 3)
    assert (grid[0, 0] == 0).all() and (grid[0, -1] == COLUMNS - 1).all()
    assert (grid[2 + GAP, 0] == COLUMNS).all() and (grid[2 + GAP, -1] == 255).all()
    assert make_grid(tiles[:2], COLUMNS).shape == (2, 6 + GAP, 3)
