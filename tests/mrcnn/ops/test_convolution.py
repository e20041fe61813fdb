"""Convolutions with groups, and with a kernel gradient that is computed by matrix products."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrcnn.layers.common import BatchNorm, ConvNorm
from mrcnn.ops import convolution
from mrcnn.ops.convolution import convolve, convolve_with_matmul_gradient


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


class TestGroups:
    """Grouped convolutions, compared with one convolution per group."""

    @staticmethod
    def compute(function, inputs, kernel):
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            outputs = function(inputs, kernel)
            loss = tf.reduce_sum(outputs * random(*outputs.shape))
        return outputs, *tape.gradient(loss, [inputs, kernel])

    @pytest.mark.parametrize("native", [True, False])
    @pytest.mark.parametrize("strides", [1, 2])
    def test_output_and_gradients(self, native, strides, monkeypatch):
        if native and not convolution._grouped_gradient_exists():
            pytest.skip("TensorFlow without oneDNN has no gradient of grouped convolutions on a CPU")
        monkeypatch.setattr(convolution, "_grouped_gradient_exists", lambda: native)
        inputs, kernel = random(2, 6, 7, 8), random(3, 3, 2, 12)

        def by_group(x, k):
            parts = zip(tf.split(x, 4, axis=-1), tf.split(k, 4, axis=-1), strict=True)
            return tf.concat([tf.nn.conv2d(part, part_kernel, strides, "SAME") for part, part_kernel in parts], axis=-1)

        results = self.compute(lambda x, k: convolve(x, k, strides, "same", 1), inputs, kernel)
        for ours, theirs in zip(results, self.compute(by_group, inputs, kernel), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("norm", [None, BatchNorm()])
    def test_training_on_a_cpu_with_onednn_does_not_compile(self, norm):
        """XLA takes seconds for the gradient of one small layer on a CPU."""
        if not convolution._grouped_gradient_exists():
            pytest.skip("TensorFlow without oneDNN has no gradient of grouped convolutions on a CPU")
        layer = ConvNorm(keras.layers.Conv2D(8, 3, padding="same", groups=2), norm, train_norm=norm is not None)
        layer.build((1, 8, 8, 4))

        @tf.function
        def step(inputs):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(inputs, training=True))
            return tape.gradient(loss, layer.conv.kernel.value)

        graph = step.get_concrete_function(tf.TensorSpec((1, 8, 8, 4))).graph
        assert any(node.type == "Conv2DBackpropFilter" for node in graph.get_operations())
        assert not any("_XlaMustCompile" in node.node_def.attr for node in graph.get_operations())

    def test_the_search_for_a_gradient_in_a_graph(self):
        """The first layer is called while a graph is built."""
        convolution._grouped_gradient_exists.cache_clear()
        expected = tf.function(lambda: tf.constant(convolution._grouped_gradient_exists()))()
        convolution._grouped_gradient_exists.cache_clear()
        assert bool(expected) is convolution._grouped_gradient_exists()
