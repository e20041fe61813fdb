"""NUM_KEYPOINTS: keypoints from the dataset to the detections."""

import numpy as np
import pytest
import tensorflow as tf

import tiny_training
from mrcnn import losses
from mrcnn.checkpoints.report import LoadReport, branch_warning
from mrcnn.data.example import Example
from mrcnn.data.pipeline import training_batches
from mrcnn.data.training_examples import augment_example, load_image_gt, prepare
from mrcnn.detections import Detection, Detections
from mrcnn.errors import UserError
from mrcnn.evaluation import CocoEvaluator
from mrcnn.inference.processing import postprocess
from mrcnn.inference.test_time_augmentation import detect_augmented, mirror
from mrcnn.inference.tiles import detect_tiled, shift
from mrcnn.layers.keypoint_targets import keypoint_cells
from mrcnn.network import LOSSES, NetworkBuilder, loss_names, named_layers
from mrcnn.ops.keypoints import decode_keypoints, mirror_keypoints
from tiny_config import TinyConfig

COLORS = (220, 20, 20), (20, 20, 220)
POINTS = dict(NUM_KEYPOINTS=2, KEYPOINT_FLIP=((0, 1),))


class Dots(tiny_training.Squares):
    """Dataset of bright rectangles with two keypoints: a red and a blue dot at random positions."""

    def load_keypoints(self, image_id):
        info = self.image_info[image_id]
        rng = np.random.default_rng(info["seed"])
        low, high = (np.array([(box[i + 1], box[i]) for box in info["boxes"]]) for i in (0, 2))
        points = np.rint(rng.uniform(low[:, None] + 3, high[:, None] - 3, (len(low), 2, 2)))
        return np.concatenate([points, np.full((len(low), 2, 1), 2.0)], axis=-1)

    def load_image(self, image_id):
        image = super().load_image(image_id)
        for dots in self.load_keypoints(image_id).astype(int):
            for (x, y, _), color in zip(dots, COLORS, strict=True):
                image[y - 2 : y + 2, x - 2 : x + 2] = color
        return image


# --- maths ---


def test_a_position_is_decoded_from_the_cell_that_is_its_target():
    rng, side = np.random.default_rng(0), 56
    boxes = np.array([[10, 20, 66, 132], [0, 0, 28, 14]])  # pixels of an image of 200 x 300; cells of at most 1 x 2
    rois = (boxes - [0, 0, 1, 1]) / [199, 299, 199, 299]
    points = rng.uniform(boxes[:, None, 1::-1], boxes[:, None, :1:-1], (2, 5, 2))
    keypoints = np.concatenate([points, np.ones((2, 5, 1))], axis=-1).astype(np.float32)
    cells = keypoint_cells(tf.constant(rois[None], tf.float32), [[0, 1]], keypoints[None], (200, 300), side)[0]
    maps = tf.one_hot(tf.reshape(cells, (2, 5)), side * side, on_value=20.0, axis=1)
    decoded = decode_keypoints(tf.reshape(maps, (2, side, side, 5)).numpy(), boxes)
    cell_sizes = (boxes[:, :1:-1] - boxes[:, 1::-1]) / side
    assert (abs(decoded[..., :2] - points) <= cell_sizes[:, None] / 2 + 1e-3).all()
    np.testing.assert_allclose(decoded[..., 2], 1 / (1 + (side**2 - 1) * np.exp(-20)), rtol=1e-6)


def test_points_outside_a_roi_and_unlabelled_points_have_no_target():
    rois = tf.constant([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5], [0, 0, 0, 0]]])
    points = np.array([[[3.2, 1.2, 2], [3.2, 1.2, 0], [4, 4, 1], [-0.1, 2, 2]]], np.float32)
    cells = keypoint_cells(rois, [[0, 0, 0]], points[None], (4, 4), 4).numpy()
    assert cells[0, 0].tolist() == [1 * 4 + 3, -1, 15, -1]  # a keypoint on the far edge belongs to the last cell
    assert (cells[0, 1:] == -1).all()


