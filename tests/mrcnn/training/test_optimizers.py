"""One update of each optimizer, derived by hand."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.config import Config
from mrcnn.training.optimizers import build_optimizer, loss_weight_decay


def variables(**values):
    return [keras.Variable(np.float32(value), name=name) for name, value in values.items()]


def test_sgd_clips_the_norm_of_all_gradients_together():
    # The norm of (30, 40) is 50, so clipping to 5 divides both by 10. The momentum is 0.9, as in the config.
    kernel, bias = variables(kernel=1.0, bias=1.0)
    optimizer = build_optimizer("sgd", 0.1, Config())
    optimizer.build([kernel, bias])
    optimizer.apply([np.float32(30), np.float32(40)])
    np.testing.assert_allclose([kernel.numpy(), bias.numpy()], [1 - 0.3, 1 - 0.4], rtol=1e-5)
    optimizer.apply([np.float32(0), np.float32(0)])
    np.testing.assert_allclose(kernel.numpy(), 0.7 - 0.27, rtol=1e-5)


def test_norm_zero_disables_clipping():
    config = Config()
    config.GRADIENT_CLIP_NORM = 0
    (kernel,) = variables(kernel=0.0)
    optimizer = build_optimizer("sgd", 1.0, config)
    optimizer.build([kernel])
    optimizer.apply([np.float32(100)])
    assert kernel.numpy() == -100


def test_accumulation_averages_batches():
    (kernel,) = variables(kernel=0.0)
    optimizer = build_optimizer("sgd", 1.0, Config(), accumulate=2)
    optimizer.build([kernel])
    optimizer.apply([np.float32(1)])
    assert kernel.numpy() == 0
    optimizer.apply([np.float32(3)])
    assert kernel.numpy() == -2


def test_accumulation_is_rejected_on_several_devices(monkeypatch):
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(ValueError, match="on one device only, got 2"):
        build_optimizer("adamw", 0.1, Config(), accumulate=4)
    build_optimizer("adamw", 0.1, Config())


def test_adamw_decays_kernels_only():
    kernel, bias, gamma = variables(kernel=1.0, bias=1.0, gamma=1.0)
    optimizer = build_optimizer("adamw", 0.1, Config())
    optimizer.build([kernel, bias, gamma])
    optimizer.apply([np.float32(0)] * 3)
    np.testing.assert_allclose([v.numpy() for v in (kernel, bias, gamma)], [1 - 0.1 * 0.05, 1, 1], rtol=1e-6)
    assert loss_weight_decay("adamw", Config()) == 0
    assert loss_weight_decay("sgd", Config()) == Config.WEIGHT_DECAY


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="optimizer: expected one of sgd, adamw, got 'adam'"):
        build_optimizer("adam", 0.1, Config())
