"""Pictures: raster drawing (image in, image out; NumPy and Pillow) and Matplotlib figures for notebooks.

`drawing`, `captions` and `colors` need no Matplotlib. `mrcnn.visualize` has the names of the original's figures.
"""
