import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from mrcnn.data.pipeline import DataProblems, training_batches
from mrcnn.data.training_examples import load_image_gt
from mrcnn.inference.processing import preprocess
from mrcnn.matterport.targets_numpy import build_rpn_targets
from mrcnn.ops.anchors import pixel_anchors


def arrays(batches):
    return [[tensor.numpy() for tensor in batch] for batch in batches]


def image_ids(batches):
    return [int(image_id) for batch in batches for image_id in batch[1][:, 0].numpy()]


def assert_equal(batches, others):
    for batch, other in zip(batches, others, strict=True):
        for one, two in zip(batch, other, strict=True):
            np.testing.assert_array_equal(one, two)


class Noise:
    """Augmentation of varying duration, which makes threads finish out of order."""

    max_side = 1000

    def augment_photo(self, image, masks, class_ids, rng):
        time.sleep(rng.uniform(0, 0.01))
        return image ^ rng.integers(0, 8, image.shape, dtype=np.uint8), masks, class_ids


def test_equals_a_batch_of_the_original(golden, golden_dataset, golden_config):
    batch = next(iter(training_batches(golden_dataset, golden_config, shuffle=False, steps=1)))
    expected = golden("train_r50small_batch.npz")
    images, meta, rpn_match, rpn_bbox, class_ids, boxes, masks = [tensor.numpy() for tensor in batch]
    off = abs(images - expected["images"])  # resizing may round single pixels differently
    assert off.max() < 1.001 and (off > 1e-4).mean() < 0.003
    np.testing.assert_allclose(meta, expected["image_meta"], rtol=1e-6)
    np.testing.assert_array_equal(rpn_match == 1, expected["rpn_match"] == 1)  # the sampled negatives differ
    assert (rpn_match == -1).sum() == (expected["rpn_match"] == -1).sum()
    np.testing.assert_allclose(rpn_bbox, expected["rpn_bbox"], atol=1e-6)
    np.testing.assert_array_equal(class_ids, expected["gt_class_ids"])
    np.testing.assert_array_equal(boxes, expected["gt_boxes"])
    assert (masks != expected["gt_masks"]).sum() <= 8


def test_training_and_detection_normalize_images_equally(squares, small_config):
    dataset = squares(2)
    images, *_ = arrays(training_batches(dataset, small_config, shuffle=False, steps=1))[0]
    for image_id, image in enumerate(images):
        np.testing.assert_array_equal(image, preprocess(dataset.load_image(image_id), small_config).image)


def test_types_and_shapes_equal_the_training_inputs(squares, small_config):
    spec = training_batches(squares(), small_config).element_spec
    anchors = len(pixel_anchors(small_config, small_config.IMAGE_SHAPE))
    assert [(tuple(tensor.shape), tensor.dtype.name) for tensor in spec] == [
        ((2, 64, 64, 3), "float32"),
        ((2, 14), "float32"),
        ((2, anchors, 1), "int32"),
        ((2, 32, 4), "float32"),
        ((2, 4), "int32"),
        ((2, 4, 4), "float32"),
        ((2, 14, 14, 4), "bool"),
    ]
    full = training_batches(squares(), small_config.copy(USE_MINI_MASK=False), batch_size=3).element_spec
    assert full[6].shape == (3, 64, 64, 4)


def test_each_image_has_its_own_ground_truth(squares, small_config):
    dataset = squares(3)
    for batch in arrays(training_batches(dataset, small_config, steps=1, batch_size=3, shuffle=False)):
        for k, (image, meta, rpn_match, rpn_bbox, class_ids, boxes, masks) in enumerate(zip(*batch, strict=True)):
            gt = load_image_gt(dataset, small_config, k, use_mini_mask=True)
            n = len(gt.class_ids)
            np.testing.assert_allclose(image + small_config.MEAN_PIXEL, gt.image, atol=1e-4)
            np.testing.assert_allclose(meta, gt.image_meta, rtol=1e-6)
            assert class_ids.tolist() == [1] * n + [0] * (4 - n)
            np.testing.assert_array_equal(boxes[:n], gt.bbox)
            np.testing.assert_array_equal(masks[:, :, :n], gt.mask)
            assert not boxes[n:].any() and not masks[:, :, n:].any()
            anchors = pixel_anchors(small_config, gt.image.shape)
            match, deltas = build_rpn_targets(None, anchors, gt.class_ids, gt.bbox, small_config)
            np.testing.assert_array_equal(rpn_match[:, 0] == 1, match == 1)
            np.testing.assert_allclose(rpn_bbox, deltas, atol=1e-5)


