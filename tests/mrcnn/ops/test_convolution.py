"""The convolution with a kernel gradient computed by matrix products, compared with that of TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.layers.common import ConvNorm
from mrcnn.ops.convolution import convolve_with_matmul_gradient


def random(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32"))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_output_and_gradients_equal_those_of_tensorflow(size):
    inputs, kernel, weights = random(2, 6, 7, 3), random(size, size, 3, 4), random(2, 6, 7, 4)

    def compute(convolve):
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            outputs = convolve(inputs, kernel)
            loss = tf.reduce_sum(outputs * weights)
        return outputs, *tape.gradient(loss, [inputs, kernel])

    expected = compute(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"))
    for ours, theirs in zip(compute(convolve_with_matmul_gradient), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradient_of_one_pixel():
    """The only nonzero pixel of a 3x3 image is 5 at (1, 1). The upstream gradient is 1 at (0, 2) and 0 elsewhere.

    Output (0, 2) uses pixel (1, 1) with kernel element (2, 0), whose gradient is therefore 5. All others are 0.
    """
    inputs = tf.constant(np.pad([[5.0]], 1).reshape(1, 3, 3, 1).astype("float32"))
    kernel = tf.zeros((3, 3, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        output = convolve_with_matmul_gradient(inputs, kernel)[0, 0, 2, 0]
    expected = np.zeros((3, 3))
    expected[2, 0] = 5
    np.testing.assert_array_equal(tape.gradient(output, kernel)[:, :, 0, 0], expected)


@pytest.mark.parametrize(
    "options, replaced",
    [
        (dict(padding="same"), True),
        (dict(), False),
        (dict(padding="same", strides=2), False),
        (dict(padding="same", dilation_rate=2), False),
        (dict(padding="same", groups=2), False),
    ],
)
def test_only_plain_3x3_convolutions_are_replaced(options, replaced, monkeypatch):
    calls = []

    def convolve(inputs, kernel):
        calls.append(kernel.shape)
        return tf.nn.conv2d(inputs, kernel, 1, "SAME")

    monkeypatch.setattr("mrcnn.layers.common.convolve_with_matmul_gradient", convolve)
    layer = ConvNorm(keras.layers.Conv2D(4, 3, **options))
    expected = layer(random(1, 8, 8, 2))
    assert not calls
    layer.matmul_gradient = True
    np.testing.assert_allclose(layer(random(1, 8, 8, 2)), expected, rtol=1e-6)
    assert bool(calls) is replaced
