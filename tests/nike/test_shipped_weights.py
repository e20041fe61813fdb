"""The bundled weights: file size, model card, and detection of the logos in the sample images."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from mrcnn import checkpoints, load_model
from nike.example import sample_data

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "weights" / "mask_rcnn_nike.h5"
KEYPOINTS = ROOT / "weights" / "mask_rcnn_nike_keypoints.h5"
QUANTIZED = ROOT / "weights" / "mask_rcnn_nike_int8"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from mrcnn.model import MaskRCNN

    return MaskRCNN.from_checkpoint(
        WEIGHTS, model_dir=tmp_path_factory.mktemp("logs"), settings={"DETECTION_ANY_FOREGROUND": True}
    )


@pytest.mark.parametrize("path", [WEIGHTS, KEYPOINTS])
def test_the_file_is_small_and_described_in_the_model_card(path):
    assert path.stat().st_size <= 25e6
    card = (path.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card


@pytest.mark.parametrize("path", [WEIGHTS, KEYPOINTS])
def test_the_file_has_its_settings_and_no_machine_paths(path):
    config = checkpoints.read_checkpoint(path).config
    assert (config["NAME"], config["NUM_CLASSES"], config["BACKBONE"]) == ("nike", 2, "mobilenet_v2")
    assert not re.search(rb"/(home|root|work|tmp|Users)/", path.read_bytes())


def test_landmarks_of_synthetic_logos(tmp_path):
    from mrcnn.model import MaskRCNN
    from mrcnn.utils import compute_overlaps, extract_bboxes
    from nike.datasets.nike_dataset import NikeDataset
    from nike.landmarks import NAMES
    from nike.synthesize import Settings, synthesize

    list(synthesize(Settings(tmp_path / "val", keypoints=True, negatives=0, seed=3), 10))
    dataset = NikeDataset()
    dataset.keypoint_names = NAMES
    dataset.load_nike(tmp_path, "val")
    dataset.prepare()
    model, errors = MaskRCNN.from_checkpoint(KEYPOINTS, model_dir=tmp_path), []
    for image_id in dataset.image_ids:
        (found,) = model.detect([dataset.load_image(image_id)])
        boxes, truth = extract_bboxes(dataset.load_mask(image_id)[0]), dataset.load_keypoints(image_id)
        overlaps = compute_overlaps(boxes, found.boxes)
        for i in np.flatnonzero(overlaps.max(axis=1, initial=0) >= 0.5):
            length = np.linalg.norm(truth[i, 0, :2] - truth[i, 2, :2])
            distances = np.linalg.norm(found.keypoints[overlaps[i].argmax(), :, :2] - truth[i, :, :2], axis=1)
            errors += (distances / length)[truth[i, :, 2] > 0].tolist()
    assert len(errors) >= 15 and np.median(errors) < 0.05


def test_the_quantized_model_was_made_from_the_weights_file(model):
    pytest.importorskip("openvino")
    from mrcnn.export import read_metadata
    from mrcnn.export.graph import ExportGraph

    assert read_metadata(QUANTIZED)["weights"] == ExportGraph(model).weights_hash
    assert not re.search(rb"/(home|root|work|tmp|Users)/", (QUANTIZED / "model.xml").read_bytes())


@pytest.mark.parametrize("quantized", [False, True])
def test_ap_on_the_sample_images(model, quantized):
    """The synthetic images were not used for training. The model card gives the AP on photos."""
    from mrcnn.evaluation.coco import CocoEvaluator

    if quantized:
        pytest.importorskip("openvino")
        model = load_model(QUANTIZED)
    dataset = sample_data("val")
    evaluator = CocoEvaluator(dataset.class_names)
    images = [dataset.load_image(number) for number in dataset.image_ids]
    for number, image, result in zip(dataset.image_ids, images, model.detect(images), strict=True):
        masks, class_ids = dataset.load_mask(number)
        evaluator.add(str(number), class_ids, masks, result, image.shape)
    assert evaluator.summarize()["mask"]["AP50"] >= 0.6


def test_bfloat16_gives_the_same_masks(model, tmp_path):
    import keras

    from mrcnn.model import MaskRCNN
    from mrcnn.utils import compute_overlaps_masks

    dataset = sample_data()
    photos = [dataset.load_image(number) for number in dataset.image_ids]
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        rounded = MaskRCNN.from_checkpoint(WEIGHTS, model_dir=tmp_path, settings={"DETECTION_ANY_FOREGROUND": True})
    finally:
        keras.config.set_dtype_policy("float32")
    overlaps = []
    for exact, other in zip(model.detect(photos), rounded.detect(photos), strict=True):
        y1, x1, y2, x2 = exact["rois"].T
        # Lower scores may fall below the threshold, and tiny masks change if their box is rounded to the next pixel.
        sure = (exact["scores"] > 0.7) & ((y2 - y1) * (x2 - x1) >= 32**2)
        if sure.any():
            overlaps += (
                compute_overlaps_masks(exact["masks"][:, :, sure], other["masks"]).max(axis=1, initial=0).tolist()
            )
    assert len(overlaps) > 10
    assert np.mean(overlaps) >= 0.97
