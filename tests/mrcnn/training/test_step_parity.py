"""A compiled training step compared with the original: losses of two steps, and the update of each weight.

ResNet-50, 256 pixels, batches of 2, SGD with a learning rate of 0.01 and momentum 0.9, gradient norm clipped at 5,
weight decay of the original. One case uses external proposals (`_rois`), the other those of the network. In the
original, the box loss reaches the RPN through its targets, which are computed from the proposals. In this
implementation proposals are constants, as in the paper. The tests enable the gradient of the original to compare
everything else.
"""

import runpy

import numpy as np
import pytest
import tensorflow as tf

import mrcnn.layers.proposals
import mrcnn.layers.targets
from mrcnn.layer_sets import layer_regex
from mrcnn.model import MaskRCNN
from mrcnn.network import LOSSES
from mrcnn.training.freezing import set_trainable
from mrcnn.training.progress import Stage
from mrcnn.training.trainer import compile_model
from reference_config import ReferenceConfig

RTOL = 0.01


@pytest.fixture(scope="module")
def weights(golden_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.h5"
    assert runpy.run_path(str(golden_path("make_reference_weights.py")))["main"]("small_r50_c2", str(path)) == 0
    return path


def load_case(name, golden, tmp_path_factory):
    """Returns the model, the inputs, the outputs of the original and the names of its weights."""
    batch, expected, names = golden(f"{name}_batch.npz"), golden(f"{name}.npz"), golden(f"{name}_step.json")
    config = ReferenceConfig().copy(IMAGES_PER_GPU=2, ROI_NEGATIVES="matterport", USE_RPN_ROIS="input_roi" not in batch)
    model = MaskRCNN("training", config, tmp_path_factory.mktemp("logs"))
    model.keras_model.get_layer("proposal_targets").shuffle = False  # the setting of the original for these arrays
    dtypes = [tensor.dtype for tensor in model.keras_model.inputs]
    inputs = tuple(batch[name].astype(dtype) for name, dtype in zip(batch.files, dtypes, strict=True))
    return model, inputs, expected, names


class WithoutStopGradient:
    """TensorFlow with `stop_gradient` disabled."""

    stop_gradient = staticmethod(tf.identity)

    def __getattr__(self, name):
        return getattr(tf, name)


def compiled(model, layers):
    set_trainable(model.keras_model, layer_regex(layers))
    stage = Stage(layers, 1, 0.01, "sgd", "constant", 0, "all", 0.0, 1, 2, 2, 0)
    return compile_model(model, stage)


@pytest.mark.parametrize("name, layers", [("train_r50small", "heads"), ("train_r50small_rois", "all")])
def test_two_steps(name, layers, weights, golden, tmp_path_factory, monkeypatch):
    for module in (mrcnn.layers.proposals, mrcnn.layers.targets):
        monkeypatch.setattr(module, "tf", WithoutStopGradient())
    model, inputs, expected, names = load_case(name, golden, tmp_path_factory)
    model.load_weights(weights, by_name=True)
    fitted = compiled(model, layers)
    names = [name.split(":")[0] for name in names[layers]["names"]]
    layer_weights = {f"{n}/{v.name}": v for n, layer in model.named_layers().items() for v in layer.weights}
    moved = [layer_weights["{}/{}".format(n.split("/")[0].rsplit("_", 1)[0], n.split("/")[1])] for n in names]
    assert {id(v) for v in moved} == {id(v) for v in fitted.trainable_variables}
    before = [variable.numpy() for variable in moved]

    logs = fitted.train_on_batch(inputs, return_dict=True)
    first = [float(logs[name]) for name in ("loss", *LOSSES)]
    np.testing.assert_allclose(first, expected[f"step_{layers}_out1_f64"], rtol=1e-3)

    deltas = [variable.numpy() - old for variable, old in zip(moved, before, strict=True)]
    norms = np.array([np.linalg.norm(delta.astype(np.float64)) for delta in deltas])
    wanted = expected[f"step_{layers}_delta_norm_f64"]
    np.testing.assert_allclose(norms, wanted, rtol=RTOL, atol=1e-6)
    assert np.sqrt((norms**2).sum()) == pytest.approx(0.01 * 5, rel=1e-4)  # learning rate times the clipping norm
    first8 = np.stack([np.resize(delta.ravel(), 8) for delta in deltas])
    wanted = expected[f"step_{layers}_delta_first8"]
    scale = np.abs(wanted).max(axis=1, keepdims=True)
    assert np.all(np.abs(first8 - wanted) < RTOL * scale + 3e-7)  # float32 resolution near 1 is 1e-7

    fitted.reset_metrics()
    logs = fitted.train_on_batch(inputs, return_dict=True)
    second = [float(logs[name]) for name in ("loss", *LOSSES)]
    np.testing.assert_allclose(second, expected[f"step_{layers}_out2_f64"], rtol=1e-3, atol=1e-5)
