"""The result of detection, `Detections`, and its conversion to the formats of other tools."""

from mrcnn.detections.detections import Box, Detection, Detections

__all__ = ["Box", "Detection", "Detections"]