def test_the_maximum_of_a_parabola_lies_between_cells():
    y, x = np.mgrid[:8, :8] + 0.5
    maps = np.stack([-((x - 3.7) ** 2) - 2 * (y - 5.2) ** 2, -((x - 0.2) ** 2) - (y - 7.9) ** 2], axis=-1)[None]
    decoded = decode_keypoints(maps, np.array([[10, 20, 18, 36]]))[0]
    np.testing.assert_allclose(decoded[0, :2], [20 + 2 * 3.7, 10 + 5.2], atol=1e-5)
    np.testing.assert_allclose(decoded[1, :2], [20 + 2 * 0.5, 10 + 7.5], atol=1e-5)  # the keypoint stays at the border


def test_loss_equals_the_mean_cross_entropy_of_labelled_points():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 2, 4, 4, 3)).astype(np.float32)
    cells = np.full((2, 5, 3), -1)
    cells[0, 0, 1], cells[1, 1, 2] = 7, 12
    expected = [  # -log of the softmax
        np.log(np.exp(plane).sum()) - plane.ravel()[cell]
        for plane, cell in ((maps[0, 0, ..., 1], 7), (maps[1, 1, ..., 2], 12))
    ]
    np.testing.assert_allclose(losses.mrcnn_keypoint_loss(cells, maps), np.mean(expected), rtol=1e-6)
    assert losses.mrcnn_keypoint_loss(np.full((2, 5, 3), -1), maps) == 0


@pytest.mark.parametrize(
    ("original_shape", "image_shape", "window", "cell", "scale"),
    [
        ((4096, 4096), (1024, 1024), (0, 0, 1024, 1024), (10, 20), (4, 4)),
        ((1024, 2048), (1024, 1024), (256, 0, 768, 1024), (10, 20), (2, 2)),  # padded above and below
        ((256, 256), (1024, 1024), (0, 0, 1024, 1024), (0, 55), (1 / 4, 1 / 4)),
        ((333, 1000), (512, 512), (170, 0, 341, 512), (10, 20), (333 / 171, 1000 / 512)),
    ],
)
def test_detected_keypoints_are_scaled_from_edge_to_edge(original_shape, image_shape, window, cell, scale):
    top, left = window[:2]
    height, width = image_shape
    # The box has 56 pixels. The map also covers a tenth of the distance between its first and last pixel on each side.
    box = np.array([top, left, top + 55, left + 55]) / np.array([height - 1, width - 1] * 2)
    y, x = (-5.5 + (np.array(cell) + 0.5) / 56 * (56 + 2 * 5.5)) * scale
    maps = np.zeros((1, 56, 56, 1), np.float32)
    maps[0, *cell] = 20
    detections = np.array([[*box, 1, 0.9]], np.float32)
    found = postprocess(detections, None, original_shape, image_shape, window, keypoints=maps)
    np.testing.assert_allclose(found.keypoints[0, 0, :2], (x, y), atol=1e-3)


# --- data ---


def test_keypoints_follow_the_image_through_resizing_and_mirroring():
    dataset, config = Dots(2), TinyConfig().copy(IMAGE_MAX_DIM=128, IMAGE_MIN_DIM=128, NUM_CLASSES=2, **POINTS)
    example = prepare(dataset, config, 1)
    np.testing.assert_allclose(example.keypoints[..., :2], 2 * dataset.load_keypoints(1)[..., :2])
    mirrored = [augment_example(example, config, mirror=True, rng=np.random.default_rng(seed)) for seed in range(4)]
    mirrored = next(each for each in mirrored if not np.array_equal(each.image, example.image))
    red = mirrored.image[tuple(np.rint(mirrored.keypoints[0, 0, 1::-1]).astype(int))]  # left and right are swapped
    assert red[2] > red[0]
    np.testing.assert_allclose(mirror_keypoints(mirrored.keypoints, 128, POINTS["KEYPOINT_FLIP"]), example.keypoints)


