"""ResNet-50/101 (He et al. 2016) and ResNeXt-50/101 32x4d (Xie et al. 2017) with Matterport's layer names.

The ResNet is Caffe's variant: each convolution has a bias, and the stride of a stage is on its first 1x1 convolution.
"""

import keras

from mrcnn.layers.common import BatchNorm, ConvNorm

BLOCKS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3)}  # bottleneck blocks of stages 2 to 5
# Channels of the first two convolutions of a block in stages 2 to 5. The third convolution has 4 times as many.
WIDTHS = (64, 128, 256, 512)


def conv_norm(x, filters, kernel_size, names, *, strides=1, padding="valid", activation=None, **options):
    """Applies a convolution and batch normalization to `x [B, H, W, channels]`.

    Args:
        names: names of the convolution and of the normalization.
        options: `use_bias` and `groups` of the convolution, `train_bn` (see `Config.TRAIN_BN`) and `precision` (see
            `ConvNorm`).
    """
    conv_name, norm_name = names
    conv = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=options.get("use_bias", True),
        groups=options.get("groups", 1),
        name=conv_name,
    )
    norm = BatchNorm(name=norm_name)
    train_bn = options.get("train_bn", True)
    return ConvNorm(conv, norm, train_bn, activation, options.get("precision"), name=f"{conv_name}_{norm_name}")(x)


def _bottleneck(x, shortcut, kernel_size, filters, stage, block, *, strides=1, groups=1, **options):
    """Applies a bottleneck block. The stride is on the first convolution, or on the grouped 3x3 convolution."""
    width1, width2, width3 = filters
    conv, norm = f"res{stage}{block}_branch2", f"bn{stage}{block}_branch2"
    first, second = (strides, 1) if groups == 1 else (1, strides)
    x = conv_norm(x, width1, 1, (f"{conv}a", f"{norm}a"), strides=first, activation="relu", **options)
    grouped = dict(padding="same", strides=second, groups=groups, activation="relu")
    x = conv_norm(x, width2, kernel_size, (f"{conv}b", f"{norm}b"), **grouped, **options)
    x = conv_norm(x, width3, 1, (f"{conv}c", f"{norm}c"), **options)
    x = keras.layers.Add(name=f"res{stage}{block}_add")([x, shortcut])
    return keras.layers.Activation("relu", name=f"res{stage}{block}_out")(x)


def identity_block(input_tensor, kernel_size, filters, stage, block, use_bias=True, train_bn=True, groups=1):
    """Applies a bottleneck block with an identity shortcut to `[B, H, W, filters[2]]`."""
    options = dict(use_bias=use_bias, train_bn=train_bn, groups=groups)
    return _bottleneck(input_tensor, input_tensor, kernel_size, filters, stage, block, **options)


def conv_block(
    input_tensor, kernel_size, filters, stage, block, strides=(2, 2), use_bias=True, train_bn=True, groups=1
):
    """Applies a bottleneck block whose shortcut is a 1x1 convolution to filters[2] channels with stride `strides`."""
    names = (f"res{stage}{block}_branch1", f"bn{stage}{block}_branch1")
    options = dict(use_bias=use_bias, train_bn=train_bn)
    shortcut = conv_norm(input_tensor, filters[2], 1, names, strides=strides, **options)
    options |= dict(strides=strides, groups=groups)
    return _bottleneck(input_tensor, shortcut, kernel_size, filters, stage, block, **options)


def _residual_network(image, depth, stage5, train_bn, *, width_factor=1, groups=1, use_bias=True):
    options = dict(use_bias=use_bias, train_bn=train_bn)
    # The stem runs in float32, because rounding pixel values to the 8 significant bits of bfloat16 shifts all masks.
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad", dtype="float32")(image)
    x = conv_norm(x, 64, 7, ("conv1", "bn_conv1"), strides=2, activation="relu", precision="float32", **options)
    c1 = x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="pool1")(x)
    features = [c1]
    for stage in (2, 3, 4, 5):
        if stage == 5 and not stage5:
            return [*features, None]
        strides = 1 if stage == 2 else 2
        x = _stage(x, stage, depth, strides=strides, width_factor=width_factor, groups=groups, **options)
        features.append(x)
    return features


def _stage(x, stage, depth, *, strides, width_factor=1, **options):
    """Applies the bottleneck blocks of a stage to `x`. The stride is in the first block."""
    width, blocks = WIDTHS[stage - 2], BLOCKS[depth][stage - 2]
    filters = (width * width_factor, width * width_factor, width * 4)
    x = conv_block(x, 3, filters, stage, "a", strides=strides, **options)
    for index in range(1, blocks):
        x = identity_block(x, 3, filters, stage, chr(ord("a") + index), **options)
    return x


def build_resnet(input_image, architecture, stage5=False, train_bn=True):
    """Builds ResNet-50 or -101.

    Args:
        input_image: Keras tensor `[B, H, W, channels]`, RGB minus mean.
        architecture: "resnet50" or "resnet101".
        stage5: whether to compute C5; otherwise it is None.
        train_bn: see `Config.TRAIN_BN`.

    Returns:
        [C1, C2, C3, C4, C5] with 64, 256, 512, 1024, 2048 channels. C1 is the pooled stem and has
        stride 4, like C2.
    """
    if architecture not in ("resnet50", "resnet101"):
        raise ValueError(f"architecture must be 'resnet50' or 'resnet101', got {architecture!r}.")
    return _residual_network(input_image, architecture.removeprefix("resnet"), stage5, train_bn)


def build_res5(architecture, train_bn=True) -> keras.Model:
    """Builds stage 5 of a ResNet as a model from RoI features `[N, h, w, 4*WIDTHS[2]]` to `[N, h, w, 4*WIDTHS[3]]`.

    The stride of the stage is 1.

    Args:
        architecture: "resnet50" or "resnet101".
        train_bn: see `Config.TRAIN_BN`.

    Source: He et al. 2017, Mask R-CNN, figure 4, left.
    """
    features = keras.Input((None, None, 4 * WIDTHS[2]), name="input_res5")
    options = dict(strides=1, use_bias=True, train_bn=train_bn)
    return keras.Model(features, _stage(features, 5, architecture.removeprefix("resnet"), **options), name="res5")


def build_resnext(input_image, architecture, stage5=False, train_bn=True):
    """Builds ResNeXt-50 or -101 with 32 groups of width 4 and without biases. See `build_resnet`."""
    if architecture not in ("resnext50", "resnext101"):
        raise ValueError(f"architecture must be 'resnext50' or 'resnext101', got {architecture!r}.")
    depth = architecture.removeprefix("resnext")
    return _residual_network(input_image, depth, stage5, train_bn, width_factor=2, groups=32, use_bias=False)
