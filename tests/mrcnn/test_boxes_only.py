"""MASK_HEAD = False: batches, network, training and detections of Faster R-CNN."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import tiny_training
from mrcnn import evaluation
from mrcnn.checkpoints import WeightsMismatchError
from mrcnn.data.pipeline import training_batches
from mrcnn.detections import Detections
from mrcnn.inference.test_time_augmentation import detect_augmented
from mrcnn.inference.tiles import detect_tiled
from mrcnn.matterport.data_generator import data_generator
from mrcnn.network import NetworkBuilder, flatten_layers, loss_names, named_layers
from mrcnn.ops.contours import signed_area
from mrcnn.visualization.instances import display_instances
from tiny_config import TinyConfig

BOX_LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss")


class BoxConfig(TinyConfig):
    MASK_HEAD = False


@pytest.fixture(scope="module")
def networks():
    return {masks: NetworkBuilder(TinyConfig().copy(MASK_HEAD=masks)) for masks in (True, False)}


@pytest.fixture
def boxes():
    """Returns the detections of two objects in an image of 40 x 60 pixels."""
    found = Detections([[10, 20, 30, 50], [0, 0, 5, 8]], [1, 2], [0.9, 0.4], None, (40, 60))
    found.class_names = ["BG", "square", "disc"]
    return found


# --- network and batches ---


def test_the_graphs_have_all_layers_except_those_of_masks(networks):
    for graph in ("training", "inference"):
        models = [getattr(networks[masks], graph)() for masks in (True, False)]
        with_masks, without = (named_layers(model).keys() for model in models)
        assert without < with_masks and all(name.startswith("mrcnn_mask") for name in with_masks - without)
        assert not any("mask" in layer.name for layer in flatten_layers(models[1]))


def test_losses_and_outputs(networks):
    training, inference = networks[False].training(), networks[False].inference()
    assert loss_names(BoxConfig()) == BOX_LOSSES
    assert len(training.outputs) == 3 + 3 + 2 + 4  # RPN, box head, RoIs, losses
    assert [tuple(output.shape) for output in training.outputs[-4:]] == [()] * 4
    assert [output.shape[1:] for output in inference.outputs[:4]] == [(10, 6), (40, 3), (40, 3, 4), (40, 4)]
    assert len(inference.outputs) == 6


@pytest.mark.parametrize("settings", [{"MASK_REFINEMENT_SIZE": 112}, {"DETECTION_MASK_SCORES": True}])
def test_settings_that_require_masks_are_rejected(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} requires masks, but MASK_HEAD is False. Set"):
        BoxConfig().copy(**settings).validate()


def test_batches_equal_those_with_masks_except_for_the_masks():
    dataset, config = tiny_training.Squares(4), tiny_training.TrainingConfig()
    with_masks, without = (
        next(iter(training_batches(dataset, config.copy(MASK_HEAD=mask), seed=1, workers=2))) for mask in (True, False)
    )
    assert len(with_masks) == 7 and len(without) == 6
    for a, b in zip(with_masks, without, strict=False):
        np.testing.assert_array_equal(a, b)


def test_the_generator_of_the_original_yields_no_masks():
    inputs, _ = next(
        data_generator(tiny_training.Squares(2), tiny_training.TrainingConfig().copy(MASK_HEAD=False), batch_size=2)
    )
    assert [array.shape[1:] for array in inputs[4:]] == [(4,), (4, 4)]


# --- training, detection, weights ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a model that was trained on eight images, its dataset and the progress."""
    wider = dict(TOP_DOWN_PYRAMID_SIZE=32, RPN_CHANNELS=32, FPN_CLASSIF_FC_LAYERS_SIZE=64, TRAIN_ROIS_PER_IMAGE=32)
    folder = tmp_path_factory.mktemp("logs")
    model = tiny_training.build(folder, MASK_HEAD=False, TRAIN_BN=None, STEPS_PER_EPOCH=100, **wider)
    photos = tiny_training.Squares(8)
    options = dict(optimizer="adamw", schedule="cosine", warmup_steps=20, verbose=0)
    return model, photos, model.train(photos, photos, 2e-3, 2, "all", **options)


def test_eight_images_can_be_overfitted(trained):
    model, _, progress = trained
    first, last = progress.rows
    assert last["val_box_AP50"] >= 0.95 and last["val_box_AP"] > 0.6
    assert last["loss"] < 0.3 * first["loss"]
    assert not [name for name in last if "mask" in name]
    best = max(progress.rows, key=lambda row: row["val_box_AP"])
    assert progress.best == {"epoch": best["epoch"], "box_AP": best["val_box_AP"]}
    assert "box AP" in repr(progress)
    weights = Path(model.log_dir, f"mask_rcnn_tiny_{best['epoch']:04d}.h5")
    assert Path(model.log_dir, "mask_rcnn_tiny_best.h5").read_bytes() == weights.read_bytes()


