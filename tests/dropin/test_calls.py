"""Single calls in scripts for the original that Keras 3, NumPy 2 or this package could break."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot

import mrcnn.model as modellib
from mrcnn import utils, visualize
from mrcnn.config import Config
from mrcnn.parallel_model import ParallelModel

ROOT = Path(__file__).resolve().parents[2]


class ToyConfig(Config):
    NAME = "toy"
    NUM_CLASSES = 1 + 2
    DETECTION_MIN_CONFIDENCE = 0.0
    DATASET = Path("dataset")  # an additional setting that JSON cannot represent
    THRESHOLD = 0.3


class Photos(utils.Dataset):
    """Dataset of one image with two instances. `answer` is the return value of load_mask."""

    def __init__(self, answer=None):
        super().__init__()
        self.add_class("toy", 1, "left")
        self.add_class("toy", 2, "right")
        self.add_image("toy", image_id="a", path=None)
        self.prepare()
        self.answer = answer

    def load_image(self, image_id):
        return np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3).astype(np.uint8)

    def load_mask(self, image_id):
        return self.answer


def two_masks(dtype=bool):
    masks = np.zeros((60, 80, 2), dtype)
    masks[10:30, 10:30, 0] = masks[20:50, 40:70, 1] = 1
    return masks


@pytest.fixture(scope="module")
def model(small_defaults, tmp_path_factory):
    return modellib.MaskRCNN(mode="inference", config=ToyConfig(), model_dir=tmp_path_factory.mktemp("logs"))


def arrays(model):
    return {f"{name}/{w.name}": w.numpy() for name, layer in model.named_layers().items() for w in layer.weights}


def test_keras_model_saves_the_original_layout_under_any_name(model, tmp_path):
    for name in ("model.h5", "mask_rcnn_toy_0001.h5", "best.weights.h5"):
        model.keras_model.save_weights(str(tmp_path / name))
        with h5py.File(tmp_path / name) as file:
            assert b"mrcnn_mask" in file.attrs["layer_names"]
            assert file["rpn_model/rpn_conv_shared/kernel:0"].shape == (3, 3, 16, 16)
            assert list(file["mrcnn_mask"].attrs["weight_names"]) == [b"mrcnn_mask/kernel:0", b"mrcnn_mask/bias:0"]


def test_keras_model_loads_what_it_saved(model, tmp_path):
    model.keras_model.save_weights(tmp_path / "model.h5")
    other = modellib.MaskRCNN("inference", ToyConfig(), tmp_path)
    fresh = arrays(other)
    other.keras_model.load_weights(str(tmp_path / "model.h5"), by_name=True)
    assert all(np.array_equal(value, arrays(other)[name]) for name, value in arrays(model).items())
    assert not all(np.array_equal(value, fresh[name]) for name, value in arrays(model).items())
    with pytest.raises(ValueError, match="classes"):
        modellib.MaskRCNN("inference", ToyConfig().copy(NUM_CLASSES=5), tmp_path).keras_model.load_weights(
            tmp_path / "model.h5", by_name=True
        )


def test_saved_weights_have_the_settings_but_no_fields_of_the_script(model, tmp_path):
    model.keras_model.save_weights(tmp_path / "model.h5")
    config = modellib.MaskRCNN.from_checkpoint(tmp_path / "model.h5").config
    assert (config.NAME, config.NUM_CLASSES, hasattr(config, "THRESHOLD")) == ("toy", 3, False)


def test_a_whole_model_in_keras_own_format(model, tmp_path):
    model.keras_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert all(
        np.array_equal(ours, theirs)
        for ours, theirs in zip(model.keras_model.get_weights(), loaded.get_weights(), strict=True)
    )


def test_a_molded_image_is_recognised(model):
    photo = Photos().load_image(0)
    with pytest.warns(UserWarning, match="Pass the original image"):
        images, *_ = model.mold_inputs(modellib.mold_image(photo, model.config)[np.newaxis])
    np.testing.assert_array_equal(images, model.mold_inputs([photo])[0])
    with pytest.raises(ValueError, match=r"images\[0\]: expected floats"):
        model.detect([photo - 400.0])


def test_an_image_normalized_in_another_way_is_rejected(model):
    image = Photos().load_image(0).astype(np.float32)
    for normalized in ((image - image.mean()) / image.std(), image / 127.5 - 1):
        with pytest.raises(ValueError, match=r"images\[0\]: expected floats .* float32 in -.*before normalization"):
            model.detect([normalized])
    for shown in (image, image / 255):
        np.testing.assert_array_equal(model.mold_inputs([shown])[0], model.mold_inputs([Photos().load_image(0)])[0])


def test_anchors_are_those_of_the_latest_detection(tmp_path):
    config = ToyConfig().copy(IMAGE_RESIZE_MODE="pad64")
    model = modellib.MaskRCNN("inference", config, tmp_path)
    assert len(model.anchors) == sum(3 * side**2 for side in (16, 8, 4, 2, 1))
    model.detect([np.zeros((100, 64, 3), np.uint8)])
    shape = (128, 64, 3)
    assert len(model.anchors) == len(model.get_anchors(shape)) == 3 * (32 * 16 + 16 * 8 + 8 * 4 + 4 * 2 + 2)
    np.testing.assert_allclose(utils.norm_boxes(model.anchors, shape[:2]), model.get_anchors(shape), atol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("class_ids", [[1, 2], np.array([1, 2], np.int32), np.array([1.0, 2.0])])
def test_masks_and_class_ids_of_any_type(small_defaults, dtype, class_ids):
    gt = modellib.load_image_gt(Photos((two_masks(dtype), class_ids)), ToyConfig(), 0, use_mini_mask=False)
    expected = modellib.load_image_gt(Photos((two_masks(), [1, 2])), ToyConfig(), 0)
    assert gt.mask.dtype == bool and gt.class_ids.dtype == np.int32 and len(gt.bbox) == 2
    assert all(np.array_equal(got, want) for got, want in zip(gt, expected, strict=True))


@pytest.mark.parametrize("shape", [(0, 0, 0), (60, 80, 0)])
def test_an_image_without_instances(small_defaults, shape):
    dataset = Photos((np.empty(shape), np.empty([0], np.int32)))
    image, _, class_ids, bbox, mask = modellib.load_image_gt(dataset, ToyConfig(), 0)
    assert image.shape == (64, 64, 3) and class_ids.shape == (0,) and bbox.shape == (0, 4) and mask.shape[2] == 0


def test_an_empty_mask_of_class_0_means_no_instance(small_defaults):
    """Many scripts return this for an image without objects."""
    empty = np.zeros((60, 80, 1), bool)
    gt = modellib.load_image_gt(Photos((empty, np.zeros((1,), np.int32))), ToyConfig(), 0)
    assert gt.class_ids.shape == (0,) and gt.bbox.shape == (0, 4) and gt.mask.shape == (64, 64, 0)
    masks = np.concatenate([two_masks(), empty], axis=-1)
    gt = modellib.load_image_gt(Photos((masks, np.array([1, 2, 0]))), ToyConfig(), 0)
    assert gt.class_ids.tolist() == [1, 2] and gt.mask.shape == (64, 64, 2)
    with pytest.raises(ValueError, match="class id 0 is not one of 1..2"):  # a non-empty mask of class 0 is an error
        modellib.load_image_gt(Photos((two_masks(), np.array([1, 0]))), ToyConfig(), 0)


@pytest.mark.parametrize("names", [["rpn_class"], ["rpn_bbox", "rpn_class"]])
def test_outputs_of_run_graph_have_the_batch_axis_and_their_order(model, names):
    outputs = [(f"my {name}", model.keras_model.get_layer(name).output) for name in names]
    arrays = model.run_graph([Photos().load_image(0)], outputs)
    assert list(arrays) == [f"my {name}" for name in names]
    assert arrays["my rpn_class"].shape == (1, 1023, 2)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_fewer_anchor_scales_than_levels(small_defaults, tmp_path, count):
    """The scales apply to the levels from P2 on. The other levels have no proposals."""
    config = ToyConfig().copy(RPN_ANCHOR_SCALES=(8, 16, 32, 48)[:count])
    model = modellib.MaskRCNN("inference", config, tmp_path)
    count = sum(3 * side**2 for side in (16, 8, 4, 2)[:count])
    shapes = modellib.compute_backbone_shapes(config, config.IMAGE_SHAPE)
    scales, ratios, strides = config.RPN_ANCHOR_SCALES, config.RPN_ANCHOR_RATIOS, config.BACKBONE_STRIDES
    assert len(utils.generate_pyramid_anchors(scales, ratios, shapes, strides, 1)) == count
    [(_, rpn_class)] = model.run_graph([Photos().load_image(0)], [("rpn_class", "rpn_class")]).items()
    assert rpn_class.shape == (1, count, 2)
    assert model.detect([Photos().load_image(0)])[0]["masks"].shape[:2] == (60, 80)


def test_find_last_as_a_path_and_as_the_pair_of_release_2_1(model, tmp_path):
    run = tmp_path / "toy20200101T0000"
    run.mkdir()
    model.save_weights(run / "mask_rcnn_toy_0003.h5")
    other = modellib.MaskRCNN("inference", ToyConfig(), tmp_path)
    path = other.find_last()
    assert path == path[1] == str(run / "mask_rcnn_toy_0003.h5") and isinstance(path[1], str)
    assert path[:2] == str(path)[:2] and path[-3:] == ".h5"
    other.load_weights(path[1], by_name=True)
    assert other.epoch == 3


def test_classes_changed_after_the_config_was_made(small_defaults, tmp_path):
    config = ToyConfig()
    config.NUM_CLASSES = 5
    with pytest.raises(ValueError, match=r"NUM_CLASSES.*changed.*__init__"):
        modellib.MaskRCNN("inference", config, tmp_path)


def test_error_in_graph_mode_names_the_cause(model):
    photo = Photos().load_image(0)
    with tf.Graph().as_default():
        with pytest.raises(RuntimeError, match="eager execution"):
            model.detect([photo])
        with pytest.raises(RuntimeError, match="disable_eager_execution"):
            modellib.MaskRCNN("inference", ToyConfig(), "logs")
    assert len(model.detect([photo])) == 1


def test_names_that_visualize_re_exports():
    assert visualize.plt is pyplot and Path(visualize.ROOT_DIR).is_absolute()
    _, ax = visualize.plt.subplots(1)
    ax.add_patch(visualize.patches.Rectangle((1, 1), 2, 2, linestyle="dashed", edgecolor=(1, 0, 0), facecolor="none"))
    [contour] = visualize.find_contours(np.pad(np.ones((3, 3)), 1), 0.5)
    ax.add_patch(visualize.Polygon(np.fliplr(contour) - 1, facecolor="none", edgecolor=(1, 0, 0)))


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("visualize", "colorsys find_contours itertools lines np os patches Polygon plt random sys display_instances"),
        ("utils", "logging math np os random shutil skimage sys tf warnings Dataset"),
    ],
)
def test_star_import_includes_the_modules_that_the_original_imports(module, names):
    imported = {}
    exec(f"from mrcnn.{module} import *", imported)
    assert set(names.split()) <= set(imported)


def test_a_result_is_filtered_and_converted_in_place(model):
    r = model.detect([Photos().load_image(0)])[0]
    count, unwanted = len(r["scores"]), np.where(r["class_ids"] != r["class_ids"][0])[0]
    for key in ("rois", "class_ids", "scores"):
        r[key] = np.delete(r[key], unwanted, axis=0)
    r["masks"] = np.delete(r["masks"], unwanted, axis=2)
    assert len(r["rois"]) == r["masks"].shape[2] == count - len(unwanted) == (r["class_ids"] == r["class_ids"][0]).sum()
    visualize.display_instances(
        Photos().load_image(0), r["rois"], r["masks"], r["class_ids"], Photos().class_names, r["scores"]
    )
    r["class_names"] = [Photos().class_names[i] for i in r["class_ids"]]
    r["rois"] = r["rois"].tolist()
    del r["masks"], r["class_ids"], r["scores"]
    assert json.loads(json.dumps(dict(r))) == {"rois": r["rois"], "class_names": r["class_names"]}


def test_subclasses_with_their_own_constructor_or_graph(model, tmp_path):
    class OwnConstructor(modellib.MaskRCNN):
        def __init__(self, mode, config, model_dir):
            self.mode, self.config, self.model_dir = mode, config, model_dir
            self.set_log_dir()
            self.keras_model = self.build(mode=mode, config=config)

    class OwnGraph(modellib.MaskRCNN):
        def build(self, mode, config):
            return model.keras_model

    image = Photos().load_image(0)
    own = OwnConstructor("inference", model.config, str(tmp_path))
    own.keras_model.set_weights(model.keras_model.get_weights())
    other = OwnGraph("inference", model.config, str(tmp_path))
    expected = model.detect([image])[0]
    for subclass in (own, other):
        np.testing.assert_array_equal(subclass.detect([image])[0]["rois"], expected["rois"])
        np.testing.assert_array_equal(subclass.get_anchors((64, 64, 3)), model.get_anchors((64, 64, 3)))


def test_compile_and_fit(small_defaults, tmp_path):
    """`compile` sets the same optimizer and losses as `train`, for scripts that call `fit`."""
    model = modellib.MaskRCNN("training", ToyConfig(), tmp_path)
    model.set_trainable(r"mrcnn_.*|rpn_.*", verbose=0)
    model.compile(0.01, 0.8)
    assert (float(model.keras_model.optimizer.learning_rate), model.keras_model.optimizer.momentum) == (
        pytest.approx(0.01),
        0.8,
    )
    before = arrays(model)
    generator = modellib.data_generator(Photos((two_masks(), np.array([1, 2]))), model.config)
    batches = ((tuple(inputs),) for inputs, _ in generator)  # Keras 3 does not accept lists
    history = model.keras_model.fit(batches, steps_per_epoch=2, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    moved = {name for name, value in arrays(model).items() if not np.array_equal(value, before[name])}
    assert "mrcnn_class_conv1/kernel" in moved and not any(name.startswith(("toy", "fpn")) for name in moved)


def test_a_config_with_a_constructor(small_defaults):
    class Counted(Config):
        def __init__(self, num_classes):
            self.NUM_CLASSES = num_classes
            super().__init__()

    config = Counted(num_classes=4)
    config.IMAGES_PER_GPU = 3
    config.__init__(5)  # scripts recompute the batch size in this way
    copy = config.copy(DETECTION_MIN_CONFIDENCE=0.1)
    assert config.BATCH_SIZE == copy.BATCH_SIZE == 3
    assert copy.NUM_CLASSES == 5 and copy.IMAGE_META_SIZE == 17 and isinstance(copy, Counted)


def test_settings_that_are_false_and_class_counts_of_numpy(small_defaults, tmp_path):
    class NucleiConfig(ToyConfig):
        NUM_CLASSES = np.max([0, 1, 2]) + 1
        IMAGE_RESIZE_MODE = "pad64"
        IMAGE_MIN_DIM = 128
        IMAGE_MAX_DIM = False
        IMAGE_MIN_SCALE = False

    model = modellib.MaskRCNN("inference", NucleiConfig(), tmp_path)
    image, meta, window = (array[0] for array in model.mold_inputs([Photos().load_image(0)]))
    assert image.shape == (128, 192, 3) and window.tolist() == [0, 10, 128, 181]  # 60 x 80, enlarged to 128 x 171
    assert model.detect([Photos().load_image(0)])[0]["masks"].shape[:2] == (60, 80)
    model.save_weights(tmp_path / "nuclei.h5")
    config = modellib.MaskRCNN.from_checkpoint(tmp_path / "nuclei.h5").config
    assert (config.IMAGE_MAX_DIM, config.IMAGE_MIN_SCALE, config.NUM_CLASSES) == (0, 0, 3)
    with pytest.raises(ValueError, match="IMAGE_MAX_DIM"):
        NucleiConfig().copy(IMAGE_RESIZE_MODE="square").validate()


def test_parallel_model_raises_an_error_with_a_fix():
    with pytest.raises(NotImplementedError, match=r"choose_strategy\(2\)\.scope"):
        ParallelModel(None, 2)


def test_the_flat_module_layout_used_before_2018(tmp_path):
    """`python -m mrcnn` provides the module names of old scripts. Modules next to the script take precedence."""
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    (tmp_path / "utils.py").write_text("WORD = 'own'\n")
    (tmp_path / "script.py").write_text(
        "import sys, config, utils, beside\nfrom config import Config\nimport mrcnn.config\n"
        "print(config is mrcnn.config, config.__spec__.name, utils.WORD, 'tensorflow' in sys.modules)\n"
        "import visualize, parallel_model, model as modellib\nfrom mrcnn import model\n"
        "print(modellib is model, issubclass(Config, mrcnn.config.Config), sys.path[0], __file__, __name__)\n"
    )
    command = [sys.executable, "-m", "mrcnn", str(tmp_path / "script.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    first, last = done.stdout.splitlines() or [done.stderr, ""]
    assert first == "True mrcnn.config own False"
    assert last == f"True True {tmp_path} {tmp_path / 'script.py'} __main__"


def test_imgaug_imported_first(tmp_path):
    """`python -m mrcnn` works without an installation. With NumPy 2, imgaug needs the import hook of mrcnn."""
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    (tmp_path / "script.py").write_text(
        "import sys\nfrom imgaug import augmenters as iaa\nimport beside\n"
        "if __name__ == '__main__':\n    print(sys.argv[1:], beside.WORD, iaa.Fliplr(0.5).p.p.value)\n"
    )
    command = [sys.executable, "-m", "mrcnn", str(tmp_path / "script.py"), "train", "--x=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "['train', '--x=1'] beside 0.5", done.stderr
    for arguments, message in (([], "usage"), (["absent.py"], "absent.py: no such file")):
        done = subprocess.run([sys.executable, "-m", "mrcnn", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_star_import_of_the_model_module_includes_the_modules_that_the_original_imports():
    imported = {}
    exec("from mrcnn.model import *", imported)
    assert imported["tf"] is tf and imported["KL"] is keras.layers and imported["KM"] is keras.models
    assert imported["KE"].Layer is keras.layers.Layer and imported["K"] is keras.backend
    names = "datetime keras logging math multiprocessing np os random re utils OrderedDict"
    assert set(names.split()) <= set(imported)


def test_a_copy_of_a_result_is_independent(model):
    r = model.detect([Photos().load_image(0)])[0]
    first = r.copy()
    first["note"] = "edited"
    second = copy.copy(first)
    del second["masks"]
    assert list(r.keys()) == ["rois", "class_ids", "scores", "masks"]
    assert list(first.keys()) == [*r.keys(), "note"] and list(second.keys()) == ["rois", "class_ids", "scores", "note"]
    assert second["rois"] is r["rois"]  # a shallow copy, like that of a dict


def test_numpy_saves_results_like_dicts(model, tmp_path):
    results = model.detect([Photos().load_image(0)] * 2)
    np.save(tmp_path / "all.npy", results)
    np.save(tmp_path / "first.npy", results[0])
    loaded = np.load(tmp_path / "all.npy", allow_pickle=True)
    assert loaded.shape == (2,) and loaded.dtype == object
    for r in (loaded[1], np.load(tmp_path / "first.npy", allow_pickle=True).item()):
        assert all(np.array_equal(r[key], value) for key, value in results[0].items())


def test_preparing_a_model_for_threads_has_no_effect(model):
    assert model.keras_model._make_predict_function() is None  # in scripts of web servers, before the first detection
    assert len(model.detect([Photos().load_image(0)])) == 1


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_a_whole_model_in_hdf5_contains_the_weights(model, tmp_path, name):
    with pytest.warns(UserWarning, match=r"model\.(h5|hdf5): .* load_weights"):
        model.keras_model.save(tmp_path / name)
    other = modellib.MaskRCNN("inference", ToyConfig(), tmp_path)
    other.load_weights(tmp_path / name, by_name=True)
    assert all(np.array_equal(value, arrays(other)[name]) for name, value in arrays(model).items())


@pytest.mark.filterwarnings("ignore:.*load_weights:UserWarning")
def test_callbacks_save_whole_models(small_defaults, tmp_path):
    """Keras passes the callbacks a model that is internal to `train`. They save the graph of the MaskRCNN."""
    model = modellib.MaskRCNN("training", ToyConfig().copy(STEPS_PER_EPOCH=1), tmp_path)
    paths = [str(tmp_path / name) for name in ("best.h5", "best.keras")]
    photos = Photos((two_masks(), np.array([1, 2])))
    callbacks = [keras.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True) for path in paths]
    model.train(photos, None, 0.001, 1, "heads", custom_callbacks=callbacks)
    loaded = keras.models.load_model(paths[1])
    weights = model.keras_model.get_weights()
    assert all(np.array_equal(*pair) for pair in zip(weights, loaded.get_weights(), strict=True))
    other = modellib.MaskRCNN("inference", ToyConfig(), tmp_path)
    other.load_weights(paths[0], by_name=True)
    assert all(np.array_equal(value, arrays(other)[name]) for name, value in arrays(model).items())


def test_target_layer_with_a_config(small_defaults):
    layer = modellib.DetectionTargetLayer(ToyConfig().copy(TRAIN_ROIS_PER_IMAGE=5), name="proposal_targets")
    rois = np.zeros((1, 6, 4), np.float32)
    rois[0, 0], rois[0, 1] = (0.25, 0.25, 0.75, 0.75), (0.8, 0.8, 0.9, 0.9)
    class_ids, boxes = np.array([[2]], np.int32), np.float32([[[0.25, 0.25, 0.75, 0.75]]])
    outputs = layer([rois, class_ids, boxes, np.ones((1, 56, 56, 1), bool)])
    assert [output.shape for output in outputs] == [(1, 5, 4), (1, 5), (1, 5, 4), (1, 5, 28, 28)]
    assert outputs[1][0, 0] == 2 and np.array_equal(outputs[3][0, 0, :27, :27], np.ones((27, 27)))


def test_image_size_changed_after_the_config_was_made(small_defaults, tmp_path):
    config = ToyConfig()
    config.IMAGE_MIN_DIM = config.IMAGE_MAX_DIM = 128
    model = modellib.MaskRCNN("training", config, tmp_path)
    photos = Photos((two_masks(), np.array([1, 2])))
    assert model.detect([photos.load_image(0)])[0]["masks"].shape[:2] == (60, 80)  # detection works, as in the original
    with pytest.raises(ValueError, match=r"64 x 64 x 3.* got 128 x 128 x 3\..*config\.__init__\(\)"):
        model.train(photos, None, 0.001, 1, "heads")


def test_an_image_that_opencv_could_not_read(model):
    with pytest.raises(TypeError, match=r"images\[1\]: .*None.*cv2\.imread"):
        model.detect([Photos().load_image(0), None])


def test_overlaps_of_masks_of_different_images():
    with pytest.raises(ValueError, match=r"60 x 80 and 64 x 64.*load_image_gt"):
        utils.compute_overlaps_masks(two_masks(), np.ones((64, 64, 1), bool))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "NoneType"),
        ((None, None), "NoneType"),
        ((two_masks(), ["left", "right"]), "left"),
        ((two_masks(), np.array([[1], [2]])), r"class ids \[N\].*\(2, 1\)"),
    ],
)
def test_error_of_load_mask_names_the_image(small_defaults, answer, message):
    with pytest.raises(ValueError, match=rf"image 0 \(a\).*load_mask\(\).*{message}"):
        modellib.load_image_gt(Photos(answer), ToyConfig(), 0)
