"""Builds the training graph and the inference graph from one set of layers."""

from mrcnn.config import Config
from mrcnn.network.inference_graph import build_inference_graph
from mrcnn.network.keras_model import Network
from mrcnn.network.shared_layers import SharedLayers
from mrcnn.network.training_graph import build_training_graph


class NetworkBuilder(SharedLayers):
    """Creates the layers of the network. `training()` and `inference()` build models that share these layers.

    Args:
        config: a validated Config.
    """

    def inference(self, config: Config | None = None, threshold_input: bool = False) -> Network:
        """Builds the inference graph.

        Args:
            config: Config with other detection settings. Defaults to the Config of the builder.
            threshold_input: whether to add an input `input_min_confidence [B]` that replaces DETECTION_MIN_CONFIDENCE.

        Returns:
            Model whose inputs and outputs `build_inference_graph` describes.
        """
        return build_inference_graph(self, config or self.config, threshold_input)

    def training(self) -> Network:
        """Builds the training graph. `build_training_graph` describes its inputs and outputs."""
        return build_training_graph(self)
