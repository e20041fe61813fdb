"""Grouped convolutions, and convolutions whose kernel gradient is computed with matrix products."""

import functools

import tensorflow as tf


def convolve(inputs: tf.Tensor, kernel: tf.Tensor, strides, padding: str, dilation_rate) -> tf.Tensor:
    """Convolves images `[B, H, W, C]`, in groups if the kernel `[k, k, C/groups, F]` has fewer input channels.

    `keras.ops.conv` compiles grouped convolutions with XLA, which makes their gradient 500 times as slow on a CPU.
    """
    groups = inputs.shape[-1] // kernel.shape[2]
    if groups == 1 or _grouped_gradient_exists():
        return tf.nn.convolution(inputs, kernel, strides, padding.upper(), dilations=dilation_rate)
    parts = zip(tf.split(inputs, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([convolve(*part, strides, padding, dilation_rate) for part in parts], axis=-1)


@functools.cache
def _grouped_gradient_exists() -> bool:
    """Returns whether TensorFlow has the gradient of grouped convolutions: on GPUs, and on CPUs with oneDNN."""
    with tf.init_scope():
        kernel, upstream = tf.ones((3, 3, 2, 4)), tf.ones((1, 3, 3, 4))  # two groups
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=upstream.shape, filter=kernel, out_backprop=upstream, strides=[1] * 4, padding="SAME"
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True


@tf.custom_gradient
def convolve_with_matmul_gradient(inputs: tf.Tensor, kernel: tf.Tensor):
    """Convolves with stride 1 and padding "same". Only the gradient computation differs from `tf.nn.conv2d`.

    The gradient of one kernel element `[C, F]` is the product of the shifted inputs and the upstream gradient, both
    reshaped to one row per position in the batch. On some CPUs this is several times as fast as oneDNN's kernel for
    large feature maps such as P2. `mrcnn.training.cpu_speed` measures the difference.

    Args:
        inputs: `[B, H, W, C]`.
        kernel: `[k, k, C, F]` of the same dtype, with odd k.

    Returns:
        `[B, H, W, F]`.
    """

    def gradients(upstream):
        shape, (rows, columns, channels, filters) = tf.shape(inputs), kernel.shape
        input_gradient = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=shape, filter=kernel, out_backprop=upstream, strides=[1] * 4, padding="SAME"
        )
        padded = tf.pad(inputs, [[0, 0], [rows // 2] * 2, [columns // 2] * 2, [0, 0]])
        flat = tf.reshape(upstream, [-1, filters])
        shifted = (
            tf.reshape(padded[:, y : y + shape[1], x : x + shape[2]], [-1, channels])
            for y in range(rows)
            for x in range(columns)
        )
        products = tf.stack([tf.matmul(moved, flat, transpose_a=True) for moved in shifted])
        return input_gradient, tf.reshape(products, kernel.shape)

    return tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME"), gradients
