"""PROPOSALS other than "rpn": proposals in batches, network, training and detections of Fast R-CNN."""

import numpy as np
import pytest

import tiny_training
from mrcnn.checkpoints import WeightsMismatchError
from mrcnn.config import Config
from mrcnn.data.pipeline import training_batches
from mrcnn.data.training_examples import augment_example, prepare
from mrcnn.errors import UserError
from mrcnn.inference.processing import preprocess
from mrcnn.inference.test_time_augmentation import scaled_detectors
from mrcnn.matterport.data_generator import data_generator
from mrcnn.network import NetworkBuilder, flatten_layers, loss_names, named_layers
from mrcnn.ops.boxes import as_boxes, clip_proposals
from tiny_training import TrainingConfig

EXTERNAL = {"PROPOSALS": "boxes of the test", "USE_RPN_ROIS": False}


class Proposed(tiny_training.Squares):
    """Dataset of squares with proposals: the boxes of the objects shifted by up to 3 pixels, and a grid of boxes."""

    def load_rois(self, image_id):
        objects = np.array(self.image_info[image_id]["boxes"])
        rng = np.random.default_rng(image_id)
        moved = np.concatenate([objects + rng.integers(-3, 4, objects.shape) for _ in range(6)])
        y, x = np.mgrid[0:48:8, 0:48:8].reshape(2, -1)
        return np.concatenate([moved, np.stack([y, x, y + 16, x + 16], axis=1)])


# --- network ---


def test_the_graphs_have_all_layers_except_those_of_the_rpn():
    with_rpn, without = (NetworkBuilder(TrainingConfig().copy(**changes)) for changes in ({}, EXTERNAL))
    for graph in ("training", "inference"):
        models = [getattr(builder, graph)() for builder in (with_rpn, without)]
        before, after = (named_layers(model).keys() for model in models)
        assert after < before and all(name.startswith("rpn_") for name in before - after)
        assert not any("rpn" in layer.name for layer in flatten_layers(models[1]))
        assert not any("rpn" in tensor.name or "anchors" in tensor.name for tensor in models[1].inputs)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ("mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")),
        ({"MASK_HEAD": False}, ("mrcnn_class_loss", "mrcnn_bbox_loss")),
        ({"NUM_KEYPOINTS": 2}, ("mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss", "mrcnn_keypoint_loss")),
    ],
)
def test_losses_and_outputs(changes, names):
    config = TrainingConfig().copy(**EXTERNAL, **changes)
    builder = NetworkBuilder(config)
    assert loss_names(config) == names
    heads = len(names) - bool(config.NUM_KEYPOINTS)  # logits, probabilities, deltas, and masks
    assert len(builder.training().outputs) == heads + 1 + 2 + len(names)
    inference = builder.inference()
    assert inference.inputs[2].shape == (None, 20, 4)
    assert len(inference.outputs) == 3 + bool(config.MASK_HEAD) + 1 + bool(config.NUM_KEYPOINTS)


def test_the_settings_must_agree():
    with pytest.raises(UserError, match=r"PROPOSALS = 'x' means a network without an RPN.*Set USE_RPN_ROIS = False"):
        TrainingConfig().copy(PROPOSALS="x").validate()
    with pytest.raises(UserError, match="PROPOSALS must be a string"):
        TrainingConfig().copy(PROPOSALS=3).validate()
    config = TrainingConfig().copy(**EXTERNAL)
    config.validate()
    assert not Config.from_json(config.to_json()).has_rpn and TrainingConfig().has_rpn


# --- boxes ---


def test_proposals_are_placed_in_the_window():
    boxes = np.array([[9.6, -3, 30, 40], [2, 2, 8, 30], [0, 0, 64, 64], [20, 20, 30, 30.0]])
    placed = clip_proposals(boxes, (8, 0, 56, 60), 4)
    # The second box lies above the window.
    assert placed.tolist() == [[10, 0, 30, 40], [8, 0, 56, 60], [20, 20, 30, 30], [0, 0, 0, 0]]
    assert placed.dtype == np.int32
    assert clip_proposals(boxes, (8, 0, 56, 60), 1).tolist() == [[10, 0, 30, 40]]
    assert not clip_proposals(np.zeros((0, 4)), (0, 0, 8, 8), 2).any()


