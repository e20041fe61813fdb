"""Visualization: raster drawing with NumPy and Pillow, and Matplotlib figures.

`drawing`, `captions` and `colors` do not import Matplotlib's plotting modules. `mrcnn.visualize` re-exports
the functions that create figures, under Matterport's names.
"""
