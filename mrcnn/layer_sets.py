"""Matterport's layer sets as regular expressions on layer names. Imports neither TensorFlow nor Keras."""

import re

from mrcnn.errors import UserError

HEADS = r"(mrcnn\_.*)|(rpn\_.*)|(fpn\_.*)"


def _stages_regex(stages: str, blocks: str) -> str:
    """Returns a regular expression for the given ResNet stages, MobileNetV2 block numbers and the heads."""
    resnet = rf"(res[{stages}].*)|(bn[{stages}].*)"
    mobilenet = rf"((bn_)?mnv2_({blocks})_.*)"
    return f"{resnet}|{mobilenet}|{HEADS}"


# Blocks 4, 7 and 14 of MobileNetV2 start at stride 8, 16 and 32, like stages 3, 4 and 5 of a ResNet.
LAYER_SETS = {
    "heads": HEADS,
    "3+": _stages_regex("3-5", r"[4-9]|1\d"),
    "4+": _stages_regex("45", r"[7-9]|1\d"),
    "5+": _stages_regex("5", r"1[4-7]"),
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
