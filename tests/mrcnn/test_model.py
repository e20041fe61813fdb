"""MaskRCNN: public methods with valid and invalid input."""

import os
import subprocess
import sys
import threading
import weakref

import keras
import numpy as np
import pytest
from PIL import Image

from mrcnn import utils
from mrcnn.checkpoints import log_dirs
from mrcnn.data.video_files import frames
from mrcnn.errors import UserError
from mrcnn.inference.processing import preprocess
from mrcnn.model import MaskRCNN


@pytest.fixture(scope="module")
def model(tiny_config, tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = MaskRCNN(mode="inference", config=tiny_config(), model_dir=tmp_path_factory.mktemp("logs"))
    # Random weights that classify every RoI as an object.
    model.named_layers()["mrcnn_class_logits"].bias.assign([-9.0, 0.0, 0.0])
    return model


def photo(height=40, width=60, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(first, second):
    return all(np.array_equal(first[key], second[key]) for key in ("rois", "class_ids", "masks")) and np.allclose(
        first["scores"], second["scores"], atol=1e-5
    )


def test_result_has_the_documented_arrays(model):
    result = model.detect([photo()], verbose=1)[0]
    count = len(result["rois"])
    assert count > 0
    assert result["rois"].dtype == np.int32 and result["rois"].shape == (count, 4)
    assert result["class_ids"].shape == result["scores"].shape == (count,)
    assert result["masks"].dtype == bool and result["masks"].shape == (40, 60, count)
    assert (result["rois"][:, 2:] <= [40, 60]).all() and (result["rois"] >= 0).all()


def test_any_number_of_images_of_any_size(model):
    photos = [photo(40, 60), photo(200, 30, 1), photo(7, 9, 2)]
    together = model.detect(photos)
    assert [result["masks"].shape[:2] for result in together] == [(40, 60), (200, 30), (7, 9)]
    assert all(same(result, model.detect([image])[0]) for result, image in zip(together, photos, strict=True))
    assert model.detect([]) == []


def test_a_generator_is_streamed(model):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield photo(seed=len(taken))

    results = model.detect_stream(endless())
    for _ in range(3):
        next(results)
    assert len(taken) < 12  # one batch is prefetched, not the whole generator
    results.close()


def test_paths_and_modes(model, tmp_path):
    image = photo()
    Image.fromarray(image).save(tmp_path / "rgb.png")
    Image.fromarray(image).convert("L").save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([image, image[..., 0]])).save(tmp_path / "rgba.png")
    results = model.detect([tmp_path / name for name in ("rgb.png", "grey.png", "rgba.png")])
    expected = model.detect([image])[0]
    assert same(results[0], expected) and same(results[2], expected)
    assert same(results[1], model.detect([np.asarray(Image.open(tmp_path / "grey.png"))])[0])


@pytest.mark.parametrize("shape", [(1, 1, 3), (3000, 5, 3), (20, 20)])
def test_unusual_shapes(model, shape):
    result = model.detect([np.full(shape, 100, np.uint8)])[0]
    assert result["masks"].shape[:2] == shape[:2]


def bad_photos(folder):
    """Returns unusable images and the text that their errors must contain."""
    (folder / "text.jpg").write_text("not an image")
    Image.fromarray(photo(300, 300)).save(folder / "cut.jpg")
    data = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 3])
    return [
        (folder / "text.jpg", "text.jpg"),
        (folder / "cut.jpg", "cut.jpg"),
        (folder / "absent.jpg", "absent.jpg"),
        (np.full((8, 8, 3), np.nan), r"images\\[1\\]"),
        (np.zeros((8, 8, 7), np.uint8), r"images\\[1\\]"),
    ]


@pytest.mark.parametrize("index", range(5))
def test_an_unusable_image_is_named_and_the_others_are_kept(model, tmp_path, index):
    bad, name = bad_photos(tmp_path)[index]
    good = photo()
    with pytest.raises((ValueError, TypeError, OSError), match=name.replace("\\\\", "\\")):
        model.detect([good, bad, good])
    results = model.detect([good, bad, good], on_error="skip")
    assert "error" in results[1] and len(results[1]["rois"]) == 0
    assert same(results[0], results[2]) and same(results[0], model.detect([good])[0])


def test_misuse_raises_an_error_with_a_fix(model, tiny_config, tmp_path):
    with pytest.raises(TypeError, match=r"detect\(\[image\]\)"):
        model.detect(photo())
    with pytest.raises(ValueError, match="mode must be"):
        MaskRCNN("predict", tiny_config(), tmp_path)
    with pytest.raises(ValueError, match="mode='training'"):
        model.train(None, None, 0.1, 1, "all")
    with pytest.raises(ValueError, match="NUM_CLASSES"):
        MaskRCNN("inference", tiny_config().copy(NUM_CLASSES=1), tmp_path)