def test_images_without_objects_are_used(dataset_of, small_config):
    (batch,) = arrays(training_batches(dataset_of(([],)), small_config, steps=1))
    assert set(np.unique(batch[2])) == {-1, 0} and (batch[2] == -1).sum() == 2 * 32
    assert not batch[4].any()


def test_each_epoch_has_every_image_once_in_a_new_order(squares, small_config):
    order = image_ids(training_batches(squares(6), small_config, steps=9, seed=1))
    epochs = [order[:6], order[6:12], order[12:]]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert image_ids(training_batches(squares(5), small_config, steps=5, shuffle=False)) == [0, 1, 2, 3, 4] * 2


def test_batches_depend_on_seed_and_step_only(squares, small_config):
    def batches(**kwargs):
        return arrays(training_batches(squares(5), small_config, augmentation=Noise(), **kwargs))

    reference = batches(seed=3, steps=7, workers=1)
    assert_equal(reference, batches(seed=3, steps=7, workers=6))
    assert_equal(reference, batches(seed=3, steps=7, workers=6, cache_bytes=0))
    assert_equal(reference[4:], batches(seed=3, steps=3, start_step=4, workers=3))
    assert_equal(reference[4:6], batches(seed=3, steps=2, start_step=4))
    other = batches(seed=4, steps=7)
    assert any((one[0] != two[0]).any() for one, two in zip(reference, other, strict=True))
    # The same image is augmented differently in each epoch.
    first, second = (batch[0][i] for batch, i in find(reference, image_id=1)[:2])
    assert (first != second).any()


def find(batches, image_id):
    return [(batch, i) for batch in batches for i in range(2) if batch[1][i, 0] == image_id]


def test_more_objects_than_slots(dataset_of, small_config):
    boxes = [(10 * i, 5, 10 * i + 8, 40) for i in range(6)]
    batches = arrays(training_batches(dataset_of((boxes,)), small_config, steps=4, batch_size=1))
    assert all(batch[4].tolist() == [[1, 1, 1, 1]] for batch in batches)
    assert len({batch[5].tobytes() for batch in batches}) > 1


def test_no_augmentation_sources_are_not_augmented(squares, small_config):
    dataset = squares(4)
    dataset.image_info[2]["source"] = "real"
    dataset.source_class_ids["real"] = [0, 1]

    class Black:
        max_side = 1000

        def augment_photo(self, image, masks, class_ids, rng):
            return np.zeros_like(image), masks, class_ids

    batches = training_batches(
        dataset, small_config, steps=4, batch_size=1, augmentation=Black(), no_augmentation_sources=["real"]
    )
    brightest = {int(b[1][0, 0]): round(float((b[0] + small_config.MEAN_PIXEL).max())) for b in arrays(batches)}
    assert brightest == {0: 0, 1: 0, 2: 255, 3: 0}


def test_unreadable_images_are_replaced_and_listed(squares, small_config, caplog):
    def batches(problems=None):
        dataset = squares(5, broken=[1, 2])
        return training_batches(dataset, small_config, shuffle=False, steps=5, workers=4, problems=problems)

    problems = DataProblems()
    data = batches(problems)
    assert image_ids(data) == [0, 3, 3, 3, 4] * 2
    assert sorted(problems.skipped) == ["photo1.png", "photo2.png"]
    for name, why in problems.skipped.items():
        assert f"load_image(): ValueError: {name}: cannot be decoded. (" in why and why.endswith(", in load_image)")
    assert caplog.text.count("photo1.png is skipped") == 1
    assert "skipped images: 2\n  photo1.png: image 1 (photo1.png), load_image(): ValueError" in str(problems)
    assert_equal(arrays(batches()), arrays(batches()))


def test_strict_mode_raises_on_unreadable_images(squares, small_config):
    problems = DataProblems()
    data = training_batches(squares(3, broken=[1]), small_config, on_error="raise", problems=problems)
    with pytest.raises(Exception, match="photo1.png: cannot be decoded"):
        arrays(data)
    assert isinstance(problems.error, ValueError)
    data = training_batches(squares(3, broken=[0, 1, 2]), small_config)
    with pytest.raises(Exception, match=r"3 consecutive images cannot be used"):
        arrays(data)


def test_the_cause_of_unreadable_images_is_kept(squares, small_config, caplog):
    dataset = squares(3)
    dataset.load_mask = lambda image_id: 1 / 0
    problems = DataProblems()
    data = training_batches(dataset, small_config, problems=problems)
    with pytest.raises(Exception, match="3 consecutive images"):
        arrays(data)
    message = r"load_mask\(\): ZeroDivisionError: division by zero \(.*test_pipeline.py, line \d+, in <lambda>\)"
    assert re.search(message, str(problems.error)) and re.search(message, caplog.text)
    assert isinstance(problems.error.__cause__.__cause__, ZeroDivisionError)


