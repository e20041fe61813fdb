"""`data_generator`: batches of the original, options, and errors."""

import itertools

import numpy as np
import pytest

from mrcnn.matterport.data_generator import data_generator


@pytest.mark.parametrize("name, rois", [("train_r50small_batch.npz", 0), ("train_r50small_rois_batch.npz", 600)])
def test_equals_a_batch_of_the_original(golden, golden_dataset, golden_config, name, rois):
    np.random.seed(42)
    generator = data_generator(golden_dataset, golden_config, shuffle=False, batch_size=2, random_rois=rois)
    inputs, outputs = next(generator)
    assert outputs == []
    expected = golden(name)
    images, meta, rpn_match, rpn_bbox, class_ids, boxes, masks = inputs[:7]
    assert images.dtype == np.float32
    error = abs(images - expected["images"])  # resizing may round single pixels differently
    assert error.max() < 1.001 and (error > 1e-4).mean() < 0.003
    np.testing.assert_allclose(meta, expected["image_meta"], rtol=1e-12)
    np.testing.assert_array_equal(rpn_match, expected["rpn_match"])
    np.testing.assert_allclose(rpn_bbox, expected["rpn_bbox"], atol=1e-9)
    np.testing.assert_array_equal(class_ids, expected["gt_class_ids"])
    np.testing.assert_array_equal(boxes, expected["gt_boxes"])
    assert masks.dtype == bool and (masks != expected["gt_masks"]).sum() <= 8
    if rois:
        np.testing.assert_array_equal(inputs[7], expected["input_roi"])


def test_detection_targets_add_inputs_and_outputs(squares, small_config):
    generator = data_generator(squares(), small_config, random_rois=40, batch_size=2, detection_targets=True)
    inputs, outputs = next(generator)
    assert [x.shape for x in inputs[7:]] == [(2, 40, 4), (2, 16, 4)]
    assert [x.shape for x in outputs] == [(2, 16, 1), (2, 16, 2, 4), (2, 16, 28, 28, 2)]


def test_shuffles_each_epoch(squares, small_config):
    np.random.seed(0)
    batches = itertools.islice(data_generator(squares(6), small_config), 12)
    order = [int(inputs[1][0, 0]) for inputs, _ in batches]
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6)) and order[:6] != order[6:]


def test_image_without_objects_has_only_negative_anchors(dataset_of, small_config):
    inputs, _ = next(data_generator(dataset_of(([],)), small_config))
    assert set(np.unique(inputs[2])) == {-1, 0} and (inputs[2] == -1).sum() == 32
    assert not inputs[3].any() and not inputs[4].any()


def test_more_objects_than_slots(dataset_of, small_config):
    boxes = [(10 * i, 5, 10 * i + 8, 40) for i in range(6)]
    inputs, _ = next(data_generator(dataset_of((boxes,)), small_config))
    assert inputs[4].tolist() == [[1, 1, 1, 1]] and inputs[6].any(axis=(1, 2)).all()
    assert len(np.unique(inputs[5][0], axis=0)) == 4


class Black:
    max_side = 1000

    def augment_photo(self, image, masks, class_ids, rng):
        return np.zeros_like(image), masks, class_ids


def test_no_augmentation_sources(squares, small_config):
    mean = small_config.MEAN_PIXEL
    for sources, highest in ((None, 0), (["elsewhere"], 0), (["memory"], 255)):
        generator = data_generator(
            squares(2), small_config, shuffle=False, augmentation=Black(), no_augmentation_sources=sources, batch_size=2
        )
        images = next(generator)[0][0]
        assert round(float((images + mean).max())) == highest


def test_errors_name_the_image_and_too_many_end_the_generator(squares, small_config, caplog):
    generator = data_generator(squares(3, broken=[1]), small_config, shuffle=False)
    assert [int(inputs[1][0, 0]) for inputs, _ in itertools.islice(generator, 4)] == [0, 2, 0, 2]
    assert "photo1.png" in caplog.text
    with pytest.raises(
        ValueError,
        match=r"6 images failed, the last: photo1\.png: image 1 .*ValueError: photo1\.png: cannot be decoded",
    ):
        list(itertools.islice(generator, 100))


def test_no_images_or_no_objects(dataset_of, small_config):
    with pytest.raises(ValueError, match="no images"):
        next(data_generator(dataset_of(), small_config))
    generator = data_generator(dataset_of(([],)), small_config, random_rois=5, detection_targets=True)
    with pytest.raises(ValueError, match="no usable image"):
        next(generator)
