"""Loss layers of the training graph, and the names of the losses."""

import keras

from mrcnn import losses
from mrcnn.config import Config
from mrcnn.layers.common import Float32Layer, register

LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
REFINEMENT_LOSS = "mrcnn_refined_mask_loss"
KEYPOINT_LOSS = "mrcnn_keypoint_loss"


def loss_names(config: Config) -> tuple[str, ...]:
    """Returns the names of the losses in the order of the last outputs of the training graph."""
    names = LOSSES[0 if config.has_rpn else 2 : len(LOSSES) if config.MASK_HEAD else -1]
    names += (REFINEMENT_LOSS,) if config.MASK_REFINEMENT_SIZE else ()
    return names + ((KEYPOINT_LOSS,) if config.NUM_KEYPOINTS else ())


@register
class LossLayer(Float32Layer):
    """Computes a scalar loss in float32 with a function of `mrcnn.losses`. The layer is named after the loss.

    Args:
        function: name of the function. Defaults to the name of the layer.
    """

    def __init__(self, function=None, **kwargs):
        super().__init__(**kwargs)
        self.function = function or self.name

    def call(self, inputs):
        return getattr(losses, self.function)(*inputs)

    def get_config(self):
        return {**super().get_config(), "function": self.function}

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((), dtype="float32")
