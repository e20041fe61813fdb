"""Small datasets in memory."""

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.data.dataset import Dataset
from reference_config import ReferenceConfig


class SmallConfig(Config):
    NAME = "small"
    BACKBONE = "resnet50"
    NUM_CLASSES = 2
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64
    RPN_ANCHOR_SCALES = (4, 8, 16, 32, 64)
    RPN_TRAIN_ANCHORS_PER_IMAGE = 32
    TRAIN_ROIS_PER_IMAGE = 16
    POST_NMS_ROIS_TRAINING = 30
    MAX_GT_INSTANCES = 4
    MINI_MASK_SHAPE = (14, 14)


class MemoryDataset(Dataset):
    """Dataset of images `[H, W, 3]` and masks `[H, W, N]` in memory. Reading the `broken` images raises an error."""

    def __init__(self, photos, broken=()):
        super().__init__()
        self.photos, self.broken, self.reads = photos, set(broken), 0
        self.add_class("memory", 1, "square")
        for i in range(len(photos)):
            self.add_image("memory", f"photo{i}.png", None)
        self.prepare()

    def load_image(self, image_id):
        self.reads += 1
        if image_id in self.broken:
            raise ValueError(f"photo{image_id}.png: cannot be decoded.")
        return self.photos[image_id][0]

    def load_mask(self, image_id):
        _, masks, class_ids = self.photos[image_id]
        return masks, np.array(class_ids, dtype=np.int32)


def squares_photo(seed, boxes, class_ids=None, shape=(60, 80)):
    """Returns a noise image with white boxes (y1, x1, y2, x2) as objects."""
    image = np.random.default_rng(seed).integers(0, 60, (*shape, 3), dtype=np.uint8)
    masks = np.zeros((*shape, len(boxes)), dtype=bool)
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        masks[y1:y2, x1:x2, i] = True
    image[masks.any(axis=2)] = 255
    return image, masks, [1] * len(boxes) if class_ids is None else class_ids


@pytest.fixture
def small_config():
    return SmallConfig()


@pytest.fixture
def squares():
    """Returns the function `squares(n, **kwargs)`, which makes a dataset of n images.

    Every third image has no object, and the others have one or two.
    """

    def make(n=5, **kwargs):
        boxes = [[], [(10, 10, 30, 40)], [(5, 50, 25, 70), (35, 20, 55, 44)]]
        return MemoryDataset([squares_photo(i, boxes[i % 3]) for i in range(n)], **kwargs)

    return make


@pytest.fixture
def dataset_of():
    """Returns the function `dataset_of((boxes, class_ids), ...)`, which makes a dataset with one image per argument."""
    return lambda *photos: MemoryDataset([squares_photo(i, *photo) for i, photo in enumerate(photos)])


@pytest.fixture(scope="session")
def golden_dataset(golden):
    """Returns a dataset of the images and masks in the training batches of the original, all of class 1."""
    arrays = golden("dataset.npz")
    photos = []
    for i in range(5):
        shape = arrays[f"mask{i}_shape"]
        masks = np.unpackbits(arrays[f"mask{i}"])[: shape.prod()].reshape(shape).astype(bool)
        photos.append((arrays[f"image{i}"], masks, np.minimum(arrays[f"class{i}"], 1)))
    return MemoryDataset(photos)


@pytest.fixture(scope="session")
def golden_config():
    return ReferenceConfig().copy(IMAGES_PER_GPU=2)
