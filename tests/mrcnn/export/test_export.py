"""Exported models: equality of detections, use without TensorFlow or without this package, damaged folders."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import mrcnn
from mrcnn import MaskRCNN
from mrcnn.backbones import resnet
from mrcnn.errors import UserError
from mrcnn.export import ExportedModel, VerificationError, export_folder, is_export, verify
from mrcnn.export.metadata import FILE, FILES, read_metadata, write_metadata
from mrcnn.ops import boxes_tf
from random_model import random_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
RUNTIMES = {  # required packages by format
    "openvino": ["openvino"],
    "onnx": ["onnxruntime", "tf2onnx"],
    "litert": ["ai_edge_litert"],
    "saved_model": [],
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """An empty folder instead of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "mrcnn"


@pytest.fixture(scope="module")
def model():
    """Returns a network with random weights, mask refinement, mask scores and box voting."""
    return random_model(
        NUM_KEYPOINTS=2, DETECTION_MASK_SCORES=True, DETECTION_BOX_VOTING=0.5, DETECTION_ANY_FOREGROUND=True
    )


@pytest.fixture(scope="module")
def images():
    """Returns images of several sizes. They have little padding, because RoIs in the padding have equal scores."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 64, 3), (60, 64, 3), (96, 90, 3))]


@pytest.fixture(scope="module", params=RUNTIMES)
def exported(request, model, images, tmp_path_factory):
    """Returns the folder of the model in one format."""
    for package in RUNTIMES[request.param]:
        pytest.importorskip(package)
    path = tmp_path_factory.mktemp("export") / request.param
    table = model.export(path, request.param, images)
    assert table["detections"] > 5 and table["unmatched"] == 0
    return path


def test_detections_equal_those_of_keras(exported, model, images):
    loaded = mrcnn.load_model(exported)
    assert isinstance(loaded, ExportedModel) and loaded.config.to_json() == model.config.to_json()
    results = loaded.detect(images)
    assert all(result.source is image for result, image in zip(results, images, strict=True))
    for new, old in zip(results, model.detect(images), strict=True):
        assert len(new) == len(old) > 0 and new.class_names == ["BG", "a", "b"]
        np.testing.assert_array_equal(new["rois"], old["rois"])
        np.testing.assert_array_equal(new["class_ids"], old["class_ids"])
        np.testing.assert_allclose(new["scores"], old["scores"], atol=1e-5)
        assert np.mean(new["masks"] != old["masks"]) < 1e-3
        assert np.median(abs(new.keypoints - old.keypoints)) < 1e-3


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_c4_roi_pool_and_softmax_masks(runtime, images, tmp_path, monkeypatch):
    for package in RUNTIMES[runtime]:
        pytest.importorskip(package)
    monkeypatch.setitem(resnet.BLOCKS, "50", (1, 1, 1, 1))
    monkeypatch.setattr(resnet, "WIDTHS", (16, 16, 16, 32))
    c4 = dict(BACKBONE="resnet50_c4", MASK_POOL_SIZE=7, MASK_SHAPE=(14, 14), MASK_REFINEMENT_SIZE=0)
    if runtime == "litert":
        with pytest.raises(ValueError, match=r"LiteRT has no operation for RoIPool \(ROI_POOLING = 'pool'\)"):
            random_model(**c4, ROI_POOLING="pool").export(tmp_path / "out", runtime, images)
        assert not list(tmp_path.iterdir())
    pooling = "align" if runtime == "litert" else "pool"
    model = random_model(**c4, ROI_POOLING=pooling, MASK_ACTIVATION="softmax", DETECTION_ANY_FOREGROUND=True)
    logits = model.named_layers()["mrcnn_class_logits"]
    logits.set_weights([0.02 * weight for weight in logits.get_weights()])  # the order of saturated scores varies
    table = model.export(tmp_path / "out", runtime, images)
    assert table["detections"] > 5 and table["unmatched"] == 0


def test_the_threshold_is_chosen_at_loading(exported, images):
    scores = np.concatenate([result["scores"] for result in ExportedModel(exported).detect(images)])
    middle = float(np.median(scores))
    higher = ExportedModel(exported, min_confidence=middle, batch_size=2).detect(images)
    assert sum(len(result) for result in higher) == np.count_nonzero(scores >= middle)


def test_openvino_has_no_convolution_with_a_single_output_cell(model, images, tmp_path):
    """The first layer of the box head is a matrix product, which reads the large kernel once for all RoIs."""
    openvino = pytest.importorskip("openvino")
    model.export(tmp_path / "out", "openvino", images)
    operations = openvino.Core().read_model(tmp_path / "out" / "model.xml").get_ops()
    shapes = [
        [list(op.input_value(i).get_partial_shape())[2:] for i in (0, 1)]
        for op in operations
        if op.get_type_name() == "Convolution"
    ]
    side = model.config.POOL_SIZE
    assert len(shapes) > 10 and [[side, side]] * 2 not in shapes


class TestCompiledModelInCache:
    """OpenVINO keeps compiled models in the user's cache folder."""

    @pytest.fixture(scope="class")
    def exported(self, model, images, tmp_path_factory):
        pytest.importorskip("openvino")
        path = tmp_path_factory.mktemp("export") / "out"
        model.export(path, "openvino", images)
        return path

    @pytest.fixture(autouse=True)
    def home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))

    def compiled(self, tmp_path):
        """The cached files and the times at which they were written."""
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "home/mrcnn/openvino").iterdir()}

    def test_a_second_start_reads_it(self, exported, images, tmp_path):
        expected = ExportedModel(exported).detect(images)
        before = self.compiled(tmp_path)
        shutil.copytree(exported, tmp_path / "copy")
        copy = ExportedModel(tmp_path / "copy").detect(images)
        assert len(before) == 1 and self.compiled(tmp_path) == before
        for first, second in zip(expected, copy, strict=True):
            np.testing.assert_array_equal(first.boxes, second.boxes)

    def test_new_weights_at_the_same_path(self, exported, images, tmp_path):
        path = shutil.copytree(exported, tmp_path / "out")
        old = ExportedModel(path).detect(images)
        other = random_model(NUM_KEYPOINTS=2, DETECTION_ANY_FOREGROUND=True)
        for layer in map(other.named_layers().get, ("rpn_class_raw", "mrcnn_class_conv1")):
            layer.set_weights([-weight for weight in layer.get_weights()])
        other.export(tmp_path / "other", "openvino", images)
        for name in ("model.bin", "model.xml", "metadata.json"):
            times = (path / name).stat()
            shutil.copy(tmp_path / "other" / name, path / name)
            os.utime(path / name, ns=(times.st_atime_ns, times.st_mtime_ns))
        new, expected = (ExportedModel(each).detect(images) for each in (path, tmp_path / "other"))
        assert not np.array_equal(old[0].boxes, new[0].boxes)
        np.testing.assert_array_equal(new[0].boxes, expected[0].boxes)

    def test_a_damaged_file_is_written_again(self, exported, images, tmp_path):
        expected = ExportedModel(exported).detect(images)
        (damaged,) = (tmp_path / "home/mrcnn/openvino").iterdir()
        damaged.chmod(0o600)
        damaged.write_bytes(damaged.read_bytes()[:1000])
        np.testing.assert_array_equal(ExportedModel(exported).detect(images)[0].boxes, expected[0].boxes)
        assert damaged.stat().st_size > 1000

    def test_without_a_cache_folder(self, exported, images, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert len(ExportedModel(exported).detect(images)) == len(images)

    def test_a_user_without_a_home_folder(self, exported, images, monkeypatch):
        """`Path.home` raises this error, for example in a container with an unknown user id."""

        def home():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", home)
        assert len(ExportedModel(exported).detect(images)) == len(images)

    def test_a_file_that_another_process_deletes(self, exported, images, tmp_path):
        """Simultaneous starts are simulated by a thread that deletes each file before it is complete."""
        folder, done = tmp_path / "home/mrcnn/openvino", threading.Event()
        folder.mkdir(parents=True)

        def delete():
            while not done.is_set():
                for path in folder.iterdir():
                    path.unlink(missing_ok=True)

        thread = threading.Thread(target=delete)
        thread.start()
        try:
            assert len(ExportedModel(exported).detect(images)) == len(images)
        finally:
            done.set()
            thread.join()

    def test_the_oldest_files_are_deleted(self, exported, images, tmp_path, monkeypatch):
        openvino = pytest.importorskip("mrcnn.export.openvino")
        monkeypatch.setattr(openvino, "CACHED_MODELS", 2)
        folder = tmp_path / "home/mrcnn/openvino"
        folder.mkdir(parents=True)
        for age, name in enumerate(["new", "old", "oldest"]):
            (folder / f"{name}.blob").write_text("")
            os.utime(folder / f"{name}.blob", (1e9 - age, 1e9 - age))
        ExportedModel(exported)
        assert len(self.compiled(tmp_path)) == 2 and (folder / "new.blob").exists()


def test_an_image_without_detections(exported, images):
    assert len(ExportedModel(exported, min_confidence=1.0).detect(images[:1])[0]) == 0


def test_the_model_file_is_accepted_in_place_of_its_folder(exported):
    (file,) = [exported / name for name in FILES if (exported / name).is_file() and name != FILE]
    assert is_export(file) and export_folder(file) == exported
    assert mrcnn.load_model(file).metadata == read_metadata(exported)


def test_metadata_describe_the_files(exported):
    metadata = read_metadata(exported)
    assert {"format", "version", "runtime", "config", "class_names", "weights", "files", "signature"} < set(metadata)
    assert metadata["verification"]["images"] == 3
    assert metadata["signature"]["outputs"]["masks"]["shape"] == ["B", 10, 16, 16]
    assert metadata["signature"]["outputs"]["keypoints"]["shape"] == ["B", 10, 56, 56, 2]


@pytest.mark.parametrize("damage", ["truncated", "missing", "no metadata", "not JSON", "other Config"])
def test_a_damaged_folder_gives_a_one_line_error(exported, tmp_path, damage):
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    file = folder / max(read_metadata(folder)["files"], key=lambda name: (folder / name).stat().st_size)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "missing":
        file.unlink()
    elif damage == "no metadata":
        (folder / FILE).unlink()
    elif damage == "not JSON":
        (folder / FILE).write_text("{")
    else:
        metadata = json.loads((folder / FILE).read_text())
        metadata["config"]["NUM_CLASSES"] = 5
        (folder / FILE).write_text(json.dumps(metadata))
    with pytest.raises(UserError, match="copy.*[Ee]xport the model again") as raised:
        mrcnn.load_model(folder)
    assert "\n" not in str(raised.value)


def test_a_file_that_the_runtime_cannot_read_gives_a_one_line_error(exported, tmp_path):
    """Such an error occurs if a version of the runtime does not support an operation."""
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    metadata = read_metadata(folder)
    (file,) = [folder / name for name in FILES if (folder / name).is_file() and name != FILE]
    file.write_bytes(b"<net")
    write_metadata(folder, metadata)
    with pytest.raises(UserError, match="copy: .* cannot load the model") as raised:
        mrcnn.load_model(folder)
    assert "\n" not in str(raised.value)


def test_detection_does_not_import_tensorflow(model, images, exported, tmp_path):
    if exported.name == "saved_model":
        pytest.skip("runs on TensorFlow")
    PIL.Image.fromarray(images[0]).save(tmp_path / "image.png")
    code = (
        "import sys, mrcnn\n"
        f"result = mrcnn.load_model({str(exported)!r}).detect([{str(tmp_path / 'image.png')!r}])[0]\n"
        "print(len(result), [name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == f"{len(model.detect(images[:1])[0])} []", done.stderr


def test_a_saved_model_runs_without_this_package(model, images, exported, tmp_path):
    """Runs the model with the signature from its metadata, in a process that cannot import `mrcnn`."""
    if exported.name != "saved_model":
        pytest.skip("another format")
    image, meta, _ = model.mold_inputs([images[1]])
    detections, masks, _ = ExportedModel(exported).predictor(image, meta)
    np.savez(tmp_path / "in.npz", images=image.astype("f"), windows=meta[:, 7:11].astype("f"), min_confidence=[0.0])
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        f"inputs = dict(np.load({str(tmp_path / 'in.npz')!r}))\n"
        "inputs = {name: tf.constant(value, tf.float32) for name, value in inputs.items()}\n"
        f"outputs = tf.saved_model.load({str(exported)!r}).signatures['serving_default'](**inputs)\n"
        f"np.savez({str(tmp_path / 'out.npz')!r}, **outputs)\n"
        "print('mrcnn' in sys.modules)"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"TF_ENABLE_ONEDNN_OPTS": "1"})
    assert done.stdout.strip() == "False", done.stderr
    outputs = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(outputs["detections"], detections, atol=1e-6)
    np.testing.assert_allclose(outputs["masks"], masks, atol=1e-5)


