"""A network with random weights and distinct scores, so all runtimes rank its detections in the same order."""

import keras
import numpy as np

from mrcnn import MaskRCNN
from tiny_config import TinyConfig

# Standard deviation of the weights of the two classifiers. The logits are then a few units large. Larger logits would
# saturate the softmax, and runtimes order equal scores differently.
SPREADS = {"rpn_class_raw": 0.2, "mrcnn_class_logits": 0.6, "mrcnn_refine_residual": 0.5}


def random_model(**changes) -> MaskRCNN:
    """Returns a `TinyConfig` model with random weights. Mask refinement is on by default.

    Args:
        changes: settings by name, which replace the defaults.
    """
    keras.utils.set_random_seed(0)
    defaults = {"IMAGES_PER_GPU": 1, "MASK_REFINEMENT_SIZE": 16, "MASK_REFINEMENT_CHANNELS": 4}
    model, rng = MaskRCNN("inference", TinyConfig().copy(**defaults | changes), "unused"), np.random.default_rng(0)
    layers = model.named_layers()
    for name, spread in SPREADS.items():
        if name not in layers:
            continue
        layer = layers[name]
        layer.set_weights([rng.normal(0, spread, weight.shape) for weight in layer.get_weights()])
    model.class_names = ["BG", "a", "b"]
    return model
