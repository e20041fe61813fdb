"""Inference compared with reference arrays of the original for the same weights and images, stage by stage.

ResNet-50, 2 classes, 256 pixels, four images. Measured differences on TensorFlow 2.21, CPU: feature maps 2e-6 of their
range, RPN 1e-5, class probabilities 2e-5, box deltas 1e-4, masks 1e-4.
"""

import runpy

import keras
import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.inference.processing import postprocess
from mrcnn.model import MaskRCNN
from mrcnn.network import NetworkBuilder, named_layers
from mrcnn.ops.boxes import compute_overlaps, compute_overlaps_masks
from reference_config import ReferenceConfig

PHOTOS = ("astronaut", "coffee", "chelsea", "rocket")


@pytest.fixture(scope="module")
def weights(golden_path, tmp_path_factory):
    """The reference weights, which the script beside the arrays generates."""
    path = tmp_path_factory.mktemp("weights") / "small.h5"
    script = runpy.run_path(str(golden_path("make_reference_weights.py")))
    assert script["main"]("small_r50_c2", str(path)) == 0
    return path


@pytest.fixture(scope="module")
def model(weights, tmp_path_factory):
    model = MaskRCNN("inference", ReferenceConfig(), tmp_path_factory.mktemp("logs"))
    report = model.load_weights(weights, by_name=True)
    assert (report.missing, report.unexpected, report.tensors) == ((), (), 384)
    return model


@pytest.fixture(scope="module", params=PHOTOS)
def case(request, golden, model):
    """The reference arrays of one image, and the outputs for the same preprocessed image."""
    arrays = golden(f"infer_r50small_256_{request.param}.npz")
    image = (arrays["resized_uint8"].astype(np.float32) - ReferenceConfig.MEAN_PIXEL)[None].astype(np.float32)
    names = ["rpn_class", "rpn_bbox", "ROI", "mrcnn_class", "mrcnn_bbox", "mrcnn_mask", "mrcnn_detection"]
    names += [f"fpn_p{level}" for level in range(2, 7)]
    outputs = model.run_graph(image, [(name, name) for name in names], image_metas=arrays["image_metas"])
    return arrays, {name: array[0] for name, array in outputs.items()}


def matched_rois(arrays, outputs):
    """Returns a mask of the equal proposals. Nearly tied scores may swap two neighbours."""
    same = np.abs(outputs["ROI"] - arrays["rpn_rois"]).max(axis=1) < 1e-5
    assert same.mean() > 0.99
    return same


def test_features(case):
    arrays, outputs = case
    for level in range(2, 7):
        ours = outputs[f"fpn_p{level}"]
        expected, scale = arrays[f"P{level}_corner"], np.abs(ours).max()
        side = expected.shape[0]
        np.testing.assert_allclose(ours[:side, :side, :16], expected, atol=1e-4 * scale)
        mean, std, low, high, total = arrays[f"P{level}_stats_f64"]
        figures = [ours.mean(), ours.std(), ours.min(), ours.max(), np.abs(ours, dtype=np.float64).sum()]
        np.testing.assert_allclose(figures, [mean, std, low, high, total], rtol=1e-3, atol=1e-4 * scale)


def test_region_proposal_network(case):
    arrays, outputs = case
    np.testing.assert_allclose(outputs["rpn_class"], arrays["rpn_class"], atol=1e-4)
    np.testing.assert_allclose(outputs["rpn_bbox"], arrays["rpn_bbox"], atol=1e-4)


def test_proposals(case):
    arrays, outputs = case
    matched_rois(arrays, outputs)
    ours, theirs = (np.sort(boxes, axis=0) for boxes in (outputs["ROI"], arrays["rpn_rois"]))
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_heads(case):
    arrays, outputs = case
    same = matched_rois(arrays, outputs)
    # A RoI that ends at the image border samples at exactly the last cell. Rounding determines whether it is inside.
    same &= (arrays["rpn_rois"][:, 2:] < 1).all(axis=1)
    np.testing.assert_allclose(outputs["mrcnn_class"][same], arrays["mrcnn_class"][same], atol=1e-3)
    best = arrays["mrcnn_class"].argmax(axis=1)
    deltas = outputs["mrcnn_bbox"][np.arange(len(best)), best]
    np.testing.assert_allclose(deltas[same], arrays["mrcnn_bbox_of_argmax"][same], atol=2e-3)


def test_detections(case):
    arrays, outputs = case
    np.testing.assert_allclose(outputs["mrcnn_detection"], arrays["detections"], atol=1e-4)
    class_ids = arrays["detections"][:, 4].astype(int)
    masks = outputs["mrcnn_mask"][np.arange(len(class_ids)), :, :, class_ids]
    np.testing.assert_allclose(masks, arrays["mrcnn_mask_of_class"], atol=1e-3)