def test_detections_have_boxes_and_no_masks(trained):
    model, photos, _ = trained
    found = model.detect([photos.load_image(1)])[0]
    assert len(found) == 2 and not found.has_masks and found.masks is None and found["masks"] is None
    truth = np.array(photos.image_info[1]["boxes"])
    overlaps = [max(iou(box, other) for box in found.boxes) for other in truth]
    assert min(overlaps) > 0.7
    summary = evaluate(model, photos)
    assert "mask" not in summary and summary["box"]["AP50"] >= 0.95


def iou(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(np.maximum(sides, 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def evaluate(model, dataset):
    evaluator = evaluation.CocoEvaluator(dataset.class_names)
    for image_id in dataset.image_ids:
        masks, class_ids = dataset.load_mask(image_id)
        evaluator.add(image_id, class_ids, masks, model.detect([dataset.load_image(image_id)])[0])
    return evaluator.summarize()


def test_tiles_and_test_time_augmentation_work_without_masks(trained):
    model, photos, _ = trained
    image = photos.load_image(1)

    def detect(images):
        return model.detect_stream(images)

    for found in (detect_augmented([detect], image), detect_tiled(detect, image, tiles=2, network_side=64)):
        assert len(found) and not found.has_masks


def test_weights_load_between_networks_with_and_without_masks(trained, tmp_path):
    boxes, _, _ = trained
    path = tmp_path / "boxes.h5"
    boxes.save_weights(path)
    masks = type(boxes)("training", boxes.config.copy(MASK_HEAD=True), tmp_path)
    head = masks.keras_model.get_layer("mrcnn_mask").get_weights()
    with pytest.warns(UserWarning, match="model without masks: 6 layers of masks keep"):
        report = masks.load_weights(path, by_name=True)
    assert len(report.missing) == 6 and all(name.startswith("mrcnn_mask") for name in report.missing)
    np.testing.assert_array_equal(masks.keras_model.get_layer("mrcnn_mask").get_weights()[0], head[0])
    with pytest.raises(WeightsMismatchError, match="not in the file"):
        masks.load_weights(path)

    masks.save_weights(tmp_path / "masks.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = type(boxes)("training", boxes.config, tmp_path).load_weights(tmp_path / "masks.h5", by_name=True)
    assert not again.missing and set(again.unexpected) == set(report.missing)
    assert set(again.loaded) == set(report.loaded)


def test_a_checkpoint_restores_a_model_for_boxes(tmp_path):
    model = tiny_training.build(tmp_path, MASK_HEAD=False)
    model.save_weights(tmp_path / "boxes.h5")
    functions = {name: getattr(model.config, name) for name in ("BACKBONE", "COMPUTE_BACKBONE_SHAPE")}
    loaded = type(model).from_checkpoint(tmp_path / "boxes.h5", settings=functions, model_dir=tmp_path)
    assert loaded.config.MASK_HEAD is False
    for name, layer in model.named_layers().items():
        for before, after in zip(layer.get_weights(), loaded.named_layers()[name].get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)


# --- Detections ---


def test_an_object_covers_its_box(boxes):
    assert [item.mask.shape for item in boxes] == [(20, 30), (5, 8)] and all(item.mask.all() for item in boxes)
    assert boxes.full_mask(0).sum() == 600 and boxes.full_mask(0)[10:30, 20:50].all()
    assert signed_area(boxes.rings(0)[0]) == 600
    assert sorted(map(tuple, boxes.polygons()[1][0])) == [(0, 0), (0, 5), (8, 0), (8, 5)]
    chosen = boxes["disc"]
    assert len(chosen) == 1 and chosen.masks is None and not boxes[:1].has_masks


def test_other_formats_have_no_masks(boxes):
    shapes = boxes.to_labelme("a.jpg")["shapes"]
    assert [shape["shape_type"] for shape in shapes] == ["rectangle"] * 2
    assert shapes[0]["points"] == [[20.0, 10.0], [49.0, 29.0]]
    first = boxes.to_coco(3)[0]
    assert first["bbox"] == [20.0, 10.0, 30.0, 20.0] and "segmentation" not in first
    record = json.loads(boxes.to_json())["objects"][0]
    assert record["box"] == [20, 10, 50, 30] and record["area"] == 600
    assert record["polygons"] == [[[20, 10], [50, 10], [50, 30], [20, 30]]]


def test_a_table_of_boxes_has_their_areas(boxes):
    pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    assert boxes.to_pandas()["area"].tolist() == [600, 40]


def test_boxes_are_drawn(boxes, tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = boxes.draw(image, labels=False)
    assert drawn[10, 20:50].any(axis=1).all() and not drawn[15:25, 25:45].any()  # only the outline
    assert boxes.save(tmp_path / "a.png", image).stat().st_size > 0
    boxes.plot(image)
    axes = display_instances(image, boxes["rois"], boxes["masks"], boxes["class_ids"], boxes.class_names)
    assert len(axes.patches) == 2
