"""Building blocks of the backbones and heads: BatchNorm, ConvNorm and PerRoI."""

import keras
import tensorflow as tf
from keras import ops

from mrcnn.ops.convolution import convolve, convolve_with_matmul_gradient

PACKAGE = "mrcnn"
register = keras.saving.register_keras_serializable(package=PACKAGE)


class Float32Layer(keras.layers.Layer):
    """Base class of layers that compute in float32 under every dtype policy and do not cast their inputs.

    Box coordinates require float32. The 8 significant bits of bfloat16 would round coordinates above 512 pixels to
    multiples of 4 pixels.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False})

    def get_config(self):
        return {key: value for key, value in super().get_config().items() if key not in ("dtype", "autocast")}


def map_images(function, tensors, spec):
    """Applies a function to the tensors `[B, ...]` of each image, like `tf.map_fn`.

    With a static batch size of 1, there is no loop, because model converters support few operations in loops.

    Args:
        function: takes a tuple of tensors without the batch axis.
        tensors: tuple of tensors `[B, ...]`.
        spec: tf.TensorSpec of the tensor that `function` returns.
    """
    if tensors[0].shape[0] == 1:
        result = function(tuple(tensor[0] for tensor in tensors))
        return tf.reshape(result, (1, *spec.shape))  # gives converters a static shape
    return tf.map_fn(function, tensors, fn_output_signature=spec)


def select_class_masks(masks, class_ids):
    """Selects the mask of one class for each RoI.

    The masks are multiplied by a one-hot vector, because a batched gather of individual values is slow and gives wrong
    results in some runtimes.

    Args:
        masks: `[B, P, M, M, C]`, finite.
        class_ids: `[B, P]`.

    Returns:
        `[B, P, M, M]`.
    """
    chosen = tf.one_hot(tf.cast(class_ids, tf.int32), tf.shape(masks)[-1], dtype=masks.dtype)
    chosen = tf.expand_dims(tf.expand_dims(chosen, 2), 2)  # [B, P, 1, 1, C]; LiteRT cannot slice with two new axes
    return tf.reduce_sum(masks * chosen, axis=-1)


@register
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalization with epsilon 1e-3, as in Keras and in Matterport's code."""


