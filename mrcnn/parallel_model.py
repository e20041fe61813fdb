"""Drop-in replacement for Matterport's `parallel_model` module."""

from mrcnn.matterport.parallel_model import ParallelModel

__all__ = ["ParallelModel"]