def test_detection_is_thread_safe(model):
    photos = [photo(seed=seed) for seed in range(6)]
    expected = [model.detect([image])[0] for image in photos]
    results = [None] * len(photos)

    def work(index):
        results[index] = model.detect([photos[index]])[0]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(result, want) for result, want in zip(results, expected, strict=True))


def test_two_models_are_independent(model, tiny_config, tmp_path):
    before = model.detect([photo()])[0]
    other = MaskRCNN("inference", tiny_config(), tmp_path)
    assert not same(other.detect([photo()])[0], before)
    assert same(model.detect([photo()])[0], before)


def test_saved_weights_include_the_settings(model, tmp_path):
    path = tmp_path / "weights.h5"
    model.save_weights(path, metadata={"class_names": ["BG", "a", "b"]})
    copy = MaskRCNN.from_checkpoint(path, model_dir=tmp_path)
    assert copy.config.to_json() == model.config.to_json()
    assert same(copy.detect([photo()])[0], model.detect([photo()])[0])
    weak = MaskRCNN.from_checkpoint(path, model_dir=tmp_path, settings={"DETECTION_MAX_INSTANCES": 1})
    assert len(weak.detect([photo()])[0]["rois"]) == 1


def test_from_checkpoint_downloads_references_to_the_hub(model, tmp_path, monkeypatch):
    path = tmp_path / "weights.h5"
    model.save_weights(path)
    monkeypatch.setattr("mrcnn.checkpoints.hub_weights", {"hf://me/shoes@v1": path}.__getitem__)
    copy = MaskRCNN.from_checkpoint("hf://me/shoes@v1", model_dir=tmp_path)
    assert copy.config.to_json() == model.config.to_json()


def test_mask_scores_rank_and_filter_detections(model, tmp_path):
    """Detections are ranked by the product of class and mask score. Products below the threshold are removed."""
    path = tmp_path / "weights.h5"
    model.save_weights(path)
    limit = 0.5 * float(
        model.detect([photo()])[0]["scores"].max()
    )  # masks of an untrained network are between 0.5 and 0.6
    plain, scored = (
        MaskRCNN.from_checkpoint(
            path,
            model_dir=tmp_path,
            settings={"DETECTION_MIN_CONFIDENCE": limit, "DETECTION_MASK_SCORES": choice},
        )
        for choice in (False, True)
    )
    before, after = (other.detect([photo()])[0] for other in (plain, scored))
    boxes = [tuple(box) for box in before["rois"].tolist()]
    rows = [boxes.index(tuple(box)) for box in after["rois"].tolist()]
    assert 0 < len(rows) <= len(boxes)
    assert (np.diff(after["scores"]) <= 0).all() and (after["scores"] >= limit).all()
    assert (after["scores"] <= before["scores"][rows]).all() and (after["scores"] < before["scores"][rows]).any()
    np.testing.assert_array_equal(after["masks"], before["masks"][:, :, rows])


def test_a_model_in_training_mode_detects_with_the_same_weights(model, tiny_config, tmp_path):
    path = tmp_path / "weights.h5"
    model.save_weights(path)
    trainer = MaskRCNN("training", tiny_config(), tmp_path)
    trainer.load_weights(path, by_name=True)
    assert same(trainer.detect([photo()])[0], model.detect([photo()])[0])


def test_paths_and_pil_images_are_images(model, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "photo.png")
    given = [photo(), str(tmp_path / "photo.png"), tmp_path / "photo.png", Image.fromarray(photo())]
    results = model.detect(given)
    assert len(results[0]) and all(same(result, results[0]) for result in results)
    for result in results:
        np.testing.assert_array_equal(result.image(), photo())
    assert next(iter(model.detect_stream(given))).source is None  # a stream does not keep images


def test_class_names_are_stored_with_the_weights(model, tiny_config, tmp_path):
    model.save_weights(tmp_path / "weights.h5", metadata={"class_names": ["BG", "nike", "puma"]})
    loaded = MaskRCNN("inference", tiny_config(), tmp_path)
    loaded.load_weights(tmp_path / "weights.h5")
    result = loaded.detect([photo()])[0]
    assert set(result.names) <= {"nike", "puma"} and len(result[result.names[0]])


