"""Files with the layout of Matterport's published `mask_rcnn_coco.h5`: 406 groups, ResNet-101, 81 classes."""

import math

import h5py
import numpy as np
import pytest

from mrcnn.checkpoints import HEADS, load_weights, save_weights


@pytest.fixture(scope="module")
def layout(golden):
    return golden("matterport_layout.json")


@pytest.fixture(scope="module")
def published(layout, tmp_path_factory):
    """Writes a file with this layout. The i-th of the 690 tensors has the constant value i, so the file is small."""
    path = tmp_path_factory.mktemp("coco") / "mask_rcnn_coco.h5"
    with h5py.File(path, "w") as file:
        for name, value in layout["root_attrs"].items():
            file.attrs[name] = np.bytes_(value)
        file.attrs["layer_names"] = [name.encode() for name in layout["layer_names"]]
        names = {group: [] for group in layout["layer_names"]}
        for i, weight in enumerate(layout["weights"]):
            file.create_dataset(weight["h5_path"], weight["shape"], weight["dtype"], fillvalue=i)
            names[weight["group"]].append(weight["weight_name"].encode())
        for group, weight_names in names.items():
            file.require_group(group).attrs["weight_names"] = np.array(weight_names, "S")
    return path


def spec_of(layout, classes=81):
    """Returns the shapes of all weights by layer for the given number of classes."""
    spec = {}
    for weight in layout["weights"]:
        layer, role = weight["weight_name"].removesuffix(":0").split("/")
        shape = list(weight["shape"])
        if layer in HEADS:
            shape[-1] = shape[-1] // 81 * classes
        spec.setdefault(layer, {})[role] = tuple(shape)
    return spec


def test_every_weight_is_loaded(layout, published, make_layers):
    layers = make_layers(spec_of(layout))
    report = load_weights(layers, published, by_name=False)
    assert report.tensors == 690 == len(layout["weights"])
    assert report.missing == report.unexpected == report.mismatched == report.excluded == report.notes == ()
    variables = {variable.path: variable for layer in layers.values() for variable in layer.weights}
    assert sum(math.prod(variable.shape) for variable in variables.values()) == layout["n_params"]
    for i, weight in enumerate(layout["weights"]):
        assert (variables[weight["weight_name"].removesuffix(":0")].value == i).all()


def test_two_class_model_loads_all_but_the_heads(layout, published, make_layers):
    layers = make_layers(spec_of(layout, classes=2))
    with pytest.raises(ValueError, match="the file has 81 classes, but the model has 2"):
        load_weights(layers, published)
    report = load_weights(layers, published, exclude=HEADS)
    assert report.tensors == 684 and report.missing == report.unexpected == ()
    assert report.excluded == ("mrcnn_bbox_fc", "mrcnn_class_logits", "mrcnn_mask")


def test_written_file_has_the_same_names_and_order(layout, make_layers, tmp_path):
    def tiny(weights):
        return {role: (1,) * len(shape) for role, shape in weights.items()}

    # The writer sorts the layers.
    spec = dict(sorted((name, tiny(weights)) for name, weights in spec_of(layout).items()))
    path = save_weights(make_layers(spec), tmp_path / "w.h5")
    with h5py.File(path) as file:
        groups = [name.decode() for name in file.attrs["layer_names"]]
        written = [f"/{g}/{name.decode()}" for g in groups for name in file[g].attrs["weight_names"]]
        assert all(name in file for name in written)
    order = {group: i for i, group in enumerate(layout["layer_names"])}
    assert written == [w["h5_path"] for w in sorted(layout["weights"], key=lambda w: order[w["group"]])]
