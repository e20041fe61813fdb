import numpy as np
import pytest

from mrcnn.data.training_examples import load_image_gt, prepare
from mrcnn.matterport.arrays import parse_image_meta
from mrcnn.ops.masks import minimize_mask


def test_image_is_centred_and_its_objects_are_moved(dataset_of, small_config):
    dataset = dataset_of(([(10, 10, 30, 40)],))
    image, meta, class_ids, boxes, masks = load_image_gt(dataset, small_config, 0)
    # 60x80 is resized to 48x64, with 8 rows of padding above and below.
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    assert image[:8].max() == 0 and image[8:56].max() == 255 and image[56:].max() == 0
    parts = parse_image_meta(meta[None])
    assert parts["original_image_shape"][0].tolist() == [60, 80, 3]
    assert parts["window"][0].tolist() == [8, 0, 56, 64]
    assert parts["scale"][0] == pytest.approx(0.8)
    assert parts["active_class_ids"][0].tolist() == [1, 1]
    assert class_ids.tolist() == [1] and class_ids.dtype == np.int32
    assert boxes.dtype == np.int32 and masks.dtype == bool and masks.shape == (64, 64, 1)
    np.testing.assert_allclose(boxes[0], [16, 8, 32, 32], atol=1)
    rows, columns = np.nonzero(masks[:, :, 0])
    assert boxes[0].tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


def test_mini_masks_by_argument_or_config(dataset_of, small_config):
    dataset = dataset_of(([(10, 10, 30, 40)],))
    full = load_image_gt(dataset, small_config, 0)
    assert full.mask.shape == (64, 64, 1)
    expected = minimize_mask(full.bbox, full.mask, (14, 14))
    for choice in (True, None):
        mini = load_image_gt(dataset, small_config, 0, use_mini_mask=choice).mask
        np.testing.assert_array_equal(mini, expected)


def test_objects_below_two_pixels_and_empty_masks_are_dropped(dataset_of, small_config):
    dataset = dataset_of(([(10, 10, 30, 40), (50, 10, 51, 60), (5, 5, 5, 5)], [1, 1, 1]))
    gt = load_image_gt(dataset, small_config, 0)
    assert len(gt.class_ids) == len(gt.bbox) == gt.mask.shape[2] == 1
    assert (gt.bbox[:, 2:] - gt.bbox[:, :2]).min() >= 2


def test_ignore_regions_keep_their_negative_class(dataset_of, small_config):
    dataset = dataset_of(([(10, 10, 30, 40), (40, 10, 50, 60)], [1, -1]))
    assert load_image_gt(dataset, small_config, 0).class_ids.tolist() == [1, -1]


def test_image_without_objects(dataset_of, small_config):
    gt = load_image_gt(dataset_of(([],)), small_config, 0, use_mini_mask=True)
    assert gt.class_ids.shape == (0,) and gt.bbox.shape == (0, 4) and gt.mask.shape == (14, 14, 0)


def test_only_classes_of_the_source_are_active(dataset_of, small_config):
    dataset = dataset_of(([(10, 10, 30, 40)],))
    dataset.add_class("elsewhere", 7, "circle")
    dataset.prepare()
    assert load_image_gt(dataset, small_config, 0).image_meta[12:].tolist() == [1, 1, 0]


def test_augment_mirrors_half_of_the_images_with_their_masks(dataset_of, small_config):
    dataset = dataset_of(([(10, 10, 30, 40)],))
    plain = load_image_gt(dataset, small_config, 0)
    mirrored = 0
    for seed in range(20):
        gt = load_image_gt(dataset, small_config, 0, augment=True, rng=np.random.default_rng(seed))
        if (gt.image != plain.image).any():
            mirrored += 1
            np.testing.assert_array_equal(gt.image, plain.image[:, ::-1])
            np.testing.assert_array_equal(gt.mask, plain.mask[:, ::-1])
    assert 4 < mirrored < 16


def test_crop_mode_uses_the_given_generator(dataset_of, small_config):
    config = small_config.copy(IMAGE_RESIZE_MODE="crop")
    dataset = dataset_of(([(10, 10, 30, 40)],))
    crops = [load_image_gt(dataset, config, 0, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert crops[0].image.shape == (64, 64, 3)
    np.testing.assert_array_equal(crops[0].image, crops[1].image)
    np.testing.assert_array_equal(crops[0].mask, crops[1].mask)
    assert (crops[0].image != crops[2].image).any()


def test_custom_augmentation_is_applied_before_resizing(dataset_of, small_config):
    class HalfAndIgnore:
        max_side = 40

        def augment_photo(self, image, masks, class_ids, rng):
            self.seen = image.shape, masks.shape, masks.sum()
            return image[:20], masks[:20], -class_ids

    augmentation = HalfAndIgnore()
    gt = load_image_gt(dataset_of(([(10, 10, 30, 40)],)), small_config, 0, augmentation=augmentation)
    assert augmentation.seen == ((30, 40, 3), (30, 40, 1), 10 * 15)  # halved by averaging
    assert gt.image.shape == (64, 64, 3) and gt.class_ids.tolist() == [-1]
    assert gt.image_meta[1:4].tolist() == [60, 80, 3]


def test_coverage_of_an_augmentation_reaches_the_mini_masks(dataset_of, small_config):
    coverage = np.zeros((64, 64, 1), np.uint8)
    coverage[10:30, 10:30] = 255
    coverage[10:20, 29] = 0  # pixels of the box without the object
    coverage[20:30, 29] = 191  # 3/4 of the area of these pixels, which belong to the mask

    class Coverage:
        max_side = 64

        def augment_photo(self, image, masks, class_ids, rng):
            return np.zeros((64, 64, 3), np.uint8), coverage, class_ids

    config = small_config.copy(MINI_MASK_SHAPE=(20, 200))
    dataset = dataset_of(([(10, 10, 30, 40)],))
    full = load_image_gt(dataset, config, 0, augmentation=Coverage())
    assert full.mask.dtype == bool and full.bbox.tolist() == [[10, 10, 30, 30]] and full.mask.sum() == 20 * 19 + 10
    mini = load_image_gt(dataset, config, 0, augmentation=Coverage(), use_mini_mask=True).mask
    # There are 10 cells per pixel. Cells beyond 19.5 + (0.75 - 0.5) / 0.75 = 19.83 pixels are outside.
    assert mini[15].sum() == 198


@pytest.mark.parametrize(
    "masks, class_ids, message",
    [
        (np.zeros((60, 80, 2)), [1], r"photo0.png.*masks \(60, 80, 2\) and class ids \(1,\)"),
        (np.zeros((80, 60, 1)), [1], r"photo0.png.*60x80"),
        (np.zeros((60, 80, 1)), [2], "photo0.png.*class id 2 is not one of 1..1"),
        (np.ones((60, 80, 1)), [0], "photo0.png.*class id 0"),
    ],
)
def test_error_names_masks_of_another_size(dataset_of, small_config, masks, class_ids, message):
    dataset = dataset_of(([],))
    dataset.photos[0] = (dataset.photos[0][0], masks, class_ids)
    with pytest.raises(ValueError, match=message):
        prepare(dataset, small_config, 0)


def test_a_list_is_rejected_as_augmentation(dataset_of, small_config):
    with pytest.raises(TypeError, match="Sequential"):
        load_image_gt(dataset_of(([],)), small_config, 0, augmentation=[])