def test_log_dirs_equal_the_original(model, tiny_config, tmp_path):
    trainer = MaskRCNN("training", tiny_config(), tmp_path)
    assert trainer.epoch == 0 and trainer.checkpoint_path.endswith("mask_rcnn_tiny_{epoch:04d}.h5")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        trainer.find_last()
    runs = [tmp_path / f"tiny2026010{day}T1200" for day in (1, 2, 3)]
    for run in runs:
        run.mkdir()
    for name in ("mask_rcnn_tiny_0002.h5", "mask_rcnn_tiny_0010.h5"):
        trainer.save_weights(runs[1] / name)  # the newest run has no checkpoint
    last = trainer.find_last()
    assert last == str(runs[1] / "mask_rcnn_tiny_0010.h5")
    trainer.load_weights(last, by_name=True)
    assert (trainer.epoch, trainer.log_dir) == (10, str(runs[1]))
    trainer.save_weights(tmp_path / "foreign.h5")
    trainer.load_weights(tmp_path / "foreign.h5")  # a file of no run does not change the current run
    assert (trainer.epoch, trainer.log_dir) == (10, str(runs[1]))


def test_runs_with_a_longer_name_are_not_found(tmp_path):
    for run in ("nike20260101T1200", "nikeshoes20260102T1200"):
        (tmp_path / run).mkdir()
        (tmp_path / run / f"mask_rcnn_{run[:-13]}_0001.h5").touch()
    assert log_dirs.find_last(tmp_path, "nike").parent.name == "nike20260101T1200"
    assert log_dirs.find_last(tmp_path).parent.name == "nikeshoes20260102T1200"
    (tmp_path / "my logo.v220260103T1200").mkdir()
    (tmp_path / "my logo.v220260103T1200" / "mask_rcnn_my logo.v2_0007.h5").touch()
    assert log_dirs.parse_checkpoint(log_dirs.find_last(tmp_path, "My logo.v2"))[1] == 7


def test_checkpoints_are_sorted_by_epoch(tmp_path):
    for epoch in ("0009", "9999", "10000", "best"):
        (tmp_path / f"mask_rcnn_nike_{epoch}.h5").touch()
    assert [file.stem[10:] for file in log_dirs.checkpoints(tmp_path)] == ["nike_0009", "nike_9999", "nike_10000"]


def test_braces_in_the_path_of_a_run():
    path = log_dirs.checkpoint_pattern("logs/{a}", "{b}").format(epoch=7)
    assert path == os.path.join("logs", "{a}", "mask_rcnn_{b}_0007.h5")


def test_crop_mode_applies_to_training_only(tiny_config):
    config = tiny_config().copy(IMAGE_RESIZE_MODE="crop")
    image = photo(40, 60)
    first, second = preprocess(image, config), preprocess(image, config)
    np.testing.assert_array_equal(first.image, second.image)
    y1, x1, y2, x2 = first.window
    assert (y2 - y1) / (x2 - x1) == pytest.approx(40 / 60, rel=0.05)  # the whole image


def test_molding_and_unmolding_equal_the_original(model, capsys):
    images, metas, windows = model.mold_inputs([photo(), photo(seed=1)])
    assert images.shape == (2, 64, 64, 3) and metas.shape == (2, 15) and windows.shape == (2, 4)
    assert model.get_anchors((64, 64, 3)).shape == model.anchors.shape == (1023, 4)
    detections, _, _, masks, *_ = model.keras_model.predict(
        [images, metas, np.repeat(model.get_anchors((64, 64))[None], 2, axis=0)], verbose=0
    )
    rois, class_ids, scores, full = model.unmold_detections(
        detections[0], masks[0], (40, 60, 3), (64, 64, 3), windows[0]
    )
    result = dict(rois=rois, class_ids=class_ids, scores=scores, masks=full)
    assert same(result, model.detect([photo()])[0])
    capsys.readouterr()
    molded = model.detect_molded(list(images), metas, verbose=1)[0]
    assert molded["masks"].shape[:2] == (64, 64)
    assert "Processing 2 images" in (printed := capsys.readouterr().out) and "(2, 64, 64, 3)" in printed
    scores = [model.run_graph(batch, [("rpn_class", "rpn_class")], metas)["rpn_class"] for batch in (images, [*images])]
    assert np.array_equal(*scores)