@pytest.mark.parametrize("mode", ["square", "crop"])
def test_keypoints_are_scaled_to_the_rounded_size(mode):
    example = Example(
        np.zeros((333, 1000, 3), np.uint8), np.ones((333, 1000, 1), bool), np.array([1]), (333, 1000, 3),
        keypoints=np.array([[[1000, 333, 2], [500, 0, 2]]], np.float32),
    )  # fmt: skip
    config = TinyConfig().copy(IMAGE_RESIZE_MODE=mode, IMAGE_MIN_DIM=0, IMAGE_MAX_DIM=512)
    if mode == "crop":  # the scale is 500 / 333, so the width of 1501.5 pixels becomes 1502
        config = config.copy(IMAGE_MIN_DIM=500)
    fitted = augment_example(example, config, rng=np.random.default_rng(0))
    if mode == "square":  # 333 rows become 170.496, rounded to 170, in the centre of 512
        assert fitted.window == (171, 0, 341, 512)
        np.testing.assert_allclose(fitted.keypoints[0], [[512, 341, 2], [256, 171, 2]], atol=1e-4)
    else:
        right, middle = fitted.keypoints[0]
        np.testing.assert_allclose(right - middle, [751, 500, 0], atol=1e-4)


def test_batches_contain_the_keypoints_of_the_kept_instances():
    config = tiny_training.TrainingConfig().copy(**POINTS)
    batch = next(iter(training_batches(Dots(4), config, seed=1, workers=2)))
    plain = next(iter(training_batches(Dots(4), tiny_training.TrainingConfig(), seed=1, workers=2)))
    assert len(batch) == len(plain) + 1
    boxes, keypoints = batch[5].numpy(), batch[7].numpy()
    assert keypoints.shape == (2, 4, 2, 3)
    inside = (keypoints[..., 1::-1] > boxes[:, :, None, :2]) & (keypoints[..., 1::-1] < boxes[:, :, None, 2:])
    np.testing.assert_array_equal(inside.all(axis=(2, 3)), batch[4].numpy() > 0)
    assert (keypoints[batch[4].numpy() == 0] == 0).all()


RAGGED = [[[1, 2, 2], [3]]]


@pytest.mark.parametrize(
    ("points", "got"),
    [(None, "None"), (np.zeros((1, 3, 3)), r"\[1, 3, 3\]"), (RAGGED, "values that are not numbers")],
)
def test_invalid_keypoints_are_one_line_errors(points, got, monkeypatch):
    config = tiny_training.TrainingConfig().copy(**POINTS)
    monkeypatch.setattr(tiny_training.Squares, "load_keypoints", lambda self, image_id: points)
    with pytest.raises(UserError, match=rf"square_0.*load_keypoints\(\) must return \[1, 2, 3\].*got {got}\.$"):
        load_image_gt(tiny_training.Squares(1), config, 0)


def test_a_placeholder_for_no_objects_has_keypoints_too(monkeypatch):
    dataset, config = tiny_training.Squares(1), tiny_training.TrainingConfig().copy(**POINTS)
    height, width = dataset.load_image(0).shape[:2]
    masks = np.zeros((height, width, 2), bool)
    masks[2:9, 3:8, 1] = True
    points = np.array([np.zeros((2, 3)), [[4, 3, 2], [7, 8, 2]]])
    monkeypatch.setattr(dataset, "load_mask", lambda image_id: (masks, np.array([0, 1])))
    monkeypatch.setattr(dataset, "load_keypoints", lambda image_id: points, raising=False)
    example = prepare(dataset, config, 0)
    assert example.class_ids.tolist() == [1] and example.keypoints.shape == (1, 2, 3)
    monkeypatch.setattr(dataset, "load_mask", lambda image_id: (masks[..., :1], np.array([0])))
    monkeypatch.setattr(dataset, "load_keypoints", lambda image_id: points[:1], raising=False)
    assert prepare(dataset, config, 0).keypoints.shape == (0, 2, 3)


class Shifted:
    """Augmentation that returns `values` after image, masks and class ids."""

    max_side = 1000

    def __init__(self, *values):
        self.values = values

    def augment_photo(self, image, masks, class_ids, rng, keypoints=None):
        return image, masks, class_ids, *self.values


