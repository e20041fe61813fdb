"""Loading by name: either all weights are loaded or none, and every mismatch is explained."""

import h5py
import keras
import numpy as np
import pytest

from mrcnn.checkpoints import HEADS, CheckpointError, WeightsMismatchError, load_weights

KERNEL = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
BIAS = np.array([7, 8, 9], np.float32)


def values(layers):
    return {variable.path: np.array(variable) for layer in layers.values() for variable in layer.weights}


def check_raises_and_changes_nothing(layers, path, message, **options):
    before = values(layers)
    with pytest.raises(ValueError, match=message) as error:
        load_weights(layers, path, **options)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    for name, value in values(layers).items():
        np.testing.assert_array_equal(value, before[name])
    return str(error.value)


def test_loads_by_role_in_any_order(make_layers, write_h5):
    layers = make_layers({"dense": {"kernel": (2, 3), "bias": (3,)}, "relu": {}})
    report = load_weights(layers, write_h5({"dense": {"dense/bias:0": BIAS, "dense/kernel:0": KERNEL}}))
    np.testing.assert_array_equal(values(layers)["dense/kernel"], KERNEL)
    np.testing.assert_array_equal(values(layers)["dense/bias"], BIAS)
    assert report.loaded == ("dense",) and report.tensors == 2
    assert (report.excluded, report.missing, report.unexpected, report.mismatched) == ((), (), (), ())


def test_batch_norm_weights_of_equal_shape_are_matched_by_name(make_layers, write_h5):
    roles = ("moving_variance", "beta", "moving_mean", "gamma")
    path = write_h5({"bn": {f"bn/{role}:0": BIAS + i for i, role in enumerate(roles)}})
    layers = make_layers({"bn": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (3,))})
    load_weights(layers, path)
    for i, role in enumerate(roles):
        np.testing.assert_array_equal(values(layers)[f"bn/{role}"], BIAS + i)


def test_weights_without_names_are_matched_by_position(make_layers, write_h5):
    layers = make_layers({"dense": {"kernel": (2, 3), "bias": (3,)}})
    load_weights(layers, write_h5({"dense": {"param_0": KERNEL, "param_1": BIAS}}))
    np.testing.assert_array_equal(values(layers)["dense/bias"], BIAS)


@pytest.mark.parametrize("nested_in_file", [True, False])
@pytest.mark.parametrize("nested_in_model", [True, False])
def test_the_rpn_may_be_nested_on_either_side(make_layers, write_h5, nested_in_file, nested_in_model):
    weights = {f"{name}/kernel:0": KERNEL + i for i, name in enumerate(("rpn_conv_shared", "rpn_class_raw"))}
    flat = {name.split("/")[0]: {name: value} for name, value in weights.items()}
    path = write_h5({"rpn_model": weights} if nested_in_file else flat)
    if nested_in_model:
        image = keras.Input((2,))
        shared = keras.layers.Dense(3, use_bias=False, name="rpn_conv_shared")(image)
        output = keras.layers.Dense(3, use_bias=False, name="rpn_class_raw")(image)
        layers = {"rpn_model": keras.Model(image, [shared, output], name="rpn_model")}
    else:
        layers = make_layers({name: {"kernel": (2, 3)} for name in ("rpn_conv_shared", "rpn_class_raw")})
    report = load_weights(layers, path)
    assert report.loaded == ("rpn_conv_shared", "rpn_class_raw")
    np.testing.assert_array_equal(values(layers)["rpn_class_raw/kernel"], KERNEL + 1)
    assert load_weights(layers, path, exclude=["rpn_class_raw"]).excluded == ("rpn_class_raw",)


def test_real_keras_layers(write_h5):
    image = keras.Input((4, 4, 2))
    x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(image)
    x = keras.layers.TimeDistributed(keras.layers.BatchNormalization(), name="mrcnn_class_bn1")(x)
    model = keras.Model(image, keras.layers.Dropout(0.5, name="dropout")(x))
    kernel, vector = np.random.default_rng(0).normal(size=(3, 3, 2, 1)), np.array([2.0, 3.0], np.float16)
    roles = ("gamma", "beta", "moving_mean", "moving_variance")
    path = write_h5(
        {
            "depthwise": {"depthwise/depthwise_kernel:0": kernel},  # float64, with the weight name of Keras 2
            "mrcnn_class_bn1": {f"mrcnn_class_bn1/{role}:0": vector for role in roles},
            "dropout": {"dropout/seed_generator_state:0": np.zeros(2, np.uint32)},
        }
    )
    report = load_weights({layer.name: layer for layer in model.layers}, path, by_name=False)
    assert report.loaded == ("depthwise", "mrcnn_class_bn1") and report.tensors == 5
    np.testing.assert_array_equal(model.get_layer("depthwise").kernel, kernel.astype(np.float32))
    np.testing.assert_array_equal(model.get_layer("mrcnn_class_bn1").layer.moving_variance, vector)


