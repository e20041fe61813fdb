"""Layer sets by name, and freezing of wrapped layers."""

import re

import pytest

from mrcnn.backbones import build_backbone
from mrcnn.layer_sets import layer_regex
from mrcnn.network import NetworkBuilder, flatten_layers
from mrcnn.training.freezing import set_trainable


def trained(layers, names):
    return [name for name in names if re.fullmatch(layer_regex(layers), name)]


RESNET = ["conv1", "bn_conv1", "res2a_branch2a", "bn2a_branch1", "res3b_branch2c", "bn4f_branch2a", "res5c_branch2b"]
HEADS = ["fpn_c5p5", "fpn_p2", "rpn_conv_shared", "rpn_class_raw", "mrcnn_class_conv1", "mrcnn_mask_bn1", "mrcnn_mask"]


@pytest.mark.parametrize("layers, count", [("heads", 0), ("5+", 1), ("4+", 2), ("3+", 3), ("all", 7)])
def test_sets_equal_the_original(layers, count):
    assert trained(layers, RESNET) == RESNET[len(RESNET) - count :]
    assert trained(layers, HEADS) == HEADS


@pytest.mark.parametrize("layers, stride", [("3+", 8), ("4+", 16), ("5+", 32)])
def test_sets_of_mobilenet_start_where_the_stride_changes(layers, stride):
    import keras

    image = keras.Input((64, 64, 3))
    features = build_backbone("mobilenet_v2", image, False)
    model = keras.Model(image, features)
    names = [layer.name for layer in flatten_layers(model) if layer.weights]
    first = trained(layers, names)[0]
    # The input of the first trained layer has the previous stride, and the output of its block has the new stride.
    block = first.split("_")[1]
    assert model.get_layer(f"mnv2_{block}_project_bn_mnv2_{block}_project").output.shape[1] == 64 // stride
    assert trained(layers, names) == names[names.index(first) :]


@pytest.mark.parametrize("layers", ["3+", "4+", "5+"])
def test_all_layers_of_other_backbones_are_trained(layers):
    names = ["stem", "conv1_1", "block2_conv", "mrcnn_mask"]
    assert trained(layers, names) == names
    assert trained("heads", names) == ["mrcnn_mask"]


def test_a_regular_expression_is_used_unchanged():
    assert layer_regex("(fpn.*)|(rpn.*)") == "(fpn.*)|(rpn.*)"


@pytest.mark.parametrize("layers", ["heads(", None, 3])
def test_invalid_layer_sets(layers):
    with pytest.raises(ValueError, match=r"layers: expected heads, 3\+"):
        layer_regex(layers)


def test_set_trainable_reaches_wrapped_and_nested_layers(tiny):
    network = NetworkBuilder(tiny.TrainingConfig()).training()
    total = len(network.trainable_variables)
    names = set_trainable(network, layer_regex("heads"))
    heads = {variable.path.split("/")[-2] for variable in network.trainable_variables}
    assert heads == set(names) and {"rpn_conv_shared", "mrcnn_bbox_fc", "mrcnn_class_bn1"} <= heads
    assert not any(name.startswith(("conv1", "res", "bn")) for name in heads)
    set_trainable(network, ".*")
    assert len(network.trainable_variables) == total


def test_nothing_to_train_is_an_error(tiny):
    network = NetworkBuilder(tiny.TrainingConfig()).training()
    with pytest.raises(ValueError, match="no layer name matches 'backbone'"):
        set_trainable(network, "backbone")