@register
class ConvNorm(Float32Layer):
    """A convolution and its batch normalization, folded into one convolution if moving statistics are used.

    With moving statistics, a convolution followed by normalization equals a convolution with a scaled kernel and a
    shifted bias. The weights are folded in float32 at every call, so the result always reflects the current weights and
    gradients reach gamma and beta. Folding costs one pass over the weights and saves two passes over the feature map.
    The two sublayers keep their names, weights and `trainable` flags, which checkpoints and freezing depend on.

    Args:
        conv: `Conv2D` or `DepthwiseConv2D`, built or unbuilt.
        norm: `BatchNorm` that follows the convolution, or None.
        train_norm: False for moving statistics, True for batch statistics, None for batch statistics during training
            only. See `Config.TRAIN_BN`.
        activation: None, "relu" or "relu6".
        precision: dtype of the convolution. Defaults to the compute dtype of Keras's global dtype policy.

    Attributes:
        matmul_gradient: whether matrix products compute the kernel gradient of a 3x3 convolution with stride 1.
            The value is read when the training step is traced. See `mrcnn.training.devices.choose_kernel_gradient`.
    """

    matmul_gradient = False

    def __init__(self, conv, norm=None, train_norm=False, activation=None, precision=None, **kwargs):
        # Folding in float32 avoids rounding the weights. The convolution itself runs in `precision`.
        super().__init__(**kwargs)
        self.conv, self.norm = conv, norm
        self.train_norm, self.activation = train_norm, activation
        self.precision = precision or keras.config.dtype_policy().compute_dtype

    def build(self, input_shape):
        if not self.conv.built:
            self.conv.build(input_shape)
        if self.norm is not None and not self.norm.built:
            self.norm.build(self.conv.compute_output_shape(input_shape))
        self.built = True

    def call(self, inputs, training=None):
        inputs = ops.cast(inputs, self.precision)
        uses_batch_statistics = self.norm is not None and (
            self.train_norm is True or (self.train_norm is None and training)
        )
        if uses_batch_statistics:
            outputs = self._convolve(inputs, *self._conv_weights())
            outputs = self.norm(outputs, training=True) if training else self._normalize_by_batch(outputs)
        else:
            outputs = self._convolve(inputs, *self._folded_weights())
        return {"relu": ops.relu, "relu6": ops.relu6, None: lambda x: x}[self.activation](outputs)

    def _conv_weights(self):
        """Returns the float32 kernel and bias (or None) of the convolution."""
        kernel = ops.convert_to_tensor(self.conv.kernel)
        return kernel, ops.convert_to_tensor(self.conv.bias) if self.conv.use_bias else None

    def _folded_weights(self):
        """Returns the float32 kernel and bias (or None) of the convolution with the folded normalization."""
        kernel, bias = self._conv_weights()
        if self.norm is None:
            return kernel, bias
        norm = self.norm
        scale = ops.convert_to_tensor(norm.gamma) * ops.rsqrt(norm.moving_variance + norm.epsilon)  # [C]
        shift = norm.beta - norm.moving_mean * scale
        is_depthwise = isinstance(self.conv, keras.layers.DepthwiseConv2D)
        kernel = kernel * (ops.reshape(scale, kernel.shape[2:]) if is_depthwise else scale)
        return kernel, shift if bias is None else shift + bias * scale

    def _normalize_by_batch(self, outputs):
        """Normalizes with batch statistics at inference. The moving statistics are not updated."""
        norm, inputs = self.norm, ops.cast(outputs, "float32")
        mean, variance = ops.moments(inputs, axes=(0, 1, 2))
        normed = ops.batch_normalization(inputs, mean, variance, -1, norm.beta, norm.gamma, norm.epsilon)
        return ops.cast(normed, outputs.dtype)

    def _convolve(self, inputs, kernel, bias):
        conv = self.conv
        options = dict(strides=conv.strides, padding=conv.padding, dilation_rate=conv.dilation_rate)
        is_depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
        kernel = ops.cast(kernel, self.precision)
        if self.matmul_gradient and not is_depthwise and _is_plain_3x3(conv):
            outputs = convolve_with_matmul_gradient(inputs, kernel)
        elif is_depthwise:
            outputs = ops.depthwise_conv(inputs, kernel, data_format="channels_last", **options)
        else:
            outputs = convolve(inputs, kernel, **options)
        # TensorFlow fuses BiasAdd and the following ReLU into the convolution, but not a plain addition.
        return outputs if bias is None else tf.nn.bias_add(outputs, ops.cast(bias, self.precision))

    def compute_output_spec(self, inputs, training=None):
        return keras.KerasTensor(self.conv.compute_output_shape(inputs.shape), dtype=self.precision)

    def get_config(self):
        sublayers = {"conv": self.conv, "norm": self.norm}
        return {
            **super().get_config(),
            **{name: layer and keras.saving.serialize_keras_object(layer) for name, layer in sublayers.items()},
            "train_norm": self.train_norm,
            "activation": self.activation,
            "precision": self.precision,
        }

    @classmethod
    def from_config(cls, config):
        for name in ("conv", "norm"):
            if isinstance(config[name], dict):
                config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def _is_plain_3x3(conv) -> bool:
    return (
        tuple(conv.kernel_size) == (3, 3)
        and tuple(conv.strides) == tuple(conv.dilation_rate) == (1, 1)
        and (conv.padding, conv.groups) == ("same", 1)
    )


@register
class PerRoI(keras.layers.Wrapper):
    """Applies a layer to each RoI, `[B, R, ...] -> [B, R, ...]`, by merging the first two axes.

    This layer replaces Matterport's `TimeDistributed` layers. The wrapper and the inner layer have the same name, as
    checkpoints require.

    Call arguments:
        inputs: `[B, R', ...]`.
        rois: R, number of output rows. Rows after the first R' are zeros. Defaults to R'.
    """

    def __init__(self, layer, **kwargs):
        kwargs.setdefault("name", layer.name)
        super().__init__(layer, **kwargs)

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build((None, *input_shape[2:]))
        self.built = True

    def call(self, inputs, rois=None, training=None):
        shape = ops.shape(inputs)
        options = {"training": training} if isinstance(self.layer, (ConvNorm, keras.Model)) else {}
        outputs = self.layer(ops.reshape(inputs, (-1, *inputs.shape[2:])), **options)  # [B*R', ...]
        outputs = ops.reshape(outputs, (shape[0], shape[1], *outputs.shape[1:]))
        if rois is None:
            return outputs
        missing = rois - shape[1]
        return tf.pad(outputs, [[0, 0], [0, missing]] + [[0, 0]] * (len(outputs.shape) - 2))

    def compute_output_spec(self, inputs, rois=None, training=None):
        inner = keras.KerasTensor((None, *inputs.shape[2:]), dtype=inputs.dtype)
        output = self.layer.compute_output_spec(inner)
        count = inputs.shape[1] if rois is None else rois
        return keras.KerasTensor((inputs.shape[0], count, *output.shape[1:]), dtype=output.dtype)
