"""MobileNetV2 (Sandler et al. 2018, table 2, width 1.0), a light backbone for CPUs and mobile devices."""

import keras

from mrcnn.backbones.resnet import conv_norm
from mrcnn.layers.common import BatchNorm, ConvNorm

# (expansion, output channels, blocks, stride of the first block): Sandler et al., table 2
BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS = 32


def _depthwise(x, name, strides, train_bn):
    """Applies a 3x3 depthwise convolution with symmetric padding of 1, also for stride 2."""
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    # This equals he_normal for the 9 inputs of each channel. Keras's he_normal would count the inputs of all channels,
    # and the features would vanish.
    scale = keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5)
    options = dict(use_bias=False, depthwise_initializer=scale)
    conv = keras.layers.DepthwiseConv2D(3, strides=strides, name=name, **options)
    norm = BatchNorm(name=f"bn_{name}")
    return ConvNorm(conv, norm, train_bn, activation="relu6", name=f"{name}_bn_{name}")(x)


def _inverted_residual(x, name, expansion, channels, strides, train_bn):
    options = dict(use_bias=False, train_bn=train_bn)
    shortcut, inputs = x, x.shape[-1]
    if expansion > 1:
        names = (f"{name}_expand", f"bn_{name}_expand")
        x = conv_norm(x, expansion * inputs, 1, names, activation="relu6", **options)
    x = _depthwise(x, f"{name}_depthwise", strides, train_bn)
    x = conv_norm(x, channels, 1, (f"{name}_project", f"bn_{name}_project"), **options)
    if strides == 1 and inputs == channels:
        x = keras.layers.Add(name=f"{name}_out")([x, shortcut])
    return x


def build_mobilenet_v2(input_image, stage5=True, train_bn=True):
    """Builds MobileNetV2 without its classifier and its last 1x1 convolution.

    Args:
        input_image: Keras tensor `[B, H, W, channels]`, RGB minus mean.
        stage5: whether to compute C5; otherwise it is None.
        train_bn: see `Config.TRAIN_BN`.

    Returns:
        [C1, ..., C5], the last feature map at each of the strides 2, 4, 8, 16, 32, with 16, 24, 32, 96, 320 channels.
    """
    x = keras.layers.ZeroPadding2D(1, name="mnv2_conv1_pad", dtype="float32")(input_image)  # float32 as in `resnet.py`
    options = dict(strides=2, activation="relu6", use_bias=False, train_bn=train_bn, precision="float32")
    x = conv_norm(x, STEM_CHANNELS, 3, ("mnv2_conv1", "bn_mnv2_conv1"), **options)
    by_stride, stride, index = {}, 2, 0
    for expansion, channels, blocks, first_stride in BOTTLENECKS:
        for block in range(blocks):
            index += 1
            strides = first_stride if block == 0 else 1
            stride *= strides
            x = _inverted_residual(x, f"mnv2_{index}", expansion, channels, strides, train_bn)
            by_stride[stride] = x
    features = [by_stride[stride] for stride in (2, 4, 8, 16, 32)]
    return features if stage5 else [*features[:4], None]
