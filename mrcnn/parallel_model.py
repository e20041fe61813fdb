"""Drop-in replacement of Matterport's `parallel_model` module."""

from mrcnn.matterport.parallel_model import ParallelModel

__all__ = ["ParallelModel"]
