"""Feature pyramid network (Lin et al. 2017), which computes P2..P6 from C2..C5."""

import keras

from mrcnn.layers.common import ConvNorm


def _conv(channels: int, kernel_size: int, name: str):
    conv = keras.layers.Conv2D(channels, kernel_size, padding="same", name=name)
    return ConvNorm(conv, name=name)


def build_fpn(features: list, channels: int) -> list:
    """Builds the feature pyramid.

    P6 is P5 subsampled by 2, for the RPN only (section 4.1, footnote 2). Upsampling is nearest neighbour.

    Args:
        features: [C1, C2, C3, C4, C5] of a backbone.
        channels: F, `Config.TOP_DOWN_PYRAMID_SIZE`.

    Returns:
        [P2, P3, P4, P5, P6], each `[B, S/stride, S/stride, F]`, at strides 4, 8, 16, 32, 64.
    """
    _, c2, c3, c4, c5 = features
    top = _conv(channels, 1, "fpn_c5p5")(c5)
    merged = [top]
    for level, feature in zip((4, 3, 2), (c4, c3, c2), strict=True):
        upsampled = keras.layers.UpSampling2D(2, name=f"fpn_p{level + 1}upsampled")(merged[-1])
        lateral = _conv(channels, 1, f"fpn_c{level}p{level}")(feature)
        merged.append(keras.layers.Add(name=f"fpn_p{level}add")([upsampled, lateral]))
    p5, p4, p3, p2 = (_conv(channels, 3, f"fpn_p{level}")(x) for level, x in zip((5, 4, 3, 2), merged, strict=True))
    p6 = keras.layers.MaxPooling2D(1, strides=2, name="fpn_p6")(p5)
    return [p2, p3, p4, p5, p6]
