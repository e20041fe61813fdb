"""Short weight names of all Keras versions, nested groups and Matterport's layer order."""

import pytest

from mrcnn.checkpoints.layout import file_order, flatten_group, flatten_model, matterport_order, short_name


@pytest.mark.parametrize(
    ("stored", "role"),
    [
        ("conv1/kernel:0", "kernel"),
        ("kernel", "kernel"),
        ("conv1_1/kernel_3:0", "kernel"),
        ("conv1_W:0", "kernel"),  # Keras 1
        ("conv1_b_1:0", "bias"),
        ("conv1_running_mean:0", "moving_mean"),
        ("conv1_running_std:0", "moving_variance"),
        ("conv1/depthwise_kernel:0", "kernel"),  # Keras 2
        ("a/b/c/moving_variance:0", "moving_variance"),
        ("param_7", "param_7"),
    ],
)
def test_short_name(stored, role):
    assert short_name(stored, "conv1") == role


def test_group_with_one_layer_keeps_the_name_of_the_group():
    flat = flatten_group("mrcnn_mask", [("time_distributed/conv2d_3/kernel:0", 1), ("time_distributed/bias:0", 2)])
    assert flat == {"mrcnn_mask": ("mrcnn_mask", {"kernel": 1, "bias": 2})}


def test_nested_group_is_split_into_layers():
    names = [f"{layer}/{role}:0" for layer in ("rpn_conv_shared", "rpn_class_raw") for role in ("kernel", "bias")]
    flat = flatten_group("rpn_model", zip(names, range(4), strict=True))
    assert flat == {
        "rpn_conv_shared": ("rpn_model", {"kernel": 0, "bias": 1}),
        "rpn_class_raw": ("rpn_model", {"kernel": 2, "bias": 3}),
    }


def test_ambiguous_weights_are_numbered():
    assert flatten_group("dense", [("w", 1), ("w", 2)]) == {"dense": ("dense", {"0": 1, "1": 2})}


def test_random_state_is_ignored():
    assert flatten_group("dropout", [("dropout/seed_generator_state:0", 1)]) == {"dropout": ("dropout", {})}


def test_flatten_model_skips_layers_without_weights_and_rejects_duplicate_names(make_layers):
    layers = make_layers({"relu": {}, "conv1": {"kernel": (1,)}})
    assert list(flatten_model(layers)) == ["conv1"]
    nested = make_layers({"a": {"inner/kernel": (1,), "other/kernel": (1,)}, "inner": {"kernel": (1,)}})
    with pytest.raises(ValueError, match="two layers named 'inner'"):
        flatten_model(nested)


def test_order_equals_the_published_file(golden):
    layout = golden("matterport_layout.json")
    with_weights = {weight["group"] for weight in layout["weights"]}
    published = [name for name in layout["layer_names"] if name in with_weights]
    rpn = ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")
    expected = [leaf for name in published for leaf in (rpn if name == "rpn_model" else (name,))]
    assert matterport_order() == expected


def test_file_order_sorts_only_known_models():
    assert file_order(["mrcnn_mask", "fpn_p2", "bn_conv1", "conv1"]) == ["conv1", "bn_conv1", "fpn_p2", "mrcnn_mask"]
    assert file_order(["mrcnn_mask", "mnv2_conv1"]) == ["mrcnn_mask", "mnv2_conv1"]
