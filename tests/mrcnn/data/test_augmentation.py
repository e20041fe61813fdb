import random

import numpy as np
import pytest

from mrcnn.data.augmentation import (
    MASKS_PER_CALL,
    augment_after_resizing,
)  # before imgaug, unless the project is installed

from imgaug import augmenters as iaa  # isort: skip

GEOMETRIC = {
    "Fliplr": iaa.Fliplr(1.0),
    "Flipud": iaa.Flipud(1.0),
    "CropAndPad": iaa.CropAndPad(percent=(-0.2, 0.2)),
    "Affine": iaa.Affine(rotate=(-45, 45), scale=(0.7, 1.3), translate_percent=(-0.1, 0.1), shear=(-10, 10)),
    "PerspectiveTransform": iaa.PerspectiveTransform(scale=(0.05, 0.1)),
    "ElasticTransformation": iaa.ElasticTransformation(alpha=20, sigma=5),
    "Rot90": iaa.Rot90(1),
    "Sequential": iaa.Sequential([iaa.Fliplr(0.5), iaa.Affine(rotate=(-90, 90)), iaa.Multiply(0.9)], random_order=True),
    "SomeOf": iaa.SomeOf((1, 3), [iaa.Fliplr(0.5), iaa.Affine(rotate=(-30, 30)), iaa.GaussianBlur(0.5)]),
    "OneOf": iaa.OneOf([iaa.Affine(rotate=90), iaa.Affine(rotate=45)]),
    "Sometimes": iaa.Sometimes(0.5, iaa.Affine(scale=0.7)),
}


@pytest.fixture
def shapes():
    """Returns an image with one object in the red and one in the green channel, and their masks."""
    masks = np.zeros((96, 96, 2), dtype=bool)
    masks[20:70, 25:55, 0] = True
    rows, columns = np.mgrid[:96, :96]
    masks[:, :, 1] = (rows - 60) ** 2 + (columns - 70) ** 2 < 225
    image = np.zeros((96, 96, 3), dtype=np.uint8)
    image[:, :, :2] = masks * 255
    return image, masks


@pytest.mark.parametrize(
    "augmenter",
    [*GEOMETRIC.values(), iaa.PiecewiseAffine(scale=0.03, nb_rows=2, nb_cols=2)],
    ids=[*GEOMETRIC, "PiecewiseAffine"],
)
def test_masks_are_transformed_with_the_image(shapes, augmenter):
    image, masks = augment_after_resizing(augmenter, *shapes, np.random.default_rng(0))
    assert image.dtype == np.uint8 and masks.dtype == bool and masks.shape == (96, 96, 2)
    shown = image[:, :, :2] > 110  # `Multiply` and blur darken the objects
    agreement = (shown & masks).sum(axis=(0, 1)) / (shown | masks).sum(axis=(0, 1))
    assert agreement.min() > 0.88, agreement


@pytest.mark.parametrize("name", GEOMETRIC)
def test_equal_seeds_give_equal_results_independent_of_global_state(shapes, name):
    first = augment_after_resizing(GEOMETRIC[name], *shapes, np.random.default_rng(5))
    augment_after_resizing(GEOMETRIC[name], *shapes, np.random.default_rng(6))
    again = augment_after_resizing(GEOMETRIC[name], *shapes, np.random.default_rng(5))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_different_seeds_give_different_results(shapes):
    results = [
        augment_after_resizing(GEOMETRIC["Affine"], *shapes, np.random.default_rng(seed))[0] for seed in range(3)
    ]
    assert (results[0] != results[1]).any() and (results[1] != results[2]).any()


@pytest.mark.parametrize("augmenter", [iaa.Multiply(0.5), iaa.CoarseDropout(0.5, size_px=4), iaa.GaussianBlur(2.0)])
def test_color_and_blur_do_not_change_the_masks(shapes, augmenter):
    image, masks = augment_after_resizing(augmenter, *shapes, np.random.default_rng(0))
    np.testing.assert_array_equal(masks, shapes[1])
    assert (image != shapes[0]).any()


@pytest.mark.parametrize("fill", [{"cval": 255}, {"mode": "edge"}, {"mode": "wrap"}])
def test_masks_are_empty_in_the_filled_border(shapes, fill):
    image, masks = augment_after_resizing(iaa.Affine(translate_px={"x": 30}, **fill), *shapes, np.random.default_rng(0))
    assert not masks[:, :30].any()


def test_many_masks_and_none(shapes):
    image, masks = shapes
    many = np.repeat(masks, MASKS_PER_CALL, axis=2)
    _, flipped = augment_after_resizing(iaa.Fliplr(1.0), image, many, np.random.default_rng(0))
    np.testing.assert_array_equal(flipped, many[:, ::-1])
    assert augment_after_resizing(iaa.Fliplr(1.0), image, masks[:, :, :0], np.random.default_rng(0))[1].shape == (
        96,
        96,
        0,
    )


def test_augmentation_that_changes_the_size_is_rejected(shapes):
    with pytest.raises(ValueError, match=r"Pad must keep the size.*\(96, 96, 3\).*\(116, 116, 3\)"):
        augment_after_resizing(iaa.Pad(px=10, keep_size=False), *shapes, np.random.default_rng(0))


class Transform:
    """The interface of an albumentations transform."""

    def __init__(self):
        self.generator = np.random.default_rng()

    def set_random_seed(self, seed):
        self.generator = np.random.default_rng(seed)

    def __call__(self, *, image, masks=()):
        shift = int(self.generator.integers(1, 90))
        assert all(mask.dtype == np.uint8 for mask in masks)
        return {"image": np.roll(image, shift, axis=1), "masks": [np.roll(mask, shift, axis=1) for mask in masks]}


def old_transform(*, image, masks=()):
    shift = random.randrange(45) + np.random.randint(45)
    return {"image": np.roll(image, shift, axis=1), "masks": [np.roll(mask, shift, axis=1) for mask in masks]}


@pytest.mark.parametrize("transform", [Transform(), old_transform])
def test_albumentations_is_recognised_by_its_interface(shapes, transform):
    random.seed(3)
    np.random.seed(3)
    states = random.getstate(), np.random.get_state()[1].copy()
    results = [augment_after_resizing(transform, *shapes, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    for image, masks in results:
        np.testing.assert_array_equal(image[:, :, :2] > 0, masks)
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert (results[0][0] != results[2][0]).any()
    assert augment_after_resizing(transform, shapes[0], shapes[1][:, :, :0], np.random.default_rng(0))[1].shape == (
        96,
        96,
        0,
    )
    assert random.getstate() == states[0] and (np.random.get_state()[1] == states[1]).all()