def test_errors_of_an_augmentation_are_raised(squares, small_config):
    class Faulty:
        max_side = 1000

        def augment_photo(self, image, masks, class_ids, rng):
            raise KeyError("no such color")

    problems = DataProblems()
    data = training_batches(squares(3), small_config, augmentation=Faulty(), problems=problems)
    with pytest.raises(Exception, match="no such color"):
        arrays(data)
    assert isinstance(problems.error, KeyError) and not problems.skipped


def test_dropped_small_objects_are_counted(dataset_of, small_config):
    problems, dataset = DataProblems(), dataset_of(([(10, 10, 30, 40), (50, 10, 51, 60)],))
    data = training_batches(dataset, small_config, steps=2, batch_size=1, problems=problems)
    assert [batch[4].tolist() for batch in arrays(data)] == [[[1, 0, 0, 0]]] * 2
    assert problems.too_small == 2
    assert str(DataProblems()) == "no problems"


def test_random_proposals(squares, small_config):
    config = small_config.copy(USE_RPN_ROIS=False)
    batches = arrays(training_batches(squares(3), config, steps=3))
    assert_equal(batches, arrays(training_batches(squares(3), config, steps=3, workers=1)))
    rois = np.concatenate([batch[7] for batch in batches])
    assert rois.shape == (6, 30, 4) and rois.dtype == np.int32
    assert (rois[..., 2:] > rois[..., :2]).all() and rois.min() >= 0 and rois.max() <= 64


def test_proposals_of_the_dataset(dataset_of, small_config):
    dataset = dataset_of(([(10, 10, 30, 40)],))
    dataset.load_rois = lambda image_id: np.array([[10, 10, 30, 40], [0, 0, 60, 80], [5, 5, 5, 20]])
    config = small_config.copy(USE_RPN_ROIS=False)
    rois = arrays(training_batches(dataset, config, steps=1, batch_size=1))[0][7][0]
    # 60x80 is resized to 48x64, below 8 rows of padding. The last box has no area.
    assert rois[:2].tolist() == [[16, 8, 32, 32], [8, 0, 56, 64]] and not rois[2:].any()
    with pytest.raises(ValueError, match="augmentation=None"):
        training_batches(dataset, config, augmentation=Noise())


@pytest.mark.parametrize(
    "arguments, message",
    [({"on_error": "stop"}, "on_error"), ({"augmentation": 3}, "augmentation must be")],
)
def test_invalid_arguments(squares, small_config, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        training_batches(squares(), small_config, **arguments)


def test_datasets_that_do_not_match_the_config(squares, dataset_of, small_config):
    with pytest.raises(ValueError, match="no images"):
        training_batches(dataset_of(), small_config)
    with pytest.raises(ValueError, match="NUM_CLASSES = 2"):
        training_batches(squares(), small_config.copy(NUM_CLASSES=4))
    with pytest.raises(Exception, match=r"photo0.png.*IMAGE_RESIZE_MODE"):
        arrays(training_batches(squares(), small_config.copy(IMAGE_RESIZE_MODE="none"), shuffle=False, steps=1))


def test_threads_end_with_the_pipeline(squares, small_config):
    before = threading.active_count()
    iterator = iter(training_batches(squares(), small_config))
    next(iterator)
    del iterator
    assert (
        threading.active_count() <= before + 1
    )  # TensorFlow threads that have run Python code are counted until they end


SCRIPT = """
    import signal
    import time
    import numpy as np
    from mrcnn.config import Config
    from mrcnn.data.dataset import Dataset
    from mrcnn.data.pipeline import training_batches

    class Photos(Dataset):
        def load_image(self, image_id):
            time.sleep(0.01)
            return np.zeros((64, 64, 3), np.uint8)
        def load_mask(self, image_id):
            return np.zeros((64, 64, 0), bool), np.zeros(0, np.int32)

    class Small(Config):
        NUM_CLASSES, IMAGE_MIN_DIM, IMAGE_MAX_DIM, RPN_ANCHOR_SCALES = 2, 64, 64, (4, 8, 16, 32, 64)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background start with it ignored
    photos = Photos()
    photos.add_class("s", 1, "x")
    photos.add_image("s", 1, None)
    photos.prepare()
    batches = iter(training_batches(photos, Small(), workers=4, cache_bytes=0))
    next(batches)
    print("ready", flush=True)
    while True:
        time.sleep(0.1)
"""


def test_python_exits_cleanly_while_images_are_read():
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in errors, errors