def test_intermediate_outputs(model, capsys):
    pillar = model.keras_model.get_layer("ROI").output
    names = ("pre_nms_anchors", "refined_anchors", "refined_anchors_clipped")
    outputs = [(name, model.ancestor(pillar, f"ROI/{name}:0")) for name in names]
    outputs += [("kept", model.ancestor(pillar, "ROI/rpn_non_max_suppression/NonMaxSuppressionV3:0"))]
    outputs += [
        ("roi", pillar),
        ("mnv2_4_out", "mnv2_3_out"),
        ("mrcnn_mask", model.keras_model.get_layer("mrcnn_mask").output),
    ]
    found = model.run_graph([photo()], outputs)
    assert list(found) == [name for name, _ in outputs]
    kept = found["refined_anchors_clipped"][0, found["kept"]]
    np.testing.assert_array_equal(kept, found["roi"][0, : len(kept)])
    assert model.ancestor(pillar, "no/such:0") is None
    assert "pre_nms_anchors" in capsys.readouterr().out
    with pytest.raises(ValueError, match="'gone' is None"):
        model.run_graph([photo()], [("gone", None)])


def test_intermediate_outputs_of_a_model_in_training_mode(tiny_config, tmp_path):
    training = MaskRCNN("training", tiny_config(), tmp_path)
    inference = MaskRCNN("inference", tiny_config(), tmp_path)
    for ours, theirs in zip(inference.keras_model.weights, training.inference_model.weights, strict=True):
        ours.assign(theirs)
    names = ("rpn_class", "mrcnn_mask", "ROI/refined_anchors:0")
    found = training.run_graph([photo()], [(name, training.ancestor(None, name)) for name in names])
    expected = inference.run_graph([photo()], [(name, inference.ancestor(None, name)) for name in names])
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
    training.named_layers()["rpn_class_raw"].bias.assign_add(np.tile([0.0, 5.0], 3))
    after = training.run_graph([photo()], [("rpn_class", "rpn_class")])["rpn_class"]
    assert (after[..., 1] > found["rpn_class"][..., 1]).all(), "the weights of now"


def test_image_sides_that_do_not_divide_by_the_strides(tiny_config, tmp_path):
    model = MaskRCNN("inference", tiny_config().copy(IMAGE_RESIZE_MODE="none"), tmp_path)
    good, bad = photo(64, 96), photo(40, 60)
    with pytest.raises(ValueError, match=r"images\[1\]: .*multiples of 32, got 40 x 60"):
        model.detect([good, bad])
    results = model.detect([good, bad], on_error="skip")
    assert "error" in results[1] and results[0]["masks"].shape[:2] == (64, 96)


def test_trainable_layers(model):
    layers = model.get_trainable_layers()
    assert {"Conv2D", "DepthwiseConv2D", "BatchNorm", "Dense", "Conv2DTranspose"} == {
        type(layer).__name__ for layer in layers
    }


MODEL_NAMES = """
    log BatchNorm compute_backbone_shapes identity_block conv_block resnet_graph apply_box_deltas_graph
    clip_boxes_graph ProposalLayer log2_graph PyramidROIAlign overlaps_graph detection_targets_graph
    DetectionTargetLayer refine_detections_graph DetectionLayer rpn_graph build_rpn_model fpn_classifier_graph
    build_fpn_mask_graph smooth_l1_loss rpn_class_loss_graph rpn_bbox_loss_graph mrcnn_class_loss_graph
    mrcnn_bbox_loss_graph mrcnn_mask_loss_graph load_image_gt build_detection_targets build_rpn_targets
    generate_random_rois data_generator MaskRCNN compose_image_meta parse_image_meta parse_image_meta_graph
    mold_image unmold_image trim_zeros_graph batch_pack_graph norm_boxes_graph denorm_boxes_graph utils"""
UTILS_NAMES = """
    COCO_MODEL_URL extract_bboxes compute_iou compute_overlaps compute_overlaps_masks non_max_suppression
    apply_box_deltas box_refinement_graph box_refinement Dataset resize_image resize_mask minimize_mask
    expand_mask mold_mask unmold_mask generate_anchors generate_pyramid_anchors trim_zeros compute_matches
    compute_ap compute_ap_range compute_recall batch_slice download_trained_weights norm_boxes denorm_boxes resize"""


def test_every_public_name_of_the_original_exists():
    import mrcnn.model as modellib

    assert [name for name in MODEL_NAMES.split() if not hasattr(modellib, name)] == []
    assert [name for name in UTILS_NAMES.split() if not hasattr(utils, name)] == []


LOAD = """
import sys, numpy as np
import mrcnn, keras
detecting, compiled = (keras.saving.load_model(path) for path in sys.argv[1:3])
images, metas, anchors = (np.load(sys.argv[3])[name] for name in ("images", "metas", "anchors"))
detections = detecting([images, metas, anchors])[0]
np.savez(sys.argv[4], detections=detections, optimizer=type(compiled.optimizer).__name__)
"""