def test_result_in_image_coordinates(case):
    arrays, outputs = case
    class_ids = outputs["mrcnn_detection"][:, 4].astype(int)
    masks = outputs["mrcnn_mask"][np.arange(len(class_ids)), :, :, class_ids]
    shape = arrays["image_metas"][0, 1:4].astype(int)
    result = postprocess(outputs["mrcnn_detection"], masks, shape, (256, 256), arrays["window"])
    assert np.abs(result["rois"] - arrays["final_rois"]).max() <= 1
    np.testing.assert_array_equal(result["class_ids"], arrays["final_class_ids"])
    np.testing.assert_allclose(result["scores"], arrays["final_scores"], atol=1e-3)
    mask_shape = arrays["final_masks_shape"]
    expected = np.unpackbits(arrays["final_masks_packed"])[: np.prod(mask_shape)].reshape(mask_shape).astype(bool)
    intersection = (result["masks"] & expected).sum(axis=(0, 1))
    union = (result["masks"] | expected).sum(axis=(0, 1))
    assert (intersection / np.maximum(union, 1) >= 0.99)[union > 0].all()


def test_detect_including_preprocessing(model, golden):
    """The resized image may differ by 1 in single pixels (see ARCHITECTURE.md), so the tolerance is 2 pixels."""
    photos = golden("photos.npz")
    for name, result in zip(PHOTOS, model.detect([photos[name] for name in PHOTOS]), strict=True):
        arrays = golden(f"infer_r50small_256_{name}.npz")
        distance = np.abs(result["rois"][:, None] - arrays["final_rois"][None]).max(axis=-1)  # [detections, reference]
        distance[result["class_ids"][:, None] != arrays["final_class_ids"]] = 1000
        assert (distance.min(axis=0) <= 2).mean() >= 0.9, name


def test_predictor_is_traced_once(model, golden):
    photos = golden("photos.npz")
    model.detect([photos["coffee"]])
    traces = model.predictor._run.experimental_get_tracing_count()
    model.detect([photos["coffee"], photos["rocket"]])
    assert model.predictor._run.experimental_get_tracing_count() == traces == 1


def test_resnet101_loads_the_published_layout(golden, tmp_path):
    """All tensors of mask_rcnn_coco.h5 are loaded. Without the heads it also fits two classes."""
    import h5py

    layout, rng = golden("matterport_layout.json"), np.random.default_rng(0)
    path = tmp_path / "mask_rcnn_coco.h5"
    noise = rng.normal(0, 0.01, 30_000_000).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layout["layer_names"]]
        for name in layout["layer_names"]:
            file.create_group(name).attrs["weight_names"] = []
        by_group = {}
        for entry in layout["weights"]:
            group, name = entry["group"], entry["weight_name"]
            by_group.setdefault(group, []).append(name.encode())
            file[group].create_dataset(name, data=noise[: np.prod(entry["shape"])].reshape(entry["shape"]))
        for group, names in by_group.items():
            file[group].attrs["weight_names"] = names

    class CocoConfig(Config):
        NAME = "coco"
        NUM_CLASSES = 81

    from mrcnn.checkpoints import HEADS, load_weights

    layers = named_layers(NetworkBuilder(CocoConfig()).inference())
    report = load_weights(layers, path)
    assert (report.missing, report.unexpected, report.mismatched) == ((), (), ())
    assert report.tensors == len(layout["weights"])

    two = named_layers(NetworkBuilder(CocoConfig().copy(NUM_CLASSES=2)).inference())
    with pytest.raises(ValueError, match="81 classes.*exclude"):
        load_weights(two, path)
    report = load_weights(two, path, exclude=HEADS)
    assert report.missing == () and set(report.excluded) == {"mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"}


def test_bfloat16_preserves_the_masks(golden, weights, model, tmp_path):
    """Compares the masks of objects that both models detect. With random weights, some detections differ."""
    photos = [golden("photos.npz")[name] for name in PHOTOS]
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        mixed = MaskRCNN("inference", ReferenceConfig(), tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.load_weights(weights, by_name=True)
    overlaps = []
    for full, other in zip(model.detect(photos), mixed.detect(photos), strict=True):
        boxes = compute_overlaps(full["rois"], other["rois"])
        masks = compute_overlaps_masks(full["masks"], other["masks"])
        overlaps += [masks[i, boxes[i].argmax()] for i in np.flatnonzero(boxes.max(axis=1) > 0.9)]
    assert len(overlaps) > 100
    # Measured: 0.972 on a CPU with AVX512-BF16, 0.965 on one with AVX2, which rounds elsewhere.
    assert np.median(overlaps) >= 0.96
