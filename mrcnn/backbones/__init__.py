"""Backbones: from the image to the feature maps C1..C5 at strides 2, 4, 8, 16, 32.

A backbone is a function `f(image, stage5, train_bn) -> [C1, C2, C3, C4, C5]` on Keras tensors; `Config.BACKBONE` is
either a name of this table or such a function.
"""

from collections.abc import Callable
from functools import partial

from mrcnn.backbones.mobilenet import mobilenet_v2_graph
from mrcnn.backbones.resnet import resnet_graph, resnext_graph

BACKBONES: dict[str, Callable] = {
    "resnet50": partial(resnet_graph, architecture="resnet50"),
    "resnet101": partial(resnet_graph, architecture="resnet101"),
    "resnext50": partial(resnext_graph, architecture="resnext50"),
    "resnext101": partial(resnext_graph, architecture="resnext101"),
    "mobilenet_v2": mobilenet_v2_graph,
}


def build_backbone(backbone: str | Callable, image, train_bn: bool | None) -> list:
    """Feature maps [C1, ..., C5] of `image [B, H, W, channels]` (RGB minus mean), by name or by the user's function."""
    build = backbone if callable(backbone) else BACKBONES[backbone]
    return build(image, stage5=True, train_bn=train_bn)