class Fixed(Shifted):
    """Augmentation that does not support keypoints."""

    def augment_photo(self, image, masks, class_ids, rng):
        return image, masks, class_ids


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        (Fixed(), r"^Fixed.augment_photo\(\) must accept the argument `keypoints`\.$"),
        (
            Shifted(),
            r"^Shifted.augment_photo\(\) must return image, masks, class ids, keypoints, got 3 values\.$",
        ),
        (Shifted(np.zeros((2, 2, 3))), r"^Shifted.* must return keypoints \[1, 2, 3\], got \[2, 2, 3\]\.$"),
        (Shifted(None), r"^Shifted.* must return keypoints \[1, 2, 3\], got None\.$"),
    ],
)
def test_augmentations_must_return_keypoints(augmentation, message):
    config = tiny_training.TrainingConfig().copy(**POINTS)
    with pytest.raises(UserError, match=message):
        load_image_gt(Dots(1), config, 0, augmentation=augmentation)
    moved = np.ones((1, 2, 3))
    example = augment_example(prepare(Dots(1), config, 0, Fixed()), config, Shifted(moved))
    assert example.keypoints.shape == (1, 2, 3)
    without = tiny_training.TrainingConfig()
    assert augment_example(prepare(Dots(1), without, 0, Fixed()), without, Shifted(moved)).keypoints is None


def test_augmentation_without_support_for_keypoints_is_rejected():
    config = tiny_training.TrainingConfig().copy(**POINTS)
    for augmentation in (lambda **planes: planes, Fixed()):
        with pytest.raises(UserError, match="(function|Fixed) does not transform keypoints"):
            training_batches(Dots(1), config, augmentation=augmentation)


@pytest.mark.parametrize("pairs", [((1, 3),), ((0, 1), (1, 2)), ((0, 0),), ((0.0, 1.5),), ((0, 1, 2),), (0, 1), 1])
def test_flip_pairs_are_checked(pairs):
    with pytest.raises(UserError, match=r"KEYPOINT_FLIP must contain pairs of distinct indices below NUM_KEYP.* \(3"):
        TinyConfig().copy(NUM_KEYPOINTS=3, KEYPOINT_FLIP=pairs).validate()
    TinyConfig().copy(NUM_KEYPOINTS=3, KEYPOINT_FLIP=[[0, 2]]).validate()


@pytest.mark.parametrize("names", [("a", "a", "b"), ("a", "a"), ("a",)])
def test_names_are_checked(names):
    with pytest.raises(UserError, match=r"KEYPOINT_NAMES must contain NUM_KEYPOINTS \(2\) distinct names, got \['a'"):
        TinyConfig().copy(NUM_KEYPOINTS=2, KEYPOINT_NAMES=names).validate()
    TinyConfig().copy(NUM_KEYPOINTS=2, KEYPOINT_NAMES=("a", "b")).validate()
    with pytest.raises(UserError, match="KEYPOINT_NAMES must be strings"):
        TinyConfig().copy(NUM_KEYPOINTS=2, KEYPOINT_NAMES=(0, 1)).validate()


# --- network, training, detection ---