def test_missing_layers_are_an_error_unless_excluded(make_layers, write_h5):
    path = write_h5({"a": {"a/kernel:0": KERNEL}, "fpn_p2": {"fpn_p2/kernel:0": KERNEL}})
    layers = make_layers({name: {"kernel": (2, 3)} for name in ("a", "b1", "b2", "fpn_p2")})
    check_raises_and_changes_nothing(layers, path, "2 layers of the model are not in the file: b1, b2.*`exclude`")
    report = load_weights(layers, path, exclude=[r"b\d"])
    assert report.loaded == ("a", "fpn_p2") and report.excluded == ("b1", "b2") and report.missing == ()


def test_exclude_matches_whole_names(make_layers, write_h5):
    path = write_h5({name: {f"{name}/kernel:0": KERNEL} for name in ("mrcnn_mask", "mrcnn_mask_conv1")})
    layers = make_layers({name: {"kernel": (2, 3)} for name in ("mrcnn_mask", "mrcnn_mask_conv1")})
    assert load_weights(layers, path, exclude=["mrcnn_mask"]).loaded == ("mrcnn_mask_conv1",)
    assert load_weights(layers, path, exclude="mrcnn_mask").loaded == ("mrcnn_mask_conv1",)
    assert not values(layers)["mrcnn_mask/kernel"].any()
    with pytest.raises(ValueError, match=r"exclude: expected layer names.*'\('"):
        load_weights(layers, path, exclude=["("])


def test_unexpected_layers_are_reported_or_an_error_without_by_name(make_layers, write_h5):
    path = write_h5({name: {f"{name}/kernel:0": KERNEL} for name in ("a", "b")})
    layers = make_layers({"a": {"kernel": (2, 3)}})
    check_raises_and_changes_nothing(layers, path, "1 layers of the file are not in the model: b", by_name=False)
    assert load_weights(layers, path).unexpected == ("b",)


def test_no_common_layer(make_layers, write_h5):
    path = write_h5({"conv2d_1": {"conv2d_1/kernel:0": KERNEL}})
    layers = make_layers({"conv1": {"kernel": (2, 3)}})
    check_raises_and_changes_nothing(layers, path, "Expected conv1, got conv2d_1")


@pytest.mark.parametrize("stored", [{"a/kernel:0": KERNEL.T}, {"a/kernel:0": KERNEL, "a/bias:0": BIAS}, {}])
def test_mismatched_shapes_or_weights(make_layers, write_h5, stored):
    path = write_h5({"first": {"first/kernel:0": KERNEL}, "a": stored})
    layers = make_layers({"first": {"kernel": (2, 3)}, "a": {"kernel": (2, 3)}})
    check_raises_and_changes_nothing(layers, path, "1 layers .*a")


def test_error_names_the_shapes(make_layers, write_h5):
    layers = make_layers({"a": {"kernel": (2, 3)}})
    path = write_h5({"a": {"a/kernel:0": KERNEL.T, "a/bias:0": BIAS}})
    text = check_raises_and_changes_nothing(layers, path, "different shapes")
    assert "a/kernel: file (3, 2), model (2, 3); a/bias: file (3,), model none" in text


def head_weights(classes):
    return {
        "mrcnn_class_logits": {"kernel": (8, classes), "bias": (classes,)},
        "mrcnn_bbox_fc": {"kernel": (8, 4 * classes), "bias": (4 * classes,)},
        "mrcnn_mask": {"kernel": (1, 1, 8, classes), "bias": (classes,)},
    }


def stored_like(spec):
    return {
        name: {f"{name}/{role}:0": np.ones(shape) for role, shape in weights.items()} for name, weights in spec.items()
    }


def test_another_number_of_classes_is_explained(make_layers, write_h5):
    body = {"conv1": {"kernel": (2, 3)}}
    path = write_h5(stored_like({**body, **head_weights(81)}))
    layers = make_layers({**body, **head_weights(2), "mrcnn_bbox": {}})
    text = check_raises_and_changes_nothing(layers, path, "the file has 81 classes, but the model has 2")
    assert 'exclude=["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"]' in text
    assert "--weights=coco" in text
    report = load_weights(layers, path, exclude=HEADS)
    assert report.loaded == ("conv1",) and len(report.excluded) == 3 and report.unexpected == ()
    # If one head is excluded, the others still determine the number of classes.
    check_raises_and_changes_nothing(layers, path, "81 classes, but the model has 2", exclude=HEADS[:1])
    check_raises_and_changes_nothing(layers, path, "81 classes, but the model has 2", exclude=HEADS[:3])


def test_other_classes_and_a_branch_that_the_file_lacks(make_layers, write_h5):
    body = {"conv1": {"kernel": (2, 3)}, "mrcnn_class_conv1": {"kernel": (2, 3)}}
    path = write_h5(stored_like({**body, **head_weights(81), "mrcnn_mask_conv1": {"kernel": (2, 3)}}))
    model = {**body, **head_weights(2), "mrcnn_mask_conv1": {"kernel": (2, 3)}, "mrcnn_keypoint_conv1": {"bias": (3,)}}
    with pytest.warns(UserWarning, match="model without keypoints: 1 layers of keypoints keep"):
        report = load_weights(make_layers(model), path, exclude=HEADS)
    assert report.missing == ("mrcnn_keypoint_conv1",)


