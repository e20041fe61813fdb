"""The `Detections` class and its conversion to the formats of other tools."""

from mrcnn.detections.detection import Box, Detection
from mrcnn.detections.detections import Detections

__all__ = ["Box", "Detection", "Detections"]
