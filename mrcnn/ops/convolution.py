"""3x3 convolution whose gradient with respect to the kernel is computed by matrix products."""

import tensorflow as tf


@tf.custom_gradient
def convolve_with_matmul_gradient(inputs: tf.Tensor, kernel: tf.Tensor):
    """Convolves with stride 1 and padding "same". Only the gradient computation differs from `tf.nn.conv2d`.

    The gradient of one kernel element `[C, F]` is the product of the shifted inputs and the upstream gradient, both
    with the positions of the whole batch as rows. On some CPUs this is several times as fast as oneDNN's kernel if the
    feature map is large, such as level P2 of the pyramid. `mrcnn.training.cpu_speed` measures the difference.

    Args:
        inputs: `[B, H, W, C]`.
        kernel: `[k, k, C, F]` of the same dtype, with odd k.

    Returns:
        `[B, H, W, F]`.
    """

    def gradients(upstream):
        shape, (rows, columns, channels, filters) = tf.shape(inputs), kernel.shape
        of_inputs = tf.raw_ops.Conv2DBackpropInput(
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
        return of_inputs, tf.reshape(products, kernel.shape)

    return tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME"), gradients