def resnet(blocks):
    names = ["conv1", *(f"res4{chr(97 + i)}_branch2a" for i in range(blocks))]
    return {name: {"kernel": (2, 3)} for name in names}


@pytest.mark.parametrize(
    ("in_file", "in_model", "message"),
    [
        (resnet(6), resnet(23), "backbone resnet50, but the model has resnet101"),
        (resnet(6), {"mnv2_conv1": {"kernel": (2, 3)}}, "backbone resnet50, but the model has mobilenet_v2"),
    ],
)
def test_another_backbone_is_explained(make_layers, write_h5, in_file, in_model, message):
    path = write_h5(stored_like({**in_file, "fpn_p2": {"kernel": (1,)}}))
    check_raises_and_changes_nothing(make_layers({**in_model, "fpn_p2": {"kernel": (1,)}}), path, message)


def test_a_deeper_backbone_loads_by_name_with_a_warning(make_layers, write_h5):
    """A ResNet-101 file contains all names and shapes of a ResNet-50. The original loads it too."""
    path, layers = write_h5(stored_like(resnet(23))), make_layers(resnet(6))
    check_raises_and_changes_nothing(layers, path, "backbone resnet101, but the model has resnet50", by_name=False)
    with pytest.warns(
        UserWarning, match="resnet101, but the model has resnet50: 7 layers loaded by name, 17 skipped"
    ) as seen:
        report = load_weights(layers, path, by_name=True)
    assert len(seen) == 1 and len(report.loaded) == 7 and len(report.unexpected) == 17
    assert report.notes == (str(seen[0].message).removeprefix(f"{path}: "),)
    assert all(value.all() for value in values(layers).values())


def test_a_deeper_file_loads_with_explicit_excludes(make_layers, write_h5):
    path = write_h5(stored_like(resnet(23)))
    assert len(load_weights(make_layers(resnet(6)), path, exclude=["res4[g-w]_.*"]).loaded) == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_non_finite_values(make_layers, write_h5, bad):
    layers = make_layers({"a": {"kernel": (2, 3)}, "b": {"bias": (3,)}})
    path = write_h5({"a": {"a/kernel:0": KERNEL}, "b": {"b/bias:0": np.array([1.0, bad, 2.0])}})
    check_raises_and_changes_nothing(layers, path, "b/bias: 1 of 3 values are NaN or infinite")


def test_damaged_data_is_detected_before_any_weight_changes(make_layers, write_h5, tmp_path):
    path = tmp_path / "packed.h5"
    noise = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"a", b"b"]
        for name in "ab":
            file.create_group(name).attrs["weight_names"] = [b"kernel:0"]
            file[name].create_dataset("kernel:0", data=noise, compression="gzip", fletcher32=True)
        chunk = file["b/kernel:0"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 255
    path.write_bytes(data)
    layers = make_layers({name: {"kernel": (100, 100)} for name in "ab"})
    check_raises_and_changes_nothing(layers, path, "damaged")


def test_weights_of_a_backbone_do_not_change_other_layers(make_layers, write_h5):
    path = write_h5(stored_like({"conv1": {"kernel": (2, 3)}}))
    layers = make_layers({name: {"kernel": (2, 3)} for name in ("conv1", "fpn_p2", "rpn_conv_shared", "mrcnn_mask")})
    report = load_weights(layers, path)
    assert report.loaded == ("conv1",) and report.missing == ("fpn_p2", "rpn_conv_shared", "mrcnn_mask")
    layers |= make_layers({"bn_conv1": {"gamma": (3,)}})
    check_raises_and_changes_nothing(layers, path, "1 layers of the model are not in the file: bn_conv1")


def test_message_of_the_report(make_layers, write_h5):
    path = write_h5(stored_like({"a": {"kernel": (2, 3), "bias": (3,)}, "old": {"kernel": (1,)}}))
    report = load_weights(make_layers({"a": {"kernel": (2, 3), "bias": (3,)}, "head": {"bias": (1,)}}), path, ["head"])
    assert report.summary() == f"{path}: 1 layers (2 weights) loaded, 1 excluded, 0 missing, 1 unexpected"
    assert str(report).splitlines()[1:] == ["  excluded: head", "  unexpected: old"]


def test_the_error_has_the_report(make_layers, write_h5):
    with pytest.raises(WeightsMismatchError) as error:
        load_weights(make_layers({"a": {"kernel": (2,)}}), write_h5(stored_like({"a": {"kernel": (3,)}})))
    assert error.value.report.mismatched == ("a/kernel: file (3,), model (2,)",)
    assert not issubclass(CheckpointError, WeightsMismatchError)


def test_the_repr_of_a_report_is_one_line(make_layers, write_h5):
    layers = make_layers({"dense": {"kernel": (2, 3), "bias": (3,)}})
    path = write_h5({"dense": {"dense/bias:0": BIAS, "dense/kernel:0": KERNEL}})
    report = load_weights(layers, path)
    assert repr(report) == f"<LoadReport {path}: 1 layers (2 weights) loaded, 0 excluded, 0 missing, 0 unexpected>"