def test_keras_loads_saved_models_after_import_mrcnn_alone(model, tiny_config, tmp_path, capsys):
    images, metas, _ = model.mold_inputs([photo()])
    inputs = {"images": images, "metas": metas.astype(np.float32), "anchors": model.get_anchors(images.shape[1:])[None]}
    np.savez(tmp_path / "inputs.npz", **inputs)
    model.keras_model.save(tmp_path / "detecting.keras")
    trainer = MaskRCNN("training", tiny_config(), tmp_path)
    trainer.compile(0.01, 0.9)
    trainer.keras_model.save(tmp_path / "compiled.keras")
    files = [str(tmp_path / name) for name in ("detecting.keras", "compiled.keras", "inputs.npz", "outputs.npz")]
    done = subprocess.run([sys.executable, "-c", LOAD, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]
    with np.load(files[-1]) as outputs:
        assert str(outputs["optimizer"]) == "SGD"
        expected = np.asarray(model.keras_model(list(inputs.values()))[0])
        np.testing.assert_allclose(outputs["detections"], expected, atol=1e-5)
    trainer.summary()
    assert "mrcnn_class_logits" in capsys.readouterr().out


# --- videos ---


def write_video(path, count):
    """Writes a video of noise and returns its decoded frames."""
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for seed in range(count):
        writer.write(photo(48, 64, seed))
    writer.release()
    return [frame for frame, _ in frames(path)]


def test_a_video_gives_one_result_per_frame(model, tmp_path):
    path = tmp_path / "clip.mp4"
    images = write_video(path, 5)
    expected = model.detect(images)
    for given in (path, str(path)):
        results = model.detect(given)
        assert len(results) == 5 and all(same(*pair) for pair in zip(results, expected, strict=True))
        assert [result.source for result in results] == [None] * 5  # frames are not kept, to save memory
    streamed = list(model.detect_stream(path))
    for result, image, other in zip(streamed, images, expected, strict=True):
        assert same(result, other) and len(result)
        np.testing.assert_array_equal(result.source, image)
        np.testing.assert_array_equal(result.draw(), result.draw(image))


@pytest.mark.parametrize("address", ["endless.mp4", "rtsp://host/door"])
def test_a_video_is_streamed(model, monkeypatch, address):
    image, alive = photo(), []

    def endless(path):
        while True:
            frame = image.copy()
            alive.append(weakref.ref(frame))
            yield frame, 25.0

    monkeypatch.setattr("mrcnn.inference.streams.frames", endless)
    with pytest.raises(UserError, match=r"rtsp://host/door: a stream may be endless.* Use detect_stream\(\)"):
        model.detect("rtsp://host/door")
    stream = model.detect_stream(address)
    for _ in range(20):
        next(stream)
    assert 20 <= len(alive) < 32 and sum(frame() is not None for frame in alive) < 12
    stream.close()


def test_unusable_videos(model, tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    for on_error in ("raise", "skip"):
        with pytest.raises(FileNotFoundError, match=r"absent\.mp4: no such file"):
            model.detect(tmp_path / "absent.mp4", on_error=on_error)
        with pytest.raises(UserError, match=r"text\.mp4: no frame can be read"):
            model.detect(tmp_path / "text.mp4", on_error=on_error)
    (tmp_path / "text.mp4").rename(tmp_path / "text.avi")
    with pytest.raises(UserError, match=r"text\.avi: expected an image, got a video\. .* detect\(path\)"):
        model.detect([photo(), tmp_path / "text.avi"])
    first, second = model.detect([photo(), tmp_path / "text.avi"], on_error="skip")
    assert len(first) and "expected an image, got a video" in second.error


def test_one_path_is_one_image(model, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "photo.png")
    expected = model.detect([photo()])[0]
    for given in (tmp_path / "photo.png", str(tmp_path / "photo.png")):
        (result,) = model.detect(given, verbose=1)
        assert same(result, expected) and result.source == given
    with pytest.raises(FileNotFoundError, match=r"absent\.png: no such file"):
        model.detect("absent.png")


@pytest.mark.parametrize("one", [photo(), photo()[..., 0], Image.fromarray(photo())])
def test_one_array_or_pil_image_needs_a_list(model, one):
    for call in (
        lambda: model.detect(one),
        lambda: model.detect(one, verbose=1),
        lambda: list(model.detect_stream(one)),
    ):
        with pytest.raises(TypeError, match=r"got one \w+\. Write detect\(\[image\]\)"):
            call()