def test_non_max_suppression_in_litert(rng):
    """The operation of LiteRT alone selects a box of area zero repeatedly and pads the indices with 0."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    corners, scores = rng.uniform(0, 1, (2, 40, 2)), rng.permutation(40).astype(np.float32)
    boxes = np.concatenate([corners.min(axis=0), corners.max(axis=0)], axis=1).astype(np.float32)
    boxes[::3, 2] = boxes[::3, 0]

    def suppress(boxes, scores):
        return {"out": tf.pad(boxes_tf.non_max_suppression(boxes, scores, 50, 0.2), [[1, 0]], constant_values=-1)}

    signature = [tf.TensorSpec((None, 4), tf.float32), tf.TensorSpec((None,), tf.float32)]
    function = tf.function(suppress, input_signature=signature).get_concrete_function()
    model = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module()).convert()
    found = interpreter.Interpreter(model_content=model).get_signature_runner()(boxes=boxes, scores=scores)["out"]
    expected = tf.image.non_max_suppression(boxes, scores, 50, 0.2).numpy()
    assert 14 < len(expected) < 40
    np.testing.assert_array_equal(found, [-1, *expected])


class TestInt8:
    def test_convolutions_have_8_bits(self, model, images, tmp_path, monkeypatch):
        pytest.importorskip("nncf")
        # The mask logits of random weights are close to 0, and the scores differ little.
        tolerance = verify.Tolerance(box=2.0, score=0.1, mask_iou=0.2, unmatched=0.5)
        monkeypatch.setitem(verify.TOLERANCES, "openvino-int8", tolerance)
        seen = []
        accept = lambda folder: seen.append(sorted(path.name for path in folder.iterdir())) or {"ap": 0.25}  # noqa: E731
        table = model.export(tmp_path / "int8", "openvino-int8", images, calibration=images[:1], accept=accept)
        assert table["ap"] == read_metadata(tmp_path / "int8")["verification"]["ap"] == 0.25
        assert seen == [["metadata.json", "model.bin", "model.xml"]]
        assert (tmp_path / "int8" / "model.xml").read_text().count('type="FakeQuantize"') > 50
        assert len(mrcnn.load_model(tmp_path / "int8").detect(images)) == 3

    def test_calibration_images_are_required(self, model, tmp_path):
        pytest.importorskip("nncf")
        with pytest.raises(UserError, match="--calibrate DIR"):
            model.export(tmp_path / "out", "openvino-int8")


class TestRefusedExports:
    def test_a_rejected_model_keeps_the_existing_one(self, model, images, tmp_path):
        def refuse(folder):
            raise VerificationError("too bad")

        (tmp_path / "out").mkdir()
        with pytest.raises(VerificationError, match="too bad"):
            model.export(tmp_path / "out", "saved_model", images[:1], accept=refuse)
        assert list(tmp_path.iterdir()) == [tmp_path / "out"]

    def test_a_model_with_wrong_results_leaves_no_folder(self, model, images, tmp_path, monkeypatch):
        monkeypatch.setitem(verify.TOLERANCES, "saved_model", verify.Tolerance(score=-1.0))
        with pytest.raises(VerificationError, match="differs from the Keras model"):
            model.export(tmp_path / "out", "saved_model", images[:1])
        assert list(tmp_path.iterdir()) == []

    def test_nan_weights(self, tiny_config, tmp_path):
        model = MaskRCNN("inference", tiny_config(), "unused")
        layer = model.named_layers()["fpn_p2"]
        layer.set_weights([np.full_like(weight, np.nan) for weight in layer.get_weights()])
        with pytest.raises(UserError, match="fpn_p2.*NaN or infinite"):
            model.export(tmp_path / "out", "saved_model")

    def test_open_image_size(self, tiny_config, tmp_path):
        model = MaskRCNN("inference", tiny_config().copy(IMAGE_RESIZE_MODE="pad64", IMAGE_MIN_SCALE=0), "unused")
        with pytest.raises(UserError, match='IMAGE_RESIZE_MODE.*"square"'):
            model.export(tmp_path / "out", "saved_model")

    def test_format_and_folder(self, model, tmp_path):
        with pytest.raises(UserError, match="expected one of openvino, "):
            model.export(tmp_path / "out", "coreml")
        (tmp_path / "note.txt").touch()
        with pytest.raises(UserError, match="not an exported model"):
            model.export(tmp_path, "saved_model")
        (tmp_path / "model.tflite").touch()
        with pytest.raises(UserError, match="not an exported model"):
            model.export(tmp_path / "model.tflite", "saved_model")

    def test_missing_package(self, model, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "openvino", None)
        monkeypatch.delitem(sys.modules, "mrcnn.export.openvino", raising=False)
        with pytest.raises(UserError, match="pip install"):
            model.export(tmp_path / "out", "openvino")


class TestCompare:
    """Comparison of two predictors with given detections."""

    class Fake:
        mask_padding = None

        def __init__(self, config, rows, maps=None):
            self.maps = [maps]
            self.config, self.rows = config, np.array([[*rows, *np.zeros((4 - len(rows), 6))]], np.float32)

        def __call__(self, images, metas):
            return self.rows, [None], self.maps

    ROWS = ((0.0, 0.0, 0.5, 0.5, 1, 0.9), (0.5, 0.5, 1.0, 1.0, 2, 0.4))

    def table(self, tiny_config, other):
        config = tiny_config()
        image = np.zeros((64, 64, 3), np.uint8)
        return verify.compare([image], self.Fake(config, self.ROWS), self.Fake(config, other), 0.1)

    def test_equal_in_another_order(self, tiny_config):
        table = self.table(tiny_config, self.ROWS[::-1])
        expected = {"images": 1, "detections": 2, "unmatched": 0, "box": 0.0, "score": 0.0, "mask_iou": None}
        expected["keypoint"] = None
        assert table == expected
        verify.check(table, "openvino")

    def test_differences_in_pixels_and_score(self, tiny_config):
        table = self.table(tiny_config, [(0.0, 0.0, 0.5, 0.6, 1, 0.88), self.ROWS[1]])
        assert table["box"] == pytest.approx(0.1 * 63) and table["score"] == pytest.approx(0.02)
        with pytest.raises(VerificationError, match="box 6.3 px, of a score 0.02"):
            verify.check(table, "openvino")

    @pytest.mark.parametrize("rows", [ROWS[:1], [*ROWS, (0, 0, 1, 1, 1, 0.2)], [(*ROWS[0][:4], 2, 0.9), ROWS[1]]])
    def test_a_missing_an_added_and_a_relabelled_detection(self, tiny_config, rows):
        with pytest.raises(VerificationError):
            verify.check(self.table(tiny_config, rows), "openvino")

    def test_a_low_score_needs_no_counterpart(self, tiny_config):
        assert self.table(tiny_config, [*self.ROWS, (0, 0, 1, 1, 1, 0.099)])["unmatched"] == 0

    def test_boxes_of_area_zero_belong_to_the_nearest(self, tiny_config):
        lines = [(0.1, 0.1, 0.1, 0.9, 1, 0.9), (0.7, 0.1, 0.7, 0.9, 1, 0.8)]
        config, images = tiny_config(), [np.zeros((64, 64, 3), np.uint8)]
        table = verify.compare(images, self.Fake(config, lines), self.Fake(config, lines[::-1]), 0.1)
        assert table["detections"] == 2 and table["box"] == 0

    def test_nan_is_a_difference(self, tiny_config):
        with pytest.raises(VerificationError, match="NaN"):
            self.table(tiny_config, [(np.nan, 0.0, 0.5, 0.5, 1, np.nan), self.ROWS[1]])

    def test_images_without_detections_cannot_verify_a_model(self, tiny_config):
        image, fake = np.zeros((64, 64, 3), np.uint8), self.Fake(tiny_config(), [])
        with pytest.raises(VerificationError, match="nothing to compare: no detection with a score of 0.1"):
            verify.compare([image], fake, fake, 0.1)

    @pytest.mark.parametrize("logit", [0.0, 1.0])
    def test_maps_of_keypoints_are_compared(self, tiny_config, logit):
        """One of four cells has the logit 1 or 0, so its probability is e / (e + 3) or 1 / 4."""
        maps = np.zeros((4, 2, 2, 1), np.float32)
        other = maps.copy()
        maps[:, 0, 0], other[:, 0, 0] = 1.0, logit
        fakes = [self.Fake(tiny_config(), self.ROWS, each) for each in (maps, other)]
        table = verify.compare([np.zeros((64, 64, 3), np.uint8)], *fakes, 0.1)
        assert table["keypoint"] == pytest.approx((1 - logit) * (np.e / (np.e + 3) - 0.25), abs=1e-6)
        if logit == 0:
            with pytest.raises(VerificationError, match="keypoint's probability 0.23"):
                verify.check(table, "openvino")