def test_without_keypoints_the_network_is_unchanged():
    graphs = [NetworkBuilder(TinyConfig().copy(NUM_KEYPOINTS=count)) for count in (0, 2)]
    off, on = (named_layers(graph.training()).keys() for graph in graphs)
    assert off < on and all(name.startswith("mrcnn_keypoint") for name in on - off)
    assert len(on - off) == 2 * 4 + 1  # four convolutions with normalisation, and the deconvolution
    assert loss_names(graphs[0].config) == LOSSES
    assert [tuple(output.shape) for output in graphs[1].inference().outputs[-1:]] == [(None, 10, 56, 56, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("masks", [True, False])
def test_eight_images_can_be_overfitted(masks, tmp_path):
    wider = dict(TOP_DOWN_PYRAMID_SIZE=32, RPN_CHANNELS=32, FPN_CLASSIF_FC_LAYERS_SIZE=64, TRAIN_ROIS_PER_IMAGE=32)
    names = dict(KEYPOINT_NAMES=("left", "right"))
    options = wider | names | POINTS
    model = tiny_training.build(tmp_path, MASK_HEAD=masks, TRAIN_BN=None, STEPS_PER_EPOCH=120, **options)
    photos = Dots(8)
    options = dict(optimizer="adamw", schedule="cosine", warmup_steps=20, verbose=0)
    progress = model.train(photos, photos, 2e-3, 2, "all", **options)
    first, last = progress.rows
    assert last["mrcnn_keypoint_loss"] < 0.7 * first["mrcnn_keypoint_loss"]
    assert 0 <= last["val_keypoints_AP"] <= last["val_keypoints_AP50"]
    errors = []
    for image_id in photos.image_ids:
        found = model.detect([photos.load_image(image_id)])[0]
        assert found.has_masks == masks and found.keypoints.shape == (len(found), 2, 3)
        assert found.keypoint_names == found[:1].keypoint_names == ["left", "right"]
        for truth in photos.load_keypoints(image_id):
            errors.append(np.linalg.norm(found.keypoints[..., :2] - truth[:, :2], axis=-1).max(axis=1).min())
    assert np.median(errors) < 2


def test_a_model_with_keypoints_loads_weights_without_them(tmp_path):
    tiny_training.build(tmp_path).save_weights(tmp_path / "masks.h5")
    model = tiny_training.build(tmp_path, **POINTS)
    with pytest.warns(UserWarning, match="model without keypoints: 9 layers of keypoints keep"):
        report = model.load_weights(tmp_path / "masks.h5", by_name=True)
    assert all(name.startswith("mrcnn_keypoint") for name in report.missing)
    with pytest.raises(ValueError, match="9 layers of the model are not in the file"):
        model.load_weights(tmp_path / "masks.h5")


def test_the_warning_lists_each_branch_that_the_file_lacks():
    report = LoadReport("boxes.h5", missing=("mrcnn_mask_conv1", "mrcnn_mask", "mrcnn_keypoint_conv1"))
    assert branch_warning(report, ["mrcnn_class_logits"]) == (
        "the file comes from a model without masks and keypoints: 2 layers of masks and 1 layers of keypoints keep "
        "their current weights (mrcnn_mask_conv1, mrcnn_mask, mrcnn_keypoint_conv1). Train these layers before "
        "detection."
    )


# --- Detections ---


def test_detections_keep_their_keypoints():
    points = np.arange(12).reshape(2, 2, 3)
    found = Detections([[0, 0, 4, 4], [2, 2, 8, 8]], [1, 1], [0.9, 0.8], None, (10, 10), keypoints=points)
    np.testing.assert_array_equal(found[1:].keypoints, points[1:])
    again = Detections.from_instances(list(found)[::-1], (10, 10), has_masks=False)
    np.testing.assert_array_equal(again.keypoints, points)
    with pytest.raises(ValueError, match=r"expected keypoints \[1, J, 3\], got \[2, 2, 3\]"):
        Detections([[0, 0, 4, 4]], [1], [0.9], None, (10, 10), keypoints=points)


@pytest.mark.parametrize("keypoints", [None, np.zeros((0, 2, 3))])
def test_without_detections_all_views_have_the_same_keypoints(keypoints):
    def detect(images):
        for image in images:
            yield Detections([], [], [], [], image.shape, keypoints=keypoints)

    image = np.zeros((90, 100, 3), np.uint8)
    for found in (detect_augmented([detect], image), detect_tiled(detect, image, 2, 64)):
        assert np.shape(found.keypoints) == np.shape(keypoints) and (found.keypoints is None) == (keypoints is None)


def test_keypoints_of_test_time_augmentation_are_mapped_back():
    found = Detection((2, 3, 6, 9), np.ones((4, 6), bool), 1, 0.9, np.array([[4, 3, 0.5], [8, 5, 0.7]], np.float32))
    np.testing.assert_allclose(shift(found, 10, 20).keypoints, [[24, 13, 0.5], [28, 15, 0.7]])
    np.testing.assert_allclose(mirror(found, 12, [(0, 1)]).keypoints, [[4, 5, 0.7], [8, 3, 0.5]])


def test_keypoints_are_drawn_and_written():
    points = [[[5.5, 5.5, 0.9], [25.5, 5.5, 0.8], [15, 15, 0]]]
    found = Detections([[0, 0, 30, 30]], [1], [0.9], None, (30, 30), keypoints=points)
    image = np.zeros((30, 30, 3), np.uint8)
    drawn = found.draw(image, labels=False, skeleton=[(0, 1), (1, 2)])
    assert drawn[5, 5].any() and drawn[5, 25].any() and drawn[5, 15].any() and not drawn[15, 15].any()
    assert not found.draw(image, labels=False)[5, 15].any()
    np.testing.assert_allclose(found.to_coco()[0]["keypoints"], [5, 5, 0.9, 25, 5, 0.8, 14.5, 14.5, 0], atol=1e-4)


@pytest.mark.parametrize("skeleton", [[(0, 3)], [(-1, 0)], [(0, 0.5)], [(0, 1, 2)], (0, 1)])
def test_a_skeleton_of_missing_keypoints_is_a_one_line_error(skeleton):
    found = Detections([[0, 0, 30, 30]], [1], [0.9], None, (30, 30), keypoints=np.ones((1, 3, 3)))
    with pytest.raises(UserError, match="^skeleton: expected pairs of indices below 3 keypoints, got "):
        found.draw(np.zeros((30, 30, 3), np.uint8), skeleton=skeleton)


# --- evaluation ---


def oks_ap(distance, visible=2):
    """Returns the AP of one object of 100 x 100 pixels. One of its two keypoints is off by `distance` pixels."""
    mask = np.zeros((200, 200, 1), bool)
    mask[50:150, 50:150] = True
    truth = np.array([[[60, 60, 2], [140, 140, visible]]], float)
    found = truth.copy()
    found[0, 1, 0] += distance
    result = Detections([[50, 50, 150, 150]], [1], [0.9], None, (200, 200), keypoints=found)
    evaluator = CocoEvaluator(["BG", "logo"])
    evaluator.add("a", [1], mask, result, gt_keypoints=truth)
    return evaluator.summarize()["keypoints"]


def test_ap_is_that_of_object_keypoint_similarity():
    assert oks_ap(0)["AP"] == pytest.approx(1)
    # The similarity of the second keypoint is exp(-d^2 / (2 area (2 sigma)^2)) = 0.5 with sigma 0.05. The mean is 0.75.
    distance = 100 * 2 * 0.05 * np.sqrt(2 * np.log(2))
    assert [oks_ap(distance + shift)["AP75"] for shift in (-0.1, 0.1)] == pytest.approx([1, 0])
    assert oks_ap(distance + 0.1)["AP50"] == pytest.approx(1)
    assert oks_ap(500, visible=0)["AP"] == pytest.approx(1)  # unlabelled keypoints are ignored


@pytest.mark.parametrize(
    ("points", "got"),
    [
        (np.ones((1, 3, 3)), r"\[1, 3, 3\]"),
        (np.ones((1, 6)), r"\[1, 6\]"),
        (RAGGED, "values that are not numbers"),
    ],
)
def test_keypoints_of_another_shape_are_not_evaluated(points, got):
    result = Detections([[0, 0, 5, 5]], [1], [0.9], None, (9, 9), keypoints=np.ones((1, 2, 3)))
    message = rf"image 'a': expected gt_keypoints \[1, 2, 3\] for 1 masks and detections with 2 keypoints, got {got}\.$"
    with pytest.raises(UserError, match=message):
        CocoEvaluator(["BG", "logo"]).add("a", [1], np.ones((9, 9, 1), bool), result, gt_keypoints=points)


def test_all_images_have_the_same_number_of_keypoints():
    evaluator = CocoEvaluator(["BG", "logo"])
    evaluator.add("none", [], np.zeros((9, 9, 0), bool), Detections([], [], [], None, (9, 9)), gt_keypoints=[])
    for count in (2, 3):
        points = np.full((1, count, 3), 2.0)
        result = Detections([[0, 0, 9, 9]], [1], [0.9], None, (9, 9), keypoints=points)
        evaluator.add(count, [1], np.ones((9, 9, 1), bool), result, gt_keypoints=points)
        if count == 2:
            assert evaluator.summarize()["keypoints"]["AP"] == pytest.approx(1)
    with pytest.raises(UserError, match=r"^keypoints: expected the same number for all images, got \[2, 3\]\.$"):
        evaluator.summarize()


def test_evaluation_without_keypoints_has_no_keypoint_metrics():
    evaluator = CocoEvaluator(["BG", "logo"])
    evaluator.add("a", [], np.zeros((9, 9, 0), bool), Detections(np.zeros((0, 4)), [], [], None, (9, 9)))
    assert "keypoints" not in evaluator.summarize()
