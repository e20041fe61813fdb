"""Matterport's layer sets as regular expressions on layer names. Imports neither TensorFlow nor Keras."""

import re

from mrcnn.errors import UserError


def _without(stages: str, blocks: str) -> str:
    """Returns a regular expression for all layers except the first convolution and the given stages or blocks.

    All layers of other backbones match.

    Args:
        stages: numbers of ResNet stages, as a character class.
        blocks: numbers of MobileNetV2 blocks, as a regular expression.
    """
    return rf"(?!(bn_)?(conv1$|mnv2_(conv1$|({blocks})_))|(res|bn)[{stages}]).*"


# Blocks 4, 7 and 14 of MobileNetV2 start at stride 8, 16 and 32, like stages 3, 4 and 5 of a ResNet.
LAYER_SETS = {
    "heads": r"(mrcnn\_.*)|(rpn\_.*)|(fpn\_.*)",
    "3+": _without("2", "[1-3]"),
    "4+": _without("23", "[1-6]"),
    "5+": _without("2-4", "[1-9]|1[0-3]"),
    "all": ".*",
}


def layer_regex(layers: str, name: str = "layers") -> str:
    """Returns the regular expression of a layer set.

    Args:
        layers: "heads", "3+", "4+", "5+", "all", or a regular expression, which is returned unchanged.
        name: name of the argument in the error message.

    Raises:
        ValueError: if the expression is invalid.
    """
    try:
        re.compile(LAYER_SETS.get(layers, layers))
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        known = ", ".join(LAYER_SETS)
        raise UserError(f"{name}: expected {known} or a regular expression, got {layers!r} ({error}).") from None
    return LAYER_SETS.get(layers, layers)