@pytest.mark.parametrize("values", [[[1, 2, 3]], [[[1, 2, 3, 4]]], [[1, 2, 3, np.nan]], "boxes", [[1, 2], [3]]])
def test_invalid_boxes(values):
    with pytest.raises(UserError, match=r"a.jpg: expected finite boxes \[N, 4\]"):
        as_boxes(values, "a.jpg")
    assert as_boxes([], "a.jpg").shape == (0, 4)


def test_training_and_detection_place_proposals_equally():
    photo = np.zeros((48, 80, 3), np.uint8)
    config = TrainingConfig().copy(**EXTERNAL, POST_NMS_ROIS_INFERENCE=50)

    class OnePhoto(Proposed):
        def load_image(self, image_id):
            return photo

        def load_mask(self, image_id):
            return np.zeros((48, 80, 0), bool), np.zeros(0, np.int32)

    dataset = OnePhoto(1)
    example = augment_example(prepare(dataset, config, 0), config)
    trained = clip_proposals(example.proposals, example.window, 50)
    np.testing.assert_array_equal(trained, preprocess(photo, config, 0, dataset.load_rois(0)).rois)
    # 80 pixels are resized to 64, and 13 rows of padding are added above.
    y1, x1, y2, x2 = dataset.load_rois(0)[0]
    np.testing.assert_allclose(trained[0], [0.8 * y1 + 13, 0.8 * x1, 0.8 * y2 + 13, 0.8 * x2], atol=0.6)


# --- batches ---


def test_batches_equal_those_of_an_rpn_except_for_its_targets():
    config = TrainingConfig()
    with_rpn, without = (
        next(iter(training_batches(Proposed(4), config.copy(**changes), seed=1, workers=2)))
        for changes in ({"USE_RPN_ROIS": False}, EXTERNAL)
    )
    assert len(with_rpn) == 8 and len(without) == 6
    for a, b in zip([*with_rpn[:2], *with_rpn[4:]], without, strict=True):
        np.testing.assert_array_equal(a, b)


class Shift:
    """Augmentation that moves the image and its boxes down by 8 pixels."""

    max_side = 64

    def augment_photo(self, image, masks, class_ids, rng, keypoints=None, boxes=None):
        moved = [np.roll(array, 8, axis=0) for array in (image, masks)]
        return *moved, class_ids, boxes + [8, 0, 8, 0]


def test_proposals_move_with_the_augmented_image():
    dataset, config = Proposed(1), TrainingConfig().copy(**EXTERNAL)
    plain, moved = (
        next(iter(training_batches(dataset, config, augmentation=augmentation, batch_size=1, steps=1)))
        for augmentation in (None, Shift())
    )
    for index in (3, 5):  # ground truth and proposals
        before, after = np.asarray(plain[index])[0], np.asarray(moved[index])[0]
        expected = clip_proposals(
            before + np.where(before.any(axis=1), 8, 0)[:, None] * [1, 0, 1, 0], (0, 0, 64, 64), len(before)
        )
        np.testing.assert_array_equal(after, expected)


def test_proposals_are_mirrored_with_the_image():
    dataset, config = Proposed(1), TrainingConfig().copy(**EXTERNAL)
    example = prepare(dataset, config, 0)
    mirrored = next(
        each
        for seed in range(9)
        if (each := augment_example(example, config, None, np.random.default_rng(seed), mirror=True)) is not example
    )
    for (y1, x1, y2, x2), box in zip(example.proposals, mirrored.proposals, strict=True):
        assert box.tolist() == [y1, 64 - x2, y2, 64 - x1]


def test_augmentations_and_datasets_without_boxes_are_rejected():
    class Still:
        max_side = 64

        def augment_photo(self, image, masks, class_ids, rng):
            return image, masks, class_ids

    config = TrainingConfig().copy(**EXTERNAL)
    with pytest.raises(UserError, match="Still does not transform the proposals of load_rois"):
        training_batches(Proposed(2), config, augmentation=Still())
    with pytest.raises(UserError, match=r"Still.augment_photo\(\) must accept the argument `boxes`"):
        augment_example(prepare(Proposed(1), config, 0, Still()), config, Still())
    with pytest.raises(UserError, match=r"square_0.*the dataset has no proposals. Return boxes \[K, 4\]"):
        prepare(tiny_training.Squares(1), config, 0)
    assert prepare(tiny_training.Squares(1), config.copy(PROPOSALS="rpn"), 0).proposals is None


