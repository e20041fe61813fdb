"""Backbones: feature extractors that compute the feature maps C1..C5.

A backbone is a function `f(image, stage5, train_bn) -> [C1, C2, C3, C4, C5]` on Keras tensors. C2..C5 have strides 4,
8, 16 and 32. `Config.BACKBONE` is a key of `BACKBONES` or a function with this signature. The C4 backbones end with C4.
Their stage 5 is part of the heads; see `mrcnn.backbones.resnet.build_res5`.
"""

from collections.abc import Callable
from functools import partial

from mrcnn import choices
from mrcnn.backbones.mobilenet import build_mobilenet_v2
from mrcnn.backbones.resnet import build_resnet, build_resnext

BACKBONES: dict[str, Callable] = {
    "resnet50": partial(build_resnet, architecture="resnet50"),
    "resnet101": partial(build_resnet, architecture="resnet101"),
    "resnext50": partial(build_resnext, architecture="resnext50"),
    "resnext101": partial(build_resnext, architecture="resnext101"),
    "mobilenet_v2": build_mobilenet_v2,
    "resnet50_c4": partial(build_resnet, architecture="resnet50"),
    "resnet101_c4": partial(build_resnet, architecture="resnet101"),
}


def build_backbone(backbone: str | Callable, image, train_bn: bool | None) -> list:
    """Computes the feature maps [C1, ..., C5] of a Keras tensor. C5 of a C4 backbone is None.

    Args:
        backbone: key of `BACKBONES`, or a function as described in the module docstring.
        image: `[B, H, W, channels]`, RGB minus mean.
        train_bn: see `Config.TRAIN_BN`.
    """
    build = backbone if callable(backbone) else BACKBONES[backbone]
    return build(image, stage5=backbone not in choices.C4_BACKBONES, train_bn=train_bn)
