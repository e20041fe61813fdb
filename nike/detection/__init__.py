"""Detection for the commands: image sources, the detector, streaming and output formats."""