# --- training, detection, weights ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a model that was trained on eight images, its dataset and the progress."""
    wider = dict(TOP_DOWN_PYRAMID_SIZE=32, FPN_CLASSIF_FC_LAYERS_SIZE=64, TRAIN_ROIS_PER_IMAGE=32)
    settings = dict(MASK_HEAD=False, TRAIN_BN=None, STEPS_PER_EPOCH=100, POST_NMS_ROIS_INFERENCE=50)
    model = tiny_training.build(tmp_path_factory.mktemp("logs"), **EXTERNAL, **settings, **wider)
    photos = Proposed(8)
    options = dict(optimizer="adamw", schedule="cosine", warmup_steps=20, validate_every=2, verbose=0)
    return model, photos, model.train(photos, photos, 2e-3, 2, "all", **options)


def test_eight_images_can_be_overfitted(trained):
    _, _, progress = trained
    first, last = progress.rows
    assert last["val_box_AP50"] >= 0.95
    assert last["loss"] < 0.3 * first["loss"]
    assert not [name for name in last if "rpn" in name]


def test_detections_come_from_the_proposals(trained):
    model, photos, _ = trained
    images = [photos.load_image(i) for i in range(3)]
    proposals = [photos.load_rois(i) for i in range(3)]
    found = model.detect(images, proposals=proposals)
    counts = [len(photos.image_info[i]["boxes"]) for i in range(3)]
    assert [len(each) for each in found] == counts
    alone = [model.detect([image], proposals=[boxes])[0] for image, boxes in zip(images, proposals, strict=True)]
    for together, single in zip(found, alone, strict=True):
        np.testing.assert_array_equal(together.boxes, single.boxes)
    left = [boxes[: 6 * n : n] for boxes, n in zip(proposals, counts, strict=True)]  # of the first object only
    assert [len(each) for each in model.detect_stream(images, proposals=left)] == [1, 1, 1]
    assert len(model.detect(images[:1], proposals=[[]])[0]) == 0


def test_invalid_uses_are_one_line_errors(trained, tmp_path):
    model, photos, _ = trained
    image, boxes = photos.load_image(0), photos.load_rois(0)
    no_rpn = r"has no RPN \(PROPOSALS = 'boxes of the test'\)"
    with pytest.raises(UserError, match=f"{no_rpn}. Pass the proposals of each image"):
        model.detect([image])
    with pytest.raises(UserError, match="images or proposals end after 1"):
        model.detect([image, image], proposals=[boxes])
    with pytest.raises(UserError, match=r"proposals\[0\]: expected finite boxes"):
        model.detect([image], proposals=[boxes[:, :3]])
    skipped = model.detect([image, image], on_error="skip", proposals=[boxes[:, :3], boxes])
    assert "proposals[0]" in skipped[0]["error"] and len(skipped[1]) == 1
    with pytest.raises(UserError, match=no_rpn):
        model.detect_molded(image[None], model.mold_inputs([image])[1])
    with pytest.raises(UserError, match=no_rpn):
        model.run_graph([image], [("ROI", "ROI")])
    with pytest.raises(UserError, match="test-time augmentation: the network has no RPN"):
        scaled_detectors(model)
    with pytest.raises(UserError, match=no_rpn):
        model.train(photos, None, 1e-3, 9, "all", losses="rpn")
    with pytest.raises(UserError, match=no_rpn):
        model.export(tmp_path / "exported", "saved_model")
    with pytest.raises(ValueError, match=no_rpn):
        next(data_generator(photos, model.config))
    with pytest.raises(UserError, match="proposals: not accepted, because the network has an RPN"):
        tiny_training.build(tmp_path).detect([image], proposals=[boxes])


def test_weights_load_from_a_network_with_an_rpn_but_not_into_one(tmp_path):
    with_rpn = tiny_training.build(tmp_path)
    with_rpn.save_weights(tmp_path / "rpn.h5")
    model = tiny_training.build(tmp_path, **EXTERNAL)
    report = model.load_weights(tmp_path / "rpn.h5", by_name=True)
    assert not report.missing and all(name.startswith("rpn_") for name in report.unexpected)
    model.save_weights(tmp_path / "external.h5")
    with pytest.raises(WeightsMismatchError, match="3 layers of the model are not in the file: rpn_"):
        with_rpn.load_weights(tmp_path / "external.h5", by_name=True)
